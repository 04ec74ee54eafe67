//! Hooks: where a program is attached, how, and how it is replaced without a packet passing in between.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::{self, available_parallelism};

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle};
use aya::programs::{LinkOrder, Program, ProgramError, ProgramInfo, SchedClassifier, TcAttachType, Xdp, XdpMode};
use enforcer_common::Direction;
use rtnetlink::packet_route::link::InfoKind;
use serde::{Deserialize, Serialize};

use crate::dataplane::change::apply::{HookChoice, Protects};
use crate::dataplane::error::{AnyError, DataplaneError, Doing as _, at, error_number};
use crate::dataplane::hook::found::lacks_tcx;
use crate::dataplane::load::object::Object;
use crate::dataplane::pin::pins::{InterfacePins, names_in, remove_dir};
use crate::dataplane::pin::record::{DirectionRecord, InterfaceRecord};
use crate::dataplane::sys::pinned_link::{end, end_by_id, held};
use crate::host::links::{Link, has_clsact_filter, remove_clsact_if_unused};

/// Where a program is attached.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// Before the kernel makes a packet of it.
    Xdp,
    /// Traffic control, ingress or egress.
    Tc,
}

/// How it is attached.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttachMode {
    /// XDP in the driver.
    Native,
    /// XDP emulated behind the driver.
    Generic,
    /// tc by a link (Linux 6.6).
    Tcx,
    /// tc by a filter on the clsact qdisc.
    Clsact,
}

impl Hook {
    /// The word used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
        }
    }
}

impl AttachMode {
    /// The word used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// The sign that the clsact qdisc was made by us.
pub(in crate::dataplane) const MADE_CLSACT: &str = "made_clsact";

/// Our filters on a clsact qdisc: first, and told from those of others by their handle.
pub(in crate::dataplane) const CLSACT_PRIORITY: u16 = 1;
const CLSACT_HANDLE: u16 = 0xe4f0;

/// Said where a filter takes the place of a link.
pub(in crate::dataplane) const NO_TCX: &str = "the kernel has no tc links (Linux 6.6)";

/// Which hook inbound gets, and why; the second one is tried where the driver cannot do the first. Where the kernel has no tc
/// links, filters take their place.
pub(in crate::dataplane) fn choose(
    link: &Link,
    protects: Protects,
    choice: HookChoice,
) -> Result<(AttachMode, Option<AttachMode>, String), DataplaneError> {
    let (mode, fallback, why) = wanted(link, protects, choice)?;
    Ok(match (mode, fallback) {
        (AttachMode::Tcx, _) if lacks_tcx(link) == Some(true) => {
            (AttachMode::Clsact, None, format!("{why}; by a clsact filter: {NO_TCX}"))
        }
        (_, Some(AttachMode::Tcx)) if lacks_tcx(link) == Some(true) => (mode, Some(AttachMode::Clsact), why),
        _ => (mode, fallback, why),
    })
}

/// Which hook outbound gets, beside this one of inbound, and why.
pub(in crate::dataplane) fn choose_outbound(link: &Link, inbound: AttachMode) -> (AttachMode, String) {
    if inbound == AttachMode::Clsact {
        return (AttachMode::Clsact, String::new());
    }
    match lacks_tcx(link) {
        Some(true) => (AttachMode::Clsact, NO_TCX.to_owned()),
        _ => (AttachMode::Tcx, String::new()),
    }
}

fn wanted(
    link: &Link,
    protects: Protects,
    choice: HookChoice,
) -> Result<(AttachMode, Option<AttachMode>, String), DataplaneError> {
    let unsuitable = |why: &str| DataplaneError::Unsuitable { name: link.name.clone(), why: why.to_owned() };
    match (choice, protects) {
        (HookChoice::Native | HookChoice::Generic, Protects::Guest) => Err(unsuitable(
            "what goes to a guest leaves by this interface, and XDP sees only what comes in; use --hook tc",
        )),
        (HookChoice::Native, Protects::Host) => Ok((AttachMode::Native, None, "native XDP, as asked".to_owned())),
        (HookChoice::Generic, Protects::Host) => Ok((
            AttachMode::Generic,
            None,
            "generic XDP, as asked: slower than native XDP and than tc, because every packet is linearised first"
                .to_owned(),
        )),
        (HookChoice::Tc, _) => Ok((AttachMode::Tcx, Some(AttachMode::Clsact), "tc, as asked".to_owned())),
        (HookChoice::Clsact, _) => Ok((AttachMode::Clsact, None, "tc by a clsact filter, as asked".to_owned())),
        (HookChoice::Auto, Protects::Guest) => {
            Ok((AttachMode::Tcx, Some(AttachMode::Clsact), "tc: a guest is behind this interface".to_owned()))
        }
        (HookChoice::Auto, Protects::Host) => Ok(match &link.kind {
            None => (AttachMode::Native, Some(AttachMode::Tcx), "native XDP: a hardware interface".to_owned()),
            Some(kind) => (
                AttachMode::Tcx,
                Some(AttachMode::Clsact),
                format!("tc: on a {} interface XDP would cost the host its segmentation offload", kind_name(kind)),
            ),
        }),
    }
}

fn kind_name(kind: &InfoKind) -> String {
    kind.to_string()
}

/// Loads the program for a hook.
pub(in crate::dataplane) fn load(object: &mut Object, direction: Direction, hook: Hook) -> Result<(), DataplaneError> {
    let name = program_name(direction, hook);
    load_program(object.ebpf.program_mut(name).ok_or_else(|| missing(name))?, name, hook)
}

/// A program of an object that is to be loaded and pinned.
pub(in crate::dataplane) struct Wanted {
    pub(in crate::dataplane) direction: Direction,
    pub(in crate::dataplane) hook: Hook,
    pub(in crate::dataplane) pin: PathBuf,
}

/// Loads and pins programs of several objects. The verifier works on one program at a time, so it is given as many as there are
/// CPUs.
///
/// # Errors
/// The first of them. Programs that were pinned meanwhile stay pinned.
pub(in crate::dataplane) fn load_all(objects: &mut [(Object, Vec<Wanted>)]) -> Result<(), DataplaneError> {
    let mut jobs = Vec::new();
    for (object, wanted) in objects {
        let mut programs: BTreeMap<String, &mut Program> =
            object.ebpf.programs_mut().map(|(name, program)| (name.to_owned(), program)).collect();
        for one in wanted {
            let name = program_name(one.direction, one.hook);
            let program = programs.remove(name).ok_or_else(|| missing(name))?;
            jobs.push((program, name, &*one));
        }
    }
    let workers = available_parallelism().map_or(1, NonZero::get).min(jobs.len());
    let jobs = Mutex::new(jobs.into_iter());
    let work = || -> Result<(), DataplaneError> {
        loop {
            let job = jobs.lock().map(|mut jobs| jobs.next()).unwrap_or_default();
            let Some((program, name, wanted)) = job else { return Ok(()) };
            load_program(program, name, wanted.hook)?;
            pin_program(program, wanted.hook, &wanted.pin)?;
        }
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mine = work();
        let panicked = || Err(DataplaneError::NotAllowed("a thread that loads programs has failed".to_owned()));
        others.into_iter().map(|other| other.join().unwrap_or_else(|_| panicked())).fold(mine, Result::and)
    })
}

