//! What was done, and what is pending, in sentences.

use enforcer_common::{Direction, Mode};

use crate::dataplane::{Applied, AtDeadline, DeadlineKind, Modes, Pending};

/// Says that enforcement has ended, where it has. Nobody must overlook that: it is printed with `--quiet` as well.
#[must_use]
pub(crate) fn ended(interface: &str, before: Option<Modes>, now: Modes) -> Option<String> {
    let before = before?;
    let ends = Direction::ALL.iter().any(|one| before.of(*one) == Mode::Enforce && now.of(*one) == Mode::Audit);
    ends.then(|| format!("{interface}: ATTENTION: this ends enforcement ({before} before, {now} now)"))
}

/// What was done on an interface.
pub(crate) fn sentences(applied: &Applied) -> Vec<String> {
    let Applied { inbound, outbound, modes, resulting, deadline, at_deadline, lifted, pin, warnings, .. } = applied;
    let why = if outbound.why.is_empty() { String::new() } else { format!(" ({})", outbound.why) };
    let mut said = vec![format!(
        "inbound {} ({}), outbound {}{why}; {}; pinned at {}",
        inbound.attach_mode.name(),
        inbound.why,
        outbound.attach_mode.name(),
        modes_text(*modes),
        pin.display()
    )];
    // Where the file says something else than what is in force, an operator wants to know why.
    if Direction::ALL
        .iter()
        .any(|direction| resulting.site.of(*direction).is_some_and(|mode| mode != modes.of(*direction)))
    {
        said.push(format!("mode {}", resulting.reasons()));
    }
    match (deadline, lifted) {
        (Some(deadline), _) => said.extend([deadline_text(deadline)].into_iter().chain(meanwhile(at_deadline))),
        (None, Some(lifted)) => {
            said.push(format!("this change is permanent; the deadline {} is cleared", lifted.at()));
        }
        (None, None) => {}
    }
    said.extend(warnings.iter().cloned());
    said
}

/// Says what the kernel does by itself at the deadline, and what comes of the change if something else happens before.
fn meanwhile(at_deadline: &AtDeadline) -> Option<String> {
    match at_deadline {
        AtDeadline::Nothing => None,
        AtDeadline::Confirmed { policy_hash, .. } => Some(format!(
            "until it is confirmed, a reboot returns to the last confirmed policy {}, another `apply --confirm-within` keeps that policy as the \
             last confirmed one, and `detach` removes both policies; the agent repairs nothing before the deadline",
            policy_hash.get(..16).unwrap_or(policy_hash)
        )),
        AtDeadline::Audit(why) => Some(format!(
            "the kernel alone cannot go back to a policy at the deadline ({why}): until a process of enforcer acts, the new policy judges in \
             audit from then on"
        )),
    }
}

/// Returns a sentence that says what a pending deadline means for the operator.
#[must_use]
pub fn deadline_text(pending: &Pending) -> String {
    match pending.kind() {
        DeadlineKind::Unconfirmed if pending.is_dispatched() => format!(
            "run `enforcer confirm` before {}; otherwise the kernel judges by the last confirmed policy from then on, even if every process of \
             enforcer is dead",
            pending.at()
        ),
        DeadlineKind::Unconfirmed => format!(
            "run `enforcer confirm` before {}; otherwise enforcement ends then, and the last confirmed policy is restored",
            pending.at()
        ),
        DeadlineKind::Window => format!("change window until {}; then enforcement returns by itself", pending.at()),
    }
}

/// "enforce", or "inbound enforce, outbound audit".
#[must_use]
pub fn modes_text(modes: Modes) -> String {
    modes.to_string()
}
