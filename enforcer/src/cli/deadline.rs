//! Deadlines that have passed. A change that was not confirmed is reverted before anything else is done; commands that only read say
//! how things stand.

use crate::cli::args::interfaces::require_root;
use crate::cli::output::Output;
use crate::dataplane::{finish_way_back, overdue};
use crate::failure::Failure;
use crate::protect::journal;

/// Restores what was in force before a change that nobody confirmed in time, and says so. Called before every command that
/// changes something.
///
/// # Errors
/// When standard error cannot be written to.
pub fn finish(output: &mut Output<'_>) -> Result<(), Failure> {
    // Whoever may not do that is told by the command itself.
    if require_root().is_err() {
        return Ok(());
    }
    let done = match finish_way_back() {
        Ok(done) => done,
        // `detach` works all the same, and the others look once more where they change something.
        Err(error) => {
            writeln!(output.errors, "whether a deadline has passed cannot be told: {:#}", anyhow::Error::from(error))?;
            return Ok(());
        }
    };
    for one in &done {
        writeln!(output.errors, "{one}")?;
    }
    if !done.is_empty()
        && let Err(error) = journal::record_restored()
    {
        writeln!(output.errors, "cannot write this change to the history: {error:#}")?;
    }
    Ok(())
}

/// Says which deadlines have passed without anybody acting on them, and what judges now. Called before every command that reads.
///
/// # Errors
/// When standard error cannot be written to.
pub fn say(output: &mut Output<'_>) -> Result<(), Failure> {
    if require_root().is_err() {
        return Ok(());
    }
    // Where the pins cannot be read, the command itself says why.
    for one in overdue().unwrap_or_default() {
        writeln!(output.errors, "{one}")?;
    }
    Ok(())
}
