//! `enforcer detach`: removes everything that enforcer created.

use crate::cli::args::interfaces::{InterfaceArgs, require_root};
use crate::cli::output::Output;
use crate::dataplane::detach;
use crate::failure::Failure;
use crate::protect::journal;
use crate::state::history::Log;

/// Detach the programs and remove everything enforcer created.
///
/// Programs of other software stay attached.
#[derive(Debug, clap::Args)]
#[command(after_help = "detach works in any state: the interface is gone, pins were removed by hand, an apply was \
                  killed. It prints what it found. It also clears a deadline, and the next boot does not protect \
                  the interface.\n\n\
                  Examples:\n  \
                  enforcer detach\n  \
                  enforcer detach --interface eth0")]
pub struct Args {
    #[command(flatten)]
    interfaces: InterfaceArgs,
}

/// Runs the command.
///
/// # Errors
/// When something of ours cannot be removed.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    require_root()?;
    let last = journal::before_detach(&args.interfaces.interface);
    let removed = detach(&args.interfaces.interface)?;
    if let Some(Err(error)) = last.filter(|entries| !entries.is_empty()).map(|entries| Log::default().append(&entries))
    {
        writeln!(output.err, "cannot write this change to the history: {:#}", anyhow::Error::from(error))?;
    }
    if removed.is_empty() {
        writeln!(output.err, "no interface in this network namespace is protected; there is nothing to remove")?;
    }
    for removed in removed {
        if let Some(modes) = removed.modes.filter(|modes| modes.enforces()) {
            writeln!(output.errors, "{}: ATTENTION: this ends enforcement ({modes} before)", removed.interface)?;
        }
        writeln!(output.err, "{}: no longer protected", removed.interface)?;
        for sentence in removed.found {
            writeln!(output.err, "{}: {sentence}", removed.interface)?;
        }
    }
    Ok(())
}
