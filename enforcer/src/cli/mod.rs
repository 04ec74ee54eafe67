//! The command line: one file a subcommand, each with its `Args` and `run`.

pub mod apply;
pub mod args;
pub mod boot;
mod bpf_log;
pub mod catalogue;
pub mod check;
mod check_estate;
pub mod check_health;
pub mod compile;
pub mod completions;
pub mod confirm;
pub mod counters;
pub mod deadline;
pub mod definition;
pub mod denied;
pub mod detach;
pub mod diff;
mod diff_estate;
pub mod events;
pub mod explain;
mod explain_estate;
pub mod export;
mod file;
pub mod flows;
pub mod help;
pub mod man;
pub mod map;
pub mod mode;
mod order;
pub mod outlook;
pub mod output;
pub mod preflight;
pub mod print;
pub mod readiness;
pub mod refresh;
pub mod render;
pub mod report;
pub mod restore;
pub mod role;
pub mod roles;
pub mod run;
pub mod save;
pub mod schema;
pub mod simulate;
mod simulate_estate;
pub mod status;
pub mod suggest;
pub mod top;

use std::io::{self, Write as _};
use std::process::ExitCode;

use args::verbosity::Verbosity;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::cli::output::{Output, Terminal};
use crate::failure::{Failure, PluginState};
use crate::observe::health::plugin_line;
use crate::text::escape::Guard;

/// Opens exactly the ports that a host's role needs, and drops the rest.
#[derive(Debug, Parser)]
#[command(name = "enforcer", version, about, max_term_width = 110, disable_help_subcommand = true, after_help = help::topics())]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    verbosity: Verbosity,
}

/// The commands in the order of `enforcer --help`. Each `Args` has the summary and the description of its command.
#[derive(Debug, Subcommand)]
enum Command {
    Roles(roles::Args),
    Role(role::Args),
    Catalogue(catalogue::Args),
    #[command(hide = true)]
    Schema(schema::Args),
    #[command(hide = true)]
    Man(man::Args),
    Completions(completions::Args),
    Check(check::Args),
    Compile(compile::Args),
    Explain(explain::Args),
    Diff(diff::Args),
    Export(export::Args),
    Render(render::Args),
    Map(map::Args),
    Preflight(preflight::Args),
    Simulate(simulate::Args),
    Apply(apply::Args),
    Run(run::Args),
    Boot(boot::Args),
    Mode(mode::Args),
    Confirm(confirm::Args),
    Status(status::Args),
    CheckHealth(check_health::Args),
    Counters(counters::Args),
    Save(save::Args),
    Refresh(refresh::Args),
    Denied(denied::Args),
    Events(events::Args),
    Flows(flows::Args),
    Readiness(readiness::Args),
    Report(report::Args),
    Top(top::Args),
    Suggest(suggest::Args),
    Detach(detach::Args),
    Help(help::Args),
    #[command(hide = true)]
    Restore(restore::Args),
}

/// Runs the command line and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    definition::set(Cli::command);
    completions::answer();
    let terminal = Terminal::detect();
    let mut errors = Guard::new(io::stderr(), terminal.color_err);
    let cli = match Cli::try_parse_from(order::in_order(std::env::args_os(), Cli::command())) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            if check_health::is_meant(std::env::args_os()) {
                let text = error.to_string();
                let text = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
                let mut out = Guard::new(io::stdout(), false);
                // Nothing is left to be done if standard output is closed.
                let _ = writeln!(out, "{}", plugin_line(PluginState::Unknown, text));
                return ExitCode::from(PluginState::Unknown.code());
            }
            let text = error.render();
            let text = if terminal.color_err { text.ansi().to_string() } else { text.to_string() };
            // Nothing is left to be done if standard error is closed.
            let _ = errors.write_all(text.as_bytes());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
        Err(help) => help.exit(),
    };
    let mut messages = cli.verbosity.messages(terminal.color_err);
    let mut out = Guard::new(io::stdout().lock(), terminal.color_out);
    let mut output = Output { out: &mut out, err: &mut *messages, errors: &mut errors, terminal };
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
        // Nothing is left to be done if standard error is closed.
        Err(failure @ Failure::Invalid(_)) => {
            if let Failure::Invalid(findings) = &failure {
                let _ = output.report(findings);
            }
            failure.exit_code()
        }
        Err(failure) => {
            let text = cli.verbosity.error(&failure);
            if !text.is_empty() {
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

/// What a command does about what is in force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Touch {
    /// Nothing: it reads files.
    Nothing,
    /// It looks.
    Reads,
    /// It changes or saves something.
    Changes,
}

impl Command {
    const fn touch(&self) -> Touch {
        match self {
            Self::Roles(_)
            | Self::Role(_)
            | Self::Catalogue(_)
            | Self::Schema(_)
            | Self::Man(_)
            | Self::Completions(_)
            | Self::Check(_)
            | Self::Compile(_)
            | Self::Diff(_)
            | Self::Export(_)
            | Self::Render(_)
            | Self::Map(_)
            | Self::Simulate(_)
            // It prints one line alone, and says in it what there is to say of a deadline.
            | Self::CheckHealth(_)
            | Self::Help(_)
            // It acts by itself on the deadline that it was started for.
            | Self::Restore(_) => Touch::Nothing,
            Self::Explain(_)
            | Self::Preflight(_)
            | Self::Status(_)
            | Self::Counters(_)
            | Self::Denied(_)
            | Self::Events(_)
            | Self::Readiness(_)
            | Self::Report(_)
            | Self::Top(_)
            | Self::Suggest(_) => Touch::Reads,
            Self::Apply(args) if args.is_dry_run() => Touch::Reads,
            Self::Flows(args) if !args.ends() => Touch::Reads,
            Self::Apply(_)
            | Self::Run(_)
            | Self::Boot(_)
            | Self::Mode(_)
            | Self::Confirm(_)
            | Self::Flows(_)
            | Self::Save(_)
            | Self::Refresh(_)
            | Self::Detach(_) => Touch::Changes,
        }
    }
}

fn run(cli: &Cli, output: &mut Output<'_>) -> Result<(), Failure> {
    match cli.command.touch() {
        Touch::Nothing => {}
        Touch::Reads => deadline::say(output)?,
        Touch::Changes => deadline::finish(output)?,
    }
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
        Command::Render(args) => render::run(args, output),
        Command::Map(args) => map::run(args, output),
        Command::Preflight(args) => preflight::run(args, output),
        Command::Simulate(args) => simulate::run(args, output),
        Command::Apply(args) => apply::run(args, output),
        Command::Run(args) => run::run(args),
        Command::Boot(args) => boot::run(args, output),
        Command::Mode(args) => mode::run(args, output),
        Command::Confirm(args) => confirm::run(args, output),
        Command::Status(args) => status::run(args, output),
        Command::CheckHealth(args) => check_health::run(args, output),
        Command::Counters(args) => counters::run(args, output),
        Command::Save(args) => save::run(args, output),
        Command::Refresh(args) => refresh::run(args, output),
        Command::Denied(args) => denied::run(args, output),
        Command::Events(args) => events::run(args, output),
        Command::Flows(args) => flows::run(args, output),
        Command::Readiness(args) => readiness::run(args, output),
        Command::Report(args) => report::run(args, output),
        Command::Top(args) => top::run(args, output),
        Command::Suggest(args) => suggest::run(args, output),
        Command::Detach(args) => detach::run(args, output),
        Command::Help(args) => help::run(args, output),
        Command::Restore(args) => restore::run(args, output),
    }
}
