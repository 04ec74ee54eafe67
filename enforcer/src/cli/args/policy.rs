//! The policy of a command: a site file, or the same as options.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use jiff::ZonedDateTime;

use crate::cli::completions;
use crate::cli::output::Output;
use crate::failure::Failure;
use crate::host::trusted::Pipes;
use crate::policy::compile::{self, Compiled};
use crate::policy::source::{Error, Flags, Named, Policy};
use crate::text::diagnostic::count;
use crate::text::escape::line;

/// A site file, or the same as options.
#[derive(Clone, Debug, Default, Args)]
pub struct PolicyArgs {
    /// Site file or estate; `-` reads standard input.
    #[arg(value_name = "SITE", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["role", "set", "peer"])]
    pub site: Option<String>,
    /// Host of the estate. Default: the host that has an address of this machine.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["role", "set", "peer"])]
    pub host: Option<String>,
    /// The same as options.
    #[command(flatten)]
    pub flags: PolicyFlags,
}

const HEADING: &str = "Policy without a file";

/// A policy as options.
#[derive(Clone, Debug, Default, Args)]
pub struct PolicyFlags {
    /// Roles of this host.
    #[arg(long, value_name = "NAME[,NAME]", help_heading = HEADING, add = ArgValueCompleter::new(completions::roles))]
    pub role: Vec<String>,
    /// Interfaces to protect.
    #[arg(long, value_name = "IF[,IF]", help_heading = HEADING, add = ArgValueCompleter::new(completions::interfaces))]
    pub interface: Vec<String>,
    /// Set a parameter of one role, or of every role that has it.
    #[arg(long, value_name = "[ROLE.]KEY=VALUE", help_heading = HEADING, add = ArgValueCompleter::new(completions::settings))]
    pub set: Vec<String>,
    /// Bind addresses to a peer.
    #[arg(long, value_name = "NAME=CIDR[,CIDR]", help_heading = HEADING, add = ArgValueCompleter::new(completions::peers))]
    pub peer: Vec<String>,
    /// Read the catalogue from this directory instead of the built-in one.
    #[arg(long, value_name = "DIR", help_heading = HEADING)]
    pub catalogue: Option<PathBuf>,
}

impl PolicyArgs {
    /// Reads the policy.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the site or the catalogue.
    pub fn load(&self) -> Result<Policy, Error> {
        self.named().load(Pipes::Allowed)
    }

    /// The same for commands in which `--interface` beside a site file chooses among the protected interfaces.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the site or the catalogue.
    pub fn load_filtered(&self) -> Result<Policy, Error> {
        let mut named = self.named();
        if named.site.is_some() {
            named.flags.interface.clear();
        }
        named.load(Pipes::Allowed)
    }

    /// Where the policy is read from.
    #[must_use]
    pub fn named(&self) -> Named {
        Named { site: self.site.clone(), host: self.host.clone(), flags: self.flags.named() }
    }

    /// Reads and compiles the policy, and prints how many warnings there are.
    ///
    /// # Errors
    ///
    /// [`Failure::Invalid`], with everything that is wrong.
    pub fn compile(&self, output: &mut Output<'_>) -> Result<(Policy, Compiled), Failure> {
        let policy = self.load()?;
        let compiled =
            compile::compile(&policy.site, &policy.catalogue, ZonedDateTime::now().date()).map_err(Error::from)?;
        if !compiled.warnings.is_empty() {
            let warnings = count(compiled.warnings.len(), "warning");
            writeln!(output.err, "{}: {warnings}; `enforcer check` shows them", line(&policy.site.text.name))?;
        }
        Ok((policy, compiled))
    }
}

impl PolicyFlags {
    /// The flags, without what clap needs to know of them.
    #[must_use]
    pub fn named(&self) -> Flags {
        let Self { role, interface, set, peer, catalogue } = self.clone();
        Flags { role, interface, set, peer, catalogue }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use expect_test::{Expect, expect};

    use super::*;
    use crate::policy::site;
    use crate::text::diagnostic::Text;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        policy: PolicyArgs,
    }

