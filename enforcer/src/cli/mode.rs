//! `enforcer mode`: audit or enforce, by one store into a map.

use enforcer_common::Mode;

use super::interfaces::{InterfaceArgs, ModeArg, modes_text};
use super::live::{LiveArgs, Moment};
use super::{Failure, Output};
use crate::dataplane::{self, ModeChange, Protected, set_modes};

/// Changes the mode of protected interfaces at run time.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  enforcer mode enforce\n  enforcer mode audit --interface eth0 --inbound\n\nBefore it enforces, it lists the live connections that this would cut: on a \
                        terminal it asks, elsewhere it goes on. Exit code 4: refused for safety, nothing was changed."
)]
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
    #[command(flatten)]
    live: LiveArgs,
}

/// Runs the command.
///
/// # Errors
/// When no interface is protected, or a map cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let interfaces = args.interfaces.some_protected()?;
    let both = args.inbound == args.outbound;
    let change = ModeChange { mode: args.mode.into(), inbound: args.inbound || both, outbound: args.outbound || both };
    if change.mode == Mode::Enforce {
        settle_live_connections(args, &interfaces, change, output)?;
    }
    for (one, before) in interfaces.iter().zip(set_modes(&interfaces, change)?) {
        let (before, now) = (modes_text(before), modes_text(change.of(before)));
        if before == now {
            writeln!(output.err, "{}: {now} already", one.interface)?;
        } else {
            writeln!(output.err, "{}: {now} (was {before})", one.interface)?;
        }
    }
    Ok(())
}

/// Says which live connections would be cut, refuses to cut the operator's own, and makes the flows that are missing.
fn settle_live_connections(
    args: &Args,
    interfaces: &[Protected],
    change: ModeChange,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let moment = Moment::now()?;
    let mut cut = Vec::new();
    for (loaded, outlook) in dataplane::policies_after_change(interfaces, Some(change))? {
        if !args.live.force {
            moment.guard_ssh(loaded.lookup(), &outlook)?;
        }
        cut.extend(moment.cuts(loaded.lookup(), &loaded, &outlook)?);
    }
    args.live.settle(&cut, true, output)?;
    // Asking takes time: what was opened meanwhile has made its flow by itself, and keeps it.
    dataplane::seed_protected(interfaces, &moment.snapshot)?;
    Ok(())
}
