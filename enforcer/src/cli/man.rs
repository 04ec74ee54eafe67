//! `enforcer man`: writes the manual pages, for packages. The pages of commands come from the definitions that print `--help`;
//! the pages of file formats and topics come from the documents.

use std::fs;
use std::path::{Path, PathBuf};

use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::cli::definition::command;
use crate::cli::help::markdown::Block;
use crate::cli::help::roff;
use crate::cli::help::topics::{self, TOPICS};
use crate::cli::output::Output;
use crate::failure::Failure;

/// Commands for administrators.
const SECTION: &str = "8";
const MANUAL: &str = "enforcer manual";

/// Write the manual pages.
///
/// The pages are written to `man5`, `man7` and `man8` below the directory, where `man` looks for them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory, such as /usr/local/share/man. It is created if it does not exist.
    #[arg(value_hint = clap::ValueHint::DirPath)]
    directory: PathBuf,
}

/// Runs the command.
///
/// # Errors
///
/// The directory cannot be written to.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let write = |section: &str, name: &str, text: &[u8]| {
        let folder = args.directory.join(format!("man{section}"));
        fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, error))?;
        let path = folder.join(format!("{name}.{section}"));
        fs::write(&path, text).map_err(|error| cannot_write(&path, error))
    };
    let mut whole = command();
    whole.build();
    let mut pages = 0;
    let mut open = vec![&whole];
    while let Some(command) = open.pop() {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        write(SECTION, name, &page(command, name)?)?;
        pages += 1;
        open.extend(command.get_subcommands().filter(|command| !command.is_hide_set()));
    }
    let formats: [(&str, &str, Vec<Block>, &[&str]); 3] = [
        (
            "enforcer-site",
            "the roles of a host, its interfaces, and the addresses of its peers",
            topics::site_file(),
            &["enforcer(8)", "enforcer-check(8)", "enforcer-apply(8)", "enforcer-catalogue(5)"],
        ),
        (
            "enforcer-estate",
            "the hosts of a contact centre, their roles and addresses",
            topics::estate_file(),
            &["enforcer(8)", "enforcer-render(8)", "enforcer-check(8)", "enforcer-map(8)", "enforcer-site(5)"],
        ),
        (
            "enforcer-catalogue",
            "the ports that roles need, with their document rows",
            topics::catalogue_files(),
            &[
                "enforcer(8)",
                "enforcer-roles(8)",
                "enforcer-role-show(8)",
                "enforcer-catalogue-lint(8)",
                "enforcer-site(5)",
            ],
        ),
    ];
    for (name, what, blocks, others) in formats {
        // The heading of the section is the title of the page.
        write("5", name, document_page((name, "5"), what, blocks.get(1..).unwrap_or_default(), others).as_bytes())?;
        pages += 1;
    }
    let topics: Vec<Block> =
        TOPICS.iter().filter(|topic| topic.name != "site").flat_map(topics::Topic::blocks).collect();
    let others = ["enforcer(8)", "enforcer-help(8)", "enforcer-site(5)", "enforcer-catalogue(5)"];
    let page = document_page(("enforcer-topics", "7"), "help topics for operators", &topics, &others);
    write("7", "enforcer-topics", page.as_bytes())?;
    pages += 1;
    Ok(writeln!(output.err, "wrote {pages} pages to {}", args.directory.display())?)
}

/// A page of what a document says.
fn document_page((name, section): (&str, &str), what: &str, blocks: &[Block], others: &[&str]) -> String {
    let mut page = Roff::new();
    let source = concat!("enforcer ", env!("CARGO_PKG_VERSION"));
    // The empty day as in the pages of commands.
    page.control("TH", [name.to_uppercase().as_str(), section, "\"\"", source, MANUAL]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{name} - {what}"))]);
    if blocks.first().is_some_and(|block| block.level().is_none()) {
        page.control("SH", ["DESCRIPTION"]);
    }
    // Of a format each part is a section; of the topics, each topic.
    roff::add(&mut page, blocks, if section == "5" { 3 } else { 2 });
    page.control("SH", ["SEE ALSO"]);
    page.text([roman(others.join(", "))]);
    page.to_roff()
}

/// The page of a command.
fn page(command: &clap::Command, name: &str) -> Result<Vec<u8>, Failure> {
    let after = command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string);
    // What stands behind the options gets headings of its own below, and its examples keep their lines.
    let source = concat!("enforcer ", env!("CARGO_PKG_VERSION"));
    let command = &command.clone().after_help("").after_long_help("");
    // No day: pages that are made again are the same. It is written as roff has it, because an empty argument would be left out and
    // what follows would move to its place.
    let man = Man::new(command.clone()).section(SECTION).date("\"\"").source(source).manual(MANUAL);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        man.render_subcommands_section(&mut text)?;
    }
    let mut rest = Roff::new();
    if let Some(after) = after {
        notes(&mut rest, &after);
    }
    if name == "enforcer" {
        rest.control("SH", ["EXIT STATUS"]);
        for (code, meaning) in crate::failure::EXIT_CODES {
            rest.control("TP", []);
            rest.text([roman(code.to_string())]);
            rest.text([roman(meaning)]);
        }
    }
    rest.control("SH", ["SEE ALSO"]);
    let others = [format!("enforcer({SECTION})"), "enforcer-site(5)".to_owned(), "enforcer-catalogue(5)".to_owned()];
    rest.text([roman(
        others.into_iter().filter(|other| !other.starts_with(&format!("{name}("))).collect::<Vec<_>>().join(", "),
    )]);
    rest.to_writer(&mut text)?;
    Ok(text)
}

/// Text behind the options: paragraphs, and examples in indented lines.
fn notes(page: &mut Roff, text: &str) {
    let mut heading = None;
    let mut is_example = false;
    let example = |page: &mut Roff, is_example: &mut bool, is_one: bool| {
        if *is_example != is_one {
            page.control(if is_one { "EX" } else { "EE" }, []);
            *is_example = is_one;
        }
    };
    for line in text.lines() {
        let is_indented = line.starts_with("  ");
        example(page, &mut is_example, is_indented);
        if line == "Examples:" {
            page.control("SH", ["EXAMPLES"]);
            heading = Some("EXAMPLES");
        } else if line.trim().is_empty() {
            page.control("PP", []);
        } else if is_indented {
            page.text([roman(line.trim_start())]);
        } else {
            if heading != Some("NOTES") {
                page.control("SH", ["NOTES"]);
                heading = Some("NOTES");
            }
            page.text([roman(line)]);
        }
    }
    example(page, &mut is_example, false);
}

fn cannot_write(path: &Path, error: std::io::Error) -> Failure {
    Failure::Failed(anyhow::Error::new(error).context(format!("cannot write {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_keep_their_lines_and_paragraphs_do_not() {
        let mut page = Roff::new();
        notes(&mut page, "One.\nTwo.\n\nExamples:\n  enforcer a\n  enforcer b\n\nThree.");
        let expected =
            ".SH NOTES\nOne.\nTwo.\n.PP\n.SH EXAMPLES\n.EX\nenforcer a\nenforcer b\n.EE\n.PP\n.SH NOTES\nThree.\n";
        assert_eq!(page.to_roff(), expected);
    }
}
