//! One conversation at both of its ends: `tcp rtr-a -> cuic1:8443`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use enforcer_common::numbers::{ICMP, ICMPV6, SCTP, TCP, UDP};
use enforcer_common::{Direction, Verdict};
use jiff::civil::Date;
use serde::Serialize;

use super::ends::HostError;
use crate::judge::explain::{Explanation, describe, judge};
use crate::judge::tuple::{CLIENT_PORT, Tuple};
use crate::policy::catalogue::Catalogue;
use crate::policy::compile::compile;
use crate::policy::estate::{Estate, Host, site};
use crate::policy::site::{parse_protocol, protocol_name};
use crate::text::decimal;
use crate::text::diagnostic::Diagnostic;
use crate::text::line::Line;
use crate::text::nearest::did_you_mean;

const EXAMPLE: &str = "for example `tcp rtr-a -> cuic1:8443` or `icmp 10.9.0.5 -> cuc1`";

/// A conversation between two names or addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// Who connects, as it is written.
    pub from: String,
    /// Where to, as it is written.
    pub to: String,
    protocol: u8,
    source: IpAddr,
    destination: IpAddr,
    port: Option<u16>,
}

/// What one end says of it.
#[derive(Clone, Debug, Serialize)]
pub struct AtEnd {
    /// The host.
    pub host: String,
    /// Which way the packet goes there.
    pub direction: Direction,
    /// The packet, as `enforcer explain --host` takes it.
    pub tuple: String,
    /// The verdict and why.
    #[serde(flatten)]
    pub explanation: Explanation,
}

/// Both ends.
#[derive(Clone, Debug, Serialize)]
pub struct BothEnds {
    /// `pass` if every end that is a host lets it pass.
    pub verdict: Verdict,
    /// The ends that are hosts, the one that connects first.
    pub ends: Vec<AtEnd>,
}

/// Whether a text is about a conversation between two hosts, and not about a packet as one host sees it.
#[must_use]
pub fn is_conversation(text: &str) -> bool {
    !matches!(text.split_whitespace().next(), Some("in" | "out"))
}

impl Asked {
    /// Reads a conversation.
    ///
    /// # Errors
    ///
    /// What is wrong, pointing at the part of it that is.
    pub fn parse(text: &str, estate: &Estate) -> Result<Self, Box<Diagnostic>> {
        let line = Line::new("tuple", text);
        let (head, tail) = text
            .split_once("->")
            .ok_or_else(|| line.error(text, "`->` is missing between the two ends").with_hint(EXAMPLE))?;
        let mut words = head.split_whitespace();
        let (Some(protocol_word), Some(from), None) = (words.next(), words.next(), words.next()) else {
            return Err(line.error(head, "expected a protocol and who connects before `->`").with_hint(EXAMPLE).into());
        };
        let mut words = tail.split_whitespace();
        let (Some(target), None) = (words.next(), words.next()) else {
            return Err(line.error(tail, "expected one end behind `->`").with_hint(EXAMPLE).into());
        };
        let protocol = parse_protocol(protocol_word).ok_or_else(|| {
            let known = (0..=u8::MAX).map(protocol_name).collect::<Vec<_>>();
            let hint =
                did_you_mean(protocol_word, known.iter().map(String::as_str)).unwrap_or_else(|| EXAMPLE.to_owned());
            line.error(protocol_word, format!("`{protocol_word}` is no IP protocol")).with_hint(hint)
        })?;
        let (to, port_word) = split(target);
        let has_ports = matches!(protocol, TCP | UDP | SCTP);
        let port = match (has_ports, port_word) {
            (true, Some(word)) => Some(decimal::parse(word).ok_or_else(|| {
                let message = format!("`{word}` is no port");
                line.error(if word.is_empty() { target } else { word }, message).with_hint("a number from 0 to 65535")
            })?),
            (true, None) => {
                let message = format!("{} needs the port that it goes to", protocol_name(protocol));
                return Err(line.error(target, message).with_hint(format!("write `-> {to}:443`")).into());
            }
            (false, Some(word)) => {
                let message = format!("{} has no ports", protocol_name(protocol));
                return Err(line.error(if word.is_empty() { target } else { word }, message).into());
            }
            (false, None) => None,
        };
        let sources = addresses(estate, from).map_err(|(message, hint)| line.error(from, message).with_hint(hint))?;
        let targets = addresses(estate, to).map_err(|(message, hint)| line.error(to, message).with_hint(hint))?;
        let of_family = |target: &IpAddr| sources.iter().find(|source| source.is_ipv4() == target.is_ipv4()).copied();
        let pair = targets.iter().find_map(|target| Some((of_family(target)?, *target)));
        let Some((source, destination)) = pair else {
            return Err(line.error(target, "the two ends have no addresses of one family").into());
        };
        if !estate.hosts.contains_key(from)
            && !estate.hosts.contains_key(to)
            && owners(estate, source, destination).is_empty()
        {
            let message = "neither end is a host of the estate";
            return Err(line.error(text, message).with_hint("name a host, or one of its addresses").into());
        }
        // The two pings are one thing to an operator.
        let protocol = match (protocol, destination) {
            (ICMP, IpAddr::V6(_)) => ICMPV6,
            (ICMPV6, IpAddr::V4(_)) => ICMP,
            (protocol, _) => protocol,
        };
        Ok(Self { from: from.to_owned(), to: to.to_owned(), protocol, source, destination, port })
    }

