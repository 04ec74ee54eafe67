//! `enforcer denied`: lists refused flows, and the rules and catalogue entries that know their ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use enforcer_common::{Direction, Mode, Reason, Verdict};
use serde::Serialize;

use crate::cli::args::interfaces::{InterfaceArgs, ModeArg};
use crate::cli::output::{Format, Output};
use crate::cli::print::table::{print, source_rows, table};
use crate::dataplane::{Asked, Denied, DeniedFlow, Loaded, Protected, denied, readback};
use crate::failure::Failure;
use crate::judge::explain::{Candidate, Candidates};
use crate::observe::denied::{Filter, Order, sort};
use crate::observe::names::{Services, reverse, rule_of};
use crate::policy::catalogue;
use crate::policy::site::protocol_name;

/// Maximum duration of the look-ups of `--resolve`.
const PATIENCE: Duration = Duration::from_secs(5);
/// Default number of rows in a table.
const ROWS: usize = 40;

/// List refused flows.
///
/// Each row sums up the refused packets of one remote address to one port. In audit these packets were counted and passed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "RULE is the rule that refuses the flow, or that permits the port to other peers. KNOWN AS lists \
                  the catalogue entries that have this port.\n\n\
                  The programs remember up to 65536 denied flows; if there are more, those that were idle longest \
                  are removed. In a flood, each CPU records at most 1000 packets a second, so packets and bytes \
                  here may be too low. `enforcer counters` is exact.\n\n\
                  Examples:\n  \
                  enforcer denied\n  \
                  enforcer denied --reason peer,no-rule --sort last --limit 10\n  \
                  enforcer denied --direction inbound --resolve\n  \
                  enforcer denied --format json | jq '.[] | select(.protocol == \"tcp\") | .remote'"
)]
pub struct Args {
    #[command(flatten)]
    interfaces: InterfaceArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Maximum number of flows; 0 means all [default: 40 in a table, all in JSON].
    #[arg(long, value_name = "N", value_parser = crate::text::decimal::argument::<usize>)]
    limit: Option<usize>,
    /// Sort order.
    #[arg(long, value_enum, default_value_t = Order::Packets)]
    sort: Order,
    /// Look up the host names of the remote addresses. This may take up to 5 seconds.
    #[arg(long)]
    resolve: bool,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Filters for refused packets.
#[derive(Debug, clap::Args)]
pub struct FilterArgs {
    /// List only this direction.
    #[arg(long, value_parser = direction, value_name = "inbound|outbound")]
    direction: Option<Direction>,
    /// List only these reasons.
    #[arg(long, value_name = "REASON[,REASON]", value_delimiter = ',', value_parser = reason)]
    reason: Vec<String>,
    /// List only dropped packets (enforce), or only packets that were counted and passed (audit).
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    /// List only this destination port.
    #[arg(long, value_parser = crate::text::decimal::argument::<u16>)]
    port: Option<u16>,
}

impl From<&FilterArgs> for Filter {
    fn from(args: &FilterArgs) -> Self {
        Self {
            direction: args.direction,
            reasons: args.reason.clone(),
            mode: args.mode.map(Mode::from),
            port: args.port,
        }
    }
}

#[derive(Serialize)]
struct Listed<'a> {
    interface: &'a str,
    direction: Direction,
    reason: Reason,
    /// `null`: no IP header that could be read.
    protocol: Option<String>,
    remote: Option<IpAddr>,
    local: Option<IpAddr>,
    /// Destination port.
    port: Option<u16>,
    icmp_type: Option<u16>,
    ethertype: Option<String>,
    packets: u64,
    bytes: u64,
    first: String,
    last: String,
    mode: Mode,
    /// Name of the port on this host.
    service: Option<&'a str>,
    /// The rule that refuses, or that is for others.
    rule: Option<&'a str>,
    /// Entries of the catalogue that name the port.
    known: &'a [Candidate],
    /// What the resolver says of the remote address, with `--resolve`.
    name: Option<&'a str>,
}

