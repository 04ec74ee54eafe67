//! The policy that the agent follows: reading, compiling, and comparing it with the saved one.

use clap::ValueEnum as _;
use jiff::civil::Date;
use jiff::{Timestamp, ZonedDateTime};

use crate::host::trusted::Pipes;
use crate::policy::compile::{self, Compiled};
use crate::policy::ruleset::Ruleset;
use crate::policy::site::Site;
use crate::policy::source::{Error, HookChoice, Named, Policy, Source};
use crate::state::last_good::LastGood;
use crate::text::diagnostic::Diagnostic;

/// A compiled policy.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) site: Site,
    pub(super) ruleset: Ruleset,
    pub(super) source: Source,
    /// Where the policy came from, for `status`.
    pub(super) origin: String,
    /// The day for which it was compiled: rules with an expiry date depend on it.
    pub(super) day: Date,
    /// When the policy was compiled.
    pub(super) compiled: Timestamp,
    pub(super) warnings: usize,
}

impl Followed {
    /// Reads and compiles the policy.
    pub(super) fn read(named: &Named, hook: HookChoice) -> Result<Self, Vec<Diagnostic>> {
        let policy = named.load(Pipes::Refused).map_err(Error::findings)?;
        let source = named.source(&policy.site, hook);
        Self::compile(policy, source)
    }

    /// Compiles a saved policy for today.
    pub(super) fn of_source(source: &Source) -> Result<Self, Vec<Diagnostic>> {
        Self::compile(Policy::of_source(source).map_err(Error::findings)?, source.clone())
    }

    fn compile(Policy { site, catalogue }: Policy, source: Source) -> Result<Self, Vec<Diagnostic>> {
        let (day, compiled) = (today(), Timestamp::now());
        let Compiled { ruleset, warnings } =
            compile::compile(&site, &catalogue, day).map_err(|error| Error::from(error).findings())?;
        let origin = source.site.clone().unwrap_or_else(|| "command line".to_owned());
        Ok(Self { site, ruleset, source, origin, day, compiled, warnings: warnings.len() })
    }

    /// Whether the policy was compiled on another day, so that rules may have expired since.
    pub(super) fn is_of_another_day(&self) -> bool {
        self.day != today()
    }

    /// The hook that the operator chose.
    pub(super) fn hook(&self) -> HookChoice {
        HookChoice::from_str(&self.source.hook, true).unwrap_or(HookChoice::Auto)
    }

    /// Whether the saved policy was made from the same text.
    pub(super) fn is_same_text(&self, kept: &LastGood) -> bool {
        let Source { text, role, interface, set, peer, catalogue, site: _, hook: _, estate: _ } = &kept.source;
        let own = &self.source;
        (text, role, interface, set, peer, catalogue)
            == (&own.text, &own.role, &own.interface, &own.set, &own.peer, &own.catalogue)
    }
}

fn today() -> Date {
    ZonedDateTime::now().date()
}

#[cfg(test)]
mod tests {
    use enforcer_common::Mode;

    use super::*;
    use crate::host::netns::Netns;
    use crate::policy::catalogue;
    use crate::policy::modes::Modes;
    use crate::text::diagnostic::Text;

    fn site(mode: &str) -> String {
        format!("interfaces: [eth0]\nroles: [unity-connection]\n{mode}")
    }

    fn followed(text: &str) -> Followed {
        let catalogue = catalogue::embedded().unwrap();
        let site = crate::policy::site::read(Text::new("site.yaml", text), catalogue).unwrap();
        let day = ZonedDateTime::now().date();
        let Compiled { ruleset, warnings } = compile::compile(&site, catalogue, day).unwrap();
        let source = Source { site: Some("site.yaml".to_owned()), text: Some(text.to_owned()), ..Source::default() };
        let (origin, compiled) = (String::new(), Timestamp::now());
        Followed { site, ruleset, source, origin, day, compiled, warnings: warnings.len() }
    }

    fn kept(text: &str, modes: Modes) -> LastGood {
        let source = Source { site: Some("other.yaml".to_owned()), text: Some(text.to_owned()), ..Source::default() };
        LastGood::new("eth0", Netns { inode: 1, is_machine: false }, modes, &source, "hash")
    }

    #[test]
    fn a_policy_is_known_again_by_its_text() {
        let audit = site("mode: audit\n");
        let now = followed(&format!("{audit}icmp_echo: none\n"));
        assert!(!now.is_same_text(&kept(&audit, Modes::both(Mode::Enforce))));
        assert!(followed(&audit).is_same_text(&kept(&audit, Modes::both(Mode::Enforce))));
    }
}
