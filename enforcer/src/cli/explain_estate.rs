//! `enforcer explain` on an estate: a conversation at both of its ends.

use jiff::ZonedDateTime;

use crate::cli::args::estate::WholeEstate;
use crate::cli::output::{Format, Output};
use crate::cli::print::explanation::print;
use crate::estate::explain::Asked;
use crate::failure::Failure;
use crate::judge::explain::mode_of;
use crate::policy::estate::site;
use crate::text::diagnostic::Diagnostic;

/// Explains a conversation.
///
/// # Errors
///
/// The text is wrong, a host cannot be compiled, or the output cannot be written.
pub(super) fn run(whole: &WholeEstate, text: &str, format: Format, output: &mut Output<'_>) -> Result<(), Failure> {
    let WholeEstate { estate, catalogue } = whole;
    let asked = Asked::parse(text, estate).map_err(|error| Failure::Invalid(vec![*error]))?;
    let both = asked
        .judged(estate, catalogue, ZonedDateTime::now().date())
        .map_err(|error| Failure::Invalid(vec![Diagnostic::of_file(estate.text.name.clone(), error.to_string())]))?;
    if let Format::Json = format {
        return output.json(&both);
    }
    writeln!(output.out, "{} -> {}: {}", asked.from, asked.to, both.verdict)?;
    for end in &both.ends {
        let Some(host) = estate.hosts.get(&end.host) else { continue };
        writeln!(output.out, "\n{} ({}, `{}`)", end.host, end.direction.name(), end.tuple)?;
        print(&end.explanation, mode_of(&site(estate, catalogue, host), end.direction), output)?;
    }
    Ok(())
}
