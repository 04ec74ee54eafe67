//! `enforcer help`: every topic can be read, says nothing that does not exist, and fits the terminal.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use enforcer::cli::help::markdown::{Block, Span, plain, read};
use enforcer::cli::help::terminal;
use enforcer::cli::help::topics::TOPICS;
use enforcer_common::Reason;
use enforcer_common::layout::{LAYOUT_VERSION, MAPS};

#[test]
fn every_topic_is_listed_and_printed() {
    let list = text(&["help", "topics"]);
    let help = text(&["--help"]);
    for topic in TOPICS {
        assert!(list.lines().any(|line| line.starts_with(topic.name) && line.ends_with(topic.summary)), "{list}");
        assert!(help.contains(topic.name), "{help}");
        let printed = text(&["help", topic.name]);
        assert!(printed.ends_with(&terminal::print(&topic.blocks(), 80, false)), "{printed}");
    }
}

#[test]
fn a_topic_fits_the_terminal() {
    for (topic, width) in TOPICS.iter().flat_map(|topic| [50, 80, 110].map(|width| (topic, width))) {
        let printed = terminal::print(&topic.blocks(), width, false);
        assert!(printed.lines().count() > 3, "{printed}");
        let wide = printed.lines().find(|line| line.chars().count() > width && !is_kept(line));
        assert_eq!(wide, None, "in {}", topic.name);
    }
}

/// Lines of code keep their length, and what is one long word cannot be broken.
fn is_kept(line: &str) -> bool {
    line.starts_with("    ") || line.split_whitespace().any(|word| word.chars().count() > 24)
}

#[test]
fn commands_in_topics_parse() {
    let mut tried = 0;
    for topic in TOPICS {
        for line in commands(&topic.blocks()) {
            let words: Vec<&str> = line.split_whitespace().take_while(|word| word.chars().all(is_of_a_name)).collect();
            let options =
                line.split_whitespace().filter_map(|word| word.split('=').next()).filter(|w| w.starts_with("--"));
            let (command, help) = longest(&words).unwrap_or_else(|| panic!("{}: `{line}` is no command", topic.name));
            for option in options.filter(|option| *option != "--help") {
                assert!(help.contains(option), "{}: `{line}`: {command} has no {option}", topic.name);
            }
            tried += 1;
        }
    }
    assert!(tried > 40, "only {tried} commands were found");
}

const fn is_of_a_name(c: char) -> bool {
    c.is_ascii_lowercase() || c == '-'
}

/// The command that as many of the words as possible name, and its help.
fn longest(words: &[&str]) -> Option<(String, String)> {
    (1..=words.len().min(2)).rev().find_map(|count| {
        let output = enforcer(&[&words[..count], &["--help"]].concat());
        output.status.success().then(|| (words[..count].join(" "), String::from_utf8(output.stdout).unwrap()))
    })
}

/// What stands behind `enforcer` in code.
fn commands(blocks: &[Block]) -> Vec<String> {
    let mut found = Vec::new();
    for block in blocks {
        match block {
            Block::Heading { text, .. } | Block::Paragraph(text) => found.extend(codes(text)),
            Block::Code { language, text } if language == "sh" => found.extend(text.lines().map(str::to_owned)),
            Block::Code { .. } => {}
            Block::List { items, .. } => found.extend(items.iter().flat_map(|item| commands(item))),
            Block::Table { rows, .. } => found.extend(rows.iter().flatten().flat_map(|cell| codes(cell))),
        }
    }
    let code = |line: String| line.split(" #").next().unwrap_or_default().trim().to_owned();
    let found = found.into_iter().map(code);
    found.filter_map(|line| line.trim_start_matches("sudo ").strip_prefix("enforcer ").map(str::to_owned)).collect()
}

fn codes(spans: &[Span]) -> Vec<String> {
    let code = |span: &Span| if let Span::Code(text) = span { Some(text.clone()) } else { None };
    spans.iter().filter_map(code).collect()
}

#[test]
fn a_command_has_its_help_and_a_word_for_both_has_both() {
    assert!(text(&["help", "role", "show"]).contains("Usage: enforcer role show"));
    let both = text(&["help", "catalogue"]);
    assert!(both.contains("Usage: enforcer catalogue") && both.contains("Reading a role"), "{both}");
    assert!(text(&["help"]).contains("Usage: enforcer"));
}

#[test]
fn an_unknown_word_is_bad_input_with_a_suggestion() {
    for (words, suggestion) in [
        (&["help", "lock-out"][..], "did you mean `lockout`?"),
        (&["help", "aply"], "did you mean `apply`?"),
        (&["help", "weather"], "`enforcer help topics` lists"),
        (&["help", "role", "shwo"], "neither a command nor a topic `role shwo`"),
    ] {
        let output = enforcer(words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(suggestion) && output.stdout.is_empty(), "{said}");
    }
}

#[test]
fn the_documents_have_every_reason_and_exit_code_in_the_words_of_the_program() {
    let rows = table("docs/how-it-works.md", "Reasons");
    let wanted = Reason::ALL.iter().map(|reason| {
        [reason.name(), reason.verdict().name(), reason.sentence()].map(|text| text.replace('`', "")).to_vec()
    });
    assert_eq!(rows, wanted.collect::<Vec<_>>());

    let rows = table("docs/operating.md", "Exit codes");
    let folder = manual();
    let page = fs::read_to_string(folder.join("man8/enforcer.8")).unwrap();
    fs::remove_dir_all(folder).unwrap();
    for row in rows {
        let entry = format!(".TP\n{}\n{}\n", row[0], row[1]);
        assert!(page.contains(&entry), "the manual says something else than {row:?}");
    }
}

#[test]
fn the_documents_have_every_table_with_its_owner_and_purpose() {
    let rows = table("docs/how-it-works.md", "Tables");
    let wanted = MAPS.iter().map(|row| [row.name, row.owner.name(), row.sentence].map(str::to_owned).to_vec());
    assert_eq!(rows, wanted.collect::<Vec<_>>());
}

#[test]
fn the_pins_in_the_documents_have_the_layout_of_this_program() {
    let layout = format!("v{LAYOUT_VERSION}");
    let rows = table("docs/how-it-works.md", "Pins and files");
    for folder in ["IF", "host:NETNS"].map(|owner| format!("/sys/fs/bpf/enforcer/{owner}/{layout}")) {
        assert!(rows.iter().any(|row| row[0] == folder), "{folder}: {rows:?}");
    }
}

/// The rows of the first table below a heading.
fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document)).unwrap();
    let blocks = read(&text);
    let mut below = blocks.iter().skip_while(|block| !block.is_heading(heading));
    let table = below.find_map(|block| if let Block::Table { rows, .. } = block { Some(rows) } else { None });
    table.unwrap().iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect()
}

fn manual() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("enforcer-help-{}", std::process::id()));
    let output = enforcer(&["man", folder.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    folder
}

fn text(words: &[&str]) -> String {
    let output = enforcer(words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn enforcer(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_enforcer")).args(words).output().unwrap()
}
