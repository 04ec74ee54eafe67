//! `enforcer role show`: prints the ports of a role and their document rows.

use std::path::PathBuf;

use clap::Subcommand;
use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use super::completions;
use super::roles::{ListedParameter, parameters};
use crate::cli::output::{Format, Output};
use crate::cli::print::table::{self, source_rows};
use crate::failure::Failure;
use crate::policy::catalogue::{
    Base, Catalogue, Derived, Origin, Port, PortExpression, Role, Service, Setting, Settings, Word, format_ranges,
};
use crate::policy::ruleset::SourceRow;
use crate::policy::source::{Error, load_catalogue};
use crate::text::decimal;
use crate::text::diagnostic::Diagnostic;
use crate::text::nearest::did_you_mean;

/// Show one role.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what a role listens on and connects to, with the document rows.
    Show(Show),
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  enforcer role show finesse\n  enforcer role show cce-router --set side=b --set instance=2"
)]
struct Show {
    /// Name of the role.
    #[arg(add = ArgValueCompleter::new(completions::roles))]
    role: String,
    /// Set a parameter. Formulas then print as ports, and services that the parameter excludes are left out.
    #[arg(long, value_name = "KEY=VALUE", add = ArgValueCompleter::new(completions::settings))]
    set: Vec<String>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Read the catalogue from this directory instead of the built-in one.
    #[arg(long, value_name = "DIR")]
    catalogue: Option<PathBuf>,
}

/// A role as `--format json` has it.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    product: &'a str,
    release: &'a str,
    summary: &'a str,
    includes: &'a [String],
    parameters: Vec<ListedParameter<'a>>,
    services: Vec<ShownService<'a>>,
    connections: Vec<ShownService<'a>>,
    /// Connections that no row prints as such: each has the id of the service whose row it is derived from.
    derived: Vec<ShownDerived<'a>>,
}

/// A derived connection.
#[derive(Serialize)]
struct ShownDerived<'a> {
    /// `remote-port`: printed beside the role's own service; `group`: its own service, on the other members; `inverse`: a row of
    /// the listener that names this role.
    derived_from: &'static str,
    /// Where the connections lead to.
    to: Vec<&'a str>,
    #[serde(flatten)]
    service: ShownService<'a>,
}

#[derive(Serialize)]
struct ShownService<'a> {
    id: String,
    #[serde(skip)]
    role: &'a str,
    name: &'a str,
    summary: &'a str,
    exposure: &'static str,
    direction: &'static str,
    peers: &'a [String],
    ports: Vec<ShownPort<'a>>,
    remote: Vec<ShownPort<'a>>,
    executable: Option<&'a str>,
    account: Option<&'a str>,
    dynamic: Option<&'a str>,
    ephemeral: bool,
    answer_any: bool,
    sources: Vec<SourceRow>,
    doubts: Vec<&'a str>,
}

#[derive(Serialize)]
struct ShownPort<'a> {
    protocol: &'static str,
    /// As printed in the document.
    printed: String,
    /// With the parameters that are set.
    ports: Option<String>,
    parameter: Option<&'a str>,
}

/// Runs the command.
///
/// # Errors
///
/// There is no such role or parameter, the catalogue is wrong, or the output cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let Command::Show(show) = &args.command;
    let catalogue = match load_catalogue(show.catalogue.as_deref()) {
        Ok(catalogue) => catalogue,
        Err(error) => return Err(Error::from(error).into()),
    };
    let (role, settings) = match find(&catalogue, show) {
        Ok(found) => found,
        Err(finding) => {
            return Err(Failure::Invalid(vec![finding]));
        }
    };
    let shown = shown(&catalogue, role, &settings);
    match show.format {
        Format::Json => output.json(&shown),
        Format::Table => print(&shown, output),
    }
}

/// The role that is meant and the parameters that are set; the others stay open.
fn find<'a>(catalogue: &'a Catalogue, show: &Show) -> Result<(&'a Role, Settings), Diagnostic> {
    let Some(role) = catalogue.roles.get(&show.role) else {
        let hint = did_you_mean(&show.role, catalogue.roles.keys().map(String::as_str))
            .unwrap_or_else(|| "`enforcer roles` lists them".to_owned());
        return Err(Diagnostic::plain(format!("no role is called `{}`", show.role)).with_hint(hint));
    };
    let parameters = catalogue.parameters(&role.name);
    let mut settings = Settings::new();
    for text in &show.set {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Diagnostic::plain(format!("expected `key=value` after `--set`, found `{text}`")));
        };
        let key = key.strip_prefix(&format!("{}.", role.name)).unwrap_or(key);
        let Some(parameter) = parameters.get(key) else {
            let hint = did_you_mean(key, parameters.keys().copied()).or_else(|| {
                (!parameters.is_empty()).then(|| {
                    format!("its parameters are {}", parameters.keys().copied().collect::<Vec<_>>().join(", "))
                })
            });
            let message = format!("the role `{}` has no parameter `{key}`", role.name);
            return Err(Diagnostic::plain(message).with_hint_if(hint));
        };
        let setting = parameter.parse(value).map_err(|expected| {
            Diagnostic::plain(format!("`{key}` is {expected}, found `{value}`"))
                .with_hint_if(decimal::leading_zero(value))
        })?;
        settings.insert(key.to_owned(), setting);
    }
    Ok((role, settings))
}