    #[test]
    fn flags_make_the_site_that_a_file_makes() {
        let flags = load(
            "--role unity-connection,cce-router --interface eth0 --interface eth1 --set side=a --set cce-router.instance=2 \
             --set sip_ports=5060,5070-5080 --peer cluster=10.1.1.10,10.1.1.11 --peer cluster=2001:db8::1",
        );
        let file = "interfaces: [eth0, eth1]\nroles:\n  - {role: unity-connection, sip_ports: [5060, 5070-5080]}\n  \
                    - {role: cce-router, side: a, instance: 2}\npeers: {cluster: [10.1.1.10/31, \"2001:db8::1\"]}\n";
        let flags = flags.unwrap();
        let file = site::read(Text::new("site.yaml", file), &flags.catalogue).unwrap();
        let hash =
            |site| compile::compile(site, &flags.catalogue, jiff::civil::date(2026, 11, 22)).unwrap().ruleset.hash;
        assert_eq!(flags.site.interfaces, file.interfaces);
        assert_eq!(hash(&flags.site), hash(&file));
    }

    #[test]
    fn errors_point_into_the_command_line() {
        check(
            "--role cce-router,vbv --set sid=a --set cuic.x=1 --set side --peer phones --peer cluster=10.1 --interface lo",
            &expect![[r#"
                error: the role `cce-router` needs `side`: `a` or `b`
                 --> <command line>:1:8
                  |
                1 | --role cce-router,vbv --interface lo --set sid=a --set cuic.x=1 --set side --peer phones --peer cluster=10.1
                  |        ^^^^^^^^^^
                  |
                  = help: write `--set side=…`. Side of the duplexed pair this host is.

                error: no role is called `vbv`
                 --> <command line>:1:19
                  |
                1 | --role cce-router,vbv --interface lo --set sid=a --set cuic.x=1 --set side --peer phones --peer cluster=10.1
                  |                   ^^^
                  |
                  = help: did you mean `vvb`?

                error: `lo` cannot be protected
                 --> <command line>:1:35
                  |
                1 | --role cce-router,vbv --interface lo --set sid=a --set cuic.x=1 --set side --peer phones --peer cluster=10.1
                  |                                   ^^
                  |
                  = help: programs of one host talk over it; name the interfaces that lead to others

                error: `cuic` is not among the roles of `--role`
                 --> <command line>:1:56
                  |
                1 | --role cce-router,vbv --interface lo --set sid=a --set cuic.x=1 --set side --peer phones --peer cluster=10.1
                  |                                                        ^^^^^^

                error: expected `key=value` or `role.key=value`
                 --> <command line>:1:71
                  |
                 ::: 
                1 | …-router,vbv --interface lo --set sid=a --set cuic.x=1 --set side --peer phones --peer cluster=10.1
                  |                                                              ^^^^

                error: expected `name=address`
                 --> <command line>:1:83
                  |
                 ::: 
                1 | …--interface lo --set sid=a --set cuic.x=1 --set side --peer phones --peer cluster=10.1
                  |                                                              ^^^^^^

                error: `10.1` is not an address or prefix
                 --> <command line>:1:105
                  |
                 ::: 
                1 | …id=a --set cuic.x=1 --set side --peer phones --peer cluster=10.1
                  |                                                              ^^^^
                  |
                  = help: write it such as `10.1.1.10`, `10.20.0.0/16` or `2001:db8::/64`
            "#]],
        );
    }

    #[test]
    fn a_setting_that_no_role_has() {
        check(
            "--role vvb --set side=a",
            &expect![[r#"
            error: none of the roles has a parameter `side`
             --> <command line>:1:18
              |
            1 | --role vvb --set side=a
              |                  ^^^^
        "#]],
        );
    }

    #[test]
    fn neither_a_file_nor_a_role() {
        check(
            "",
            &expect![[r#"
            error: name a site file, or at least one `--role`
        "#]],
        );
        check(
            "--interface eth0",
            &expect![[r#"
            error: name a site file, or at least one `--role`
        "#]],
        );
    }

    fn load(line: &str) -> Result<Policy, Error> {
        let arguments = std::iter::once("enforcer").chain(line.split_whitespace());
        Command::try_parse_from(arguments).unwrap().policy.load()
    }

    fn check(line: &str, expected: &Expect) {
        let findings = load(line).unwrap_err().findings();
        let rendered: Vec<String> = findings.iter().map(|finding| finding.render(false)).collect();
        expected.assert_eq(&(rendered.join("\n\n") + "\n"));
    }
}
