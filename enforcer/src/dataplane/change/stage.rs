//! Prepares maps and programs of a new policy beside the active one, then switches to it hook by hook.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::thread;

use enforcer_common::Direction;
use enforcer_common::layout::{Config, Direct};
use jiff::Timestamp;

use crate::dataplane::change::applied::{Applied, AtDeadline};
use crate::dataplane::change::confirm_within::{Deadline, after_switch, at_deadline, before_switch};
use crate::dataplane::change::counting::{begin_at_zero_elsewhere, in_force};
use crate::dataplane::change::dispatchers::load_ways;
use crate::dataplane::change::seed::seed;
use crate::dataplane::change::switch::{ORDER, Old, Staged, direction_record, publish, sweep};
use crate::dataplane::change::takeover::Predecessor;
use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::hook::aside::finish_interrupted;
use crate::dataplane::hook::attach;
use crate::dataplane::hook::choose::choose_outbound;
use crate::dataplane::hook::found::judged_again;
use crate::dataplane::hook::programs::{TC_BESIDE, Wanted, load_all};
use crate::dataplane::kinds::{AttachMode, Attached, Hook, hook_of};
use crate::dataplane::load::fill::{fill, fill_claims};
use crate::dataplane::load::holders::add_holders;
use crate::dataplane::load::object::{self, Load, Loader};
use crate::dataplane::load::own;
use crate::dataplane::mode::control;
use crate::dataplane::mode::pending::{DeadlineKind, Pending};
use crate::dataplane::mode::resulting::{Known, Resulting, Why, kept_known};
use crate::dataplane::pin::bases::Bases;
use crate::dataplane::pin::document::write_record;
use crate::dataplane::pin::folder::make_dir;
use crate::dataplane::pin::host_slot::{self, HostSlot};
use crate::dataplane::pin::pins::{HostPins, InterfacePins};
use crate::dataplane::pin::protected::{all_protected, of_this_machine};
use crate::dataplane::pin::record::{InterfaceRecord, PolicyRecord, RecordedRule};
use crate::dataplane::pin::slots;
use crate::dataplane::plan::{Plan, PlannedInterface};
use crate::dataplane::read::counted::{take_over, zero};
use crate::dataplane::read::drift;
use crate::dataplane::read::judging::start;
use crate::dataplane::sys::clock::Clock;
use crate::host::links::{Link, bridge_of};
use crate::host::netns;
use crate::host::snapshot::Snapshot;
use crate::policy::claims::Claims;
use crate::policy::modes::{Modes, Protects};
use crate::policy::ruleset::Scope;
use crate::state::last_good::{LastGood, State};

/// The number of objects that are open at the same time, so that their programs are loaded in parallel.
pub(super) const OBJECTS_AT_ONCE: usize = 8;

/// An existing interface, with its chosen hook.
pub(super) struct Target<'a> {
    pub(super) planned: &'a PlannedInterface,
    pub(super) link: &'a Link,
    pub(super) mode: AttachMode,
    pub(super) fallback: Option<AttachMode>,
    pub(super) why: String,
    /// Why native XDP was left on it, where it was.
    pub(super) left_native: Option<String>,
}

/// An interface with the policy that it gets.
pub(super) struct Upcoming {
    pub(super) staged: Staged,
    modes: Modes,
    resulting: Resulting,
    config: Config,
    /// What the guest behind it may claim to be.
    claims: Claims,
    /// A change window is open and stays open; these are the modes that it returns to.
    window: Option<Modes>,
    /// What is subtracted from its counters.
    bases: Bases,
    /// Why native XDP was left on it, where it was.
    left_native: Option<String>,
}

