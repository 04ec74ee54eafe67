//! The commands that the documents and `--help` show.

use std::collections::BTreeSet;

use enforcer::cli::help::markdown::{Block, Span, plain, read};
use harness::enforcer::enforcer_on_host;

/// A command, as it is written.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Shown {
    /// Where.
    pub(super) place: String,
    /// Without its comment.
    pub(super) line: String,
    /// The exit code that the comment names, 0 if it names none.
    pub(super) code: i32,
}

/// The commands in blocks of shell, and those that a table tells to try, in their order.
pub(super) fn in_document(name: &str, text: &str) -> Vec<Shown> {
    let mut found = Vec::new();
    in_blocks(name, &read(text), &mut found);
    found
}

fn in_blocks(name: &str, blocks: &[Block], found: &mut Vec<Shown>) {
    for block in blocks {
        match block {
            Block::Code { language, text } if language == "sh" => found.extend(lines(name, text)),
            Block::Code { language, text } => {
                let is_ours = |line: &&str| line.trim_start_matches("sudo ").starts_with("enforcer ");
                let ours = text.lines().find(is_ours);
                assert_eq!(ours, None, "{name}: a block of `{language}` has a command that nobody would run");
            }
            Block::List { items, .. } => items.iter().for_each(|item| in_blocks(name, item, found)),
            Block::Table { header, rows } => {
                let Some(column) = header.iter().position(|cell| plain(cell) == "what to ask") else { continue };
                for cell in rows.iter().filter_map(|row| row.get(column)) {
                    let [Span::Code(line)] = cell.as_slice() else { panic!("{name}: {cell:?}") };
                    found.push(shown(name, line, ""));
                }
            }
            Block::Heading { .. } | Block::Paragraph(_) => {}
        }
    }
}

fn lines(name: &str, text: &str) -> Vec<Shown> {
    let text = text.replace("\\\n", " ");
    let lines = text.lines().map(|line| line.split_once(" #").unwrap_or((line, "")));
    let lines = lines.filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|(line, comment)| shown(name, line, comment)).collect()
}

fn shown(place: &str, line: &str, comment: &str) -> Shown {
    let code = comment.split_once("exit code ").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    Shown { place: place.to_owned(), line, code: code.unwrap_or(0) }
}

/// The examples of every command's `--help`.
pub(super) fn in_help() -> Vec<Shown> {
    let mut found = Vec::new();
    let mut open = vec![String::new()];
    while let Some(words) = open.pop() {
        let arguments: Vec<&str> = words.split_whitespace().chain(["--help"]).collect();
        let help = enforcer_on_host(&arguments).expect_code(0).stdout;
        let below = |heading: &str| help.split_once(heading).map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        let examples = below("\nExamples:\n");
        let examples = examples.lines().take_while(|line| line.starts_with("  "));
        let place = format!("enforcer {words} --help").replace("  ", " ");
        found.extend(examples.map(|line| shown(&place, line, "")));
        let commands = below("\nCommands:\n");
        let commands = commands.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
        open.extend(commands.filter_map(|line| Some(format!("{words} {}", line.split_whitespace().next()?))));
    }
    found.sort();
    found
}

/// The examples of the manual pages of commands, in the folder that `enforcer man` has written.
pub(super) fn in_manual(folder: &std::path::Path) -> BTreeSet<String> {
    let pages = std::fs::read_dir(folder.join("man8")).expect("it has pages");
    let mut found = BTreeSet::new();
    for page in pages {
        let text = std::fs::read_to_string(page.expect("it can be read").path()).expect("it is text");
        let examples = text.split_once(".SH EXAMPLES\n").map(|(_, rest)| rest).unwrap_or_default();
        let examples = examples.lines().skip_while(|line| *line != ".EX").skip(1).take_while(|line| *line != ".EE");
        found.extend(
            examples
                .map(|line| line.replace(r"\-", "-").replace(r"\*(Aq", "'").replace(r"\\", r"\").replace(r"\&", "")),
        );
    }
    found
}
