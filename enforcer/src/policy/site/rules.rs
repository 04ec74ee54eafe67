//! Entries of `allow` and `deny`.

use enforcer_common::Direction;

use super::peers::{Peers, known};
use super::values::{self, Written, date, name, written};
use super::{ALL_PORTS, Remote, SiteRule};
use crate::policy::catalogue::{Catalogue, parse_ranges};
use crate::policy::ruleset::Match;
use crate::policy::site::values::modes_words;
use crate::text::decimal;
use crate::text::nearest::did_you_mean;
use crate::text::yaml::{Fields, Node, Reader, Value};

/// Protocols whose packets are judged by their type, by ports or not at all, and not by a rule for the whole protocol.
const ICMP: [u8; 3] = [1, 2, 58];
const WITH_PORTS: [u8; 3] = [6, 17, 132];
/// Ethertypes that lead to something else which is judged, or that always pass.
const JUDGED_ETHERTYPES: [(u16, &str); 5] = [
    (0x0800, "IPv4 is judged by the rules for protocols and ports"),
    (0x86dd, "IPv6 is judged by the rules for protocols and ports"),
    (0x0806, "ARP always passes"),
    (0x8100, "a VLAN tag is skipped and the packet inside judged"),
    (0x88a8, "a VLAN tag is skipped and the packet inside judged"),
];

/// Reads one entry.
pub(in crate::policy) fn rule(
    reader: &Reader<'_>,
    node: &Node,
    deny: bool,
    peers: &Peers,
    catalogue: &Catalogue,
) -> Option<SiteRule> {
    let what = if deny { "an entry of `deny`" } else { "an entry of `allow`" };
    let mut fields = reader.fields(node, what)?;
    let name_node = fields.required("name");
    let rule_name = name_node.and_then(|node| name(reader, node, "the name of a rule"));
    let directions = [("in", Direction::Inbound), ("out", Direction::Outbound)];
    let direction = match fields.optional("direction") {
        Some(node) => reader.word(node, &directions),
        None => Some(Direction::Inbound),
    };
    let matches = matches(reader, &mut fields, what);
    let (from, to) = (fields.optional("from"), fields.optional("to"));
    let remote = match direction {
        Some(Direction::Inbound) => {
            if let Some(node) = to {
                let hint = "write `from:` for who connects, or `direction: out`";
                reader.note(reader.text.error(node.at, "`to` belongs to `direction: out`").with_hint(hint));
            }
            from
        }
        Some(Direction::Outbound) => {
            if let Some(node) = from {
                let hint = "write `to:` for where the host connects";
                reader.note(reader.text.error(node.at, "`from` belongs to `direction: in`").with_hint(hint));
            }
            to
        }
        None => None,
    };
    let remotes = remote.and_then(|node| remotes(reader, node, peers, catalogue));
    if let (Some(node), Some(Match::Ethertype(_))) = (remote, &matches) {
        reader.error(node, "what is not IP has no address to match");
    }
    let mode = fields.optional("mode").and_then(|node| reader.word(node, &modes_words()));
    let reason = fields.optional("reason").and_then(|node| reader.string(node, "a sentence")).map(str::to_owned);
    let expires = fields.optional("expires").and_then(|node| date(reader, node));
    fields.finish();
    let name = rule_name?.to_owned();
    if name == "icmp-echo" {
        let message = "`icmp-echo` is the name of the rule that `icmp_echo:` makes";
        reader.note(reader.text.error(name_node?.at, message));
        return None;
    }
    Some(SiteRule {
        name,
        deny,
        direction: direction?,
        matches: matches?,
        remotes,
        mode,
        reason,
        expires,
        at: name_node?.at,
    })
}

