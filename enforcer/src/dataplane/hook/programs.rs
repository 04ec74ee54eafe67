//! Loads and pins the programs of a hook; their names.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::{self, available_parallelism};

use aya::programs::{Program, ProgramError, ProgramInfo, SchedClassifier, Xdp};
use enforcer_common::Direction;

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::kinds::Hook;
use crate::dataplane::load::object::Object;
use crate::dataplane::load::ways;
use crate::dataplane::pin::pins::InterfacePins;

/// A program to load from an object and to pin.
pub(in crate::dataplane) struct Wanted {
    pub(in crate::dataplane) direction: Direction,
    pub(in crate::dataplane) hook: Hook,
    pub(in crate::dataplane) pin: PathBuf,
}

/// Loads and pins programs of several objects. The verifier works on one program at a time, so it is given as many as there are
/// CPUs.
///
/// # Errors
/// The first error. Programs that were already pinned stay pinned.
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

pub(super) fn load_program(program: &mut Program, name: &'static str, hook: Hook) -> Result<(), DataplaneError> {
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

pub(in crate::dataplane) fn pin_program(program: &mut Program, hook: Hook, path: &Path) -> Result<(), DataplaneError> {
    let context = || format!("cannot pin a program at {}", path.display());
    match hook {
        Hook::Xdp => <&mut Xdp>::try_from(program).with_context(context)?.pin(path).with_context(context),
        Hook::Tc => <&mut SchedClassifier>::try_from(program).with_context(context)?.pin(path).with_context(context),
    }
}

/// The pin of a tc program for inbound that was loaded beside the native one of a generation, in case the driver does not take that.
pub(in crate::dataplane) const TC_BESIDE: &str = "inbound_tc";

/// Loads and pins the dispatchers of an object, and puts the programs between which they decide into their arrays. The object has the
/// arrays, and its programs are pinned.
///
/// # Errors
/// When the kernel refuses a dispatcher, or a program beside it. No dispatcher is pinned then.
pub(in crate::dataplane) fn load_dispatchers(
    object: &mut Object,
    folder: &Path,
    confirmed: &Path,
    hooks: [Hook; 2],
) -> Result<(), DataplaneError> {
    let mut load = || {
        for (direction, hook) in Direction::ALL.into_iter().zip(hooks) {
            let name = dispatcher_name(direction, hook);
            let program = object.ebpf.program_mut(name).ok_or_else(|| missing(name))?;
            load_program(program, name, hook)?;
            pin_program(program, hook, &ways::dispatcher(folder, direction))?;
        }
        // Their type is that of the array now, and the kernel compares.
        object.ways.take().map_or(Ok(()), |ways| ways.fill(folder, confirmed))
    };
    load().inspect_err(|_| {
        // Nothing has it on a hook yet; what stays goes with the folder.
        let _ = ways::remove(folder);
    })
}

/// The name of a dispatcher in the object.
const fn dispatcher_name(direction: Direction, hook: Hook) -> &'static str {
    match (direction, hook) {
        (Direction::Inbound, Hook::Xdp) => "pending_in_xdp",
        (Direction::Inbound, Hook::Tc) => "pending_in_tc",
        (Direction::Outbound, _) => "pending_out_tc",
    }
}

/// Pins the programs of a generation under their public names: its dispatchers while there are any.
pub(in crate::dataplane) fn show(pins: &InterfacePins, generation: u64) -> Result<(), DataplaneError> {
    let folder = pins.generation(generation);
    show_as(pins, &folder, |direction| ways::for_hook(&folder, direction))
}

/// Pins the programs of a generation itself under their public names.
pub(in crate::dataplane) fn show_itself(pins: &InterfacePins, generation: u64) -> Result<(), DataplaneError> {
    let folder = pins.generation(generation);
    show_as(pins, &folder, |direction| folder.join(direction.name()))
}

fn show_as(pins: &InterfacePins, folder: &Path, program: impl Fn(Direction) -> PathBuf) -> Result<(), DataplaneError> {
    for direction in Direction::ALL {
        let name = pins.program(direction);
        let new = folder.join(format!("new_{}", direction.name()));
        let context = || format!("cannot pin the program at {}", name.display());
        let _ = fs::remove_file(&new);
        SchedClassifier::from_pin(program(direction)).with_context(context)?.pin(&new).with_context(context)?;
        fs::rename(&new, &name).with_context(context)?;
    }
    Ok(())
}

pub(in crate::dataplane) fn missing(name: &str) -> DataplaneError {
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

/// The kernel's id of a pinned program.
pub(in crate::dataplane) fn program_id(path: &Path) -> Option<u32> {
    Some(ProgramInfo::from_pin(path).ok()?.id())
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
pub(super) fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// Loads the program for a hook.
pub(in crate::dataplane) fn load(object: &mut Object, direction: Direction, hook: Hook) -> Result<(), DataplaneError> {
    let name = program_name(direction, hook);
    load_program(object.ebpf.program_mut(name).ok_or_else(|| missing(name))?, name, hook)
}
