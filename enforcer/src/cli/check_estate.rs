//! `enforcer check` on an estate: every host compiled, and each conversation seen from both ends.

use jiff::ZonedDateTime;
use serde::Serialize;

use crate::cli::args::estate::WholeEstate;
use crate::cli::output::{Format, Output};
use crate::estate::check::{Finding, check};
use crate::estate::ends::Ends;
use crate::failure::Failure;
use crate::text::diagnostic::{Diagnostic, count};
use crate::text::escape::line;

/// The output as JSON.
#[derive(Serialize)]
struct Checked<'a> {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// The findings with everything that is known of them.
    findings: &'a [Finding],
}

/// Checks an estate.
///
/// # Errors
///
/// [`Failure::BadInputReported`] if a test does not hold; a host cannot be compiled, or the output cannot be written.
pub(super) fn run(whole: &WholeEstate, format: Format, output: &mut Output<'_>) -> Result<(), Failure> {
    let WholeEstate { estate, catalogue } = whole;
    let ends = Ends::new(estate, catalogue, ZonedDateTime::now().date())
        .map_err(|error| Failure::Invalid(vec![Diagnostic::of_file(estate.text.name.clone(), error.to_string())]))?;
    let findings = check(&ends);
    let (errors, warnings): (Vec<&Finding>, Vec<&Finding>) = findings.iter().partition(|finding| finding.is_error());
    let printed = |findings: &[&Finding]| findings.iter().map(|finding| finding.diagnostic(&ends)).collect::<Vec<_>>();
    match format {
        Format::Json => {
            output.json(&Checked { errors: printed(&errors), warnings: printed(&warnings), findings: &findings })?;
        }
        Format::Table => {
            output.report(&printed(&errors))?;
            output.warn(&printed(&warnings))?;
            let rules: usize = ends.hosts.values().map(|end| end.rules.len()).sum();
            let known = warnings.iter().filter(|finding| finding.decision.is_some()).count();
            let summary = format!(
                "{}: {}, {}, {} ({known} known), {} of {} hold",
                line(&estate.text.name),
                count(estate.hosts.len(), "host"),
                count(rules, "rule"),
                count(warnings.len(), "warning"),
                estate.tests.len() - errors.len(),
                count(estate.tests.len(), "test"),
            );
            let out = if errors.is_empty() { &mut *output.out } else { &mut *output.errors };
            writeln!(out, "{summary}")?;
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::BadInputReported) }
}
