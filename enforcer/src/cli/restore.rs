//! The hidden command of the process that waits for a deadline: see `dataplane/restorer.rs`.

use std::fs::File;

use crate::cli::output::Output;
use crate::dataplane::restore;
use crate::failure::Failure;
use crate::protect::journal;

/// Wait for a deadline and restore the last confirmed policy.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Token of the command that set the deadline.
    token: u64,
    /// The deadline, in nanoseconds since boot.
    deadline: u64,
}

/// Runs the command.
///
/// # Errors
/// When it cannot be put back.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    // The caller waits for this line, and goes on when the pipe is closed.
    writeln!(output.out, "{}", std::process::id())?;
    output.out.flush()?;
    nix::unistd::dup2_stdout(File::options().write(true).open("/dev/null")?).map_err(std::io::Error::from)?;
    restore(args.token, args.deadline)?;
    // Nobody reads what this process says; what it did is recorded beside the programs all the same.
    let _ = journal::record_restored();
    Ok(())
}
