//! What was done, and what is pending, in sentences.

use enforcer_common::Mode;

use crate::dataplane::{Applied, Kind, Modes, Pending};

/// What was done on an interface.
pub(crate) fn sentences(applied: &Applied) -> Vec<String> {
    let Applied { inbound, outbound, before, modes, deadline, lifted, pin, warnings, .. } = applied;
    let why = if outbound.why.is_empty() { String::new() } else { format!(" ({})", outbound.why) };
    let mut said = vec![format!(
        "inbound {} ({}), outbound {}{why}; {}; pinned at {}",
        inbound.attach_mode.name(),
        inbound.why,
        outbound.attach_mode.name(),
        modes_text(*modes),
        pin.display()
    )];
    if let Some(before) = before
        && ((before.inbound == Mode::Enforce && modes.inbound == Mode::Audit)
            || (before.outbound == Mode::Enforce && modes.outbound == Mode::Audit))
    {
        said.push(format!(
            "ATTENTION: this ends enforcement ({} before, {} now)",
            modes_text(*before),
            modes_text(*modes)
        ));
    }
    match (deadline, lifted) {
        (Some(deadline), _) => said.push(deadline_text(deadline)),
        (None, Some(lifted)) => {
            said.push(format!("this is for good; the deadline of {} is lifted", lifted.at()));
        }
        (None, None) => {}
    }
    said.extend(warnings.iter().cloned());
    said
}

/// Says what a deadline that is armed means for the operator.
#[must_use]
pub fn deadline_text(pending: &Pending) -> String {
    match pending.kind() {
        Kind::Unconfirmed => format!(
            "run `enforcer confirm` before {}; otherwise enforcement ends then, and what was in force before comes back",
            pending.at()
        ),
        Kind::Window => format!("a change window until {}: then enforcement is back by itself", pending.at()),
    }
}

/// "enforce", or "inbound enforce, outbound audit".
#[must_use]
pub fn modes_text(modes: Modes) -> String {
    if modes.inbound == modes.outbound {
        return modes.inbound.name().to_owned();
    }
    format!("inbound {}, outbound {}", modes.inbound.name(), modes.outbound.name())
}
