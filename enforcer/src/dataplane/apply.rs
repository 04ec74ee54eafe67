//! Putting a ruleset in force. Everything is made beside what runs, and comes into force by one update a hook; until the last
//! step nothing of the old policy is touched, and what fails leaves all interfaces as they were.

use std::fs;

use enforcer_common::layout::{Config, map};
use enforcer_common::{Direction, Mode};
use jiff::Timestamp;
use rtnetlink::packet_route::link::InfoKind;
use serde::{Deserialize, Serialize};

use super::attach::{self, AttachMode, Undo, hook_of, put_in_force};
use super::clock::Clock;
use super::control::{self, Modes};
use super::counters::policy;
use super::error::{DataplaneError, Doing as _, at};
use super::fill::{array, fill};
use super::host;
use super::load::{self, Load};
use super::pins::{self, HostPins, InterfacePins, check_bpffs, make_dir, netns, protected, remove_dir};
use super::record::{DirectionRecord, InterfaceRecord, PolicyRecord, RecordedRule, write_record};
use super::seed::seed;
use super::slots::{self, Assignment};
use crate::links::{Link, links};
use crate::live::Snapshot;
use crate::ruleset::{Ruleset, Scope};
use crate::sockets::Sockets;

/// Which hook the operator asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum HookChoice {
    /// Native XDP on hardware, tc on virtual interfaces.
    Auto,
    /// XDP in the driver.
    Native,
    /// XDP behind the driver: slow, works everywhere.
    Generic,
    /// tc, by a link where the kernel has them.
    Tc,
    /// tc, by a filter on the clsact qdisc.
    Clsact,
}

/// Where the protected host is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protects {
    /// It is this one.
    #[default]
    Host,
    /// It is behind this interface.
    Guest,
}

/// An interface to protect.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedInterface {
    /// Its name.
    pub name: String,
    /// Who is behind it.
    pub protects: Protects,
    /// Whose packets are judged; `None`: as the ruleset says.
    pub scope: Option<Scope>,
    /// Mode of each direction, where somebody said so; else what is in force, else audit.
    pub inbound: Option<Mode>,
    /// Likewise.
    pub outbound: Option<Mode>,
}

/// What to put in force, and where.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The ruleset.
    pub ruleset: &'a Ruleset,
    /// Where it came from, for `status`.
    pub origin: String,
    /// The interfaces.
    pub interfaces: Vec<PlannedInterface>,
    /// The hook.
    pub hook: HookChoice,
}

/// What was done on one interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Its name.
    pub interface: String,
    /// Inbound, with why this hook.
    pub inbound: Attached,
    /// Outbound.
    pub outbound: Attached,
    /// Modes that were in force before; `None`: it was not protected.
    pub before: Option<Modes>,
    /// Modes in force now.
    pub modes: Modes,
    /// Flows made for conversations that this host had opened before; of the host, the same on every interface.
    pub seeded: usize,
    /// The pin of the inbound program.
    pub pin: std::path::PathBuf,
}

/// How a direction was attached.
#[derive(Clone, Debug, PartialEq)]
pub struct Attached {
    /// How.
    pub attach_mode: AttachMode,
    /// Why so; empty where nothing needs to be said.
    pub why: String,
}

/// Puts a ruleset in force.
///
/// # Errors
/// Whatever fails, all interfaces are as they were.
pub fn apply(plan: &Plan<'_>) -> Result<Vec<Applied>, DataplaneError> {
    load::check_kernel()?;
    check_bpffs()?;
    let links = links().doing(|| "cannot look at the interfaces".to_owned())?;
    let targets = plan.interfaces.iter().map(|one| target(one, &links, plan)).collect::<Result<Vec<_>, _>>()?;
    let _lock = lock()?;
    let netns = netns()?;
    let host = HostPins::of(netns);
    let mut staged = Vec::new();
    let result = stage_and_switch(plan, &links, targets, &host, netns, &mut staged);
    if result.is_err() {
        for one in &staged {
            one.discard();
        }
        if protected(&[]).is_ok_and(|left| left.is_empty()) {
            let _ = remove_dir(host.dir());
            // Only when no other network namespace has anything there.
            let _ = fs::remove_dir(pins::ROOT);
        }
    }
    result
}

/// An interface that was found, with its hook.
struct Target<'a> {
    planned: &'a PlannedInterface,
    link: &'a Link,
    mode: AttachMode,
    fallback: Option<AttachMode>,
    why: String,
}

