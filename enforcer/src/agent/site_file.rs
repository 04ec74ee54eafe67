//! The site file: reads it when it may have changed, applies it, and reports when this fails.

use std::time::{Duration, Instant};

use super::Agent;
use super::due::Work;
use super::keeper::{Occasion, PolicyOutcome};
use super::policy::Followed;
use super::seen::Seen;
use crate::dataplane::Pending;
use crate::text::diagnostic::Diagnostic;

impl Agent<'_> {
    /// Reads the site file. Applies it if it has changed, if it could not be applied before, or if the caller wants everything
    /// checked again.
    pub(super) fn read(&mut self, is_reload: bool) {
        if self.options.policy.site.as_deref() == Some("-") {
            return;
        }
        let next = Followed::read(&self.options.policy, self.options.hook);
        let seen = Seen::of(&next);
        let is_new = self.last_read.as_ref() != Some(&seen);
        self.last_read = Some(seen);
        match next {
            Err(findings) if is_new => {
                self.numbers.numbers().reload_failures += 1;
                self.say_broken(&findings);
            }
            Err(_) => {}
            Ok(next) => {
                let occasion = if is_new || is_reload { Occasion::Reload } else { Occasion::Again };
                if is_new {
                    self.say_warnings(&next);
                }
                if occasion == Occasion::Reload || self.is_due(&next) {
                    self.follow(next, occasion);
                }
            }
        }
    }

    /// Whether to apply the file although it has not changed.
    fn is_due(&mut self, next: &Followed) -> bool {
        // The change was not confirmed before its deadline, and applying it again would end in the same way.
        if self.keeper.is_refused(next) {
            return false;
        }
        self.trouble.is_some()
            || self.keeper.followed().is_none_or(|followed| followed.ruleset.hash != next.ruleset.hash)
    }

    fn follow(&mut self, next: Followed, occasion: Occasion) {
        let hash = next.ruleset.hash.clone();
        match self.keeper.follow(next, occasion) {
            Ok(PolicyOutcome::InForce) => {
                self.trouble = None;
                self.numbers.numbers().reloads += 1;
                self.log.info(format!("policy {} is active", hash.get(..16).unwrap_or(&hash)));
            }
            Ok(PolicyOutcome::Postponed(pending)) => self.postpone(&pending),
            Err(failure) => {
                let trouble = format!("{failure:#}");
                if self.trouble.as_ref() != Some(&trouble) {
                    self.numbers.numbers().reload_failures += 1;
                    self.log.error(format!("the previous policy stays active: {trouble}"));
                }
                self.not_in_force(trouble);
            }
        }
    }

    pub(super) fn postpone(&mut self, pending: &Pending) {
        let trouble =
            format!("another change waits for confirmation until {}; this change is applied after that", pending.at());
        if self.trouble.as_ref() != Some(&trouble) {
            self.log.warning(format!("the site file: {trouble}"));
        }
        self.not_in_force(trouble);
        // The other change is confirmed or reverted soon: check again after a moment, and with every check.
        self.due.again(Work::Check, Instant::now() + Duration::from_secs(2));
    }

    pub(super) fn say_broken(&mut self, findings: &[Diagnostic]) {
        for finding in findings {
            self.log.error(finding);
        }
        self.log.error("the site file cannot be used; the previous policy stays active");
        self.not_in_force(findings.first().map(ToString::to_string).unwrap_or_default());
    }

    pub(super) fn not_in_force(&mut self, trouble: String) {
        self.keeper.stray();
        self.trouble = Some(trouble);
    }

    pub(super) fn say_warnings(&self, next: &Followed) {
        if next.warnings > 0 {
            self.log.info(format!("{}: {} warnings; `enforcer check` shows them", next.origin, next.warnings));
        }
    }
}
