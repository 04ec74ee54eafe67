//! The policy of a command: a site file, or the same in flags.

use std::borrow::Cow;
use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use jiff::Zoned;

use crate::cli::check::count;
use crate::cli::{Failure, Output, completions};
use crate::host::trusted::Pipes;
use crate::policy::catalogue::{self, Catalogue};
use crate::policy::compile::{self, Compiled};
use crate::policy::site::{self, Site};
use crate::state::last_good::Source;
use crate::text::diagnostic::{Diagnostic, Findings, Position, Text};
use crate::text::nearest::did_you_mean;
use crate::text::yaml::{Node, Value};

/// A site file, or flags that say the same.
#[derive(Clone, Debug, Default, Args)]
pub struct PolicyArgs {
    /// Site file; `-` reads standard input.
    #[arg(value_name = "SITE", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["role", "interface", "set", "peer"])]
    pub site: Option<String>,
    /// The same in flags.
    #[command(flatten)]
    pub flags: PolicyFlags,
}

const HEADING: &str = "Policy without a file";

/// A policy in flags.
#[derive(Clone, Debug, Default, Args)]
pub struct PolicyFlags {
    /// Roles of this host.
    #[arg(long, value_name = "NAME[,NAME]", help_heading = HEADING, add = ArgValueCompleter::new(completions::roles))]
    pub role: Vec<String>,
    /// Interfaces to protect.
    #[arg(long, value_name = "IF[,IF]", help_heading = HEADING, add = ArgValueCompleter::new(completions::interfaces))]
    pub interface: Vec<String>,
    /// A parameter, of one role or of all that have it.
    #[arg(long, value_name = "[ROLE.]KEY=VALUE", help_heading = HEADING, add = ArgValueCompleter::new(completions::settings))]
    pub set: Vec<String>,
    /// Addresses of a peer.
    #[arg(long, value_name = "NAME=CIDR[,CIDR]", help_heading = HEADING, add = ArgValueCompleter::new(completions::peers))]
    pub peer: Vec<String>,
    /// A catalogue instead of the built-in one.
    #[arg(long, value_name = "DIR", help_heading = HEADING)]
    pub catalogue: Option<PathBuf>,
}

/// A site and the catalogue that it is bound to.
#[derive(Debug)]
pub struct Policy {
    /// The site.
    pub site: Site,
    /// The catalogue.
    pub catalogue: Cow<'static, Catalogue>,
}

