//! Counters for a person: two tables an interface.

use crate::cli::output::Output;
use crate::cli::print::table::{print, source_rows, table};
use crate::dataplane::InterfaceCounters;
use crate::failure::Failure;
use crate::observe::rates::{Rate, Rates};
use crate::protect::say::modes_text;
use crate::state::totals::verdict_name;

/// Prints reasons and rules; those that never matched only with `all`.
pub(super) fn show(
    output: &mut Output<'_>,
    one: &InterfaceCounters,
    all: bool,
    rates: Option<&Rates>,
) -> Result<(), Failure> {
    writeln!(output.out, "{} ({}), counting since {:.0}", one.interface, modes_text(one.modes), one.since)?;
    let last = if rates.is_some() { "PACKETS/S" } else { "MEANING" };
    let mut reasons = table(output.terminal, &["REASON", "DIRECTION", "VERDICT", "PACKETS", "BYTES", last]);
    for counted in &one.reasons {
        reasons.add_row([
            counted.reason.name().to_owned(),
            counted.direction.name().to_owned(),
            verdict_name(counted.reason, counted.would_drop).replace('_', " "),
            counted.count.packets.to_string(),
            counted.count.bytes.to_string(),
            rates.map_or_else(
                || counted.reason.sentence().to_owned(),
                |rates| text(rates.reason(counted.direction, counted.reason, counted.would_drop)),
            ),
        ]);
    }
    if one.reasons.is_empty() {
        writeln!(output.out, "no packet has arrived yet")?;
    } else {
        writeln!(output.out, "{}", print(&reasons))?;
    }
    let mut header = vec!["RULE", "DIRECTION", "PACKETS", "BYTES", "LAST", "SOURCE"];
    if rates.is_some() {
        header.insert(4, "PACKETS/S");
    }
    let mut rules = table(output.terminal, &header);
    let mut silent = 0;
    for counted in &one.rules {
        if counted.count.packets == 0 && !all {
            silent += 1;
            continue;
        }
        let mut row = vec![
            counted.rule.id.clone(),
            counted.rule.direction.to_string(),
            counted.count.packets.to_string(),
            counted.count.bytes.to_string(),
            counted.last_hit.map_or_else(|| "never".to_owned(), |time| time.to_string()),
            source_rows(&counted.rule.sources),
        ];
        if let Some(rates) = rates {
            row.insert(4, text(rates.rule(counted.rule.direction, &counted.rule.id)));
        }
        rules.add_row(row);
    }
    if rules.row_count() > 0 {
        writeln!(output.out, "{}", print(&rules))?;
    }
    if silent > 0 {
        writeln!(output.out, "{silent} rules never matched; --all lists them")?;
    }
    Ok(())
}

fn text(rate: Rate) -> String {
    format!("{:.1}", rate.packets)
}
