//! `enforcer mode`: audit or enforce, by one store into a map.

use super::interfaces::{InterfaceArgs, ModeArg, modes_text};
use super::{Failure, Output};
use crate::dataplane::{ModeChange, set_modes};

/// Changes the mode of protected interfaces at run time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  enforcer mode enforce\n  enforcer mode audit --interface eth0 --inbound")]
pub struct Args {
    /// The new mode.
    #[arg(value_enum)]
    mode: ModeArg,
    /// Only inbound.
    #[arg(long)]
    inbound: bool,
    /// Only outbound.
    #[arg(long)]
    outbound: bool,
    #[command(flatten)]
    interfaces: InterfaceArgs,
}

/// Runs the command.
///
/// # Errors
/// When no interface is protected, or a map cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let interfaces = args.interfaces.some_protected()?;
    let both = args.inbound == args.outbound;
    let change = ModeChange { mode: args.mode.into(), inbound: args.inbound || both, outbound: args.outbound || both };
    for (one, before) in interfaces.iter().zip(set_modes(&interfaces, change)?) {
        let mut now = before;
        if change.inbound {
            now.inbound = change.mode;
        }
        if change.outbound {
            now.outbound = change.mode;
        }
        let (before, now) = (modes_text(before), modes_text(now));
        if before == now {
            writeln!(output.err, "{}: {now} already", one.interface)?;
        } else {
            writeln!(output.err, "{}: {now} (was {before})", one.interface)?;
        }
    }
    Ok(())
}