fn load_program(program: &mut Program, name: &'static str, hook: Hook) -> Result<(), DataplaneError> {
    let loaded = match hook {
        Hook::Xdp => <&mut Xdp>::try_from(program).and_then(Xdp::load),
        Hook::Tc => <&mut SchedClassifier>::try_from(program).and_then(SchedClassifier::load),
    };
    loaded.map_err(|error| {
        if let ProgramError::LoadError { io_error, verifier_log } = error {
            return DataplaneError::Verifier { program: name, error: io_error, log: end_of(&verifier_log.to_string()) };
        }
        DataplaneError::system(format!("cannot load the program {name}"), error)
    })
}

fn pin_program(program: &mut Program, hook: Hook, path: &Path) -> Result<(), DataplaneError> {
    let doing = || format!("cannot pin a program at {}", path.display());
    match hook {
        Hook::Xdp => <&mut Xdp>::try_from(program).doing(doing)?.pin(path).doing(doing),
        Hook::Tc => <&mut SchedClassifier>::try_from(program).doing(doing)?.pin(path).doing(doing),
    }
}

fn missing(name: &str) -> DataplaneError {
    DataplaneError::NotAllowed(format!("the BPF object has no program {name}"))
}

/// The name of a program in the object.
pub(in crate::dataplane) const fn program_name(direction: Direction, hook: Hook) -> &'static str {
    match (direction, hook) {
        (Direction::Inbound, Hook::Xdp) => "inbound_xdp",
        (Direction::Inbound, Hook::Tc) => "inbound_tc",
        (Direction::Outbound, _) => "outbound_tc",
    }
}

/// What undoes an attachment or a replacement.
#[derive(Debug)]
pub(in crate::dataplane) enum Undo {
    /// It was not there before: remove it.
    Remove(DirectionRecord),
    /// Something was replaced: put the program at this path back.
    PutBack(DirectionRecord),
}

