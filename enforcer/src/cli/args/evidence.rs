//! What `readiness` and `report` know of a running host: one look at everything.

use enforcer_common::Mode;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use super::in_force::{CompiledPolicy, chosen, interfaces, names_a_policy};
use super::interfaces::InterfaceArgs;
use crate::cli::args::policy::PolicyArgs;
use crate::cli::output::Output;
use crate::dataplane::{self, ModeChange, Protected, counters, denied, status};
use crate::failure::Failure;
use crate::observe::readiness::{Facts, InterfaceFacts, Readiness, Thresholds, judge};
use crate::observe::suggest::{Base, suggest};
use crate::observe::suggest::{Denied, Options, Suggestions};
use crate::protect::live::moment::{CutConnection, Moment};
use crate::state::history::{History, Log, audit_time, spans, this_boot};

/// One look at everything.
pub struct Evidence {
    /// The policy.
    pub whole: CompiledPolicy,
    /// The protected interfaces.
    pub protected: Vec<Protected>,
    /// What is known of them.
    pub interfaces: Vec<InterfaceFacts>,
    /// Denied flows.
    pub denied: dataplane::Denied,
    /// The same, sorted out.
    pub suggestions: Suggestions,
    /// Live connections that enforcement would cut.
    pub cut: Vec<CutConnection>,
    /// What was in force when.
    pub history: History,
    /// When this was.
    pub at: Timestamp,
}

impl Evidence {
    /// Looks.
    ///
    /// # Errors
    /// When nothing is protected, its policy is not known, or the kernel does not tell.
    pub fn look(args: &PolicyArgs, output: &mut Output<'_>) -> Result<Self, Failure> {
        let (protected, whole) = Self::policy(args, output)?;
        let hash = protected.first().map_or("", |one| one.record.policy_hash.as_str());
        let names: Vec<&str> = protected.iter().map(|one| one.interface.as_str()).collect();
        writeln!(output.err, "for policy {}, active on {}", short(hash), names.join(", "))?;
        let at = Timestamp::now();
        let history = Log::default().read().or_else(|error| {
            writeln!(
                output.err,
                "{:#}; the duration of audit is unknown, so 0 hours are assumed",
                anyhow::Error::from(error)
            )?;
            Ok::<_, Failure>(History::default())
        })?;
        let outbound = whole.ruleset.settings.outbound_judged;
        let look = |one: &Protected| -> Result<InterfaceFacts, Failure> {
            let status = status(one)?;
            let spans = spans(&history.entries, one.pins.name(), &this_boot(), at);
            Ok(InterfaceFacts {
                enforces: status.modes.inbound == Mode::Enforce
                    && (!outbound || status.modes.outbound == Mode::Enforce),
                audit: audit_time(&spans, &one.record.policy_hash, outbound, &TimeZone::system()),
                counters: counters(one)?,
                status,
            })
        };
        let facts = protected.iter().map(look).collect::<Result<Vec<_>, _>>()?;
        let denied = denied(&protected)?;
        let suggestions = {
            let base =
                Base::new(&whole.site, &whole.tree, &whole.catalogue, &whole.ruleset, ZonedDateTime::now().date());
            let flows: Vec<Denied> = denied.flows.iter().filter_map(Denied::of).collect();
            suggest(&base, &flows, Options::default())
        };
        Ok(Self { cut: cut(&protected)?, whole, protected, interfaces: facts, denied, suggestions, history, at })
    }

    /// One policy, and the interfaces on which it is in force: what was seen and counted is evidence about no other.
    fn policy(args: &PolicyArgs, output: &mut Output<'_>) -> Result<(Vec<Protected>, CompiledPolicy), Failure> {
        if !names_a_policy(args) {
            let protected = InterfaceArgs { interface: interfaces(&args.flags) }.some_protected()?;
            let whole = CompiledPolicy::in_force(&protected, output)?;
            return Ok((protected, whole));
        }
        let protected = InterfaceArgs { interface: chosen(args) }.some_protected()?;
        let whole = CompiledPolicy::of(args, output)?;
        let is_its = |one: &Protected| one.record.policy_hash == whole.ruleset.hash;
        let (its, others): (Vec<_>, Vec<_>) = protected.into_iter().partition(is_its);
        if its.is_empty() {
            let inform = others.first().map_or("", |one| one.record.policy_hash.as_str());
            return Err(Failure::BadInput(anyhow::anyhow!(
                "{} is policy {}, but the traffic was judged by the active policy {}: apply the file in audit and try again, or leave \
                 out the file",
                whole.site.text.name,
                short(&whole.ruleset.hash),
                short(inform)
            )));
        }
        for other in &others {
            writeln!(
                output.err,
                "{}: a different policy is active there, so this interface is left out",
                other.interface
            )?;
        }
        Ok((its, whole))
    }

    /// The hash of the policy that this is about.
    #[must_use]
    pub fn policy_hash(&self) -> &str {
        self.protected.first().map_or("", |one| one.record.policy_hash.as_str())
    }

    /// The verdict.
    #[must_use]
    pub fn judge(&self, thresholds: Thresholds) -> Readiness {
        let facts = Facts {
            site: &self.whole.site,
            interfaces: &self.interfaces,
            denied: &self.suggestions,
            connections: self.cut.len(),
            suppressed: self.denied.suppressed,
            is_full: self.denied.is_full,
            skipped: self.history.skipped,
        };
        judge(&facts, thresholds)
    }
}

/// As much of a hash as tells policies apart.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// What would be cut if everything enforced now.
fn cut(protected: &[Protected]) -> Result<Vec<CutConnection>, Failure> {
    let moment = Moment::now()?;
    let change = ModeChange { mode: Mode::Enforce, inbound: true, outbound: true };
    let mut found = Vec::new();
    for (loaded, outlook) in dataplane::policies_after_change(protected, Some(change))? {
        found.extend(moment.cuts(loaded.lookup(), &loaded, &outlook)?);
    }
    Ok(found)
}
