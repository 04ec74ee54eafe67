//! The state of the protected interfaces, read from the kernel.

use aya::maps::MapData;
use enforcer_common::Direction;
use enforcer_common::layout::map;

use super::counted::InterfaceCounters;
use super::counters::counters_and_judged;
use super::judging::{Judging, not_judging, sample_of, since_apply};
use super::surroundings::Surroundings;
use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::hook::attach::has_filter;
use crate::dataplane::hook::drivers::mtu_problem;
use crate::dataplane::hook::programs::program_id;
use crate::dataplane::hook::renamed::new_name;
use crate::dataplane::kinds::AttachMode;
use crate::dataplane::load::own;
use crate::dataplane::load::ways;
use crate::dataplane::mode::active::{self, modes};
use crate::dataplane::mode::pending::{DeadlineKind, DeadlineOutcome, Pending};
use crate::dataplane::mode::resulting::held as held_back;
use crate::dataplane::pin::pins::{HostPins, InterfacePins};
use crate::dataplane::pin::protected::{Protected, policy};
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::plan::BpfLog;
use crate::dataplane::sys::pinned_link::held;
use crate::host::device::Device;
use crate::host::links::bridge_of;
use crate::policy::modes::{Modes, Protects};
use crate::policy::site::OfEstate;
use crate::state::totals::count::VerdictCounts;

/// The state of one protected interface.
#[derive(Clone, Debug)]
pub struct InterfaceStatus {
    /// Its pins.
    pub pins: InterfacePins,
    /// The record of the last `apply`.
    pub record: InterfaceRecord,
    /// The active modes.
    pub modes: Modes,
    /// Directions that keep enforcing although the site file says audit.
    pub held: Vec<Direction>,
    /// Where the policy came from.
    pub origin: String,
    /// The estate that the policy belongs to, and its host there.
    pub estate: Option<OfEstate>,
    /// Number of rules of the policy.
    pub rules: usize,
    /// Totals, inbound and outbound.
    pub verdicts: [VerdictCounts; 2],
    /// Drift: programs or tables in the kernel differ from what was applied.
    pub drift: bool,
    /// Problems, one sentence each.
    pub problems: Vec<String>,
    /// Notes, one sentence each.
    pub notes: Vec<String>,
    /// The deadline of an unconfirmed change or of a change window, armed or passed; `None`: there is none.
    pub pending: Option<Pending>,
    /// Which policy judges.
    pub judges: Judges,
    /// Packets that the interface has received, as its driver counts them; `None`: it is not there, or a guest is behind it.
    pub received: Option<u64>,
    /// Whether the inbound program has judged since it was applied.
    pub judging: Judging,
}

/// Which policy judges on an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Judges {
    /// A confirmed or permanent one, the one that was applied last.
    Applied,
    /// One that was not confirmed: it waits, or there is nothing to go back to.
    Unconfirmed,
    /// The one that was confirmed last: a change was not confirmed in time, and the kernel has gone back by itself.
    LastConfirmed,
}

impl Judges {
    /// A change of modes alone leaves a confirmed policy in force.
    fn of(pending: Option<&Pending>, record: &InterfaceRecord) -> Self {
        let Some(pending) = pending else { return Self::Applied };
        let confirmed = pending.before.as_ref().map(|before| before.record.generation);
        if pending.judged_by().is_some() {
            Self::LastConfirmed
        } else if pending.is_of_unconfirmed() && confirmed != Some(record.generation) {
            Self::Unconfirmed
        } else {
            Self::Applied
        }
    }

    /// The word used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unconfirmed => "unconfirmed",
            Self::LastConfirmed => "last-confirmed",
        }
    }
}

/// Reads the state of a protected interface.
///
/// # Errors
/// When the pins or maps cannot be read.
pub fn status(protected: &Protected) -> Result<InterfaceStatus, DataplaneError> {
    let surroundings = Surroundings::of(std::slice::from_ref(protected))?;
    Ok(look(protected, &surroundings)?.0)
}

/// Reads the states and the counters of protected interfaces. What they are compared with is read once for all of them.
///
/// # Errors
/// When the pins or maps cannot be read.
pub fn statuses(protected: &[Protected]) -> Result<Vec<(InterfaceStatus, InterfaceCounters)>, DataplaneError> {
    let surroundings = Surroundings::of(protected)?;
    protected.iter().map(|one| look(one, &surroundings)).collect()
}