fn shown<'a>(catalogue: &'a Catalogue, role: &'a Role, settings: &Settings) -> Shown<'a> {
    let all = catalogue.flatten(&role.name);
    let list = |of: fn(&Role) -> &Vec<Service>| {
        let services = all.iter().flat_map(|role| of(role).iter().map(|service| (role.name.as_str(), service)));
        let possible = services.filter(|(_, service)| possible(&service.when, settings));
        possible.map(|(role, service)| shown_service(role, service, settings)).collect()
    };
    Shown {
        name: &role.name,
        product: &role.product,
        release: &role.release,
        summary: &role.summary,
        includes: &role.includes,
        parameters: parameters(catalogue, &role.name),
        services: list(|role| &role.services),
        connections: list(|role| &role.connections),
        derived: derived(catalogue, role, settings),
    }
}

fn derived<'a>(catalogue: &'a Catalogue, role: &'a Role, settings: &Settings) -> Vec<ShownDerived<'a>> {
    // Of the host at the other end, this one knows no more than the instance that both belong to.
    let elsewhere: Settings = settings
        .iter()
        .filter(|(_, setting)| matches!(setting, Setting::Integer(_)))
        .map(|(name, setting)| (name.clone(), setting.clone()))
        .collect();
    let mut found: Vec<ShownDerived<'_>> = Vec::new();
    for Derived { role: of, service, origin } in catalogue.derived(&role.name) {
        let settings = if origin == Origin::Inverse { &elsewhere } else { settings };
        if !possible(&service.when, settings) {
            continue;
        }
        let mut shown = shown_service(&of.name, service, settings);
        let (derived_from, to) = match origin {
            Origin::Beside => {
                std::mem::swap(&mut shown.ports, &mut shown.remote);
                shown.ports.retain(|port| !Word::WORDS.iter().any(|(word, _)| *word == port.printed));
                ("remote-port", service.peers.iter().map(String::as_str).collect())
            }
            Origin::Group(groups) => ("group", groups),
            Origin::Inverse => ("inverse", catalogue.servers_of(&of.name).into_iter().collect()),
        };
        found.push(ShownDerived { derived_from, to, service: shown });
    }
    found.sort_by_key(|one| one.service.role != role.name);
    found
}

fn shown_service<'a>(role: &'a str, service: &'a Service, settings: &Settings) -> ShownService<'a> {
    let ports = |ports: &'a [Port]| -> Vec<ShownPort<'a>> {
        ports.iter().filter(|port| possible(&port.when, settings)).map(|port| shown_port(port, settings)).collect()
    };
    let all = || service.ports.iter().chain(&service.remote).filter(|port| possible(&port.when, settings));
    let mut sources: Vec<SourceRow> = all().map(|port| port.source.clone()).collect();
    sources.sort();
    sources.dedup();
    let mut doubts: Vec<&str> = service.doubt.as_deref().into_iter().collect();
    for doubt in all().filter_map(|port| port.doubt.as_deref()) {
        if !doubts.contains(&doubt) {
            doubts.push(doubt);
        }
    }
    ShownService {
        id: format!("{role}/{}", service.name),
        role,
        name: &service.name,
        summary: &service.summary,
        exposure: service.exposure.name(),
        direction: service.direction.name(),
        peers: &service.peers,
        ports: ports(&service.ports),
        remote: ports(&service.remote),
        executable: service.executable.as_deref(),
        account: service.account.as_deref(),
        dynamic: service.dynamic.as_deref(),
        ephemeral: service.ephemeral,
        answer_any: service.answer_any,
        sources,
        doubts,
    }
}

fn shown_port<'a>(port: &'a Port, settings: &Settings) -> ShownPort<'a> {
    let printed = match (&port.port, port.length) {
        (PortExpression::Formula { base: Base::Number(number), factor }, Some(length)) => {
            format!("{number}-{}+{factor}*instance", u32::from(*number) + u32::from(length))
        }
        (PortExpression::Formula { .. }, Some(length)) => format!("{} and {length} further", port.port),
        (expression, _) => expression.to_string(),
    };
    let ranges = port.ranges(settings).ok().filter(|ranges| !ranges.is_empty());
    ShownPort {
        protocol: port.protocol.name(),
        printed,
        ports: ranges.map(|ranges| format_ranges(&ranges)),
        parameter: port.parameter.as_deref(),
    }
}

