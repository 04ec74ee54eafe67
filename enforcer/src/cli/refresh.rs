//! `enforcer refresh`: the tables about this host, brought up to date.

use crate::cli::args::interfaces::InterfaceArgs;
use crate::cli::output::Output;
use crate::dataplane::{refresh_addresses, refresh_listeners};
use crate::failure::Failure;

/// Brings what the programs know of this host up to date: its addresses, its bridges' hardware addresses, and its listeners.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The agent (`enforcer run`) does this by itself when something changes. Without the agent, run it after an address \
                  was added or has moved away, for example from the notify script of keepalived: until then, the host that has the \
                  address now is refused as `martian`. `enforcer status` reports a difference with exit code 1. The policy, the modes \
                  and the flows stay as they are.\n\nExamples:\n  enforcer refresh"
)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// When no interface is protected, or a table cannot be read or written.
pub fn run(_: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    InterfaceArgs::default().some_protected()?;
    refresh_addresses()?;
    refresh_listeners()?;
    writeln!(output.err, "own addresses and listeners are up to date")?;
    Ok(())
}