fn look(
    protected: &Protected,
    surroundings: &Surroundings,
) -> Result<(InterfaceStatus, InterfaceCounters), DataplaneError> {
    let (_reading, protected) = &active::now(protected)?;
    let Protected { pins, record, .. } = protected;
    let policy = policy(record)?;
    let (counters, judged) = counters_and_judged(protected)?;
    let mut problems = Vec::new();
    let mut drift = !is_attached(protected, &mut problems);
    match surroundings.tables_hash(record) {
        Ok(found) if found == policy.tables_hash => {}
        Ok(_) => {
            drift = true;
            problems.push(
                "the tables in the kernel differ from the applied policy: another process has changed them; run `enforcer apply` \
                 again"
                    .to_owned(),
            );
        }
        Err(error) => {
            drift = true;
            problems.push(error);
        }
    }
    let pending = Pending::read(pins)?;
    let mut notes: Vec<String> = counters.warning.iter().cloned().collect();
    let links = &surroundings.links;
    if record.protects == Protects::Host {
        look_at_host(record, surroundings, &mut problems, &mut notes)?;
    }
    let now = sample_of(record, links, judged);
    let judging = now.map_or(Judging::Unknown, |now| since_apply(record, now));
    if let Judging::No(received) = judging {
        problems.push(not_judging(record, received));
    }
    let link = links.iter().find(|link| link.index == record.index);
    if let Some(link) = link.filter(|_| record.inbound.attach_mode == AttachMode::Native) {
        let driver = Device::read(&link.name).driver;
        let taken = record.start.map(|start| start.mtu);
        problems.extend(mtu_problem(driver.as_deref().unwrap_or("unknown"), link.mtu, taken));
    }
    if let Some(why) = &record.left_native {
        notes.push(format!("switched from native XDP to tc: {why}"));
    }
    if record.bpf_log != BpfLog::Off {
        notes.push(format!(
            "the programs write log lines ({}), which costs time: `enforcer events --bpf-log` shows them, and the next apply \
             without --bpf-log ends them",
            record.bpf_log.name()
        ));
    }
    let modes_now = modes(pins)?;
    let held = held_back(record, modes_now);
    if !held.is_empty() {
        let directions: Vec<&str> = held.iter().map(|direction| direction.name()).collect();
        notes.push(format!(
            "mode held: the site file says audit ({}), but enforcement continues, because no command has ended it; `enforcer \
             mode audit` ends it, `enforcer mode enforce` keeps it and ends this note",
            directions.join(" and ")
        ));
    }
    if let Some(pending) = &pending {
        judge(pending, modes_now, &mut problems, &mut notes);
    }
    let status = InterfaceStatus {
        pins: pins.clone(),
        record: record.clone(),
        modes: modes_now,
        held,
        origin: policy.origin,
        estate: policy.estate,
        rules: policy.rules.len(),
        verdicts: counters.verdicts,
        judges: Judges::of(pending.as_ref(), record),
        drift,
        problems,
        notes,
        pending,
        received: now.map(|now| now.received),
        judging,
    };
    Ok((status, counters))
}