/// Whether nothing that is set contradicts a condition.
fn possible(condition: &crate::policy::catalogue::Condition, settings: &Settings) -> bool {
    condition.iter().all(|(name, value)| settings.get(name).is_none_or(|setting| setting.to_string() == *value))
}

fn print(shown: &Shown<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let terminal = output.terminal;
    writeln!(output.out, "{}: {}", shown.name, shown.summary)?;
    writeln!(output.out, "{} {}", shown.product, shown.release)?;
    if !shown.includes.is_empty() {
        writeln!(output.out, "Includes {}.", shown.includes.join(", "))?;
    }
    if !shown.parameters.is_empty() {
        let mut rows = table::table(terminal, &["PARAMETER", "DEFAULT", "VALUES", "MEANING"]);
        for parameter in &shown.parameters {
            let default = parameter.default.map_or_else(|| "(required)".to_owned(), ToString::to_string);
            rows.add_row(vec![parameter.name, &default, &parameter.values, parameter.summary]);
        }
        write!(output.out, "\n{}", table::print(&rows))?;
    }
    let mut doubts: Vec<&str> = Vec::new();
    for (services, remote, title) in [(&shown.services, "FROM", "SERVICE"), (&shown.connections, "TO", "CONNECTION")] {
        // Services of included roles come after the role's own, each under the name of its role.
        for of in services.chunk_by(|one, other| one.role == other.role) {
            let title = match of.first() {
                Some(service) if service.role != shown.name => format!("{title} of {}", service.role),
                _ => title.to_owned(),
            };
            let mut rows = table::table(terminal, &[&title, "PORTS", remote, "SOURCE", "WHAT FOR"]);
            for service in of {
                let marks: String = service.doubts.iter().map(|doubt| mark(&mut doubts, doubt)).collect();
                rows.add_row(vec![
                    service.name.to_owned(),
                    ports(service),
                    who(service),
                    source_rows(&service.sources),
                    format!("{} {marks}", service.summary).trim_end().to_owned(),
                ]);
            }
            write!(output.out, "\n{}", table::print(&rows))?;
        }
    }
    if !shown.derived.is_empty() {
        let mut rows = table::table(terminal, &["DERIVED CONNECTION", "PORTS", "TO", "FROM THE ROW", "WHAT FOR"]);
        for ShownDerived { to, service, .. } in &shown.derived {
            let marks: String = service.doubts.iter().map(|doubt| mark(&mut doubts, doubt)).collect();
            rows.add_row(vec![
                service.id.clone(),
                ports(service),
                if to.is_empty() { "any".to_owned() } else { to.join(", ") },
                source_rows(&service.sources),
                format!("{} {marks}", service.summary).trim_end().to_owned(),
            ]);
        }
        write!(output.out, "\n{}", table::print(&rows))?;
    }
    if !doubts.is_empty() {
        writeln!(output.out, "\nDoubts")?;
        for (index, doubt) in doubts.iter().enumerate() {
            writeln!(output.out, "  [{}] {doubt}", index + 1)?;
        }
    }
    Ok(())
}

/// The number of a doubt, which is new or stands in the list already.
fn mark<'a>(doubts: &mut Vec<&'a str>, doubt: &'a str) -> String {
    let known = doubts.iter().position(|known| *known == doubt);
    let index = known.unwrap_or_else(|| {
        doubts.push(doubt);
        doubts.len() - 1
    });
    format!("[{}]", index + 1)
}

/// Who may connect, or where to.
fn who(service: &ShownService<'_>) -> String {
    match (service.exposure, service.peers) {
        _ if service.ephemeral => "answers (ephemeral range)".to_owned(),
        ("internal", _) => "this host only".to_owned(),
        ("open", []) => "any".to_owned(),
        ("open", peers) => peers.join(", "),
        (only, _) => format!("{only} only"),
    }
}

/// `tcp 80, 443; udp 69`.
fn ports(service: &ShownService<'_>) -> String {
    let mut protocols: Vec<(&str, Vec<String>)> = Vec::new();
    for port in &service.ports {
        let protocol = if port.protocol == "unspecified" { "tcp" } else { port.protocol };
        let text = match (&port.ports, port.parameter) {
            (Some(ports), _) => ports.clone(),
            (None, Some(parameter)) => format!("{} ({parameter})", port.printed),
            (None, None) => port.printed.replace('+', " + ").replace('*', " * "),
        };
        match protocols.iter_mut().find(|(known, _)| *known == protocol) {
            Some((_, ports)) if ports.contains(&text) => {}
            Some((_, ports)) => ports.push(text),
            None => protocols.push((protocol, vec![text])),
        }
    }
    let texts: Vec<String> =
        protocols.into_iter().map(|(protocol, ports)| format!("{protocol} {}", ports.join(", "))).collect();
    texts.join("; ")
}
