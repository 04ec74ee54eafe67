//! `enforcer detach`: remove everything of ours.

use super::interfaces::InterfaceArgs;
use super::{Failure, Output};
use crate::dataplane::detach;

/// Takes the programs off their hooks and removes all pins. What others have attached stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  enforcer detach\n  enforcer detach --interface eth0")]
pub struct Args {
    #[command(flatten)]
    interfaces: InterfaceArgs,
}

/// Runs the command.
///
/// # Errors
/// When something of ours cannot be removed.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let interfaces = args.interfaces.protected()?;
    if interfaces.is_empty() {
        writeln!(output.err, "no interface of this network namespace is protected: nothing to remove")?;
        return Ok(());
    }
    for removed in detach(&interfaces)? {
        writeln!(output.err, "{}: no longer protected", removed.interface)?;
        for sentence in removed.found {
            writeln!(output.err, "{}: {sentence}", removed.interface)?;
        }
    }
    Ok(())
}
