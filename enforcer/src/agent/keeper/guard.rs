//! The guard: a program that is on its hook and sees nothing is no protection.

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
    /// Compares what the interfaces have received with what their programs have counted. Where a driver does not run a program of native XDP,
    /// tc takes its place, unless native XDP was asked for by name. Says whether it is worth to look again soon.
    pub(in crate::agent) fn guard(&mut self) -> Result<bool, Failure> {
        let mut found = Vec::new();
        let (mut is_suspicious, mut trouble) = (false, Ok(()));
        {
            // Half of a change is not compared.
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
                    // What was counted before says nothing about the new hook.
                    self.watches.remove(name);
                    self.blind.remove(name);
                    return;
                }
                Err(failure) => format!("{}; it cannot go over to tc: {failure:#}", not_judging(&one.record, received)),
            }
        } else {
            not_judging(&one.record, received)
        };
        if self.blind.insert(name.clone()) {
            self.log.error(format!("{name}: {text}"));
        }
    }

    /// Whether native XDP was asked for by name: by whoever started the agent, or by whoever applied another policy than the agent's.
    fn is_native_by_name(&self, one: &Protected) -> bool {
        let mut policies = self.followed.iter().chain(&self.last_good);
        let asked = match policies.find(|policy| policy.ruleset.hash == one.record.policy_hash) {
            Some(policy) => Some(policy.hook()),
            None => one.record.asked,
        };
        asked == Some(HookChoice::Native)
    }
}