/// Runs the command.
///
/// # Errors
/// When the maps cannot be read.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let protected = args.interfaces.protected()?;
    let mut found = denied(&protected)?;
    let filter = Filter::from(&args.filter);
    found.flows.retain(|flow| filter.admits(flow));
    sort(&mut found.flows, args.sort);
    let all = found.flows.len();
    let limit = args.limit.unwrap_or(if args.format == Format::Table { ROWS } else { 0 });
    if limit > 0 {
        found.flows.truncate(limit);
    }
    let names = Names::of(&protected, &found.flows, args.resolve)?;
    let listed: Vec<Listed<'_>> = found.flows.iter().map(|flow| names.list(flow)).collect();
    if args.format == Format::Json {
        return output.json(&listed);
    }
    if protected.is_empty() {
        return Ok(writeln!(output.err, "no interface in this network namespace is protected")?);
    }
    show(output, &listed, args.resolve)?;
    remarks(output, &found, all)
}

/// What is not in the table.
fn remarks(output: &mut Output<'_>, found: &Denied, all: usize) -> Result<(), Failure> {
    if all == 0 {
        writeln!(output.err, "no packet has been refused")?;
    }
    if all > found.flows.len() {
        writeln!(output.err, "{} more flows; --limit 0 lists all", all - found.flows.len())?;
    }
    if found.is_full {
        writeln!(output.err, "a table of denied flows is full: flows that were idle longest are removed")?;
    }
    if found.suppressed > 0 {
        writeln!(
            output.err,
            "{} refused packets exceeded the rate limit of this list; `enforcer counters` includes them",
            found.suppressed
        )?;
    }
    Ok(())
}

/// Everything that names are looked up in.
struct Names {
    services: Services,
    /// By direction, protocol and port: a flood has few of them.
    candidates: BTreeMap<(Direction, u8, u16), Vec<Candidate>>,
    policies: BTreeMap<String, Loaded>,
    hosts: BTreeMap<IpAddr, String>,
}

impl Names {
    fn of(protected: &[Protected], flows: &[DeniedFlow], resolve: bool) -> Result<Self, Failure> {
        let catalogue = catalogue::embedded()
            .map_err(|findings| Failure::Failed(anyhow::anyhow!("the built-in catalogue does not load: {findings}")))?;
        let mut policies = BTreeMap::new();
        for one in protected.iter().filter(|one| flows.iter().any(|flow| flow.interface == one.interface)) {
            policies.insert(one.interface.clone(), readback(one)?);
        }
        let addresses: BTreeSet<IpAddr> = flows.iter().filter_map(|flow| flow.remote).collect();
        let hosts = if resolve { reverse(addresses, PATIENCE) } else { BTreeMap::new() };
        let known = Candidates::of(catalogue);
        let mut candidates = BTreeMap::new();
        for flow in flows {
            if let (Some(protocol), Some(port)) = (flow.protocol, flow.asked.port()) {
                candidates
                    .entry((flow.direction, protocol, port))
                    .or_insert_with(|| known.naming(flow.direction, protocol, port));
            }
        }
        Ok(Self { services: Services::of_host(), candidates, policies, hosts })
    }

    fn list<'a>(&'a self, flow: &'a DeniedFlow) -> Listed<'a> {
        let port = flow.protocol.zip(flow.asked.port());
        Listed {
            interface: &flow.interface,
            direction: flow.direction,
            reason: flow.reason,
            protocol: flow.protocol.map(protocol_name),
            remote: flow.remote,
            local: flow.local,
            port: flow.asked.port(),
            icmp_type: if let Asked::IcmpType(number) = flow.asked { Some(number) } else { None },
            ethertype: if let Asked::Ethertype(number) = flow.asked { Some(format!("{number:#06x}")) } else { None },
            packets: flow.packets,
            bytes: flow.bytes,
            first: flow.first.to_string(),
            last: flow.last.to_string(),
            mode: flow.mode,
            service: port.and_then(|(protocol, port)| self.services.name(protocol, port)),
            rule: self.policies.get(&flow.interface).and_then(|loaded| rule_of(flow, loaded)),
            known: port
                .and_then(|(protocol, port)| self.candidates.get(&(flow.direction, protocol, port)))
                .map_or(&[], Vec::as_slice),
            name: flow.remote.and_then(|remote| self.hosts.get(&remote)).map(String::as_str),
        }
    }
}