    /// Judges it at each end that is a host with a policy.
    ///
    /// # Errors
    ///
    /// A host cannot be compiled.
    pub fn judged(&self, estate: &Estate, catalogue: &Catalogue, today: Date) -> Result<BothEnds, HostError> {
        let mut ends = Vec::new();
        for (direction, address, name) in
            [(Direction::Outbound, self.source, &self.from), (Direction::Inbound, self.destination, &self.to)]
        {
            let by_address = || estate.hosts_with(&BTreeSet::from([address])).into_iter().next();
            let host = estate.hosts.get(name).or_else(by_address);
            let Some(host) = host.filter(|host| estate.has_policy(host)) else { continue };
            ends.push(self.at(estate, catalogue, host, direction, today)?);
        }
        let passes = ends.iter().all(|end| end.explanation.verdict == Verdict::Pass);
        Ok(BothEnds { verdict: if passes { Verdict::Pass } else { Verdict::Drop }, ends })
    }

    fn at(
        &self,
        estate: &Estate,
        catalogue: &Catalogue,
        host: &Host,
        direction: Direction,
        today: Date,
    ) -> Result<AtEnd, HostError> {
        let site = site(estate, catalogue, host);
        let compiled =
            compile(&site, catalogue, today).map_err(|cause| HostError { host: host.name.clone(), cause })?;
        let tuple = Tuple {
            direction,
            protocol: self.protocol,
            source: self.source,
            destination: self.destination,
            ports: self.port.map(|port| (CLIENT_PORT, port)),
        };
        let found = judge(&compiled.ruleset, &tuple);
        let explanation = describe(&site, catalogue, &compiled.ruleset, &tuple, found);
        Ok(AtEnd { host: host.name.clone(), direction, tuple: tuple.to_string(), explanation })
    }
}

fn owners(estate: &Estate, source: IpAddr, destination: IpAddr) -> Vec<&Host> {
    estate.hosts_with(&BTreeSet::from([source, destination]))
}

/// An end and its port: `cuic1:8443`, `10.0.0.1:443`, `[2001:db8::1]:443`.
fn split(word: &str) -> (&str, Option<&str>) {
    if let Some((address, behind)) = word.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, behind.strip_prefix(':'));
    }
    match word.split_once(':') {
        // An IPv6 address without brackets has no port.
        Some((_, rest)) if rest.contains(':') => (word, None),
        Some((end, port)) => (end, Some(port)),
        None => (word, None),
    }
}

/// The addresses of an end, or what is wrong with it.
fn addresses(estate: &Estate, word: &str) -> Result<Vec<IpAddr>, (String, String)> {
    let bare = word.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(vec![address.to_canonical()]);
    }
    if let Some(host) = estate.hosts.get(word) {
        return Ok(host.addresses.iter().copied().collect());
    }
    if let Some(outside) = estate.outside.get(word).filter(|outside| !outside.nets.is_empty()) {
        // The first address that a host can have.
        let first = |net: &ipnet::IpNet| net.hosts().next().unwrap_or_else(|| net.addr());
        return Ok(outside.nets.keys().map(first).collect());
    }
    let names = estate.hosts.keys().chain(estate.outside.keys()).map(String::as_str);
    let hint = did_you_mean(word, names).unwrap_or_else(|| "a host, a name of `outside:` or an address".to_owned());
    Err((format!("the estate `{}` has no host or name `{word}`", estate.name), hint))
}
