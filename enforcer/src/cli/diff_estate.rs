//! `enforcer diff` of two estates: conversations between hosts.

use jiff::ZonedDateTime;
use serde::Serialize;

use crate::cli::args::estate::WholeEstate;
use crate::cli::output::{Format, Output};
use crate::cli::print::table::{print, table};
use crate::estate::diff::{Change, Difference, diff};
use crate::estate::ends::Ends;
use crate::failure::Failure;
use crate::text::diagnostic::Diagnostic;
use crate::text::escape::line;

/// Pairs of hosts that are printed for a change; the rest is for JSON.
const MOST: usize = 8;

#[derive(Serialize)]
struct Listing<'a> {
    equal: bool,
    #[serde(flatten)]
    difference: &'a Difference,
}

/// Compares two estates.
///
/// # Errors
///
/// A host cannot be compiled, or the output cannot be written.
pub(super) fn run(
    first: &WholeEstate,
    second: &WholeEstate,
    format: Format,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let (first, second) = (ends(first)?, ends(second)?);
    let difference = diff(&first, &second);
    if let Format::Json = format {
        return output.json(&Listing { equal: difference.is_empty(), difference: &difference });
    }
    if difference.is_empty() {
        let [first, second] = [&first, &second].map(|ends| line(&ends.estate.text.name).into_owned());
        return Ok(writeln!(output.out, "{first} and {second} permit and refuse the same traffic.")?);
    }
    for (title, changes) in [("NO LONGER POSSIBLE", &difference.removed), ("NOW POSSIBLE", &difference.added)] {
        let mut rows = table(output.terminal, &[title, "FROM AND TO", "BY"]);
        for change in changes {
            rows.add_row([format!("{} {}", change.protocol, change.ports), pairs(change), change.rules.join(", ")]);
        }
        if rows.row_count() > 0 {
            writeln!(output.out, "{}", print(&rows))?;
        }
    }
    let lists = [
        ("no longer in the estate", &difference.hosts_removed),
        ("new in the estate", &difference.hosts_added),
        ("with another policy", &difference.hosts_changed),
    ];
    for (what, hosts) in lists.iter().filter(|(_, hosts)| !hosts.is_empty()) {
        writeln!(output.out, "{what}: {}", hosts.join(", "))?;
    }
    Ok(())
}

fn ends(whole: &WholeEstate) -> Result<Ends<'_>, Failure> {
    let WholeEstate { estate, catalogue } = whole;
    Ends::new(estate, catalogue, ZonedDateTime::now().date())
        .map_err(|error| Failure::Invalid(vec![Diagnostic::of_file(estate.text.name.clone(), error.to_string())]))
}

fn pairs(change: &Change) -> String {
    let shown: Vec<String> = change.pairs.iter().take(MOST).map(|[from, to]| format!("{from} -> {to}")).collect();
    let more = change.pairs.len().saturating_sub(MOST);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