fn show(output: &mut Output<'_>, flows: &[Listed<'_>], resolved: bool) -> Result<(), Failure> {
    if flows.is_empty() {
        return Ok(());
    }
    let several = flows.iter().any(|flow| flow.interface != flows[0].interface);
    let mut header = vec!["REMOTE", "ASKED FOR", "REASON", "PACKETS", "FIRST", "LAST", "RULE OR KNOWN AS"];
    if resolved {
        header.insert(1, "NAME");
    }
    if several {
        header.push("INTERFACE");
    }
    let mut rows = table(output.terminal, &header);
    for flow in flows {
        let mut row = vec![
            flow.remote.map_or_else(|| "-".to_owned(), |remote| remote.to_string()),
            asked(flow),
            // A refusal that was let through in audit is told apart from a drop.
            if flow.mode == Mode::Audit { format!("{} (audit)", flow.reason) } else { flow.reason.to_string() },
            flow.packets.to_string(),
            flow.first.clone(),
            flow.last.clone(),
            known(flow),
        ];
        if resolved {
            row.insert(1, flow.name.unwrap_or("-").to_owned());
        }
        if several {
            row.push(flow.interface.to_owned());
        }
        rows.add_row(row);
    }
    write!(output.out, "{}", print(&rows))?;
    Ok(())
}

/// "in tcp 23 (telnet)".
fn asked(flow: &Listed<'_>) -> String {
    let direction = if flow.direction == Direction::Inbound { "in" } else { "out" };
    let protocol = flow.protocol.as_deref();
    let what = match (protocol, flow.port, flow.icmp_type, &flow.ethertype) {
        (Some(protocol), Some(port), ..) => match flow.service {
            Some(service) => format!("{protocol} {port} ({service})"),
            None => format!("{protocol} {port}"),
        },
        (Some(protocol), _, Some(kind), _) => format!("{protocol} type {kind}"),
        (Some(protocol), ..) => protocol.to_owned(),
        (None, _, _, Some(ethertype)) => ethertype.clone(),
        (None, ..) => "-".to_owned(),
    };
    format!("{direction} {what}")
}

fn known(flow: &Listed<'_>) -> String {
    if let Some(rule) = flow.rule {
        return rule.to_owned();
    }
    // No rule says why: the address does that was claimed.
    if let (true, Some(claimed)) = (flow.reason == Reason::Spoofed, flow.local) {
        return format!("from {claimed}");
    }
    let shown: Vec<String> = flow
        .known
        .iter()
        .take(2)
        .map(|known| format!("{} ({})", known.id, source_rows(std::slice::from_ref(&known.source))))
        .collect();
    match (shown.is_empty(), flow.known.len() - shown.len()) {
        (true, _) => "-".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A direction on the command line.
fn direction(text: &str) -> Result<Direction, String> {
    match text {
        "inbound" | "in" => Ok(Direction::Inbound),
        "outbound" | "out" => Ok(Direction::Outbound),
        _ => Err("the directions are `inbound` and `outbound`".to_owned()),
    }
}

/// A reason for refusing on the command line.
fn reason(text: &str) -> Result<String, String> {
    let refusals = || Reason::ALL.iter().filter(|reason| reason.verdict() == Verdict::Drop).map(|reason| reason.name());
    if refusals().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    let hint = crate::text::nearest::did_you_mean(text, refusals());
    Err(hint.unwrap_or_else(|| {
        format!("reasons for which packets are refused: {}", refusals().collect::<Vec<_>>().join(", "))
    }))
}