fn target<'a>(planned: &'a PlannedInterface, links: &'a [Link], plan: &Plan<'_>) -> Result<Target<'a>, DataplaneError> {
    let Some(link) = links.iter().find(|link| link.name == planned.name) else {
        let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).filter(|name| *name != "lo").collect();
        let near = names.iter().find(|name| strsim::damerau_levenshtein(name, &planned.name) <= 2);
        let hint = match near {
            Some(name) => format!("; did you mean `{name}`?"),
            None if names.is_empty() => "; there is none but lo".to_owned(),
            None => format!("; there are {}", names.join(", ")),
        };
        return Err(DataplaneError::NoInterface { name: planned.name.clone(), hint });
    };
    let unsuitable = |why: &str| DataplaneError::Unsuitable { name: planned.name.clone(), why: why.to_owned() };
    if link.is_loopback {
        return Err(unsuitable("the loopback interface carries the host's talk with itself"));
    }
    if !link.is_ethernet {
        return Err(unsuitable("its frames have no Ethernet header; protect the interface below it"));
    }
    let is_bridge = |master: &&Link| Some(master.index) == link.master && master.kind == Some(InfoKind::Bridge);
    let scope = planned.scope.or(plan.ruleset.settings.scope);
    if let Some(bridge) = links.iter().find(is_bridge)
        && scope.is_none()
        && planned.protects == Protects::Host
    {
        return Err(DataplaneError::Refused(format!(
            "{} is a port of the bridge {}, and the policy does not say whether what is bridged to others is judged; add \
             `scope: host` (only what is addressed to this host) or `scope: all` (everything) to the site file",
            link.name, bridge.name
        )));
    }
    let (mode, fallback, why) = attach::choose(link, planned.protects, plan.hook)?;
    Ok(Target { planned, link, mode, fallback, why })
}

/// An interface whose new programs are loaded and pinned, and not in force yet.
struct Staged {
    interface: String,
    link: Link,
    protects: Protects,
    pins: InterfacePins,
    generation: u64,
    inbound: Attached,
    outbound: Attached,
    fallback: Option<AttachMode>,
    old: Option<InterfaceRecord>,
    before: Option<Modes>,
    modes: Modes,
    is_new: bool,
    undo: Vec<(Direction, Undo)>,
    config: Config,
    /// Hooks of the old policy that were left for others.
    moved: Vec<(Direction, AttachMode)>,
}

impl Staged {
    /// Puts back what was in force, and removes what was made.
    fn discard(&self) {
        // Nothing more can be done about an error here than was tried; the first error is the one that is told.
        for (direction, undo) in self.undo.iter().rev() {
            match undo {
                Undo::Remove(record) => {
                    let _ =
                        attach::take_off(&self.interface, &self.pins, *direction, self.protects, record.attach_mode);
                }
                Undo::PutBack(record) => {
                    if let Some(old) = &self.old {
                        let program = self.pins.generation(old.generation).join(direction.name());
                        let mode = record.attach_mode;
                        let _ = put_in_force(&self.link, &self.pins, *direction, self.protects, mode, &program);
                    }
                }
            }
        }
        for (direction, _) in &self.moved {
            let _ = attach::put_back_aside(&self.pins, *direction);
        }
        if let (Some(before), false) = (self.before, self.is_new) {
            let _ = control::write(&self.pins, before);
        }
        let folder = if self.is_new { self.pins.dir().to_owned() } else { self.pins.generation(self.generation) };
        let _ = remove_dir(&folder);
        let _ = remove_dir(&HostPins::of(netns().unwrap_or(0)).generation(self.generation));
    }
}

