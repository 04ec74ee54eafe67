//! The verdict on a packet, in words.

use enforcer_common::{Mode, Verdict};

use crate::cli::output::Output;
use crate::cli::print::table::source_rows;
use crate::failure::Failure;
use crate::judge::explain::Explanation;
use crate::text::escape::line;

/// Prints an explanation. `mode` is that of the host.
///
/// # Errors
///
/// The output cannot be written.
pub fn print(explanation: &Explanation, mode: Mode, output: &mut Output<'_>) -> Result<(), Failure> {
    writeln!(output.out, "{}: {}", explanation.verdict, explanation.reason)?;
    writeln!(output.out, "{}", explanation.sentence)?;
    if let Some(rule) = &explanation.rule {
        writeln!(output.out, "\nrule    {rule}")?;
    }
    if !explanation.sources.is_empty() {
        writeln!(output.out, "source  {}", source_rows(&explanation.sources))?;
    }
    if let Some(summary) = &explanation.summary {
        writeln!(output.out, "        {}", line(summary))?;
    }
    if explanation.verdict == Verdict::Drop {
        if explanation.audited {
            writeln!(output.out, "mode    this rule is in audit: counted, not dropped")?;
        } else if mode == Mode::Audit {
            writeln!(output.out, "mode    audit: counted, not dropped")?;
        }
    }
    if let Some(hint) = &explanation.hint {
        writeln!(output.out, "\nhint    {}", hint.replace('\n', "\n        "))?;
    }
    Ok(())
}