/// Puts the pinned program at `program` in force on a hook: by one update where a link of ours is there, else by a new
/// attachment.
pub(in crate::dataplane) fn put_in_force(
    link: &Link,
    pins: &InterfacePins,
    direction: Direction,
    protects: Protects,
    mode: AttachMode,
    program: &Path,
) -> Result<Undo, DataplaneError> {
    let record = DirectionRecord { hook: hook_of(mode), attach_mode: mode };
    let doing = || format!("cannot attach to {}", link.name);
    match mode {
        AttachMode::Native | AttachMode::Generic => {
            let mut xdp = Xdp::from_pin(program, aya_obj::programs::XdpAttachType::Interface).doing(doing)?;
            if replace(link, pins, direction, |old| {
                let id = xdp.attach_to_link(old.try_into()?)?;
                drop(xdp.take_link(id)?);
                Ok(())
            })? {
                return Ok(Undo::PutBack(record));
            }
            let asked = if mode == AttachMode::Native { XdpMode::Driver } else { XdpMode::Skb };
            let id = xdp.attach_to_if_index(link.index, asked).map_err(|error| explain_xdp(error, link, mode))?;
            let new: FdLink = xdp.take_link(id).doing(doing)?.try_into().doing(doing)?;
            pin_link(new, &pins.link(direction)).doing(doing)?;
        }
        AttachMode::Tcx => {
            let mut classifier = SchedClassifier::from_pin(program).doing(doing)?;
            if replace(link, pins, direction, |old| {
                let id = classifier.attach_to_link(old.try_into()?)?;
                drop(classifier.take_link(id)?);
                Ok(())
            })? {
                return Ok(Undo::PutBack(record));
            }
            let first = TcAttachOptions::TcxOrder(LinkOrder::first());
            let id = classifier.attach_with_options(&link.name, side(direction, protects), first).doing(doing)?;
            let new: FdLink = classifier.take_link(id).doing(doing)?.try_into().doing(doing)?;
            pin_link(new, &pins.link(direction)).doing(doing)?;
        }
        AttachMode::Clsact => {
            let mut classifier = SchedClassifier::from_pin(program).doing(doing)?;
            let side = side(direction, protects);
            let handle = TcHandle::new(0, CLSACT_HANDLE);
            if pins.clsact_marker(direction).exists()
                && has_filter(link.index, direction, protects)
                && let Ok(old) = SchedClassifierLink::attached(&link.name, side, CLSACT_PRIORITY, handle, None)
            {
                let id = classifier.attach_to_link(old).doing(doing)?;
                // The filter stays when nothing of ours is left: forget the handle instead of dropping it.
                std::mem::forget(classifier.take_link(id).doing(doing)?);
                return Ok(Undo::PutBack(record));
            }
            make_clsact(link, pins)?;
            // The marker first: a filter that nobody knows to be ours would stay for ever.
            let marker = pins.clsact_marker(direction);
            let was_marked = marker.exists();
            crate::dataplane::pin::pins::make_dir(&marker)?;
            let options = NlOptions { priority: CLSACT_PRIORITY, handle, ..NlOptions::default() };
            let attached = classifier
                .attach_with_options(&link.name, side, TcAttachOptions::Netlink(options))
                .and_then(|id| classifier.take_link(id));
            match attached {
                Ok(filter) => std::mem::forget(filter),
                Err(error) => {
                    // A filter of ours may be there all the same, if nobody could tell.
                    if !was_marked {
                        let _ = fs::remove_dir(marker);
                    }
                    return Err(error).doing(doing);
                }
            }
        }
    }
    Ok(Undo::Remove(record))
}

/// Makes the qdisc that filters are on, and notes that it is ours where nobody had it.
fn make_clsact(link: &Link, pins: &InterfacePins) -> Result<(), DataplaneError> {
    match tc::qdisc_add_clsact(&link.name) {
        Ok(()) => crate::dataplane::pin::pins::make_dir(&pins.map(MADE_CLSACT)).inspect_err(|_| {
            // One that is not known to be ours would stay.
            let _ = remove_clsact(&link.name);
        }),
        Err(error) if error_number(&error) == Some(libc::EEXIST) => Ok(()),
        Err(error) => Err(DataplaneError::system(format!("cannot attach to {}", link.name), error)),
    }
}