pub(super) fn stage_and_switch<'a>(
    plan: &Plan<'a>,
    links: &'a [Link],
    targets: Vec<Target<'a>>,
    host: &'a HostPins,
    netns: u64,
    staged: &mut Vec<Upcoming>,
) -> Result<Vec<Applied>, DataplaneError> {
    let now = Timestamp::now();
    // Before the loader, which borrows them.
    let configs: Vec<OnceCell<Config>> = targets.iter().map(|_| OnceCell::new()).collect();
    let mut loader = Loader::new();
    // Both clocks tick alike until the next boot, at which nothing of this is left.
    let protected = all_protected()?;
    let clock = match protected.first() {
        Some(one) => one.record.clock,
        None => Clock::read(&mut loader.bare()?)?,
    };
    make_dir(&host.state())?;
    let generation = host.generations().last().map_or(1, |last| last + 1);
    let assignment = slots::assign(host, &plan.ruleset.rules, || in_force(plan), now)?;
    begin_at_zero_elsewhere(plan, &assignment)?;
    make_dir(&host.generation(generation))?;
    let mut interfaces = of_this_machine(&protected);
    interfaces.extend(targets.iter().filter(|one| one.planned.protects == Protects::Host).map(|one| one.link.index));
    let (mut taken, mut untold) = (HostSlot::taken(&protected), Some((interfaces.clone(), snapshot()?.sockets)));
    let mut objects = Vec::new();
    for (position, (target, config)) in targets.into_iter().zip(&configs).enumerate() {
        let (load, wanted) = stage(plan, links, target, host, netns, generation, clock.hz, &mut taken, staged)?;
        let config = config.get_or_init(|| object::config(&load));
        if let Some(one) = staged.last_mut() {
            one.config = *config;
        }
        let mut object = loader.object(&load, config)?;
        if position == 0 {
            fill(&object, plan.ruleset, &assignment.slots)?;
        }
        if load.slot.is_guest() {
            fill_claims(&object, load.claims)?;
        }
        // The listeners of guests are not known.
        if let Some((interfaces, sockets)) = untold.take_if(|_| !load.slot.is_guest()) {
            own::write_own_addresses(&mut object, &interfaces)?;
            own::write_listeners(object.direct.map(Direct::Listeners), &sockets)?;
        }
        if let Some(one) = staged.last_mut() {
            zero(&load.interface, &assignment.reused, &one.bases)?;
            one.bases.forget(&assignment.reused);
        }
        objects.push((object, wanted));
        // An object has some thirty maps open.
        if objects.len() == OBJECTS_AT_ONCE {
            load_all(&mut objects)?;
            load_ways(&mut objects, staged.iter_mut().map(|one| &mut one.staged));
            objects.clear();
        }
    }
    // The verifier takes its time, and so does the disk.
    let (loaded, kept) = thread::scope(|scope| {
        let loading = scope.spawn(|| load_all(&mut objects));
        let kept = staged.iter_mut().try_for_each(|one| keep_for_later(plan, one));
        (loading.join(), kept)
    });
    loaded
        .unwrap_or_else(|_| Err(DataplaneError::NotAllowed("the thread that loads programs has failed".to_owned())))?;
    kept?;
    load_ways(&mut objects, staged.iter_mut().map(|one| &mut one.staged));
    let record = PolicyRecord {
        policy_hash: plan.ruleset.hash.clone(),
        origin: plan.origin.clone(),
        estate: plan.source.estate.clone(),
        tables_hash: drift::intended(plan.ruleset, &assignment.slots),
        rules: RecordedRule::of(&plan.ruleset.rules, &assignment.slots),
        settings: plan.ruleset.settings.clone(),
        columns: Direction::ALL.map(|direction| plan.ruleset.table(direction).columns.max(1)),
    };
    write_record(&host.generation(generation).join("ruleset"), &record)?;

    let deadline = plan.confirm_within.map(Deadline::start).transpose()?;
    if let Some(deadline) = &deadline {
        staged.iter_mut().for_each(|one| one.staged.at_deadline.set(deadline.at()));
    }

    for one in staged.iter_mut().filter(|one| one.staged.old.is_some()) {
        take_over(&mut one.bases, &one.staged.pins, &assignment.taken_over)?;
        one.bases.write(&one.staged.pins, generation)?;
    }
    let guests = staged.iter().filter(|one| one.staged.protects == Protects::Guest);
    let guests: Vec<(u32, &Claims)> = guests.map(|one| (one.config.slot, &one.claims)).collect();
    add_holders(host, &interfaces, &guests)?;
    // From here on, hook by hook, packets are judged by the new policy.
    let ends_for = plan.ruleset.settings.flows.udp;
    for one in staged.iter_mut() {
        before_switch(&mut one.staged, one.modes, one.window, deadline.as_ref(), &clock, ends_for)?;
    }
    let mut seeded = 0;
    for direction in ORDER {
        if direction == Direction::Inbound && staged.iter().any(|one| one.staged.protects == Protects::Host) {
            // What the host opens from here on makes its flows by itself; what it opened before is looked up.
            seeded = seed(host, &snapshot()?, plan.ruleset.lookup(), &plan.ruleset.settings.flows, &clock)?;
        }
        for one in staged.iter_mut() {
            one.staged.switch(direction)?;
        }
    }
    let mut applied = Vec::new();
    for one in staged.iter() {
        let is_for_good = deadline.is_none() && one.window.is_none();
        after_switch(&one.staged, is_for_good, &clock, ends_for)?;
        let Upcoming { staged: one, modes, config, claims, resulting, left_native, .. } = one;
        let mut record = InterfaceRecord {
            interface: one.interface.clone(),
            netns,
            index: one.link.index,
            protects: one.protects,
            generation,
            inbound: direction_record(&one.inbound),
            outbound: Some(direction_record(&one.outbound)),
            policy_hash: plan.ruleset.hash.clone(),
            since: one.old.as_ref().map_or(now, |old| old.record.since),
            applied: now,
            clock,
            config: *config,
            claims: claims.clone(),
            bpf_log: plan.bpf_log,
            site_modes: Some(resulting.site),
            settled_modes: Some(resulting.settled),
            asked: Some(plan.hook),
            start: None,
            // Whoever asks for native XDP by name has it tried again.
            left_native: left_native.clone().filter(|_| one.inbound.attach_mode != AttachMode::Native),
        };
        record.start = start(&one.pins, &record);
        publish(&one.pins, &record)?;
        applied.push(Applied {
            interface: one.interface.clone(),
            inbound: one.inbound.clone(),
            outbound: one.outbound.clone(),
            seeded,
            before: one.old.as_ref().map(|old| old.modes),
            modes: *modes,
            resulting: *resulting,
            deadline: Pending::read(&one.pins)?.filter(Pending::is_armed),
            at_deadline: one.at_deadline.clone(),
            lifted: one.old.as_ref().and_then(|old| old.pending.clone()).filter(Pending::is_armed),
            pin: one.pins.program(Direction::Inbound),
            warnings: judged_again(plan.ruleset, one.protects, one.inbound.attach_mode)
                .map(str::to_owned)
                .into_iter()
                .collect(),
        });
    }
    for one in staged.iter() {
        if deadline.is_none() {
            State::of(one.staged.pins.name()).keep().with_context(|| "the policy cannot be kept".to_owned())?;
        }
    }
    // All of it is in force, and from here on nothing goes back: what cannot be removed is tried again by the next command.
    for one in staged.iter_mut() {
        let _ = one.staged.drop_moved();
        let taken_over = one.staged.drop_predecessor();
        let applied = applied.iter_mut().filter(|applied| applied.interface == one.staged.interface);
        applied.for_each(|applied| applied.warnings.extend(taken_over.clone()));
        if let Some(kept) = one.staged.kept.take() {
            kept.forget();
        }
    }
    let _ = sweep(host);
    Ok(applied)
}

