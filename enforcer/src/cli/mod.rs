//! The command line: one file a subcommand, each with its `Args` and `run`. Exit codes are decided here and nowhere else.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps a host's network surface equal to what its role needs.
#[derive(Debug, Parser)]
#[command(name = "enforcer", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check that the command line works (placeholder until the first real subcommand).
    #[command(hide = true)]
    Nothing,
}

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

/// Where a command writes: results to `out`, messages for people to `err`.
pub struct Output<'a> {
    /// Standard output: results, and nothing else.
    pub out: &'a mut dyn Write,
    /// Standard error: messages for a person.
    pub err: &'a mut dyn Write,
}

/// Runs the command line and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let mut output = Output { out: &mut stdout.lock(), err: &mut stderr.lock() };
    let result = run(&cli, &mut output).and_then(|()| Ok(output.out.flush()?));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader went away (`enforcer roles | head -1`): that is its right.
        Err(Failure::Failed(error))
            if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let text = failure.to_string();
            if !text.is_empty() {
                // Nothing is left to be done if standard error is closed.
                let _ = writeln!(output.err, "error: {text}");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: &Cli, _output: &mut Output<'_>) -> Result<(), Failure> {
    match cli.command {
        Command::Nothing => Ok(()),
    }
}
