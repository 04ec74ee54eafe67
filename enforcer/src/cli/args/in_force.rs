//! The policy of a command about what is running: the one that it names, or the one in force.

use std::borrow::Cow;

use jiff::ZonedDateTime;

use super::interfaces::InterfaceArgs;
use crate::cli::args::policy::{PolicyArgs, PolicyFlags};
use crate::cli::output::Output;
use crate::dataplane::Protected;
use crate::failure::Failure;
use crate::policy::catalogue::Catalogue;
use crate::policy::compile::compile;
use crate::policy::ruleset::Ruleset;
use crate::policy::site::{self, Site};
use crate::policy::source::{Error, Flags, Policy, Source};
use crate::state::last_good::State;
use crate::text::diagnostic::Findings;
use crate::text::yaml::{Limits, Node, parse};

/// A policy with everything that it was made of.
#[derive(Debug)]
pub struct CompiledPolicy {
    /// The site.
    pub site: Site,
    /// The tree that it was read from.
    pub tree: Node,
    /// The catalogue.
    pub catalogue: Cow<'static, Catalogue>,
    /// What they compile to.
    pub ruleset: Ruleset,
}

impl CompiledPolicy {
    /// The policy that a command names; where it names none, the one in force on these interfaces.
    ///
    /// # Errors
    /// Everything that is wrong with the policy, or nothing is known of the one in force.
    pub fn of(args: &PolicyArgs, output: &mut Output<'_>) -> Result<Self, Failure> {
        if names_a_policy(args) {
            let whole = args.load_filtered().and_then(|policy| Self::compiled(policy, &args.flags.named()));
            return whole.map_err(Failure::from);
        }
        let protected = InterfaceArgs { interface: interfaces(&args.flags) }.some_protected()?;
        Self::in_force(&protected, output)
    }

    /// The policy in force on these interfaces, compiled again from what was kept when it was applied.
    ///
    /// # Errors
    /// When nothing was kept of it, or they have several.
    pub fn in_force(protected: &[Protected], output: &mut Output<'_>) -> Result<Self, Failure> {
        let hash = protected.first().map(|one| one.record.policy_hash.as_str()).unwrap_or_default();
        if let Some(other) = protected.iter().find(|one| one.record.policy_hash != hash) {
            return Err(Failure::BadInput(anyhow::anyhow!(
                "{} and {} have different policies; choose one with `--interface {}`, or name a site file",
                protected[0].interface,
                other.interface,
                protected[0].interface
            )));
        }
        let kept = protected.iter().find_map(|one| {
            let state = State::of(one.pins.name());
            [state.staged(), state.good()].into_iter().flatten().find(|kept| kept.policy_hash == hash)
        });
        let Some(kept) = kept else {
            return Err(Failure::Failed(anyhow::anyhow!(
                "the source of the active policy was not saved; name its site file"
            )));
        };
        let whole = Policy::of_source(&kept.source).and_then(|policy| Self::compiled(policy, &flags(&kept.source)))?;
        if whole.ruleset.hash != hash {
            writeln!(
                output.err,
                "the source of the active policy compiles to a different policy today (an entry has expired, or the catalogue \
                 is newer); this output is about the new one"
            )?;
        }
        Ok(whole)
    }

    fn compiled(policy: Policy, flags: &Flags) -> Result<Self, Error> {
        let Policy { site, catalogue } = policy;
        let tree = if site.text.name == site::COMMAND_LINE {
            flags.tree(&catalogue).1
        } else {
            let findings = |findings| site::Error::from(Findings(findings));
            parse(&site.text, Limits::SITE).map_err(findings)?
        };
        let ruleset = compile(&site, &catalogue, ZonedDateTime::now().date())?.ruleset;
        Ok(Self { site, tree, catalogue, ruleset })
    }
}

/// Whether a command says which policy it means.
#[must_use]
pub const fn names_a_policy(args: &PolicyArgs) -> bool {
    args.site.is_some() || !args.flags.role.is_empty()
}

/// The protected interfaces that a command about what is running is about. Beside a site file, and where no policy is named,
/// `--interface` chooses; beside `--role` it is part of the policy. None: all of them.
#[must_use]
pub fn chosen(args: &PolicyArgs) -> Vec<String> {
    if args.flags.role.is_empty() { interfaces(&args.flags) } else { Vec::new() }
}

/// Without a role, `--interface` chooses among the protected ones.
#[must_use]
pub fn interfaces(flags: &PolicyFlags) -> Vec<String> {
    flags.interface.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect()
}

fn flags(source: &Source) -> Flags {
    let Source { role, interface, set, peer, catalogue, .. } = source.clone();
    Flags { role, interface, set, peer, catalogue }
}
