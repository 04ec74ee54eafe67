//! The policy of a command about what is running: the one that it names, or the one in force.

use std::borrow::Cow;

use jiff::Zoned;

use super::interfaces::InterfaceArgs;
use super::policy_args::{Error, Policy, PolicyArgs, PolicyFlags};
use super::{Failure, Output, load_catalogue};
use crate::catalogue::Catalogue;
use crate::compile::compile;
use crate::dataplane::Protected;
use crate::diagnostic::Text;
use crate::ruleset::Ruleset;
use crate::site::{self, Site};
use crate::state::{Source, State};
use crate::yaml::{Limits, Node, parse};

/// A policy with everything that it was made of.
#[derive(Debug)]
pub struct Whole {
    /// The site.
    pub site: Site,
    /// The tree that it was read from.
    pub tree: Node,
    /// The catalogue.
    pub catalogue: Cow<'static, Catalogue>,
    /// What they compile to.
    pub ruleset: Ruleset,
}

impl Whole {
    /// The policy that a command names; where it names none, the one in force on these interfaces.
    ///
    /// # Errors
    /// Everything that is wrong with the policy, or nothing is known of the one in force.
    pub fn of(args: &PolicyArgs, output: &mut Output<'_>) -> Result<Self, Failure> {
        if names_a_policy(args) {
            return Self::read(args, None).or_else(|error| Err(error.report(output)?));
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
                "{} and {} have different policies: choose by `--interface {}`, or name a site file",
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
                "nothing is kept of what the policy in force was made of; name its site file"
            )));
        };
        let (args, text) = arguments(&kept.source);
        let whole = match Self::read(&args, text) {
            Ok(whole) => whole,
            Err(error) => return Err(error.report(output)?),
        };
        if whole.ruleset.hash != hash {
            writeln!(
                output.err,
                "what the policy in force was made of compiles to another one today (an entry has expired, or the catalogue \
                 is a newer one); this is said of the new one"
            )?;
        }
        Ok(whole)
    }

    fn read(args: &PolicyArgs, text: Option<Text>) -> Result<Self, Error> {
        let (policy, tree) = match text {
            Some(text) => {
                let catalogue = load_catalogue(args.flags.catalogue.as_deref())?;
                let site = site::read(text, &catalogue).map_err(site::Error::from)?;
                let tree = tree_of(&site)?;
                (Policy { site, catalogue }, tree)
            }
            None => {
                let policy = args.load()?;
                let tree = match &args.site {
                    Some(_) => tree_of(&policy.site)?,
                    None => args.flags.tree(&policy.catalogue).1,
                };
                (policy, tree)
            }
        };
        let Policy { site, catalogue } = policy;
        let ruleset = compile(&site, &catalogue, Zoned::now().date())?.ruleset;
        Ok(Self { site, tree, catalogue, ruleset })
    }
}

/// Whether a command says which policy it means.
#[must_use]
pub const fn names_a_policy(args: &PolicyArgs) -> bool {
    args.site.is_some() || !args.flags.role.is_empty()
}

/// Without a role, `--interface` chooses among the protected ones.
#[must_use]
pub fn interfaces(flags: &PolicyFlags) -> Vec<String> {
    flags.interface.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect()
}

fn tree_of(site: &Site) -> Result<Node, Error> {
    parse(&site.text, Limits::SITE).map_err(|findings| site::Error::from(crate::diagnostic::Findings(findings)).into())
}

/// The arguments that were given, and the text that the site file had.
fn arguments(source: &Source) -> (PolicyArgs, Option<Text>) {
    let Source { site, text, role, interface, set, peer, catalogue, hook: _ } = source.clone();
    let text = site.as_ref().zip(text).map(|(path, text)| {
        let name = if path == "-" { "<stdin>" } else { path };
        Text::new(name, text)
    });
    let flags = PolicyFlags { role, interface, set, peer, catalogue };
    (PolicyArgs { site: None, flags }, text)
}