fn matches(reader: &Reader<'_>, fields: &mut Fields<'_, '_>, what: &str) -> Option<Match> {
    let (protocol, ports) = (fields.optional("protocol"), fields.optional("ports"));
    let ethertype = fields.optional("ethertype");
    match (protocol, ethertype) {
        (Some(_), Some(node)) => {
            reader.error(node, "an entry has `protocol` or `ethertype`, not both");
            None
        }
        (None, None) => {
            let message = format!("{what} has neither `protocol` nor `ethertype`");
            let hint = "for example `protocol: tcp` with `ports: [9100]`, or `protocol: esp`";
            reader.note(reader.text.error(fields.at, message).with_hint(hint));
            None
        }
        (None, Some(node)) => {
            if let Some(ports) = ports {
                reader.error(ports, "an ethertype has no ports");
            }
            ethertype_match(reader, node)
        }
        (Some(node), None) => {
            let text = reader.string(node, "a protocol, by name or number")?;
            let Some(number) = values::parse_protocol(text) else {
                let hint = decimal::leading_zero(text)
                    .or_else(|| did_you_mean(text, values::protocol_names()))
                    .unwrap_or_else(|| "a protocol that has no name here is written as its number".to_owned());
                let message = format!("no protocol is called {}", node.describe());
                reader.note(reader.text.error(node.at, message).with_hint(hint));
                return None;
            };
            if ICMP.contains(&number) {
                let hint = "`icmp_echo:` says who may ping; other types are judged one by one";
                let message = format!("{} is not judged as a whole", node.describe());
                reader.note(reader.text.error(node.at, message).with_hint(hint));
                return None;
            }
            match (WITH_PORTS.contains(&number), ports) {
                (true, Some(ports)) => self::ports(reader, ports, number),
                (true, None) => {
                    let message = format!("`protocol: {text}` needs `ports`");
                    let hint = "`ports: any` means all of them";
                    reader.note(reader.text.error(node.at, message).with_hint(hint));
                    None
                }
                (false, None) => Some(Match::Protocol(number)),
                (false, Some(ports)) => {
                    reader.error(ports, format!("the protocol `{text}` has no ports"));
                    None
                }
            }
        }
    }
}

fn ports(reader: &Reader<'_>, node: &Node, protocol: u8) -> Option<Match> {
    if matches!(&node.value, Value::Scalar { text, .. } if text == "any") {
        return Some(Match::Ports { protocol, ports: vec![ALL_PORTS] });
    }
    let what = "ports such as `443` or `5060-5199`";
    let items = reader.one_or_more(node, "a list of ports");
    if items.is_empty() && matches!(node.value, Value::Sequence(_)) {
        reader.error(node, "the list of ports is empty");
    }
    let mut texts = Vec::new();
    for item in reader.each(items) {
        match reader.string(item, what) {
            Some(text) if parse_ranges(text).is_some() => texts.push(text),
            Some(_) => reader.expected_number(item, what),
            None => {}
        }
    }
    parse_ranges(&texts.join(",")).map(|ports| Match::Ports { protocol, ports })
}

fn ethertype_match(reader: &Reader<'_>, node: &Node) -> Option<Match> {
    let what = "an ethertype from 0x0600 to 0xffff, such as `0x8892`";
    let Some(number) = values::parse_ethertype(reader.string(node, what)?) else {
        reader.expected_number(node, what);
        return None;
    };
    if let Some((_, why)) = JUDGED_ETHERTYPES.iter().find(|(known, _)| *known == number) {
        reader.error(node, format!("no rule is needed for {}: {why}", node.describe()));
        return None;
    }
    Some(Match::Ethertype(number))
}

/// Peers and addresses; `None`: any.
pub(super) fn remotes(reader: &Reader<'_>, node: &Node, peers: &Peers, catalogue: &Catalogue) -> Option<Vec<Remote>> {
    if matches!(&node.value, Value::Scalar { text, .. } if text == "any") {
        return None;
    }
    let mut remotes = Vec::new();
    let items = reader.one_or_more(node, "a list of peers, addresses or prefixes");
    if items.is_empty() && matches!(node.value, Value::Sequence(_)) {
        let hint = "leave it out, or write `any`, to mean every address";
        reader.note(reader.text.error(node.at, "the list is empty, so the entry would match nobody").with_hint(hint));
    }
    for item in reader.each(items) {
        match written(reader, item) {
            Some(Written::Net(net)) => remotes.push(Remote::Net(net)),
            Some(Written::Name(name)) if known(reader, item, name, (&peers.places, peers.section), catalogue) => {
                remotes.push(Remote::Peer(name.to_owned()));
            }
            Some(Written::Name(_)) | None => {}
        }
    }
    remotes.sort();
    remotes.dedup();
    Some(remotes)
}
