//! `enforcer confirm`: makes a pending change permanent.

use crate::cli::args::interfaces::InterfaceArgs;
use crate::cli::output::Output;
use crate::cli::print::note::note;
use crate::dataplane::{Confirmation, DeadlineOutcome, confirm};
use crate::failure::Failure;
use crate::state::history::Event;

/// Confirm a change before its deadline.
///
/// Makes a change of `apply` or `mode` with `--confirm-within` permanent: clears the deadline, and saves the policy for the next boot.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Confirming again does nothing. After the deadline the change has been reverted (exit code 1): \
                  apply the policy again.\n\n\
                  Examples:\n  \
                  enforcer apply site.yaml --mode enforce --confirm-within 60s && enforcer confirm"
)]
pub struct Args {
    #[command(flatten)]
    interfaces: InterfaceArgs,
}

/// Runs the command.
///
/// # Errors
/// When no interface is protected, a deadline has passed, or something cannot be confirmed or kept.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let interfaces = args.interfaces.some_protected()?;
    let mut is_wrong = false;
    let mut confirmed = Vec::new();
    for (one, found) in interfaces.iter().zip(confirm(&interfaces)?) {
        let said = match found {
            Confirmation::Confirmed { not_kept } => {
                confirmed.push(one.interface.clone());
                is_wrong |= not_kept.is_some();
                match not_kept {
                    None => "confirmed: the change is now permanent".to_owned(),
                    Some(why) => format!("confirmed, but it could not be saved for the next boot: {why}"),
                }
            }
            Confirmation::Failed(why) => {
                is_wrong = true;
                format!("not confirmed: {why}")
            }
            Confirmation::Nothing => "there is no change to confirm".to_owned(),
            Confirmation::Window(until) => {
                format!("a change window is open until {until}; a window needs no confirmation")
            }
            Confirmation::TooLate(at, outcome) => {
                is_wrong = true;
                let since = match outcome {
                    Some(DeadlineOutcome::Restored(_)) => "the last confirmed policy has been restored",
                    Some(DeadlineOutcome::LeftInAudit(_)) => {
                        "the policy is in audit, because there was no confirmed policy to restore"
                    }
                    None => "the unconfirmed policy is in audit, because the last confirmed policy cannot be restored",
                };
                format!("too late: the deadline {at} has passed, and {since}; apply the policy again")
            }
        };
        writeln!(output.err, "{}: {said}", one.interface)?;
    }
    if !confirmed.is_empty() {
        note(Event::Confirmed, &confirmed, output)?;
    }
    if is_wrong { Err(Failure::Reported) } else { Ok(()) }
}
