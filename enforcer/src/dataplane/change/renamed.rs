//! Interfaces that were renamed after they were protected. A program is attached to the interface and not to its name, so it stays
//! attached. Pins and files keep the old name until a policy is applied to the new name; then they are moved.

use std::fs;
use std::path::Path;

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::hook::attach::remove_pins;
use crate::dataplane::hook::renamed::new_name;
use crate::dataplane::mode::pending::{Before, Pending};
use crate::dataplane::pin::document::write_record;
use crate::dataplane::pin::pins::{InterfacePins, ROOT};
use crate::dataplane::pin::protected::{Protected, all_protected};
use crate::dataplane::pin::record::InterfaceRecord;
use crate::state::last_good::State;

/// Prefix of pins that are being moved. No interface name contains a colon, so this is never the name of an interface.
const BETWEEN: &str = "moving:";

/// Moves what is pinned and kept to the names that interfaces have now. Called by whoever is about to apply a policy, and holds the
/// lock: a second program on the hook of a renamed interface would judge its packets twice, and the pins of an old name must not
/// be taken for those of the interface that has this name now.
pub(in crate::dataplane) fn follow_names(netns: u64) -> Result<(), DataplaneError> {
    let all = all_protected()?;
    let is_between = |one: &Protected| one.pins.name().starts_with(BETWEEN);
    let name_of =
        |one: &Protected| new_name(&one.pins, &one.record).or_else(|| is_between(one).then(|| one.interface.clone()));
    let movers: Vec<(&Protected, String)> = all.iter().filter_map(|one| Some((one, name_of(one)?))).collect();
    let kept: Vec<_> = movers.iter().map(|(one, _)| State::of(one.pins.name()).both()).collect();
    let mut between = Vec::new();
    for (one, name) in &movers {
        // Two interfaces may have swapped their names.
        let to = Path::new(ROOT).join(format!("{BETWEEN}{netns}:{}", one.record.index));
        let context = || format!("cannot move the pins of {}, which is called {name} now", one.interface);
        if one.pins.dir() != to {
            fs::rename(one.pins.dir(), &to).with_context(context)?;
        }
        between.push(to);
    }
    let mut taken = Vec::new();
    for (((one, name), kept), from) in movers.iter().zip(kept).zip(between) {
        let context = || format!("cannot move the saved policy of {}, which is called {name} now", one.interface);
        let pins = InterfacePins::of(name, netns)?;
        if pins.exists() {
            // Of an interface that had the name before, and is gone: its links hold nothing.
            remove_pins(pins.dir())?;
        }
        fs::rename(&from, pins.dir()).with_context(context)?;
        let called = |record: &InterfaceRecord| InterfaceRecord { interface: name.clone(), ..record.clone() };
        if let Some(pending) = Pending::read(&pins)? {
            let before = pending.before.map(|before| Before { record: called(&before.record), ..before });
            Pending { before, ..pending }.write(&pins)?;
        }
        pins.write_owner(name, netns, one.record.index)?;
        write_record(&pins.map("record"), &called(&one.record))?;
        State::of(pins.name()).take_over(kept, name).with_context(context)?;
        taken.push(pins.name().to_owned());
    }
    for (one, name) in movers.iter().filter(|(one, _)| !taken.iter().any(|taken| taken == one.pins.name())) {
        let context = || format!("cannot remove the saved policy of {}, which is called {name} now", one.interface);
        State::of(one.pins.name()).forget().with_context(context)?;
    }
    Ok(())
}
