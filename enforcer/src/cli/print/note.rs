//! Writing to the history, and saying where that fails.

use crate::cli::output::Output;
use crate::failure::Failure;
use crate::protect::journal::record;
use crate::state::history::Event;

/// Writes down what has become of these interfaces. The change itself is done: that it cannot be written down is said, and is no
/// failure.
///
/// # Errors
/// Standard error cannot be written to.
pub fn note(event: Event, names: &[String], output: &mut Output<'_>) -> Result<(), Failure> {
    if let Err(error) = record(event, names) {
        writeln!(output.err, "cannot write this change to the history: {error:#}")?;
    }
    Ok(())
}
