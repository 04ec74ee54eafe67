//! The command line: one file a subcommand, each with its `Args` and `run`. Exit codes are decided here and nowhere else.

pub mod apply;
pub mod args;
pub mod boot;
mod bpf_log;
pub mod catalogue;
pub mod check;
pub mod compile;
pub mod completions;
pub mod confirm;
pub mod counters;
pub mod denied;
pub mod detach;
pub mod diff;
pub mod events;
pub mod explain;
pub mod export;
pub mod help;
pub mod man;
pub mod mode;
pub mod preflight;
pub mod print;
pub mod readiness;
pub mod report;
pub mod restore;
pub mod role;
pub mod roles;
pub mod run;
pub mod save;
pub mod schema;
pub mod simulate;
pub mod status;
pub mod suggest;
pub mod top;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use args::verbosity::Verbosity;

pub use args::policy::{Policy, PolicyArgs, PolicyFlags, load_catalogue};

use crate::text::diagnostic::Diagnostic;

/// Keeps a host's network surface equal to what its role needs.
#[derive(Debug, Parser)]
#[command(name = "enforcer", version, about, max_term_width = 110, disable_help_subcommand = true, after_help = help::topics())]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the roles of the catalogue.
    Roles(roles::Args),
    /// Show one role.
    Role(role::Args),
    /// Look at the whole catalogue.
    Catalogue(catalogue::Args),
    /// Print the JSON Schema of role or site files.
    #[command(hide = true)]
    Schema(schema::Args),
    /// Write the manual pages.
    #[command(hide = true)]
    Man(man::Args),
    /// Print completions for a shell.
    Completions(completions::Args),
    /// Check a policy: errors, warnings, lints.
    Check(check::Args),
    /// Print the rules that a policy compiles to.
    Compile(compile::Args),
    /// Say what a policy decides about a packet, and why.
    Explain(explain::Args),
    /// Compare two policies by the traffic that they permit.
    Diff(diff::Args),
    /// Write a policy for another firewall.
    Export(export::Args),
    /// Say what would not be filtered here, and what would be cut.
    Preflight(preflight::Args),
    /// Judge the packets of a capture.
    Simulate(simulate::Args),
    /// Put a policy in force.
    Apply(apply::Args),
    /// Put a policy in force, and follow what changes.
    Run(run::Args),
    /// Protect the interfaces as they were before the reboot.
    Boot(boot::Args),
    /// Change between audit and enforce.
    Mode(mode::Args),
    /// Make a change for good before its deadline.
    Confirm(confirm::Args),
    /// Show what is in force.
    Status(status::Args),
    /// Show what passed and what was refused.
    Counters(counters::Args),
    /// Save the totals for after a reboot.
    Save(save::Args),
    /// Show who was refused, and what for.
    Denied(denied::Args),
    /// Show refused packets as they come.
    Events(events::Args),
    /// Say whether this host is ready to enforce.
    Readiness(readiness::Args),
    /// Write a page about what is in force and what was seen.
    Report(report::Args),
    /// Watch rates and denied flows on the terminal.
    Top(top::Args),
    /// Turn denied flows into the change that would permit them.
    Suggest(suggest::Args),
    /// Remove everything of ours.
    Detach(detach::Args),
    /// Print the help of a command, or about a topic.
    Help(help::Args),
    /// Wait for a deadline, and put back what was in force before.
    #[command(hide = true)]
    Restore(restore::Args),
}

/// What the exit codes mean, in the words of the manual.
const EXIT_CODES: [(u8, &str); 5] = [
    (0, "Done."),
    (1, "The operation failed, or what was looked at is not as it should be."),
    (2, "The command line, a YAML file or a capture is wrong. What was in force is untouched."),
    (3, "The kernel or the privileges do not allow it."),
    (4, "Refused for safety; the message says what to do instead."),
];

/// Why a command did not do what it was asked, and with it the exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Exit code 1: the operation failed, or `status` found something that is not as it should be.
    #[error("{0:#}")]
    Failed(anyhow::Error),
    /// Exit code 1 as well, but everything that there is to say has been printed.
    #[error("")]
    Reported,
    /// Exit code 2: the command line, a YAML file or a capture is wrong. What was running is untouched.
    #[error("{0:#}")]
    BadInput(anyhow::Error),
    /// Exit code 2, and the findings (with file, line and column) have been printed.
    #[error("")]
    BadInputReported,
    /// Exit code 3: the kernel or the privileges do not allow it.
    #[error("{0:#}")]
    NotAllowed(anyhow::Error),
    /// Exit code 4: refused for safety; says what to do instead.
    #[error("{0:#}")]
    Refused(anyhow::Error),
}

impl Failure {
    /// The documented exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::Reported => 1,
            Self::BadInput(_) | Self::BadInputReported => 2,
            Self::NotAllowed(_) => 3,
            Self::Refused(_) => 4,
        }
    }

    /// The error and its causes, if there is something to say.
    fn chain(&self) -> Option<anyhow::Chain<'_>> {
        match self {
            Self::Failed(error) | Self::BadInput(error) | Self::NotAllowed(error) | Self::Refused(error) => {
                Some(error.chain())
            }
            Self::Reported | Self::BadInputReported => None,
        }
    }
}

