//! `enforcer save`: the totals, on the disk.

use crate::cli::args::interfaces::InterfaceArgs;
use crate::cli::output::Output;
use crate::cli::print::note::note;
use crate::dataplane::save_totals;
use crate::failure::Failure;
use crate::state::history::Event;

/// Saves what was counted, so that totals go on after a reboot.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "`apply`, `detach` and the agent save by themselves; what is counted between the last save and a reboot is lost. \
                  The files are beside the policies for the next boot, in /var/lib/enforcer. One that is damaged is kept under \
                  another name and not counted.\n\nExamples:\n  enforcer save\n  enforcer save --interface eth0"
)]
pub struct Args {
    #[command(flatten)]
    interfaces: InterfaceArgs,
}

/// Runs the command.
///
/// # Errors
/// When the totals of an interface cannot be saved.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let protected = args.interfaces.some_protected()?;
    for sentence in save_totals(&protected)? {
        writeln!(output.err, "{sentence}")?;
    }
    for one in &protected {
        writeln!(output.err, "{}: totals saved", one.interface)?;
    }
    note(Event::Sample, &protected.iter().map(|one| one.interface.clone()).collect::<Vec<_>>(), output)
}
