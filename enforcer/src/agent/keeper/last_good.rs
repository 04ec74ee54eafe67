//! What the agent does while the site file cannot be used: it applies the last confirmed policies and repairs them.

use super::{Followed, Keeper, targets};
use crate::agent::targets::Look;
use crate::dataplane::here;
use crate::failure::Failure;
use crate::protect::boot::Boot;
use crate::state::last_good::kept;

impl Keeper<'_> {
    /// Applies the last confirmed policy at the start, so that a changed site file needs confirmation as usual and can be reverted.
    pub(super) fn return_to_last_good(&mut self, next: &Followed) -> Result<(), Failure> {
        let kept = targets(next)?.into_iter().filter_map(|target| target.kept);
        let Some(before) = kept.into_iter().find(|kept| !next.is_same_text(kept)) else { return Ok(()) };
        self.keep_last_good()?;
        match Followed::of_source(&before.source) {
            Ok(before) => self.followed = Some(before),
            Err(findings) => findings.iter().for_each(|finding| self.log.warning(finding)),
        }
        Ok(())
    }

    /// Applies the last confirmed policies and follows them. Returns whether there are any.
    pub(in crate::agent) fn keep_last_good(&mut self) -> Result<bool, Failure> {
        let (mut boot, wrong, there) = Boot::read()?;
        for sentence in wrong {
            self.log.warning(sentence);
        }
        let is_any = !there.is_empty() || boot.waiting().next().is_some();
        self.seen.extend(there.into_iter().map(|name| (name, 0)));
        // All interfaces of a policy at once; if this fails, one by one.
        let done = boot.protect()?;
        self.note_applied(&done.applied);
        for (interface, sentence) in done.notes.into_iter().chain(done.failed) {
            self.tell(&interface, &sentence);
        }
        self.protect(Look::Hooks)?;
        Ok(is_any)
    }

    /// Compiles the saved policies, including those that an operator has applied since.
    pub(super) fn read_last_good(&mut self) -> Result<(), Failure> {
        let (kept, _) = kept(here()?).map_err(anyhow::Error::from)?;
        let mut known = std::mem::take(&mut self.last_good);
        for one in kept {
            let is_it = |policy: &Followed| policy.is_same_text(&one);
            if self.last_good.iter().any(is_it) {
                continue;
            }
            match known.iter().position(is_it) {
                Some(at) => self.last_good.push(known.swap_remove(at)),
                None => match Followed::of_source(&one.source) {
                    Ok(policy) => self.last_good.push(policy),
                    Err(findings) => {
                        let why = findings.first().map(ToString::to_string).unwrap_or_default();
                        self.tell(&one.interface, &format!("the last confirmed policy cannot be used: {why}"));
                    }
                },
            }
        }
        Ok(())
    }
}
