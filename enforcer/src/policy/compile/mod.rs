//! The compiler: a site and the catalogue to a [`Ruleset`]. Pure: no file, no clock, no system call.
//!
//! Rules stand in a fixed order, whatever the order of the files: deny before permit before internal, the site's before the
//! roles', then by id, direction, protocol and peers. Where several match a packet, the first of the deciding kind is counted:
//!
//! 1. a deny rule that enforces; 2. a deny rule that is in audit by itself; 3. a permit; 4. `peer`, where permits name the
//!    port but not this source; 5. `internal`; 6. nothing, which is `no-rule`.

mod elsewhere;
mod ended;
mod hash;
mod inbound;
mod outbound;
mod prefixes;
mod printed;
mod remote;
mod rules;
mod sources;
mod tables;
mod warnings;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use enforcer_common::layout::RULE_SLOTS;
use jiff::civil::Date;

use crate::policy::catalogue::{Catalogue, EvalError};
use crate::policy::ranges::Ranges4;
use crate::policy::ruleset::{Rule, Ruleset, Settings};
use crate::policy::site::Site;
use crate::text::diagnostic::Diagnostic;
pub use ended::mark_ended;
use rules::Drafts;
use sources::Sources;

/// What compiling gives.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What is loaded.
    pub ruleset: Ruleset,
    /// What the operator should know.
    pub warnings: Vec<Diagnostic>,
}

/// Why a site cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An entry of a port table names a rule in 16 bits.
    #[error("the site compiles to {0} rules, and 65536 is the most that the port tables can name")]
    TooManyRules(usize),
    /// Each rule has a counter of its own.
    #[error(
        "the site compiles to {0} rules with different names, but at most {RULE_SLOTS} rules can be counted; fewer rules with more \
         peers, sources or ports permit the same"
    )]
    TooManyCounters(usize),
    /// The class matrix would not fit.
    #[error(
        "the rules tell {sources} classes of remote addresses and {services} classes of services apart; their table would \
         have more than {limit} entries. Rules that name peers instead of single addresses share classes"
    )]
    TooManyClasses {
        /// Columns.
        sources: usize,
        /// Rows.
        services: usize,
        /// Entries at most.
        limit: usize,
    },
    /// A port of a role cannot be evaluated with the site's parameters.
    #[error("`{rule}`: {cause}")]
    Port {
        /// Id of the rule.
        rule: String,
        /// Why.
        cause: EvalError,
    },
}

/// Compiles a site. `today` decides which of its rules have expired.
///
/// # Errors
///
/// More rules or classes than the tables can name.
pub fn compile(site: &Site, catalogue: &Catalogue, today: Date) -> Result<Compiled, Error> {
    let mut drafts = Drafts::default();
    let mut warnings = Vec::new();
    rules::site_rules(site, today, &mut drafts, &mut warnings);
    inbound::services(site, catalogue, &mut drafts)?;
    outbound::connections(site, catalogue, &mut drafts)?;
    let settings = Settings { outbound_judged: site.outbound_judged, scope: site.scope, flows: site.flows };
    let ruleset = assemble(drafts.into_rules(), settings)?;
    warnings::warnings(site, catalogue, (&ruleset.rules, &ruleset.tables), today, &mut warnings);
    warnings.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
    // Two roles that include a third bring its warnings twice.
    let mut said = HashSet::new();
    warnings.retain(|warning| said.insert(warning.message.clone()));
    Ok(Compiled { ruleset, warnings })
}

/// The ruleset of rules that stand in the documented order.
///
/// # Errors
///
/// More rules or classes than the tables can name.
pub fn assemble(rules: Vec<Rule>, settings: Settings) -> Result<Ruleset, Error> {
    if rules.len() > 1 << 16 {
        return Err(Error::TooManyRules(rules.len()));
    }
    let counters = rules.iter().map(|rule| (rule.direction, rule.action, &rule.id)).collect::<BTreeSet<_>>().len();
    if counters > RULE_SLOTS as usize {
        return Err(Error::TooManyCounters(counters));
    }
    let sources = Sources::of(&rules);
    let (tables, columns) = tables::build(&rules, &sources)?;
    let prefixes: BTreeMap<_, _> = sources.prefixes(&columns);
    let hash = hash::policy_hash(&rules, &settings);
    let ranges = Ranges4::of(&prefixes);
    Ok(Ruleset { hash, rules, tables, prefixes, ranges, settings })
}
