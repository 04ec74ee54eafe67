//! Whether what was just applied judges, and what is done where a driver does not run it.

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

/// What is said of an interface after `apply`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// The interface.
    pub interface: String,
    /// A sentence.
    pub text: String,
    /// Whether nothing is judged.
    pub is_problem: bool,
}

/// How long to wait for the first packet after `apply`, where somebody was asked to send one and where nobody is known.
const ANSWERS: Duration = Duration::from_millis(800);
const NOBODY: Duration = Duration::from_millis(100);
/// How long to look where packets come in and none is counted.
const DOUBT: Duration = Duration::from_millis(3500);

/// Looks whether the native programs on these interfaces judge, with the answers of neighbours that are asked. Where one does not, and native
/// XDP was not asked for by name, tc takes its place. The policy is active already, so whatever fails here is told and does not make
/// `apply` fail.
#[must_use]
pub fn after_apply(interfaces: &[String], hook: HookChoice) -> Vec<Found> {
    look(interfaces, hook).unwrap_or_else(|failure| {
        let text =
            format!("cannot tell whether the driver runs the program: {failure:#}; `enforcer status` looks again");
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
            // Nobody is there to ask, or they cannot be asked: then whatever comes in by itself has to do.
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
                let text = "no packet has come in yet, so nothing shows whether the driver runs the program; `enforcer status` looks again";
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
                    (format!("nothing is judged: {why}; it cannot go over to tc: {failure:#}"), true)
                }
            },
        };
        found.push(Found { interface, text, is_problem });
    }
    Ok(found)
}

/// Goes over to tc, and says so.
///
/// # Errors
/// When tc cannot take the place of the native program.
pub fn leave(interface: &str, received: u64) -> Result<String, Failure> {
    let why = does_not_run(interface, received);
    let Some(mode) = leave_native(interface, &why)? else {
        return Ok("native XDP is not attached any more".to_owned());
    };
    let name = mode.name();
    // What is in force now is in force whether or not it can be written down.
    let text = match journal::record(Event::Hook, &[interface.to_owned()]) {
        Ok(()) => String::new(),
        Err(error) => format!("; cannot write this change to the history: {error:#}"),
    };
    Ok(format!("ATTENTION: inbound goes over from native XDP to {name}: {why}{text}"))
}

/// How long `status` looks at native programs.
pub const GLANCE: Patience = Patience { idle: Duration::from_millis(500), most: DOUBT };
