//! Checks after `apply` that drivers run the native XDP programs, and switches to tc where one does not.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::journal;
use crate::dataplane::{
    self, HookChoice, Judging, Patience, Protected, does_not_run, leave_native, not_judging, watch_native,
};
use crate::failure::Failure;
use crate::host::links::probe_neighbours;
use crate::state::history::Event;

/// The result for one interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Name of the interface.
    pub interface: String,
    /// A sentence for the operator.
    pub text: String,
    /// Whether nothing is judged.
    pub is_problem: bool,
}

/// How long to wait for the first packet after `apply`: with neighbours that were probed, and without.
const ANSWERS: Duration = Duration::from_millis(800);
const NOBODY: Duration = Duration::from_millis(30);
/// How long to watch an interface that receives packets while its program counts none.
const DOUBT: Duration = Duration::from_millis(3500);

/// Checks that the native programs on these interfaces count packets; known neighbours are probed for an answer. If a driver does not run
/// its program, the interface is switched to tc, unless native XDP was requested by name. The policy is already active, so a failure
/// here is reported and does not fail `apply`.
#[must_use]
pub fn after_apply(interfaces: &[String], hook: HookChoice) -> Vec<Found> {
    look(interfaces, hook).unwrap_or_else(|failure| {
        let text =
            format!("cannot check whether the driver runs the program: {failure:#}; `enforcer status` checks again");
        let found = |interface: &String| Found { interface: interface.clone(), text: text.clone(), is_problem: false };
        interfaces.iter().map(found).collect()
    })
}

fn look(interfaces: &[String], hook: HookChoice) -> Result<Vec<Found>, Failure> {
    let all = dataplane::protected(interfaces)?;
    let asked: RefCell<BTreeMap<u32, (Instant, usize)>> = RefCell::default();
    let poke = |one: &Protected| {
        const AGAIN: Duration = Duration::from_millis(250);
        let mut asked = asked.borrow_mut();
        if asked.get(&one.record.index).is_none_or(|(at, _)| at.elapsed() >= AGAIN) {
            // Without a neighbour to probe, only other traffic can show it.
            let neighbours = probe_neighbours(one.record.index).unwrap_or_default();
            asked.insert(one.record.index, (Instant::now(), neighbours));
        }
    };
    let native: Vec<Protected> =
        all.into_iter().filter(|one| one.record.inbound.attach_mode == dataplane::AttachMode::Native).collect();
    native.iter().for_each(poke);
    let has_neighbours = asked.borrow().values().any(|(_, neighbours)| *neighbours > 0);
    let patience = Patience { idle: if has_neighbours { ANSWERS } else { NOBODY }, most: DOUBT };
    let mut found = Vec::new();
    for (interface, judging) in watch_native(&native, patience, poke)? {
        let (text, is_problem) = match judging {
            Judging::Yes => continue,
            Judging::Unknown => {
                let text = "no packet was received yet, so it is unknown whether the driver runs the program; `enforcer status` checks again";
                (text.to_owned(), false)
            }
            Judging::No(received) if hook == HookChoice::Native => {
                let one = native.iter().find(|one| one.interface == interface);
                (one.map_or_else(String::new, |one| not_judging(&one.record, received)), true)
            }
            Judging::No(received) => match leave(&interface, received) {
                Ok(text) => (text, false),
                Err(failure) => {
                    let why = does_not_run(&interface, received);
                    (format!("nothing is judged: {why}; switching to tc failed: {failure:#}"), true)
                }
            },
        };
        found.push(Found { interface, text, is_problem });
    }
    Ok(found)
}

/// Switches an interface from native XDP to tc, and returns the message for the operator.
///
/// # Errors
/// When the tc program cannot be attached.
pub fn leave(interface: &str, received: u64) -> Result<String, Failure> {
    let why = does_not_run(interface, received);
    let Some(mode) = leave_native(interface, &why)? else {
        return Ok("native XDP is no longer attached".to_owned());
    };
    let name = mode.name();
    // The switch is done, even if the history cannot be written.
    let text = match journal::record(Event::Hook, &[interface.to_owned()]) {
        Ok(()) => String::new(),
        Err(error) => format!("; cannot write this change to the history: {error:#}"),
    };
    Ok(format!("ATTENTION: inbound switched from native XDP to {name}: {why}{text}"))
}

/// How long `status` watches native programs.
pub const GLANCE: Patience = Patience { idle: Duration::from_millis(500), most: DOUBT };
