//! `enforcer flows`: the conversations that this host opened, and ending them.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::net::IpAddr;
use std::time::Duration;

use enforcer_common::packet::{ICMP, ICMPV6, SCTP, TCP, UDP};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::args::interfaces::{InterfaceArgs, duration};
use crate::cli::output::{Format, Output};
use crate::cli::print::table::{print, table};
use crate::dataplane::{Flow, FlowPhase, Protected, end_flows, flows};
use crate::failure::Failure;
use crate::host::links::addresses;
use crate::observe::flows::{Filter, Order, age, sort};
use crate::policy::modes::Protects;
use crate::policy::site::{parse_protocol, protocol_name};

/// Rows of a table unless somebody asks for more: what a person reads.
const ROWS: usize = 40;

/// List the conversations that this host or a guest opened, whose replies pass without a rule, or end them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A packet that leaves the host makes a flow if no rule would permit its reply. Expired flows are not listed. LAST OUT is \
                  the time since the last packet left, to the second.\n\n\
                  STATE is `open`; `one-way` (nothing has left for the timeout of UDP, and packets from the peer keep the flow alive, for \
                  `one_way` at most); `closed-here`, `closed-there` or `closing` (TCP); or `in-doubt` (audit refused a packet of the same \
                  ports before, so the peer may have opened it).\n\n\
                  --end ends the flows that match the filter, of this host and of its guests; --interface names one of them. Replies to them are dropped at once. The same UDP ports can make a flow \
                  again after the UDP timeout (180s), TCP only with a new connection. --end without a filter needs --all.\n\n\
                  Examples:\n  enforcer flows\n  enforcer flows --protocol udp --silent 10m\n  \
                  enforcer flows --peer 10.1.0.0/16 --port 5060 --end\n  \
                  enforcer flows --format json | jq '.[] | select(.state == \"one-way\") | .remote'"
)]
pub struct Args {
    #[command(flatten)]
    interfaces: InterfaceArgs,
    /// End the flows that are named, instead of listing them.
    #[arg(long)]
    end: bool,
    /// With --end and without a filter: end all flows.
    #[arg(long, requires = "end")]
    all: bool,
    /// Flows at most, 0 for all [default: 40 in a table, all in JSON].
    #[arg(long, value_name = "N", conflicts_with = "end", value_parser = crate::text::decimal::argument::<usize>)]
    limit: Option<usize>,
    /// By what to sort.
    #[arg(long, value_enum, default_value_t = Order::Last)]
    sort: Order,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    // Last: the heading of its options would hold for those behind it.
    #[command(flatten)]
    filter: FilterArgs,
}

impl Args {
    /// Whether flows are ended, and not only listed.
    #[must_use]
    pub const fn ends(&self) -> bool {
        self.end
    }
}

/// Which flows are meant.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Filter")]
pub struct FilterArgs {
    /// Only flows with these addresses or prefixes.
    #[arg(long, value_name = "ADDRESS[,PREFIX]", value_delimiter = ',', value_parser = peer)]
    peer: Vec<IpNet>,
    /// Only flows to this port of the peer.
    #[arg(long, value_parser = crate::text::decimal::argument::<u16>)]
    port: Option<u16>,
    /// Only flows from this port of this host.
    #[arg(long, value_name = "PORT", value_parser = crate::text::decimal::argument::<u16>)]
    local_port: Option<u16>,
    /// Only this protocol: tcp, udp, sctp, icmp or icmpv6.
    #[arg(long, value_parser = protocol)]
    protocol: Option<u8>,
    /// Only flows that are at least so old, such as `1h`.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older: Option<Duration>,
    /// Only flows of which nothing has left for at least so long.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    silent: Option<Duration>,
}

impl From<&FilterArgs> for Filter {
    fn from(args: &FilterArgs) -> Self {
        Self {
            peers: args.peer.clone(),
            port: args.port,
            local_port: args.local_port,
            protocol: args.protocol,
            older_than: args.older,
            silent_for: args.silent,
        }
    }
}

#[derive(Serialize)]
struct Listed<'a> {
    /// The port of the guest that opened it. Of this machine: the interface that has the local address; `null` where none that is
    /// protected has it.
    interface: Option<&'a str>,
    protocol: String,
    remote: IpAddr,
    /// `null`: ping, or the server answers from any port.
    remote_port: Option<u16>,
    local: IpAddr,
    local_port: u16,
    opened: String,
    last_out: String,
    expires: String,
    state: FlowPhase,
}

/// Runs the command.
///
/// # Errors
/// When the maps cannot be read or written; when every flow would be ended and nobody said so.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let protected = args.interfaces.protected()?;
    let now = Timestamp::now();
    let filter = Filter::from(&args.filter);
    let interfaces = Interfaces::of(&protected)?;
    let mut found = flows(&protected)?;
    let all = found.len();
    found.retain(|flow| filter.admits(flow, now));
    if !args.interfaces.interface.is_empty() {
        found.retain(|flow| interfaces.of_flow(flow).is_some());
    }
    sort(&mut found, args.sort);
    if args.end {
        let names_all = filter.is_empty() && args.interfaces.interface.is_empty();
        if names_all && !args.all {
            settle(found.len(), output)?;
        }
        return end(&protected, &found, output);
    }
    let fitting = found.len();
    let limit = args.limit.unwrap_or(if args.format == Format::Table { ROWS } else { 0 });
    if limit > 0 {
        found.truncate(limit);
    }
    let listed: Vec<Listed<'_>> = found.iter().map(|flow| interfaces.list(flow)).collect();
    if args.format == Format::Json {
        return output.json(&listed);
    }
    if protected.is_empty() {
        return Ok(writeln!(output.err, "no interface of this network namespace is protected")?);
    }
    show(output, &found, &listed, now)?;
    match (all, fitting) {
        (0, _) => writeln!(output.err, "there is no flow: nothing that left is waiting for an answer that needs one")?,
        (all, 0) => writeln!(output.err, "none of the {} fits the filter", count(all))?,
        (_, fitting) if fitting > found.len() => {
            writeln!(output.err, "{} more; --limit 0 lists all", count(fitting - found.len()))?;
        }
        _ => {}
    }
    Ok(())
}

