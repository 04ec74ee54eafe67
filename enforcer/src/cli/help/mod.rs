//! `enforcer help`: prints the help of a command or a topic.

pub mod markdown;
pub mod roff;
pub mod terminal;
pub mod topics;

use std::ffi::OsStr;

use clap::builder::StyledStr;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::cli::definition::command;
use crate::cli::help::topics::{TOPICS, Topic};
use crate::cli::output::{Output, Terminal};
use crate::cli::print::table::{print, table};
use crate::failure::Failure;
use crate::text::nearest::did_you_mean;

/// Width if the output is not a terminal; the width of manual pages.
const WIDTH: u16 = 80;
/// Wider lines are hard to read.
const WIDEST: u16 = 110;
/// The word that lists the topics.
const LIST: &str = "topics";

/// Print the help of a command or a topic.
///
/// Without an argument, the command lists all commands.
#[derive(Debug, clap::Args)]
#[command(after_help = "The text of a topic is a section of the documents in /usr/share/doc/enforcer/docs. \
                  enforcer-topics(7) has all topics.\n\n\
                  Examples:\n  \
                  enforcer help topics\n  \
                  enforcer help lockout\n  \
                  enforcer help apply\n  \
                  enforcer help role show")]
pub struct Args {
    /// A command, a topic, or `topics` for a list.
    #[arg(value_name = "COMMAND|TOPIC", add = ArgValueCompleter::new(words))]
    words: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure::BadInput`] when nothing is called so.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    if words == [LIST] {
        let mut rows = table(output.terminal, &["TOPIC", "ABOUT"]);
        for topic in TOPICS {
            rows.add_row([topic.name, topic.summary]);
        }
        return Ok(output.out.write_all(print(&rows).as_bytes())?);
    }
    let topic = if let [word] = words.as_slice() { Topic::find(word) } else { None };
    let help = help_of(&words);
    if let Some(help) = &help {
        let help = if output.terminal.color_out { help.ansi().to_string() } else { help.to_string() };
        writeln!(output.out, "{}", help.trim_end())?;
    }
    if let Some(topic) = topic {
        if help.is_some() {
            writeln!(output.out)?;
        }
        let text = terminal::print(&topic.blocks(), width(output.terminal), output.terminal.color_out);
        output.out.write_all(text.as_bytes())?;
    }
    if help.is_none() && topic.is_none() { Err(unknown(&words)) } else { Ok(()) }
}

fn width(terminal: Terminal) -> usize {
    terminal.width.unwrap_or(WIDTH).clamp(40, WIDEST).into()
}

/// What `--help` prints for a command.
fn help_of(words: &[&str]) -> Option<StyledStr> {
    let mut whole = command();
    whole.build();
    let mut found = &mut whole;
    for word in words {
        found = found.find_subcommand_mut(word)?;
    }
    Some(found.render_long_help())
}

fn unknown(words: &[&str]) -> Failure {
    let typed = words.join(" ");
    let whole = command();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set()).map(clap::Command::get_name);
    let known = commands.chain(TOPICS.iter().map(|topic| topic.name)).chain([LIST]);
    // Of several words the first is the one that a suggestion can mend.
    let near = did_you_mean(words.first().copied().unwrap_or_default(), known);
    let near =
        near.unwrap_or_else(|| "`enforcer help topics` lists the topics, `enforcer help` the commands".to_owned());
    Failure::BadInput(anyhow::anyhow!("there is neither a command nor a topic `{typed}`; {near}"))
}

/// Behind the options of `enforcer --help`.
pub(super) fn topics() -> String {
    let names: Vec<&str> = TOPICS.iter().map(|topic| topic.name).collect();
    format!("Topics of `enforcer help TOPIC`:\n  {}", names.join(", "))
}

/// Names of commands and topics.
fn words(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let whole = command();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set());
    let commands = commands.map(|command| (command.get_name(), command.get_about().map(ToString::to_string)));
    let topics = TOPICS.iter().map(|topic| (topic.name, Some(topic.summary.to_owned())));
    let found = commands.chain(topics).filter(|(name, _)| name.starts_with(&*current));
    found.map(|(name, about)| CompletionCandidate::new(name).help(about.map(StyledStr::from))).collect()
}