/// Why a command has no policy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a file nor flags.
    #[error("name a site file, or at least one `--role`")]
    Nothing,
    /// The catalogue is wrong.
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// The site is wrong.
    #[error(transparent)]
    Site(#[from] site::Error),
    /// It cannot be compiled.
    #[error(transparent)]
    Compile(#[from] compile::Error),
}

impl PolicyArgs {
    /// Reads the policy.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the site or the catalogue.
    pub fn load(&self) -> Result<Policy, Error> {
        self.flags.load(self.site.as_deref(), Pipes::Allowed)
    }

    /// The same for whoever reads it again and again, and must never wait: a site file that is a pipe is refused.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the site or the catalogue.
    pub fn load_again(&self) -> Result<Policy, Error> {
        self.flags.load(self.site.as_deref(), Pipes::Refused)
    }

    /// Reads and compiles the policy, and prints how many warnings there are.
    ///
    /// # Errors
    ///
    /// [`Failure::BadInputReported`], after printing everything that is wrong.
    pub fn compile(&self, output: &mut Output<'_>) -> Result<(Policy, Compiled), Failure> {
        let compiled = self.load().and_then(|policy| {
            let compiled = compile::compile(&policy.site, &policy.catalogue, Zoned::now().date())?;
            Ok((policy, compiled))
        });
        match compiled {
            Ok((policy, compiled)) => {
                if !compiled.warnings.is_empty() {
                    let warnings = count(compiled.warnings.len(), "warning");
                    writeln!(output.err, "{}: {warnings}; `enforcer check` shows them", policy.site.text.name)?;
                }
                Ok((policy, compiled))
            }
            Err(error) => Err(error.report(output)?),
        }
    }
}

impl Policy {
    /// The policy that was compiled from this before, without a look at the file: it may be another by now.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the site or the catalogue.
    pub fn of_source(source: &Source) -> Result<Self, Error> {
        let Source { role, interface, set, peer, catalogue, .. } = source.clone();
        let flags = PolicyFlags { role, interface, set, peer, catalogue };
        match (&source.site, &source.text) {
            (Some(site), Some(text)) => {
                let catalogue = load_catalogue(flags.catalogue.as_deref())?;
                let site = site::read(Text::new(site, text), &catalogue).map_err(site::Error::from)?;
                Ok(Self { site, catalogue })
            }
            _ => flags.load(None, Pipes::Refused),
        }
    }
}

impl PolicyFlags {
    /// Reads the policy of a site file, or of these flags where there is none.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the site or the catalogue.
    pub fn load(&self, site: Option<&str>, pipes: Pipes) -> Result<Policy, Error> {
        let catalogue = load_catalogue(self.catalogue.as_deref())?;
        let site = match site {
            Some(path) => site::load(path, &catalogue, pipes)?,
            None if self.role.is_empty() => return Err(Error::Nothing),
            None => {
                let (text, root, findings) = self.tree(&catalogue);
                site::from_tree(text, &root, &catalogue, findings, false).map_err(site::Error::from)?
            }
        };
        Ok(Policy { site, catalogue })
    }

    /// The flags as the tree that a site file would have, with places in the command line.
    pub(in crate::cli) fn tree(&self, catalogue: &Catalogue) -> (Text, Node, Vec<Diagnostic>) {
        let mut line = Line::default();
        let mut findings = Vec::new();
        let mut roles: Vec<(Node, Vec<(Node, Node)>)> = Vec::new();
        for name in line.list("--role", &self.role) {
            roles.push((name, Vec::new()));
        }
        let interfaces = line.list("--interface", &self.interface);
        for setting in &self.set {
            line.flag("--set");
            let whole = line.push(setting);
            match setting.split_once('=') {
                Some((key, value)) => {
                    let value = Node::scalar(part(whole, setting, value), value);
                    let key_at = Position { length: length(key), ..whole };
                    set(&mut roles, (key, key_at), &value, catalogue, &mut findings);
                }
                None => findings.push((whole, "expected `key=value` or `role.key=value`".to_owned(), None)),
            }
        }
        let mut peers: Vec<(Node, Node)> = Vec::new();
        for peer in &self.peer {
            line.flag("--peer");
            let whole = line.push(peer);
            match peer.split_once('=') {
                Some((name, list)) => {
                    let key = Node::scalar(Position { length: length(name), ..whole }, name);
                    let items: Vec<Node> = list
                        .split(',')
                        .filter(|item| !item.is_empty())
                        .map(|item| Node::scalar(part(whole, peer, item), item))
                        .collect();
                    if items.is_empty() {
                        findings.push((whole, format!("`{name}` has no addresses"), None));
                    }
                    // The flag may be repeated for one peer: its addresses add up.
                    let known = peers.iter_mut().find(|(k, _)| k.value == key.value);
                    match known {
                        Some((_, Node { value: Value::Sequence(all), .. })) => all.extend(items),
                        _ => peers.push((key, Node { at: whole, value: Value::Sequence(items) })),
                    }
                }
                None => findings.push((whole, "expected `name=address`".to_owned(), None)),
            }
        }
        let roles = roles.into_iter().map(|(name, settings)| {
            let at = name.at;
            let fields = std::iter::once((Node::scalar(at, "role"), name)).chain(settings).collect();
            Node { at, value: Value::Mapping(fields) }
        });
        let start = Position { line: 1, column: 1, length: 1 };
        let entry = |key: &str, value| (Node::scalar(start, key), Node { at: start, value });
        let mut fields = vec![entry("roles", Value::Sequence(roles.collect())), entry("peers", Value::Mapping(peers))];
        if !interfaces.is_empty() {
            fields.push(entry("interfaces", Value::Sequence(interfaces)));
        }
        let text = Text::new(site::COMMAND_LINE, line.text);
        let findings = findings.into_iter().map(|(at, message, hint)| text.error(at, message).with_hint_if(hint));
        let findings = findings.collect();
        (text, Node { at: start, value: Value::Mapping(fields) }, findings)
    }
}

impl Error {
    /// The findings in it, to be printed as JSON or text; one without a place if it is none about a text.
    #[must_use]
    pub fn findings(self) -> Vec<Diagnostic> {
        match self {
            Self::Catalogue(catalogue::Error::Invalid(Findings(findings)))
            | Self::Site(site::Error::Invalid(Findings(findings))) => findings,
            other @ (Self::Nothing | Self::Catalogue(_) | Self::Site(_) | Self::Compile(_)) => {
                vec![Diagnostic::plain(other.to_string())]
            }
        }
    }

    /// Prints what is wrong and returns the failure that goes with it.
    ///
    /// # Errors
    ///
    /// Standard error cannot be written to.
    pub fn report(self, output: &mut Output<'_>) -> Result<Failure, Failure> {
        output.report(&self.findings())?;
        Ok(Failure::BadInputReported)
    }
}

/// The catalogue in a directory, or the built-in one.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn load_catalogue(directory: Option<&std::path::Path>) -> Result<Cow<'static, Catalogue>, catalogue::Error> {
    match directory {
        Some(directory) => Ok(Cow::Owned(catalogue::from_directory(directory)?)),
        None => catalogue::embedded().map(Cow::Borrowed).map_err(|findings| findings.clone().into()),
    }
}