/// Asks whether to end every flow, where somebody can answer.
fn settle(flows: usize, output: &mut Output<'_>) -> Result<(), Failure> {
    let refused = |why: &str| {
        Failure::Refused(anyhow::anyhow!(
            "this would end all flows of the host ({}), and {why}; name some with a filter such as --peer, or say --all; \
             nothing was changed",
            count(flows)
        ))
    };
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(refused("nobody has said so"));
    }
    write!(output.errors, "End all flows of this host ({})? [y/N] ", count(flows))?;
    output.errors.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(refused("you did not say yes")),
    }
}

fn end(protected: &[Protected], found: &[Flow], output: &mut Output<'_>) -> Result<(), Failure> {
    if protected.is_empty() {
        return Ok(writeln!(output.err, "no interface of this network namespace is protected")?);
    }
    let ended = end_flows(protected, found)?;
    if ended == 0 {
        return Ok(writeln!(output.err, "no flow fits the filter; nothing was ended")?);
    }
    let these = if ended == 1 { "it" } else { "them" };
    Ok(writeln!(output.err, "{} ended; answers to {these} are dropped now", count(ended))?)
}

fn count(flows: usize) -> String {
    if flows == 1 { "1 flow".to_owned() } else { format!("{flows} flows") }
}

/// Which protected interface of this machine has which address.
struct Interfaces<'a> {
    by_address: BTreeMap<IpAddr, &'a str>,
}

impl<'a> Interfaces<'a> {
    fn of(protected: &'a [Protected]) -> Result<Self, Failure> {
        let addresses = addresses()?;
        let name = |index: u32| {
            let here = protected.iter().find(|one| one.record.index == index && one.record.protects == Protects::Host);
            here.map(|one| one.interface.as_str())
        };
        let by_address = addresses
            .interfaces
            .iter()
            .filter_map(|(address, indices)| Some((*address, indices.iter().find_map(|index| name(*index))?)));
        Ok(Self { by_address: by_address.collect() })
    }

    fn of_flow<'f>(&self, flow: &'f Flow) -> Option<&'f str>
    where
        'a: 'f,
    {
        flow.guest.as_deref().or_else(|| self.by_address.get(&flow.local).copied())
    }

    fn list<'f>(&self, flow: &'f Flow) -> Listed<'f>
    where
        'a: 'f,
    {
        Listed {
            interface: self.of_flow(flow),
            protocol: protocol_name(flow.protocol),
            remote: flow.remote,
            remote_port: flow.remote_port,
            local: flow.local,
            local_port: flow.local_port,
            opened: flow.opened.to_string(),
            last_out: flow.last_out.to_string(),
            expires: flow.expires.to_string(),
            state: flow.state,
        }
    }
}

fn show(output: &mut Output<'_>, flows: &[Flow], listed: &[Listed<'_>], now: Timestamp) -> Result<(), Failure> {
    if flows.is_empty() {
        return Ok(());
    }
    let several = listed.iter().any(|flow| flow.interface != listed[0].interface);
    let mut header = vec!["PEER", "PORT", "PROTOCOL", "LOCAL", "AGE", "LAST OUT", "STATE"];
    if several {
        header.push("INTERFACE");
    }
    let mut rows = table(output.terminal, &header);
    for (flow, listed) in flows.iter().zip(listed) {
        let ago = |then| humantime::format_duration(age(then, now)).to_string();
        let mut row = vec![
            flow.remote.to_string(),
            flow.remote_port.map_or_else(|| "any".to_owned(), |port| port.to_string()),
            listed.protocol.clone(),
            local(flow),
            ago(flow.opened),
            format!("{} ago", ago(flow.last_out)),
            flow.state.name().to_owned(),
        ];
        if several {
            row.push(listed.interface.unwrap_or("-").to_owned());
        }
        rows.add_row(row);
    }
    write!(output.out, "{}", print(&rows))?;
    Ok(())
}

/// Address and port of this host.
fn local(flow: &Flow) -> String {
    match flow.local {
        IpAddr::V4(address) => format!("{address}:{}", flow.local_port),
        IpAddr::V6(address) => format!("[{address}]:{}", flow.local_port),
    }
}

/// An address or a prefix on the command line.
fn peer(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    let net = address.or_else(|_| text.parse::<IpNet>().map(|net| net.trunc()));
    net.map_err(|_| "expected an address such as 10.1.1.10 or a prefix such as 10.1.0.0/16".to_owned())
}

/// A protocol that has flows, on the command line.
fn protocol(text: &str) -> Result<u8, String> {
    parse_protocol(text)
        .filter(|number| matches!(*number, ICMP | TCP | UDP | ICMPV6 | SCTP))
        .ok_or_else(|| "flows are of tcp, udp, sctp, icmp or icmpv6".to_owned())
}