/// An error that nobody judged more closely: the operation failed.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Where a command writes: results to `out`, messages for people to `err`, what must not be overlooked to `errors`.
pub struct Output<'a> {
    /// Standard output: results, and nothing else.
    pub out: &'a mut dyn Write,
    /// Standard error, or nowhere with `--quiet`: messages for a person.
    pub err: &'a mut dyn Write,
    /// Standard error: what is wrong, and questions.
    pub errors: &'a mut dyn Write,
    /// How they look where they end.
    pub terminal: Terminal,
}

/// What the ends of the output can show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal {
    /// Results may be coloured.
    pub color_out: bool,
    /// Messages may be coloured.
    pub color_err: bool,
    /// Width of the terminal that results go to, if they go to one.
    pub width: Option<u16>,
}

/// How a listing is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// For a person.
    Table,
    /// For a program.
    Json,
}

impl Terminal {
    /// Looks at the standard streams and at `NO_COLOR` (<https://no-color.org>).
    #[must_use]
    pub fn detect() -> Self {
        let color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let width = if out { comfy_table::Table::new().width() } else { None };
        Self { color_out: color && out, color_err: color && err, width }
    }
}

impl Output<'_> {
    /// Prints a result as JSON.
    ///
    /// # Errors
    ///
    /// Standard output cannot be written to.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer_pretty(&mut *self.out, value).map_err(io::Error::from)?;
        Ok(writeln!(self.out)?)
    }

    /// Prints errors for a person.
    ///
    /// # Errors
    ///
    /// Standard error cannot be written to.
    pub fn report(&mut self, errors: &[Diagnostic]) -> Result<(), Failure> {
        print(errors, self.errors, self.terminal)
    }

    /// Prints warnings for a person.
    ///
    /// # Errors
    ///
    /// Standard error cannot be written to.
    pub fn warn(&mut self, warnings: &[Diagnostic]) -> Result<(), Failure> {
        print(warnings, self.err, self.terminal)
    }
}

fn print(findings: &[Diagnostic], to: &mut dyn Write, terminal: Terminal) -> Result<(), Failure> {
    /// More would scroll the first ones, which usually explain the rest, out of sight.
    const MOST: usize = 50;
    for finding in findings.iter().take(MOST) {
        writeln!(to, "{}\n", finding.render(terminal.color_err))?;
    }
    if findings.len() > MOST {
        writeln!(to, "... and {} more", findings.len() - MOST)?;
    }
    Ok(())
}

/// Runs the command line and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    completions::answer();
    let cli = Cli::parse();
    let (stdout, mut errors) = (io::stdout(), io::stderr());
    let mut messages = cli.verbosity.messages();
    let mut output =
        Output { out: &mut stdout.lock(), err: &mut *messages, errors: &mut errors, terminal: Terminal::detect() };
    let code = run_and_tell(&cli, &mut output);
    ExitCode::from(code)
}

fn run_and_tell(cli: &Cli, output: &mut Output<'_>) -> u8 {
    let begun = cli.verbosity.begin(output.err);
    let result = run(cli, output).and_then(|()| Ok(output.out.flush()?));
    let code = match result {
        Ok(()) => 0,
        // The reader went away (`enforcer roles | head -1`): that is its right.
        Err(Failure::Failed(error))
            if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            0
        }
        Err(failure) => {
            let text = cli.verbosity.error(&failure);
            if !text.is_empty() {
                // Nothing is left to be done if standard error is closed.
                let _ = writeln!(output.errors, "error: {text}");
            }
            failure.exit_code()
        }
    };
    if let Ok(since) = begun {
        cli.verbosity.end(since, code, output.err);
    }
    code
}

/// The definition of the command line, for what is made of it.
fn command() -> clap::Command {
    Cli::command()
}

fn run(cli: &Cli, output: &mut Output<'_>) -> Result<(), Failure> {
    match &cli.command {
        Command::Roles(args) => roles::run(args, output),
        Command::Role(args) => role::run(args, output),
        Command::Catalogue(args) => catalogue::run(args, output),
        Command::Schema(args) => schema::run(args, output),
        Command::Man(args) => man::run(args, output),
        Command::Completions(args) => completions::run(args, output),
        Command::Check(args) => check::run(args, output),
        Command::Compile(args) => compile::run(args, output),
        Command::Explain(args) => explain::run(args, output),
        Command::Diff(args) => diff::run(args, output),
        Command::Export(args) => export::run(args, output),
        Command::Preflight(args) => preflight::run(args, output),
        Command::Simulate(args) => simulate::run(args, output),
        Command::Apply(args) => apply::run(args, output),
        Command::Run(args) => run::run(args, output),
        Command::Boot(args) => boot::run(args, output),
        Command::Mode(args) => mode::run(args, output),
        Command::Confirm(args) => confirm::run(args, output),
        Command::Status(args) => status::run(args, output),
        Command::Counters(args) => counters::run(args, output),
        Command::Save(args) => save::run(args, output),
        Command::Denied(args) => denied::run(args, output),
        Command::Events(args) => events::run(args, output),
        Command::Readiness(args) => readiness::run(args, output),
        Command::Report(args) => report::run(args, output),
        Command::Top(args) => top::run(args, output),
        Command::Suggest(args) => suggest::run(args, output),
        Command::Detach(args) => detach::run(args, output),
        Command::Help(args) => help::run(args, output),
        Command::Restore(args) => restore::run(args, output),
    }
}
