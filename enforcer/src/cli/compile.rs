//! `enforcer compile`: prints the rules that `apply` would load.

use enforcer_common::{Direction, Mode};
use serde::Serialize;

use crate::cli::args::policy::PolicyArgs;
use crate::cli::output::Output;
use crate::cli::print::table::{print, source_rows, table};
use crate::failure::Failure;
use crate::policy::catalogue::format_ranges;
use crate::policy::ruleset::{Action, Match, Rule, SourceRow};
use crate::policy::site::{Site, protocol_name};
use crate::text::diagnostic::Diagnostic;

/// Print the rules of a policy.
///
/// Compiles the policy, and loads nothing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  enforcer compile site.yaml\n  enforcer compile --role unity-connection --peer cluster=10.1.1.10,10.1.1.11\n  \
                        enforcer compile site.yaml --format json | jq -r '.policy_hash'"
)]
pub struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Table,
    Json,
    Yaml,
}

/// The whole output, for JSON and YAML.
#[derive(Serialize)]
struct Listing<'a> {
    policy_hash: &'a str,
    rules: Vec<ListedRule<'a>>,
    warnings: &'a [Diagnostic],
}

/// A rule, as the contract has it.
#[derive(Serialize)]
struct ListedRule<'a> {
    id: &'a str,
    direction: Direction,
    action: &'static str,
    protocol: String,
    ports: Option<String>,
    peers: Option<&'a [String]>,
    prefixes: Option<usize>,
    addresses: Option<&'a [ipnet::IpNet]>,
    /// Whom a `limit` of the site names for this service.
    limit: Option<Vec<String>>,
    exposure: &'a str,
    mode: Option<Mode>,
    answer_any: bool,
    sources: &'a [SourceRow],
}

/// Runs the command.
///
/// # Errors
///
/// The policy is wrong, or the output cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let (policy, compiled) = args.policy.compile(output)?;
    let ruleset = &compiled.ruleset;
    let rules: Vec<ListedRule<'_>> = ruleset.rules.iter().map(|rule| listed(&policy.site, rule)).collect();
    match args.format {
        Format::Json => output.json(&Listing { policy_hash: &ruleset.hash, rules, warnings: &compiled.warnings }),
        Format::Yaml => {
            let listing = Listing { policy_hash: &ruleset.hash, rules, warnings: &compiled.warnings };
            let text = serde_yaml::to_string(&listing).map_err(|error| Failure::Failed(anyhow::anyhow!("{error}")))?;
            Ok(write!(output.out, "{text}")?)
        }
        Format::Table => {
            for (direction, title) in [(Direction::Inbound, "INBOUND"), (Direction::Outbound, "OUTBOUND")] {
                let mut table = table(output.terminal, &[title, "ACTION", "MATCH", "PEERS", "SOURCE"]);
                for rule in rules.iter().filter(|rule| rule.direction == direction) {
                    table.add_row(row(rule));
                }
                if table.row_count() > 0 {
                    writeln!(output.out, "{}", print(&table))?;
                }
            }
            if !ruleset.settings.outbound_judged {
                writeln!(output.out, "Outbound packets are not judged (`outbound: open`).")?;
            }
            Ok(writeln!(output.out, "Policy {}", ruleset.hash)?)
        }
    }
}

fn row(rule: &ListedRule<'_>) -> Vec<String> {
    let ports = rule.ports.as_deref().map_or_else(String::new, |ports| format!(" {}", ports.replace(',', ", ")));
    let mode = rule.mode.map_or_else(String::new, |mode| format!(" ({mode})"));
    // The contract has two actions; a person wants to see that a port is internal.
    let action = if rule.exposure == "internal" { "internal" } else { rule.action };
    vec![
        rule.id.to_owned(),
        format!("{action}{mode}"),
        format!("{}{ports}", rule.protocol),
        peers(rule),
        source_rows(rule.sources),
    ]
}

fn listed<'a>(site: &Site, rule: &'a Rule) -> ListedRule<'a> {
    let limit = site.limits.get(&rule.id).filter(|_| rule.direction == Direction::Inbound);
    let (protocol, ports) = match &rule.matches {
        Match::Ports { protocol, ports } => (protocol_name(*protocol), Some(format_ranges(ports))),
        Match::Protocol(protocol) => (protocol_name(*protocol), None),
        Match::Ethertype(ethertype) => (format!("ethertype 0x{ethertype:04x}"), None),
        Match::Echo => ("icmp-echo".to_owned(), None),
    };
    ListedRule {
        id: &rule.id,
        direction: rule.direction,
        // An internal port is refused, with a reason of its own.
        action: match rule.action {
            Action::Permit => "permit",
            Action::Deny | Action::Internal => "deny",
        },
        protocol,
        ports,
        peers: rule.peers.as_deref(),
        prefixes: rule.prefixes.as_ref().map(|prefixes| prefixes.len()),
        addresses: rule.prefixes.as_deref(),
        limit: limit.map(|limit| limit.remotes.iter().map(ToString::to_string).collect()),
        exposure: &rule.exposure,
        mode: rule.mode,
        answer_any: rule.answer_any,
        sources: &rule.sources,
    }
}

fn peers(rule: &ListedRule<'_>) -> String {
    let names = match (rule.peers, rule.prefixes) {
        (None, _) => "any".to_owned(),
        (Some(names), Some(0)) => format!("{} (no addresses: nobody)", names.join(", ")),
        (Some(names), _) if names.len() > 6 => format!("{}, and {} more", names[..6].join(", "), names.len() - 6),
        (Some(names), _) => names.join(", "),
    };
    if rule.limit.is_some() { format!("{names} (limit)") } else { names }
}
