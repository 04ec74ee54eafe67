//! `enforcer check`: reports errors and warnings of a policy.

use jiff::ZonedDateTime;
use serde::Serialize;

use super::outlook::{self, ModeOutlook};
use crate::cli::args::estate::whole_estate;
use crate::cli::args::policy::PolicyArgs;
use crate::cli::output::{Format, Output};
use crate::failure::Failure;
use crate::policy::compile::compile;
use crate::text::diagnostic::{Diagnostic, count};
use crate::text::escape::line;

/// Check a policy for errors and warnings.
///
/// Reads, binds and compiles the policy, and loads nothing. A warning is something that the author may not have intended. Of an estate every host is
/// compiled, and each conversation is looked at from both ends; `--host` checks one host alone.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code 0: no errors. Exit code 2: errors, or a test of the estate that does not hold; all of them are printed.\n\n\
                  Examples:\n  \
                  enforcer check site.yaml\n  \
                  enforcer check estate.yaml\n  \
                  enforcer check --role finesse --peer client-workstations=10.20.0.0/16"
)]
pub struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// The output as JSON.
#[derive(Serialize)]
struct Checked {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// The mode that `apply` would leave on each interface.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    modes: Vec<ModeOutlook>,
}

/// Runs the command.
///
/// # Errors
///
/// [`Failure::BadInputReported`] if there are errors, or the output cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    if let Some(estate) = whole_estate(&args.policy)? {
        return super::check_estate::run(&estate, args.format, output);
    }
    let compiled = args.policy.load().and_then(|policy| {
        let compiled = compile(&policy.site, &policy.catalogue, ZonedDateTime::now().date())?;
        Ok((policy, compiled))
    });
    let (checked, summary) = match compiled {
        Ok((policy, compiled)) => {
            let summary = format!(
                "{}: {}, {}, {}",
                line(&policy.site.text.name),
                count(policy.site.roles.len(), "role"),
                count(compiled.ruleset.rules.len(), "rule"),
                count(compiled.warnings.len(), "warning")
            );
            // What is in force here is beside the point where it cannot be told.
            let modes = outlook::of_site(&policy.site).unwrap_or_default();
            (Checked { errors: Vec::new(), warnings: compiled.warnings, modes }, summary)
        }
        Err(error) => {
            let errors = error.findings();
            let summary = count(errors.len(), "error");
            (Checked { errors, warnings: Vec::new(), modes: Vec::new() }, summary)
        }
    };
    match args.format {
        Format::Json => output.json(&checked)?,
        Format::Table => {
            output.report(&checked.errors)?;
            output.warn(&checked.warnings)?;
            for ModeOutlook { interface, why, .. } in &checked.modes {
                writeln!(output.err, "{interface}: the mode would be {why}")?;
            }
            if checked.errors.is_empty() {
                writeln!(output.out, "{summary}")?;
            } else {
                writeln!(output.errors, "{summary}")?;
            }
        }
    }
    if checked.errors.is_empty() { Ok(()) } else { Err(Failure::BadInputReported) }
}