/// Compares the tables about this host with its current addresses.
fn look_at_host(
    record: &InterfaceRecord,
    Surroundings { links, own, .. }: &Surroundings,
    problems: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Result<(), DataplaneError> {
    let link = links.iter().find(|link| link.index == record.index);
    let bridge = link.and_then(|link| bridge_of(link, links));
    if let Some(bridge) = bridge {
        problems.push(format!(
            "it is a port of the bridge {0}, and a port cannot know which frames the bridge delivers to this host: they are told apart \
             by the addresses and hardware addresses of this host; protect the bridge instead: put `interfaces: [{0}]` into the site \
             file, run `enforcer apply`, then `enforcer detach --interface {1}`",
            bridge.name, record.interface
        ));
    }
    let data = MapData::from_pin(HostPins::of(record.netns).map(map::OWN))
        .with_context(|| "cannot open the table of the host's own addresses".to_owned())?;
    let Some(own) = own else { return Ok(()) };
    let found = own::differences(&data, own, bridge.is_some())?;
    let mut said = Vec::new();
    if !found.missing.is_empty() {
        said.push(format!("lacks {}", few(&found.missing)));
    }
    if !found.stale.is_empty() {
        said.push(format!("still has {}, whose packets are refused as `martian`", few(&found.stale)));
    }
    if !said.is_empty() {
        problems.push(format!(
            "the table of this host's own addresses {}; run `enforcer refresh` (the agent, `enforcer run`, does so by itself)",
            said.join(" and ")
        ));
    }
    if !found.new_on_link.is_empty() {
        notes.push(format!(
            "the table of this host's own addresses lacks {}, which came later; `enforcer refresh` adds it",
            few(&found.new_on_link)
        ));
    }
    Ok(())
}

/// The first of a list, and how many more there are.
fn few(all: &[String]) -> String {
    const MOST: usize = 4;
    let first = all.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > MOST { format!("{first} and {} more", all.len() - MOST) } else { first }
}

/// Mismatches between applied and attached programs, one sentence each; empty if there are none.
#[must_use]
pub fn detached(protected: &Protected) -> Vec<String> {
    let mut problems = Vec::new();
    is_attached(protected, &mut problems);
    problems
}

/// Adds a problem or a note about a deadline.
fn judge(pending: &Pending, modes: Modes, problems: &mut Vec<String>, notes: &mut Vec<String>) {
    let at = pending.at();
    match (pending.kind(), pending.outcome()) {
        (DeadlineKind::Window, _) if pending.is_armed() => notes.push(format!("a change window is open: enforcement returns at {at}")),
        (DeadlineKind::Window, _) => {}
        (DeadlineKind::Unconfirmed, None) if pending.is_back => match pending.trouble() {
            Some(why) => problems.push(format!(
                "the change was not confirmed by {at}, and the kernel judges by the last confirmed policy, which cannot be put back on the \
                 hooks ({why}); run `enforcer apply`"
            )),
            None => notes.push(format!(
                "the change was not confirmed by {at}, and the kernel judges by the last confirmed policy; the next command that changes \
                 something removes the unconfirmed one"
            )),
        },
        (DeadlineKind::Unconfirmed, None) if !pending.is_armed() => problems.push(match pending.trouble() {
            Some(why) => format!(
                "the change was not confirmed by {at}, and the last confirmed policy cannot be restored ({why}): the unconfirmed \
                 policy stays active in audit, and no packet is dropped; run `enforcer apply`"
            ),
            None => format!(
                "the change was not confirmed by {at}, so enforcement ended, and no process was left to restore the last \
                 confirmed policy: the next command that changes something, such as `enforcer confirm`, restores it first"
            ),
        }),
        (DeadlineKind::Unconfirmed, None) => {
            let after = if pending.is_dispatched() {
                "otherwise the kernel judges by the last confirmed policy from then on, even if every process of enforcer is dead"
            } else {
                "otherwise it stops enforcing then"
            };
            notes.push(format!("this change must be confirmed before {at}: run `enforcer confirm`; {after}"));
            if !pending.has_restorer() && !pending.is_dispatched() {
                problems.push(format!(
                    "the process that would restore the last confirmed policy is gone: without confirmation, enforcement ends at \
                     {at}, and the next command that changes something restores that policy"
                ));
            }
        }
        (DeadlineKind::Unconfirmed, Some(DeadlineOutcome::Restored(when))) => notes
            .push(format!("a change was not confirmed by {at}; the last confirmed policy was restored at {when}")),
        (DeadlineKind::Unconfirmed, Some(DeadlineOutcome::LeftInAudit(_))) if modes.enforces() => notes.push(format!(
            "it enforces a policy that was not confirmed by {at}, and the next boot does not protect by it: `enforcer apply` \
             makes it permanent"
        )),
        (DeadlineKind::Unconfirmed, Some(DeadlineOutcome::LeftInAudit(_))) => problems.push(format!(
            "the policy was not confirmed by {at}, and there was no confirmed policy to restore: it stays active in audit, and no \
             packet is dropped; run `enforcer apply`, or `enforcer mode enforce --confirm-within 2m` and then `enforcer confirm`"
        )),
    }
}

/// Whether the programs that were applied are the ones on the hooks.
fn is_attached(protected: &Protected, problems: &mut Vec<String>) -> bool {
    let Protected { interface, pins, record } = protected;
    let before = problems.len();
    match nix::net::if_::if_nametoindex(interface.as_str()) {
        index
            if index != Ok(record.index)
                && let Some(name) = new_name(pins, record) =>
        {
            problems.push(format!(
                "the interface is called `{name}` now; its policy stays active until another one is applied to `{name}`"
            ));
        }
        Err(_) => problems.push("the interface no longer exists; `enforcer detach` removes its pins".to_owned()),
        Ok(index) if index != record.index => problems.push(
            "the interface was deleted and created again, so it is unprotected; run `enforcer apply` again".to_owned(),
        ),
        Ok(_) => {}
    }
    // What cannot be read is reported where it is needed.
    let pending = Pending::read(pins).ok().flatten().filter(Pending::is_dispatched);
    let waiting = pending.and_then(|pending| pending.dispatched).map(|generation| pins.generation(generation));
    for direction in Direction::ALL {
        let Some(attached) = record.direction(direction) else { continue };
        let name = direction.name();
        let folder = pins.generation(record.generation);
        let applied = program_id(&folder.join(name));
        // While a change waits, the dispatcher is on the hook and has the public name: without it, the kernel could not go back.
        let dispatchers =
            [Some(&folder), waiting.as_ref()].map(|folder| program_id(&ways::dispatcher(folder?, direction)));
        let is_waiting = waiting.as_ref() == Some(&folder);
        let is_applied =
            |found: Option<u32>| found.is_some() && (dispatchers.contains(&found) || !is_waiting && found == applied);
        if applied.is_none() || !is_applied(program_id(&pins.program(direction))) {
            problems.push(format!("the pin {} is not the program that was applied", pins.program(direction).display()));
        }
        if attached.attach_mode == AttachMode::Clsact {
            if !has_filter(record.index, direction, record.protects) {
                problems.push(format!("the {name} program is not attached: its filter was removed"));
            }
            continue;
        }
        match held(&pins.link(direction)) {
            None => problems.push(format!("the {name} program is not attached: its link was removed")),
            Some(found) if found.interface == 0 => {
                problems.push(format!("the {name} program is not attached: the interface of its link was deleted"));
            }
            Some(found) if !is_applied(Some(found.program)) => {
                problems.push(format!("another {name} program than the applied one is attached"));
            }
            Some(_) => {}
        }
    }
    problems.len() == before
}
