//! Protected interfaces that no longer exist.

use std::collections::BTreeMap;

use super::{Followed, Keeper};
use crate::dataplane::{self, here, once_called, pending, protected};
use crate::failure::Failure;
use crate::host::links::{Link, links};
use crate::protect::journal;
use crate::state::history;
use crate::state::last_good::kept;

/// Checks after which a missing interface that only matches a pattern is given up: tunnels and interfaces of containers get names
/// that are not used again.
const PATIENCE: u32 = 10;

impl Keeper<'_> {
    /// Notes a renamed interface. Another interface may now have its old name, and that one was not detached.
    pub(super) fn note_names(&mut self) -> Result<(), Failure> {
        for one in protected(&[])? {
            self.seen.retain(|name, index| *name == one.interface || *index != one.record.index);
            if let Some(index) = self.seen.get_mut(&one.interface) {
                *index = one.record.index;
            }
        }
        Ok(())
    }

    /// Reports missing and renamed interfaces. Their pins and counters stay.
    pub(super) fn say_what_is_gone(&mut self) -> Result<(), Failure> {
        let links = links()?;
        let all = protected(&[])?;
        for one in &all {
            let is_it = |link: &&Link| once_called(&all, link).is_some_and(|found| found.interface == one.interface);
            if let Some(link) = links.iter().find(is_it) {
                self.tell(
                    &one.interface,
                    &format!(
                        "is called {} now; it keeps its policy until another one is applied to {}",
                        link.name, link.name
                    ),
                );
            } else if !links.iter().any(|link| link.name == one.interface) {
                self.tell(&one.interface, "is gone; it is protected again when it returns");
            }
        }
        Ok(())
    }

    /// Removes the pins of missing interfaces that matched a pattern, after several checks: pinned maps use memory. An interface that the
    /// site file names keeps its pins.
    pub(in crate::agent) fn forget_gone(&mut self) -> Result<(), Failure> {
        let links = links()?;
        let (kept, _) = kept(here()?).map_err(anyhow::Error::from)?;
        let protected = protected(&[])?;
        let mut gone = BTreeMap::new();
        for name in protected.iter().map(|one| &one.interface).chain(kept.iter().map(|one| &one.interface)) {
            let is_there = links.iter().any(|link| {
                link.name == *name
                    || protected.iter().any(|one| one.interface == *name && one.record.index == link.index)
            });
            if !is_there && self.fits_a_pattern(name) {
                let checks = self.gone.get(name).map_or(1, |checks| checks + 1);
                gone.insert(name.clone(), checks);
            }
        }
        let over: Vec<String> =
            gone.iter().filter(|(_, checks)| **checks >= PATIENCE).map(|(name, _)| name.clone()).collect();
        self.gone = gone;
        for name in over {
            if let Some(one) = protected.iter().find(|one| one.interface == name) {
                if pending(one)?.is_some_and(|pending| pending.is_armed()) {
                    continue;
                }
                let entries = journal::before_detach(std::slice::from_ref(&name)).unwrap_or_default();
                dataplane::detach(std::slice::from_ref(&name))?;
                if let Err(error) = history::Log::default().append(&entries) {
                    self.log
                        .warning(format!("cannot write this change to the history: {:#}", anyhow::Error::from(error)));
                }
            } else {
                dataplane::forget_kept(&name)?;
            }
            self.log.info(format!("{name}: missing for several checks; its pins are removed"));
            // If the name is used again, it is another interface, which was not detached.
            self.seen.remove(&name);
            self.told.remove(&name);
            self.released.remove(&name);
            self.gone.remove(&name);
        }
        Ok(())
    }

    fn fits_a_pattern(&self, name: &str) -> bool {
        let fits = |policy: &Followed| policy.site.interface(name).is_some_and(|said| said.is_pattern());
        self.followed.iter().chain(&self.last_good).any(fits)
    }
}
