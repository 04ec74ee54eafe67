//! `enforcer save`: writes the totals to disk.

use crate::cli::args::interfaces::InterfaceArgs;
use crate::cli::output::Output;
use crate::cli::print::note::note;
use crate::dataplane::save_totals;
use crate::failure::Failure;
use crate::state::history::Event;

/// Save the totals for the next boot.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "`apply`, `detach` and the agent save the totals by themselves. Packets counted between the last \
                  save and a reboot are lost. The files are in /var/lib/enforcer, beside the policies for the next \
                  boot. A damaged file is renamed and not counted.\n\n\
                  Examples:\n  \
                  enforcer save\n  \
                  enforcer save --interface eth0"
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
