//! `enforcer boot`: restores the last confirmed policies before the network comes up.

use std::thread;
use std::time::{Duration, Instant};

use super::apply::say;
use crate::cli::args::interfaces::require_root;
use crate::cli::output::Output;
use crate::cli::print::note::note;
use crate::failure::Failure;
use crate::protect::boot::{Boot, BootError, Done};
use crate::state::history::Event;

/// Interval at which `boot` looks for missing interfaces.
const LOOK: Duration = Duration::from_millis(50);

/// Protect the interfaces as before the reboot.
///
/// Restores the last confirmed policy and the mode that was set last. `enforcer-boot.service` runs this command before the network is configured.
#[derive(Debug, clap::Args)]
#[command(after_help = "The policy comes from the state folder (/var/lib/enforcer), never from the site file, so a \
                  mistake in the site file cannot leave a host unprotected. A policy that was never confirmed is \
                  not used. An interface that is already protected stays as it is.\n\n\
                  Exit code 1: an interface could not be protected or did not appear in time. The other interfaces \
                  are protected.\n\n\
                  Examples:\n  \
                  enforcer boot\n  \
                  enforcer boot --wait 10s")]
pub struct Args {
    /// Time to wait for interfaces that do not exist yet, such as 10s.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "0s")]
    wait: Duration,
}

/// Runs the command.
///
/// # Errors
/// When an interface is not protected at the end.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    require_root()?;
    let until = Instant::now() + args.wait;
    for (interface, sentence) in Boot::drop_unconfirmed()? {
        writeln!(output.errors, "{interface}: {sentence}")?;
    }
    let (mut boot, wrong, there) = Boot::read()?;
    for interface in &there {
        writeln!(output.err, "{interface}: already protected")?;
    }
    for sentence in &wrong {
        writeln!(output.err, "{sentence}")?;
    }
    if boot.waiting().next().is_none() && there.is_empty() {
        writeln!(output.err, "no policy is saved for this network namespace; there is nothing to protect")?;
    }
    loop {
        report(&boot.protect()?, output)?;
        if !boot.waits_for_interfaces() || Instant::now() >= until {
            break;
        }
        thread::sleep(LOOK);
    }
    let unprotected: Vec<&str> = boot.waiting().collect();
    if !unprotected.is_empty() {
        return Err(Failure::Failed(anyhow::anyhow!(
            "these interfaces are not protected: {}; `enforcer run` protects an interface when it appears",
            unprotected.join(", ")
        )));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

fn report(done: &Done, output: &mut Output<'_>) -> Result<(), Failure> {
    for one in &done.applied {
        say(output, one)?;
    }
    if !done.applied.is_empty() {
        note(Event::Applied, &done.applied.iter().map(|one| one.interface.clone()).collect::<Vec<_>>(), output)?;
    }
    for (interface, note) in &done.notes {
        writeln!(output.err, "{interface}: {note}")?;
    }
    for (interface, why) in &done.failed {
        writeln!(output.err, "{interface}: cannot protect this interface: {why}")?;
    }
    Ok(())
}

impl From<BootError> for Failure {
    fn from(error: BootError) -> Self {
        match error {
            BootError::Dataplane(error) => error.into(),
            BootError::Netns(error) => error.into(),
            other @ (BootError::State(_) | BootError::Links(_)) => Self::Failed(other.into()),
        }
    }
}