pub(super) fn snapshot() -> Result<Snapshot, DataplaneError> {
    Snapshot::read().with_context(|| "cannot read the open conversations of this host".to_owned())
}

/// Saves the source of the policy before any of it is attached, so that a full disk fails the apply here.
pub(super) fn keep_for_later(plan: &Plan<'_>, one: &mut Upcoming) -> Result<(), DataplaneError> {
    let Upcoming { staged, modes, window, resulting, .. } = one;
    // Save the modes after a change window, because the window ends by itself.
    let modes = window.unwrap_or(*modes);
    let next = LastGood {
        site_modes: Some(resulting.site),
        settled_modes: Some(resulting.settled),
        ..LastGood::new(&staged.interface, netns::here()?, modes, &plan.source, &plan.ruleset.hash)
    };
    let state = State::of(staged.pins.name());
    let context = || "nothing was changed".to_owned();
    staged.kept = Some(state.before().with_context(context)?);
    state.stage(&next).with_context(context)
}

/// Prepares the pins of one interface, and returns the programs to load.
#[expect(clippy::too_many_arguments, reason = "one step of `stage_and_switch`, apart only to be readable")]
pub(super) fn stage<'a>(
    plan: &Plan<'a>,
    links: &'a [Link],
    target: Target<'a>,
    host: &'a HostPins,
    netns: u64,
    generation: u64,
    hz: u32,
    taken: &mut BTreeSet<u32>,
    staged: &mut Vec<Upcoming>,
) -> Result<(Load<'a>, Vec<Wanted>), DataplaneError> {
    let Target { planned, link, mode, fallback, why, left_native } = target;
    let pins = InterfacePins::of(&link.name, netns)?;
    let predecessor = Predecessor::of(&pins)?;
    let old = match pins.record()? {
        Some(record) => {
            finish_interrupted(&pins, &record)?;
            control::pin_again(&pins, &record)?;
            Some(Old::read(&pins, record)?)
        }
        None => None,
    };
    if old.is_none() && pins.exists() {
        // Half of an apply that was killed: nothing of it was ever said to be in force.
        let half = if predecessor.is_some() { pins.state() } else { pins.dir().to_owned() };
        attach::remove_pins(&half)?;
    }
    let protects = old.as_ref().map(|old| old.record.protects);
    if let Some(protects) = protects.or(predecessor.as_ref().map(Predecessor::protects))
        && protects != planned.protects
    {
        return Err(DataplaneError::Refused(format!(
            "{} is protected for the {} already; run `enforcer detach --interface {}` before it protects the {}",
            link.name,
            protects.name(),
            link.name,
            planned.protects.name()
        )));
    }
    let window = old.as_ref().and_then(|old| {
        let pending =
            old.pending.as_ref().filter(|pending| pending.is_armed() && pending.kind() == DeadlineKind::Window)?;
        pending.before.as_ref().map(|before| (before.modes, pending.at()))
    });
    if let (Some((_, until)), Some(_)) = (window, plan.confirm_within) {
        return Err(DataplaneError::Refused(format!(
            "a change window is open on {} until {until}, and a deadline cannot stand inside it; end it first with \
             `enforcer mode enforce` or `enforcer mode audit`",
            link.name
        )));
    }
    let known = match &old {
        Some(old) => Some(Known {
            // In a change window, enforcement has not ended: it comes back.
            modes: window.map_or(old.modes, |(after, _)| after),
            settled: old.record.settled_modes,
        }),
        None => kept_known(&pins)?,
    };
    let resulting = Resulting::of(&planned.said, known.as_ref(), plan.ending);
    resulting.check(&link.name, plan.ending)?;
    // A mode that somebody asks for ends the window; otherwise it goes on.
    let is_asked = resulting.why.iter().any(|why| matches!(why, Why::Asked | Why::Changed));
    let window = window.filter(|_| !is_asked).map(|(after, _)| after);
    let modes = match (window, &old) {
        (Some(_), Some(old)) => old.modes,
        _ => resulting.modes,
    };
    let (outbound, outbound_why) = choose_outbound(link, mode);
    let attached = [Attached { attach_mode: mode, why }, Attached { attach_mode: outbound, why: outbound_why }];
    let number = host_slot::choose(planned.protects, old.as_ref().map(|old| old.record.slot()), taken)?;
    let bases = old.as_ref().map(|old| Bases::read(&pins, old.record.generation)).transpose()?.unwrap_or_default();
    let mut next = Staged::new(link, planned.protects, &pins, generation, attached, old);
    next.at_deadline = at_deadline(plan, &next, predecessor.is_some());
    let has_dispatcher = matches!(next.at_deadline, AtDeadline::Confirmed { .. });
    if let Some(predecessor) = predecessor {
        next.take_over(predecessor);
    }
    next.fallback = fallback;
    let is_new = next.old.is_none();
    staged.push(Upcoming {
        staged: next,
        modes,
        resulting,
        config: Config::default(),
        claims: planned.claims.clone(),
        window,
        bases,
        left_native,
    });
    make_dir(&pins.state())?;
    if is_new {
        pins.write_owner(&link.name, netns, link.index)?;
    }
    make_dir(&pins.generation(generation))?;
    let folder = pins.generation(generation);
    let wanted = |direction: Direction, hook, name: &str| Wanted { direction, hook, pin: folder.join(name) };
    let mut programs = vec![
        wanted(Direction::Inbound, hook_of(mode), Direction::Inbound.name()),
        wanted(Direction::Outbound, Hook::Tc, Direction::Outbound.name()),
    ];
    if mode == AttachMode::Native && fallback.is_some() {
        // In case the driver turns out to have no native XDP.
        programs.push(wanted(Direction::Inbound, Hook::Tc, TC_BESIDE));
    }
    let load = Load {
        ruleset: plan.ruleset,
        link,
        is_bridge_port: bridge_of(link, links).is_some(),
        claims: &planned.claims,
        scope: planned.scope.or(plan.ruleset.settings.scope).unwrap_or(Scope::All),
        slot: HostSlot::new(number, &pins, host),
        interface: pins,
        host,
        generation,
        hz,
        log: plan.bpf_log,
        has_dispatcher,
    };
    Ok((load, programs))
}
