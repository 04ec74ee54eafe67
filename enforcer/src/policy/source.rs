//! Where a policy comes from: a site file or flags of the command line, read and bound to the catalogue.

use std::borrow::Cow;
use std::path::PathBuf;

use clap::ValueEnum as _;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::host::trusted::Pipes;
use crate::policy::catalogue::{self, Catalogue};
use crate::policy::chosen::{chosen, placed, site_of_host};
use crate::policy::compile;
use crate::policy::estate::{self, Input};
use crate::policy::site::{self, OfEstate, Site};
use crate::text::diagnostic::{Diagnostic, Findings, Position, Text};
use crate::text::nearest::did_you_mean;
use crate::text::yaml::{Node, Value};

/// Which hook the operator asked for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum HookChoice {
    /// Native XDP on hardware, tc on virtual interfaces.
    Auto,
    /// XDP in the driver of the interface.
    Native,
    /// XDP after the driver: slow, but works on every interface.
    Generic,
    /// tc, with a link if the kernel supports it, else with a filter.
    Tc,
    /// tc, with a filter on the clsact qdisc.
    Clsact,
}

/// What a policy is compiled from.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Source {
    /// Path of the site file, `-` for standard input; `None`: the flags below.
    pub site: Option<String>,
    /// What the file held.
    pub text: Option<String>,
    /// `--role`.
    pub role: Vec<String>,
    /// `--interface`.
    pub interface: Vec<String>,
    /// `--set`.
    pub set: Vec<String>,
    /// `--peer`.
    pub peer: Vec<String>,
    /// `--catalogue`.
    pub catalogue: Option<PathBuf>,
    /// `--hook`, as it was given.
    pub hook: String,
    /// The estate that the site belongs to, and its host there.
    pub estate: Option<OfEstate>,
}

/// Where a policy is read from: a site file, or flags that say the same.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Path of the site file or the estate, `-` for standard input; `None`: the flags say everything.
    pub site: Option<String>,
    /// `--host`: the host of an estate. Without it, the host that has an address of this machine.
    pub host: Option<String>,
    /// The flags.
    pub flags: Flags,
}

/// A policy in flags of the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--role`.
    pub role: Vec<String>,
    /// `--interface`.
    pub interface: Vec<String>,
    /// `--set`.
    pub set: Vec<String>,
    /// `--peer`.
    pub peer: Vec<String>,
    /// `--catalogue`.
    pub catalogue: Option<PathBuf>,
}

impl Named {
    /// Reads the policy. Whoever reads it again and again must never wait, and refuses a site file that is a pipe.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the site or the catalogue.
    pub fn load(&self, pipes: Pipes) -> Result<Policy, Error> {
        if self.site.is_some() && !self.flags.interface.is_empty() {
            return Err(Error::Interface);
        }
        self.flags.load(self.site.as_deref(), self.host.as_deref(), pipes)
    }

    /// What it takes to compile the same policy again.
    #[must_use]
    pub fn source(&self, site: &Site, hook: HookChoice) -> Source {
        let Self { site: path, host: _, flags } = self;
        Source {
            site: path.clone(),
            text: path.is_some().then(|| site.text.content.clone()),
            role: flags.role.clone(),
            interface: flags.interface.clone(),
            set: flags.set.clone(),
            peer: flags.peer.clone(),
            // The next boot starts elsewhere.
            catalogue: flags.catalogue.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())),
            hook: hook.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default(),
            estate: site.estate.clone(),
        }
    }
}

impl Flags {
    /// Reads the policy of a site file, or of these flags where there is none.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the site or the catalogue.
    pub fn load(&self, site: Option<&str>, host: Option<&str>, pipes: Pipes) -> Result<Policy, Error> {
        let catalogue = load_catalogue(self.catalogue.as_deref())?;
        let site = match site {
            Some(path) => match estate::load(path, &catalogue, pipes)? {
                Input::Estate(estate) => {
                    let host = chosen(&estate, host).map_err(Error::Host)?;
                    site_of_host(&estate, &catalogue, &placed(&estate, host)).map_err(Error::Host)?
                }
                Input::Site(_) if host.is_some() => return Err(Error::NoEstate),
                Input::Site(text) => site::read(text, &catalogue).map_err(site::Error::from)?,
            },
            None if host.is_some() => return Err(Error::NoEstate),
            None if self.role.is_empty() => return Err(Error::Nothing),
            None => {
                let (text, root, findings) = self.tree(&catalogue);
                site::from_tree(text, &root, &catalogue, findings, false).map_err(site::Error::from)?
            }
        };
        Ok(Policy { site, catalogue })
    }

    /// The flags as the tree that a site file would have, with places in the command line.
    #[must_use]
    pub fn tree(&self, catalogue: &Catalogue) -> (Text, Node, Vec<Diagnostic>) {
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
    /// A host and no estate.
    #[error("`--host` chooses a host of an estate, and this policy is none: an estate lists `hosts:`")]
    NoEstate,
    /// No host of the estate is meant, or several could be.
    #[error(transparent)]
    Host(Findings),
    /// A file and an interface.
    #[error("`--interface` belongs to a policy without a file: a site file names its interfaces itself")]
    Interface,
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

impl Policy {
    /// The policy that was compiled from this before, without a look at the file: it may be another by now.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the site or the catalogue.
    pub fn of_source(source: &Source) -> Result<Self, Error> {
        let Source { role, interface, set, peer, catalogue, .. } = source.clone();
        let flags = Flags { role, interface, set, peer, catalogue };
        match (&source.site, &source.text) {
            (Some(site), Some(text)) => {
                let catalogue = load_catalogue(flags.catalogue.as_deref())?;
                let site = site::read(Text::new(site, text), &catalogue).map_err(site::Error::from)?;
                Ok(Self { site, catalogue })
            }
            _ => flags.load(None, None, Pipes::Refused),
        }
    }
}

impl Error {
    /// The findings in it, to be printed as JSON or text; one without a place if it is none about a text.
    #[must_use]
    pub fn findings(self) -> Vec<Diagnostic> {
        match self {
            Self::Catalogue(catalogue::Error::Invalid(Findings(findings)))
            | Self::Site(site::Error::Invalid(Findings(findings))) => findings,
            Self::Host(Findings(findings)) => findings,
            other @ (Self::Nothing
            | Self::NoEstate
            | Self::Interface
            | Self::Catalogue(_)
            | Self::Site(_)
            | Self::Compile(_)) => {
                vec![Diagnostic::plain(other.to_string())]
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Invalid(error.findings())
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