fn stage_and_switch(
    plan: &Plan<'_>,
    links: &[Link],
    targets: Vec<Target<'_>>,
    host: &HostPins,
    netns: u64,
    staged: &mut Vec<Staged>,
) -> Result<Vec<Applied>, DataplaneError> {
    let now = Timestamp::now();
    let clock = Clock::read(&mut load::bare()?)?;
    make_dir(&host.state())?;
    let generation = host.generations().last().map_or(1, |last| last + 1);
    let in_force = protected(&[])?.iter().filter_map(|one| policy(&one.record).ok()).collect::<Vec<_>>();
    let assignment = slots::assign(host, &plan.ruleset.rules, &in_force, now)?;
    make_dir(&host.generation(generation))?;
    let sockets = snapshot()?.sockets;
    for (position, target) in targets.into_iter().enumerate() {
        stage(
            plan,
            links,
            target,
            host,
            netns,
            generation,
            clock.hz,
            &assignment,
            (position == 0).then_some(&sockets),
            staged,
        )?;
    }
    let record = PolicyRecord {
        policy_hash: plan.ruleset.hash.clone(),
        origin: plan.origin.clone(),
        rules: RecordedRule::of(&plan.ruleset.rules, &assignment.slots),
        settings: plan.ruleset.settings.clone(),
        columns: Direction::ALL.map(|direction| plan.ruleset.table(direction).columns.max(1)),
    };
    write_record(&host.generation(generation).join("ruleset"), &record)?;

    // From here on packets are judged by the new policy, hook by hook.
    for one in staged.iter_mut() {
        if one.is_new {
            control::write(&one.pins, one.modes)?;
        }
        switch(one, Direction::Outbound)?;
    }
    // What the host opens from here on makes its flows by itself; what it opened before is looked up.
    let seeded = if staged.iter().any(|one| one.protects == Protects::Host) {
        seed(host, &snapshot()?, plan.ruleset.lookup(), &plan.ruleset.settings.flows, &clock)?
    } else {
        0
    };
    for one in staged.iter_mut() {
        switch(one, Direction::Inbound)?;
    }
    let mut applied = Vec::new();
    for one in staged.iter() {
        for (direction, mode) in &one.moved {
            attach::drop_aside(&one.interface, &one.pins, *direction, one.protects, *mode)?;
        }
        control::write(&one.pins, one.modes)?;
        let record = InterfaceRecord {
            interface: one.interface.clone(),
            netns,
            index: one.link.index,
            protects: one.protects,
            generation,
            inbound: direction_record(&one.inbound),
            outbound: Some(direction_record(&one.outbound)),
            policy_hash: plan.ruleset.hash.clone(),
            since: one.old.as_ref().map_or(now, |old| old.since),
            applied: now,
            clock,
            config: one.config.to_words(),
        };
        write_record(&one.pins.map("record"), &record)?;
        publish(one)?;
        applied.push(Applied {
            interface: one.interface.clone(),
            inbound: one.inbound.clone(),
            outbound: one.outbound.clone(),
            before: one.before,
            modes: one.modes,
            seeded,
            pin: one.pins.program(Direction::Inbound),
        });
    }
    sweep(host)?;
    Ok(applied)
}

fn snapshot() -> Result<Snapshot, DataplaneError> {
    Snapshot::read().doing(|| "cannot look at the conversations that are going on".to_owned())
}

const fn direction_record(attached: &Attached) -> DirectionRecord {
    DirectionRecord { hook: hook_of(attached.attach_mode), attach_mode: attached.attach_mode }
}

/// Loads and pins the programs of one interface.
#[expect(clippy::too_many_arguments, reason = "one step of `stage_and_switch`, apart only to be readable")]
fn stage(
    plan: &Plan<'_>,
    links: &[Link],
    target: Target<'_>,
    host: &HostPins,
    netns: u64,
    generation: u64,
    hz: u32,
    assignment: &Assignment,
    // With the first interface: what fills the maps that all share.
    sockets: Option<&Sockets>,
    staged: &mut Vec<Staged>,
) -> Result<(), DataplaneError> {
    let Target { planned, link, mode, fallback, why } = target;
    let pins = InterfacePins::of(&link.name, netns)?;
    if let [other, ..] = pins.other_layouts().as_slice() {
        return Err(DataplaneError::Refused(format!(
            "{} was protected by another version of enforcer (layout {other}); run `enforcer detach --interface {}` with \
             that version, then apply again",
            link.name, link.name
        )));
    }
    let old = pins.record()?;
    let before = if old.is_some() { Some(control::modes(&pins)?) } else { None };
    let in_force = before.unwrap_or(Modes::both(Mode::Audit));
    let modes = Modes {
        inbound: planned.inbound.unwrap_or(in_force.inbound),
        outbound: planned.outbound.unwrap_or(in_force.outbound),
    };
    if old.is_none() && pins.exists() {
        // Half of an apply that was killed: nothing of it is recorded, so nothing of it is in force.
        remove_dir(pins.dir()).map_err(at(pins.dir().to_owned()))?;
    }
    let outbound_mode = if mode == AttachMode::Clsact { AttachMode::Clsact } else { AttachMode::Tcx };
    staged.push(Staged {
        interface: link.name.clone(),
        link: link.clone(),
        protects: planned.protects,
        pins: pins.clone(),
        generation,
        inbound: Attached { attach_mode: mode, why },
        outbound: Attached { attach_mode: outbound_mode, why: String::new() },
        fallback,
        is_new: old.is_none(),
        old,
        before,
        modes,
        undo: Vec::new(),
        config: Config::default(),
        moved: Vec::new(),
    });
    make_dir(&pins.generation(generation))?;
    let loaded = Load {
        ruleset: plan.ruleset,
        link,
        master: link.master.and_then(|index| links.iter().find(|link| link.index == index)),
        is_guest: planned.protects == Protects::Guest,
        scope: planned.scope.or(plan.ruleset.settings.scope).unwrap_or(Scope::All),
        interface: &pins,
        host,
        generation,
        hz,
    };
    let mut object = load::object(&loaded)?;
    if let Some(one) = staged.last_mut() {
        one.config = load::config(&loaded);
    }
    if let Some(sockets) = sockets {
        fill(&mut object, plan.ruleset, &assignment.slots)?;
        host::write_own_addresses(&mut object)?;
        host::write_listeners(array(&object, map::LISTENERS)?, sockets)?;
    }
    super::counters::zero(&pins, &assignment.reused)?;
    let folder = pins.generation(generation);
    for (direction, hook) in [(Direction::Inbound, hook_of(mode)), (Direction::Outbound, attach::Hook::Tc)] {
        attach::load(&mut object, direction, hook)?;
        attach::pin_program(&mut object, direction, hook, &folder.join(direction.name()))?;
    }
    if mode == AttachMode::Native && fallback.is_some() {
        // In case the driver turns out to have no native XDP.
        attach::load(&mut object, Direction::Inbound, attach::Hook::Tc)?;
        attach::pin_program(&mut object, Direction::Inbound, attach::Hook::Tc, &folder.join("inbound_tc"))?;
    }
    Ok(())
}