/// Takes a program of ours off its hook.
pub(in crate::dataplane) fn take_off(
    interface: &str,
    pins: &InterfacePins,
    direction: Direction,
    protects: Protects,
    mode: AttachMode,
) -> Result<(), DataplaneError> {
    let doing = || format!("cannot take the {} program off {interface}", direction.name());
    match mode {
        AttachMode::Native | AttachMode::Generic | AttachMode::Tcx => {
            end(&pins.link(direction)).doing(doing)?;
        }
        AttachMode::Clsact => {
            let handle = TcHandle::new(0, CLSACT_HANDLE);
            if pins.clsact_marker(direction).exists()
                && nix::net::if_::if_nametoindex(interface).is_ok_and(|index| has_filter(index, direction, protects))
                && let Ok(link) =
                    SchedClassifierLink::attached(interface, side(direction, protects), CLSACT_PRIORITY, handle, None)
            {
                aya::programs::links::Link::detach(link).doing(doing)?;
            }
            let _ = fs::remove_dir(pins.clsact_marker(direction));
        }
    }
    Ok(())
}

/// Puts the link of the old policy aside, so that another hook can be taken in its place.
pub(in crate::dataplane) fn set_aside(pins: &InterfacePins, direction: Direction) -> Result<(), DataplaneError> {
    rename_link(&pins.link(direction), &aside(pins, direction))
}

/// Puts it back.
pub(in crate::dataplane) fn put_back_aside(pins: &InterfacePins, direction: Direction) -> Result<(), DataplaneError> {
    rename_link(&aside(pins, direction), &pins.link(direction))
}

/// Takes what was put aside off its hook.
pub(in crate::dataplane) fn drop_aside(
    interface: &str,
    pins: &InterfacePins,
    direction: Direction,
    protects: Protects,
    mode: AttachMode,
) -> Result<(), DataplaneError> {
    if mode == AttachMode::Clsact {
        return take_off(interface, pins, direction, protects, mode);
    }
    end(&aside(pins, direction)).doing(|| format!("cannot take the old program off {interface}"))
}

fn aside(pins: &InterfacePins, direction: Direction) -> PathBuf {
    pins.map(&format!("old_link_{}", direction.name()))
}

/// What a command that was killed in the middle of a change of hooks has left: its program goes, the recorded one stays.
pub(in crate::dataplane) fn finish_interrupted(
    pins: &InterfacePins,
    record: &InterfaceRecord,
) -> Result<(), DataplaneError> {
    for direction in Direction::ALL {
        let Some(DirectionRecord { attach_mode, .. }) = record.direction(direction) else { continue };
        let aside = aside(pins, direction);
        let recorded = program_id(&pins.generation(record.generation).join(direction.name()));
        let doing = || format!("cannot finish what a killed command has left on {}", record.interface);
        match held(&aside) {
            Some(held) if Some(held.program) == recorded => {
                // One that it had made in the place of the old one.
                end(&pins.link(direction)).doing(doing)?;
                put_back_aside(pins, direction)?;
            }
            // The change was done but for this.
            Some(_) => end(&aside).doing(doing)?,
            None => {}
        }
        let left = if attach_mode == AttachMode::Clsact { AttachMode::Tcx } else { AttachMode::Clsact };
        take_off(&record.interface, pins, direction, record.protects, left)?;
    }
    Ok(())
}

/// Renames the pin of a link, or the sign that there is a filter. That it is not there is fine.
pub(in crate::dataplane) fn rename_link(from: &Path, to: &Path) -> Result<(), DataplaneError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.doing(|| format!("cannot rename the link {}", from.display())),
    }
}

/// Pins a link that was just made. One that cannot be pinned takes its program off with it.
fn pin_link(link: FdLink, path: &Path) -> Result<(), AnyError> {
    let id = link.info()?.id();
    link.pin(path).map(drop).map_err(|error| {
        end_by_id(id);
        error.into()
    })
}

/// Takes the programs of all links in a folder off their hooks, of every layout, and removes it.
pub(in crate::dataplane) fn remove_pins(folder: &Path) -> Result<(), DataplaneError> {
    let layouts = names_in(folder).into_iter().map(|name| folder.join(name));
    for place in std::iter::once(folder.to_owned()).chain(layouts) {
        for name in names_in(&place).into_iter().filter(|name| name.contains("link_")) {
            let path = place.join(name);
            // What cannot even be opened is no link; it goes with the rest.
            if held(&path).is_some() {
                end(&path).doing(|| format!("cannot take the program off that the link {} holds", path.display()))?;
            }
        }
    }
    remove_dir(folder).map_err(at(folder.to_owned()))
}

