//! The guard: finds interfaces whose driver shows the program as attached but does not run it.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Keeper;
use crate::dataplane::{
    AttachMode, Caution, HookChoice, Judging, Protected, Watch, not_judging, protected, reading, sample,
};
use crate::failure::Failure;
use crate::host::links::links;
use crate::protect::judging::leave;

impl Keeper<'_> {
    /// Compares the packets that each interface received with those that its program counted. An interface whose driver does not run the
    /// native XDP program is switched to tc, unless native XDP was requested by name. Returns whether to check again soon.
    pub(in crate::agent) fn guard(&mut self) -> Result<bool, Failure> {
        let mut found = Vec::new();
        let (mut is_suspicious, mut trouble) = (false, Ok(()));
        {
            // No change of the pins is in progress meanwhile.
            let _reading = reading()?;
            let (links, at) = (links()?, Instant::now());
            let mut watches = std::mem::take(&mut self.watches);
            let mut kept = BTreeMap::new();
            for one in protected(&[])? {
                let now = match sample(&one, &links) {
                    Ok(Some(now)) => now,
                    Ok(None) => continue,
                    // The others are compared all the same.
                    Err(error) => {
                        trouble = Err(error);
                        continue;
                    }
                };
                let mut watch = watches.remove(&one.interface).unwrap_or_else(|| Watch::new(Caution::LASTING));
                let judging = watch.look(now, at);
                is_suspicious |= judging == Judging::Unknown && watch.is_suspicious(now);
                kept.insert(one.interface.clone(), watch);
                found.push((one, judging));
            }
            self.watches = kept;
        }
        for (one, judging) in found {
            match judging {
                Judging::Yes => {
                    self.blind.remove(&one.interface);
                }
                Judging::Unknown => {}
                Judging::No(received) => self.settle_blindness(&one, received),
            }
        }
        let watches = &self.watches;
        self.blind.retain(|name| watches.contains_key(name));
        self.numbers.numbers().blind = self.blind.len() as u64;
        trouble?;
        Ok(is_suspicious)
    }

    fn settle_blindness(&mut self, one: &Protected, received: u64) {
        let name = &one.interface;
        let text = if one.record.inbound.attach_mode == AttachMode::Native && !self.is_native_by_name(one) {
            match leave(name, received) {
                Ok(text) => {
                    self.log.warning(format!("{name}: {text}"));
                    self.numbers.numbers().left_native += 1;
                    // The counts of the old hook do not apply to the new one.
                    self.watches.remove(name);
                    self.blind.remove(name);
                    return;
                }
                Err(failure) => format!("{}; switching to tc failed: {failure:#}", not_judging(&one.record, received)),
            }
        } else {
            not_judging(&one.record, received)
        };
        if self.blind.insert(name.clone()) {
            self.log.error(format!("{name}: {text}"));
        }
    }

    /// Whether native XDP was requested by name: for the agent, or by the `apply` of a policy that is not the agent's.
    fn is_native_by_name(&self, one: &Protected) -> bool {
        let mut policies = self.followed.iter().chain(&self.last_good);
        let asked = match policies.find(|policy| policy.ruleset.hash == one.record.policy_hash) {
            Some(policy) => Some(policy.hook()),
            None => one.record.asked,
        };
        asked == Some(HookChoice::Native)
    }
}