type Finding = (Position, String, Option<String>);

/// Gives a setting to the role that it names, or to every role that has the parameter.
fn set(
    roles: &mut [(Node, Vec<(Node, Node)>)],
    (key, at): (&str, Position),
    value: &Node,
    catalogue: &Catalogue,
    findings: &mut Vec<Finding>,
) {
    let name_of = |node: &Node| match &node.value {
        Value::Scalar { text, .. } => text.clone(),
        Value::Sequence(_) | Value::Mapping(_) => String::new(),
    };
    let (role, parameter) = match key.split_once('.') {
        Some((role, parameter)) => (Some(role), parameter),
        None => (None, key),
    };
    let names: Vec<String> = roles.iter().map(|(name, _)| name_of(name)).collect();
    if let Some(role) = role
        && !names.iter().any(|name| name == role)
    {
        let hint = did_you_mean(role, names.iter().map(String::as_str));
        findings.push((at, format!("`{role}` is not among the roles of `--role`"), hint));
        return;
    }
    let mut found = false;
    for ((_, settings), name) in roles.iter_mut().zip(&names) {
        let meant = role.map_or_else(|| catalogue.parameters(name).contains_key(parameter), |role| role == name);
        if meant {
            found = true;
            settings.retain(|(known, _)| name_of(known) != parameter);
            settings.push((Node::scalar(at, parameter), value.clone()));
        }
    }
    // Roles that do not exist have no parameters, and are complained about themselves.
    if !found && names.iter().all(|name| catalogue.roles.contains_key(name)) {
        let known: Vec<&str> = names.iter().flat_map(|name| catalogue.parameters(name).into_keys()).collect();
        let hint = did_you_mean(parameter, known.iter().copied())
            .or_else(|| (!known.is_empty()).then(|| format!("they have {}", known.join(", "))));
        findings.push((at, format!("none of the roles has a parameter `{parameter}`"), hint));
    }
}

/// The command line as a text, so that errors can point into it.
#[derive(Default)]
struct Line {
    text: String,
}

impl Line {
    fn push(&mut self, piece: &str) -> Position {
        let column = length(&self.text) + 1;
        // A line break inside an argument would move everything behind it to another line.
        self.text.extend(piece.chars().map(|c| if c.is_control() { ' ' } else { c }));
        Position { line: 1, column, length: length(piece).max(1) }
    }

    fn flag(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(name);
        self.text.push(' ');
    }

    /// Items of a flag that may be repeated and that splits at commas.
    fn list(&mut self, name: &str, values: &[String]) -> Vec<Node> {
        let mut nodes = Vec::new();
        for value in values {
            self.flag(name);
            let whole = self.push(value);
            nodes.extend(value.split(',').map(|item| Node::scalar(part(whole, value, item), item)));
        }
        nodes
    }
}

/// The place of a slice of an argument.
fn part(whole: Position, text: &str, slice: &str) -> Position {
    let offset = slice.as_ptr() as usize - text.as_ptr() as usize;
    Position { column: whole.column + length(&text[..offset]), length: length(slice).max(1), ..whole }
}

fn length(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use expect_test::{Expect, expect};

    use super::*;

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