/// Removes the clsact qdisc that was made for us, unless somebody else uses it by now.
pub(in crate::dataplane) fn remove_clsact(interface: &str) -> Result<bool, DataplaneError> {
    let index = nix::net::if_::if_nametoindex(interface)
        .map_err(|errno| DataplaneError::system(format!("cannot look at {interface}"), io::Error::from(errno)))?;
    remove_clsact_if_unused(index).doing(|| format!("cannot remove the clsact qdisc of {interface}"))
}

/// Whether the filter of a direction is on its qdisc.
pub(in crate::dataplane) fn has_filter(index: u32, direction: Direction, protects: Protects) -> bool {
    let is_egress = side(direction, protects) == TcAttachType::Egress;
    // A qdisc that is not there has no filter.
    has_clsact_filter(index, is_egress, CLSACT_HANDLE).unwrap_or(false)
}

/// The kernel's id of a pinned program.
pub(in crate::dataplane) fn program_id(path: &Path) -> Option<u32> {
    Some(ProgramInfo::from_pin(path).ok()?.id())
}

/// Where a mode attaches.
pub(in crate::dataplane) const fn hook_of(mode: AttachMode) -> Hook {
    match mode {
        AttachMode::Native | AttachMode::Generic => Hook::Xdp,
        AttachMode::Tcx | AttachMode::Clsact => Hook::Tc,
    }
}

/// Replaces the program that a link of ours holds. `false`: there is none, or its interface was deleted (another of the same
/// name needs a link of its own).
fn replace(
    link: &Link,
    pins: &InterfacePins,
    direction: Direction,
    update: impl FnOnce(FdLink) -> Result<(), AnyError>,
) -> Result<bool, DataplaneError> {
    let path = pins.link(direction);
    let doing = || format!("cannot replace the program of the link {}", path.display());
    if let Some(held) = held(&path).filter(|held| held.interface != 0 && held.interface != link.index) {
        return Err(DataplaneError::Refused(format!(
            "the link {} is not on {} but on the interface with index {}; run `enforcer detach --interface {}` first",
            path.display(),
            link.name,
            held.interface,
            link.name
        )));
    }
    let pinned = match PinnedLink::from_pin(&path) {
        Ok(pinned) => FdLink::from(pinned),
        Err(error) if error_number(&error) == Some(libc::ENOENT) => return Ok(false),
        Err(error) => return Err(error).doing(doing),
    };
    match update(pinned) {
        Ok(()) => Ok(true),
        Err(error) if error.number() == Some(libc::ENOLINK) => {
            fs::remove_file(&path).doing(doing)?;
            Ok(false)
        }
        Err(error) => Err(error).doing(doing),
    }
}

/// The side of tc that sees a direction: what goes to a guest leaves by the host's end of its port.
const fn side(direction: Direction, protects: Protects) -> TcAttachType {
    match (direction, protects) {
        (Direction::Inbound, Protects::Host) | (Direction::Outbound, Protects::Guest) => TcAttachType::Ingress,
        (Direction::Outbound, Protects::Host) | (Direction::Inbound, Protects::Guest) => TcAttachType::Egress,
    }
}

/// XDP errors in the operator's words.
fn explain_xdp(error: ProgramError, link: &Link, mode: AttachMode) -> DataplaneError {
    let hook = if mode == AttachMode::Native { "native XDP" } else { "generic XDP" };
    match error_number(&error) {
        // EBUSY: the same mode, EEXIST: the other one.
        Some(libc::EBUSY | libc::EEXIST) => {
            let by = link.xdp_program.map_or_else(|| "another program".to_owned(), describe_program);
            DataplaneError::Busy { interface: link.name.clone(), hook: "XDP", by }
        }
        Some(libc::EOPNOTSUPP) => DataplaneError::NotAllowed(format!(
            "the driver of {} cannot do {hook}; use --hook tc, or --hook generic",
            link.name
        )),
        Some(libc::ERANGE) => DataplaneError::NotAllowed(format!(
            "the MTU of {} ({}) is too large for {hook} in its driver; use --hook tc",
            link.name, link.mtu
        )),
        _ => DataplaneError::system(format!("cannot attach {hook} to {}", link.name), error),
    }
}

/// "program 42 `name`".
pub(in crate::dataplane) fn describe_program(id: u32) -> String {
    let named = aya::programs::loaded_programs().flatten().find(|program| program.id() == id);
    match named.as_ref().and_then(ProgramInfo::name_as_str) {
        Some(name) if !name.is_empty() => format!("the program `{name}` (id {id})"),
        _ => format!("the program with id {id}"),
    }
}

/// The last lines of a verifier log: the reason stands at its end.
fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