/// Puts the staged program of a direction in force on an interface.
fn switch(one: &mut Staged, direction: Direction) -> Result<(), DataplaneError> {
    let program = one.pins.generation(one.generation).join(direction.name());
    let mode = match direction {
        Direction::Inbound => one.inbound.attach_mode,
        Direction::Outbound => one.outbound.attach_mode,
    };
    // A program of the old policy on another hook goes only when the new one is in force.
    let old_mode = one.old.as_ref().and_then(|old| old.direction(direction)).map(|record| record.attach_mode);
    if let Some(old) = old_mode
        && old != mode
    {
        attach::set_aside(&one.pins, direction)?;
        one.moved.push((direction, old));
    }
    let undo = match put_in_force(&one.link, &one.pins, direction, one.protects, mode, &program) {
        Err(error) if one.fallback.is_some() && falls_back(&error) => fall_back(one, direction, &error)?,
        other => other?,
    };
    one.undo.push((direction, undo));
    Ok(())
}

/// Whether another hook may do what this one cannot.
const fn falls_back(error: &DataplaneError) -> bool {
    matches!(error, DataplaneError::NotAllowed(_))
}

fn fall_back(one: &mut Staged, direction: Direction, error: &DataplaneError) -> Result<Undo, DataplaneError> {
    let Some(mode) = one.fallback else { return Err(DataplaneError::NotAllowed(error.to_string())) };
    let folder = one.pins.generation(one.generation);
    let attached = match direction {
        Direction::Inbound => {
            if one.inbound.attach_mode == AttachMode::Native {
                let (tc, name) = (folder.join("inbound_tc"), folder.join("inbound"));
                fs::rename(&tc, &name).map_err(at(tc))?;
            }
            &mut one.inbound
        }
        Direction::Outbound => &mut one.outbound,
    };
    *attached = Attached { attach_mode: mode, why: format!("{} instead: {error}", mode.name()) };
    put_in_force(&one.link, &one.pins, direction, one.protects, mode, &folder.join(direction.name()))
}

/// Shows the programs in force under their public names.
fn publish(one: &Staged) -> Result<(), DataplaneError> {
    let folder = one.pins.generation(one.generation);
    for direction in Direction::ALL {
        let name = one.pins.program(direction);
        let new = folder.join(format!("new_{}", direction.name()));
        let doing = || format!("cannot pin the program at {}", name.display());
        let _ = fs::remove_file(&new);
        aya::programs::SchedClassifier::from_pin(folder.join(direction.name())).doing(doing)?.pin(&new).doing(doing)?;
        fs::rename(&new, &name).doing(doing)?;
    }
    Ok(())
}

/// Removes what no interface uses any more.
fn sweep(host: &HostPins) -> Result<(), DataplaneError> {
    let all = protected(&[])?;
    for one in &all {
        for name in pins::names_in(&one.pins.state()) {
            if name
                .strip_prefix('g')
                .and_then(|number| number.parse().ok())
                .is_some_and(|g: u64| g != one.record.generation)
            {
                let folder = one.pins.map(&name);
                remove_dir(&folder).map_err(at(folder))?;
            }
        }
    }
    for number in host.generations() {
        if !all.iter().any(|one| one.record.generation == number) {
            let folder = host.generation(number);
            remove_dir(&folder).map_err(at(folder))?;
        }
    }
    Ok(())
}

/// Holds others off while the pins are changed: released when it is dropped.
fn lock() -> Result<nix::fcntl::Flock<fs::File>, DataplaneError> {
    use nix::fcntl::{Flock, FlockArg};
    let folder = std::path::Path::new("/run/enforcer");
    make_dir(folder)?;
    let path = folder.join("lock");
    let file = fs::File::create(&path).map_err(at(path.clone()))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| {
        DataplaneError::system(format!("cannot lock {}", path.display()), std::io::Error::from(errno))
    })
}
