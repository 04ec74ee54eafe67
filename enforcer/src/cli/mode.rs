//! `enforcer mode`: switches between audit and enforce with one write to a map.

use std::time::Duration;

use enforcer_common::Mode;

use crate::cli::args::interfaces::{InterfaceArgs, ModeArg, duration};
use crate::cli::args::live::LiveArgs;
use crate::cli::output::Output;
use crate::cli::print::note::note;
use crate::dataplane::{self, Changed, DeadlineKind, ModeChange, Protected, Until, set_modes};
use crate::failure::Failure;
use crate::protect::live::moment::Moment;
use crate::protect::say::{deadline_text, ended, modes_text};
use crate::state::history::Event;

/// Switch between audit and enforce.
///
/// The new mode applies to the next packet. No policy is loaded.
#[derive(Debug, clap::Args)]
#[command(after_help = "Before it enforces, mode lists the live connections that would be cut; on a terminal it asks \
                  before it continues.\n\n\
                  A mode without a deadline is permanent: it is saved for the next boot, and it clears a deadline \
                  of `apply` or `mode`. Using --confirm-within again starts a new deadline; the last confirmed \
                  policy stays the one that is restored. Using --for again starts a new window. A window and a \
                  deadline exclude each other.\n\n\
                  Exit code 4: refused for safety; nothing was changed.\n\n\
                  Examples:\n  \
                  enforcer mode enforce\n  \
                  enforcer mode enforce --confirm-within 60s\n  \
                  enforcer mode audit --for 2h\n  \
                  enforcer mode audit --interface eth0 --inbound")]
pub struct Args {
    /// The new mode.
    #[arg(value_enum)]
    mode: ModeArg,
    /// Change only the inbound mode.
    #[arg(long)]
    inbound: bool,
    /// Change only the outbound mode.
    #[arg(long)]
    outbound: bool,
    /// Revert this change unless `enforcer confirm` follows within this time, such as 60s.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    confirm_within: Option<Duration>,
    /// With audit: return to enforcement after this time, such as 2h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, conflicts_with = "confirm_within")]
    window: Option<Duration>,
    #[command(flatten)]
    interfaces: InterfaceArgs,
    #[command(flatten)]
    live: LiveArgs,
}

impl Args {
    fn until(&self) -> Result<Until, Failure> {
        let wrong = |text: &str| Failure::BadInput(anyhow::anyhow!("{text}"));
        match (self.mode, self.confirm_within, self.window) {
            (_, None, None) => Ok(Until::Good),
            (ModeArg::Enforce, Some(within), _) => Ok(Until::Confirmed(within)),
            (ModeArg::Audit, _, Some(length)) => Ok(Until::Window(length)),
            (ModeArg::Audit, Some(_), _) => Err(wrong(
                "audit drops no packet, so it needs no confirmation; `enforcer mode audit --for 2h` returns to enforcement",
            )),
            (ModeArg::Enforce, _, Some(_)) => Err(wrong(
                "--for works only with audit: `enforcer mode audit --for 2h` returns to enforcement by itself; for an enforcement \
                 that you confirm, use --confirm-within",
            )),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When no interface is protected, or a map cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let interfaces = args.interfaces.some_protected()?;
    let both = args.inbound == args.outbound;
    let change = ModeChange { mode: args.mode.into(), inbound: args.inbound || both, outbound: args.outbound || both };
    let until = args.until()?;
    if change.mode == Mode::Enforce {
        settle_live_connections(args, &interfaces, change, output)?;
    }
    let all = set_modes(&interfaces, change, until)?;
    for one in &all {
        say(output, one)?;
    }
    note(Event::Mode, &all.iter().map(|one| one.interface.clone()).collect::<Vec<_>>(), output)?;
    if matches!(until, Until::Window(_)) && all.iter().all(|one| one.deadline.is_none()) {
        return Err(Failure::Failed(anyhow::anyhow!(
            "no interface is in enforce, so there is no enforcement to return to; no window was opened"
        )));
    }
    if all.iter().any(|one| one.not_kept.is_some()) { Err(Failure::Reported) } else { Ok(()) }
}

fn say(output: &mut Output<'_>, changed: &Changed) -> Result<(), Failure> {
    let Changed { interface, before, now, deadline, lifted, not_kept, never_confirmed } = changed;
    if let Some(text) = ended(interface, Some(*before), *now) {
        writeln!(output.errors, "{text}")?;
    }
    if let Some(window) = lifted.as_ref().filter(|one| one.kind() == DeadlineKind::Window && !now.enforces()) {
        writeln!(
            output.errors,
            "{interface}: ATTENTION: this ends enforcement, which would have been back at {}",
            window.at()
        )?;
    }
    let (before, now) = (modes_text(*before), modes_text(*now));
    if before == now {
        writeln!(output.err, "{interface}: {now} already")?;
    } else {
        writeln!(output.err, "{interface}: {now} (was {before})")?;
    }
    if let Some(lifted) = lifted {
        writeln!(output.err, "{interface}: this change is permanent; the deadline {} is cleared", lifted.at())?;
    }
    if let Some(deadline) = deadline {
        writeln!(output.err, "{interface}: {}", deadline_text(deadline))?;
    }
    if *never_confirmed {
        writeln!(
            output.errors,
            "{interface}: this policy was never confirmed, and the next boot does not protect by it; `enforcer apply` makes it \
             permanent"
        )?;
    }
    if let Some(why) = not_kept {
        writeln!(output.err, "{interface}: active, but it could not be saved for the next boot: {why}")?;
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
