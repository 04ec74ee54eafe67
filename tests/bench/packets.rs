//! What a packet costs: test runs of the loaded programs on one frame of each class, beside an empty program of the same type.
//!
//! The frame is the same every time, so everything that it touches is in the cache, unless a class says otherwise. The mean of a
//! round is measured; the least of the rounds is what counts, because whatever disturbs a measurement makes it longer.

use std::net::Ipv4Addr;
use std::path::Path;

use aya::programs::ProgramInfo;
use harness::bpf::Kind;
use harness::packet::{Extension, Packet, SERVICE_VLAN, protocol, tcp};
use serde_json::json;

use crate::Effort;
use crate::classes::{Bench, Class, Hook, measure};
use crate::programs::{DESTINATION, SOURCE, Varying};
use crate::report::{Row, Section, Target};
use crate::site::{HOST, PREFIX_PORT, STRANGER, Site};

/// A host with which this one has flows.
const SERVER: [&str; 2] = ["198.18.0.9", "2001:db8::9"];
/// The local port of those flows.
const CLIENT_PORT: u16 = 40_000;
/// Local ports that no rule permits and no flow uses.
const UNUSED_PORT: u16 = 4444;

const ANY_SOURCE_V4: f64 = 12.0;
const ANY_SOURCE_V6: f64 = 15.0;
const DENIED_EARLY: f64 = 25.0;
const DENIED: f64 = 45.0;
const REPLY: f64 = 40.0;
const PREFIXES_10_000: f64 = 100.0;
const THREE_EXTENSIONS: f64 = 8.0;
/// Classes that extension headers are measured by, in the order in which they are made.
const EXTENDED: [&str; 3] = ["permitted, IPv6 TCP", "IPv6, 3 extension headers", "IPv6, 7 extension headers"];
/// Copies of the program that they are measured on.
const COPIES: usize = 7;
const KNOWN_EGRESS: f64 = 60.0;

pub(crate) fn section(effort: Effort) -> Section {
    let mut rows = Vec::new();
    for hook in [Hook::Xdp, Hook::Tc] {
        effort.say(&format!("nanoseconds a packet: {}", hook.name()));
        collect(&mut rows, hook.name(), one_role(effort, hook));
        collect(&mut rows, hook.name(), crate::pending::rows(effort, hook));
        for count in [10, 1000, 10_000, 100_000] {
            if effort.quick && count == 100_000 {
                continue;
            }
            effort.say(&format!("nanoseconds a packet: {}, one of {count} prefixes", hook.name()));
            collect(&mut rows, hook.name(), by_prefix(effort, hook, count));
        }
        effort.say(&format!("nanoseconds a packet: {}, every role", hook.name()));
        collect(&mut rows, hook.name(), every_role(effort, hook));
    }
    Section::new("packets", "(a) Nanoseconds a packet by test run, above an empty program of the same type", rows)
}

fn collect(rows: &mut Vec<Row>, group: &str, found: Result<Vec<Row>, String>) {
    match found {
        Ok(found) => rows.extend(found),
        Err(why) => rows.push(Row::not_measured(group, "this policy", why)),
    }
}

fn one_role(effort: Effort, hook: Hook) -> Result<Vec<Row>, String> {
    let bench = Bench::new(&Site::one_role(), hook)?;
    let varying = |kind, at| Varying::new(kind, at).map_err(|error| format!("the program that varies frames: {error}"));
    let (sources, destinations) = (varying(hook.kind(), SOURCE)?, varying(Kind::Tc, DESTINATION)?);
    let mut classes = inbound_classes(&bench);
    classes.push(
        bench
            .class("denied, UDP, a random source each", &from_stranger(0).udp(40_000, UNUSED_PORT))
            .dropped(&bench)
            .target(DENIED_EARLY)
            .varied(&sources),
    );
    // The outbound program is the same whatever the inbound hook is.
    if hook == Hook::Tc {
        classes.extend(outbound_classes(&bench, &destinations));
    }
    // The same program, loaded to other addresses.
    let copies = (1..COPIES).map(|_| Bench::new(&Site::one_role(), hook)).collect::<Result<Vec<_>, _>>()?;
    let of_first = classes.len();
    let is_extended = |class: &Class<'_>| EXTENDED.contains(&&*class.name);
    classes.extend(copies.iter().flat_map(|copy| inbound_classes(copy).into_iter().filter(is_extended)));
    let mut rows = measure(effort, &mut classes)?;
    rows.truncate(of_first);
    let above: Vec<_> = classes.iter().filter(|class| is_extended(class)).map(Class::above_empty).collect();
    rows.extend(added(hook.name(), &above));
    rows.extend(sizes(&bench, "one role"));
    Ok(rows)
}

/// What extension headers add: the mean over the copies of the program, each of which was measured without any, with three and with
/// seven. What lies where in memory changes a difference of two classes by more than a nanosecond.
fn added(group: &str, above_empty: &[Option<f64>]) -> Vec<Row> {
    let mut of_copies = Vec::new();
    for copy in above_empty.chunks(EXTENDED.len()) {
        let [Some(none), Some(three), Some(seven)] = *copy else {
            return vec![Row::not_measured(group, "added by extension headers", "not by every copy")];
        };
        of_copies.push([three - none, seven - none]);
    }
    let row = |name: &str, which: usize| {
        let values = || of_copies.iter().map(|copy| copy[which]);
        let mean = values().sum::<f64>() / of_copies.len() as f64;
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        Row::new(group, name, mean, "ns")
            .how(format!("mean of {} copies, {least:.1} to {most:.1}", of_copies.len()))
            .raw(json!({"copies": values().collect::<Vec<_>>()}))
    };
    let three = row("added by 3 extension headers", 0).target(Some(Target::AtMost(THREE_EXTENSIONS)));
    vec![three, row("added by 7 extension headers", 1)]
}

pub(crate) fn inbound_classes(bench: &Bench) -> Vec<Class<'_>> {
    let request = |family| from_stranger(family).tcp(40_000, 143).flags(tcp::ACK);
    let reply = |family: usize| {
        let [server, host] = [SERVER[family], HOST[family]];
        Packet::new().ip(server, host).tcp(8443, CLIENT_PORT).flags(tcp::ACK)
    };
    let opening = |family: usize| Packet::new().ip(HOST[family], SERVER[family]).tcp(CLIENT_PORT, 8443);
    let asking = |family: usize| Packet::new().ip(HOST[family], SERVER[family]).udp(CLIENT_PORT, 5000);
    let first = from_stranger(0).fragment(0, true, 7).udp(40_000, 161).udp_length(200).payload(&[0; 64]);
    let later = from_stranger(0).fragment(9, false, 7).raw(protocol::UDP, &[0; 64]);
    let extended = |words: &[Extension]| {
        words
            .iter()
            .fold(from_stranger(1), |packet, one| packet.extension(one.clone()))
            .tcp(40_000, 143)
            .flags(tcp::ACK)
    };
    let (hop, destination) = (Extension::HopByHop { words: 0 }, Extension::Destination { words: 0 });
    let three = [hop.clone(), destination.clone(), Extension::Authentication { length: 4 }];
    let seven: Vec<_> = [hop].into_iter().chain(std::iter::repeat_n(destination, 6)).collect();
    let mut classes = vec![
        bench.class("permitted, IPv4 TCP", &request(0)).target(ANY_SOURCE_V4),
        bench.class("permitted, IPv4 UDP", &from_stranger(0).udp(40_000, 161)).target(ANY_SOURCE_V4),
        bench.class("permitted, IPv6 TCP", &request(1)).target(ANY_SOURCE_V6),
        bench.class("permitted, IPv4 TCP, tags 802.1ad and 802.1Q", &{
            let tagged = Packet::new().tag(SERVICE_VLAN, 7).vlan(5).ipv4(STRANGER[0], HOST[0]);
            tagged.tcp(40_000, 143).flags(tcp::ACK)
        }),
        bench.class("IPv6, 3 extension headers", &extended(&three)),
        bench.class("IPv6, 7 extension headers", &extended(&seven)),
        bench.class("reply to a flow, IPv4 TCP", &reply(0)).target(REPLY).after(&bench.outbound, &opening(0)),
        bench.class("reply to a flow, IPv6 TCP", &reply(1)).target(REPLY).after(&bench.outbound, &opening(1)),
        // A FIN is noted in the flow table: what a CPU remembers does not serve.
        bench
            .class("reply to a flow, IPv4 TCP, looked up in the flow table", &reply(0).flags(tcp::FIN | tcp::ACK))
            .after(&bench.outbound, &opening(0)),
        bench
            .class("reply to a flow, IPv4 UDP", &Packet::new().ipv4(SERVER[0], HOST[0]).udp(5000, CLIENT_PORT))
            .target(REPLY)
            .after(&bench.outbound, &asking(0)),
        bench.class("fragment, the first is known", &later).target(DENIED).after(&bench.inbound, &first),
    ];
    classes.extend(
        [
            bench.class("denied, SYN", &from_stranger(0).tcp(40_000, UNUSED_PORT)).target(DENIED_EARLY),
            bench.class("denied, IPv6 SYN", &from_stranger(1).tcp(40_000, UNUSED_PORT)).target(DENIED_EARLY),
            bench
                .class("denied, UDP port that no flow uses", &from_stranger(0).udp(40_000, UNUSED_PORT))
                .target(DENIED_EARLY),
            bench
                .class("denied, ACK on a port that flows use", &from_stranger(0).tcp(8443, CLIENT_PORT).flags(tcp::ACK))
                .target(DENIED)
                .after(&bench.outbound, &opening(0)),
            bench
                .class("denied, fragment of an unknown datagram", &{
                    from_stranger(0).fragment(9, false, 8).raw(protocol::UDP, &[0; 64])
                })
                .target(DENIED),
        ]
        .map(|class| class.dropped(bench)),
    );
    classes
}

pub(crate) fn outbound_classes<'a>(bench: &'a Bench, destinations: &'a Varying) -> Vec<Class<'a>> {
    let opening = |family: usize| Packet::new().ip(HOST[family], SERVER[family]).tcp(CLIENT_PORT, 8443);
    let asking = Packet::new().ipv4(HOST[0], SERVER[0]).udp(CLIENT_PORT, 5000);
    vec![
        bench
            .outbound("known flow, IPv4 TCP", &opening(0).flags(tcp::ACK))
            .target(KNOWN_EGRESS)
            .after(&bench.outbound, &opening(0)),
        bench
            .outbound("known flow, IPv6 TCP", &opening(1).flags(tcp::ACK))
            .target(KNOWN_EGRESS)
            .after(&bench.outbound, &opening(1)),
        bench.outbound("known flow, IPv4 UDP", &asking).target(KNOWN_EGRESS).after(&bench.outbound, &asking),
        bench.outbound("answer of a permitted service, IPv4 TCP", &{
            Packet::new().ipv4(HOST[0], STRANGER[0]).tcp(143, 40_000).flags(tcp::ACK)
        }),
        bench.outbound("flow made anew, IPv4 TCP SYN, the same each time", &opening(0)),
        bench.outbound("flow made, IPv4 UDP, a random destination each", &asking).varied(destinations),
    ]
}

/// Members of prefixes, and behind them somebody who is none.
pub(crate) fn prefix_classes<'b>(bench: &'b Bench, members: &[Ipv4Addr], beside: Ipv4Addr) -> Vec<Class<'b>> {
    let frame =
        |source: &Ipv4Addr| Packet::new().ipv4(&source.to_string(), HOST[0]).tcp(40_000, PREFIX_PORT).flags(tcp::ACK);
    let member = |source| bench.class("permitted by a prefix", &frame(source));
    let denied = bench.class("denied, beside a prefix", &frame(&beside)).dropped(bench);
    members.iter().map(member).chain([denied]).collect()
}

fn by_prefix(effort: Effort, hook: Hook, count: usize) -> Result<Vec<Row>, String> {
    let (site, members, beside) = Site::one_role().with_prefixes(PREFIX_PORT, count);
    let bench = Bench::new(&site, hook)?;
    let mut classes = prefix_classes(&bench, &members, beside);
    classes.push(bench.class("any source", &from_stranger(0).tcp(40_000, 143).flags(tcp::ACK)));
    measure(effort, &mut classes)?;
    // Not all members have as many neighbours: the slowest of some speaks for them.
    let slowest = classes[..members.len()]
        .iter_mut()
        .max_by(|a, b| a.above_empty().unwrap_or(0.0).total_cmp(&b.above_empty().unwrap_or(0.0)))
        .ok_or("no member")?;
    slowest.name = format!("permitted by one of {count} prefixes, slowest of {}", members.len());
    slowest.target = (count == 10_000).then_some(PREFIXES_10_000);
    let mut rows = vec![slowest.row()];
    let [.., denied, any] = classes.as_mut_slice() else { return Err("no class".to_owned()) };
    denied.name = format!("denied, beside one of {count} prefixes");
    any.name = format!("permitted to any source, beside {count} prefixes");
    any.target = Some(ANY_SOURCE_V4);
    rows.extend([denied.row(), any.row()]);
    Ok(rows)
}

fn every_role(effort: Effort, hook: Hook) -> Result<Vec<Row>, String> {
    let (site, count) = Site::every_role()?;
    let bench = Bench::new(&site, hook)?;
    let mut classes = [
        bench
            .class(&format!("permitted, IPv4 TCP, {count} roles"), &from_stranger(0).tcp(40_000, 143).flags(tcp::ACK))
            .target(ANY_SOURCE_V4),
        bench
            .class(&format!("permitted, IPv6 TCP, {count} roles"), &from_stranger(1).tcp(40_000, 143).flags(tcp::ACK))
            .target(ANY_SOURCE_V6),
        bench
            .class(&format!("denied, SYN, {count} roles"), &from_stranger(0).tcp(40_000, UNUSED_PORT))
            .dropped(&bench)
            .target(DENIED_EARLY),
    ];
    let mut rows = measure(effort, &mut classes)?;
    rows.extend(sizes(&bench, &format!("{count} roles")));
    Ok(rows)
}

/// How large the programs are.
pub(crate) fn sizes(bench: &Bench, policy: &str) -> Vec<Row> {
    let of = |group: &str, pin: &Path| match ProgramInfo::from_pin(pin) {
        Ok(info) => {
            let translated = info.size_translated().unwrap_or_default() / 8;
            let verified = info.verified_instruction_count().unwrap_or_default();
            let machine = info.size_jitted();
            Row::new(group, format!("size, {policy}"), f64::from(translated), "instructions")
                .how(format!("verified {verified}, machine code {machine} bytes"))
                .raw(json!({"translated": translated, "verified": verified, "machine_code_bytes": machine}))
        }
        Err(error) => Row::not_measured(group, format!("size, {policy}"), error.to_string()),
    };
    let mut rows = vec![of(bench.hook.name(), &bench.guarded.inbound)];
    if bench.hook == Hook::Tc {
        rows.push(of("outbound, tc egress", &bench.guarded.outbound));
    }
    rows
}

fn from_stranger(family: usize) -> Packet {
    Packet::new().ip(STRANGER[family], HOST[family])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_headers_add_is_a_mean_over_copies() {
        let rows = added("", &[10.0, 17.0, 26.0, 12.0, 21.0, 30.0].map(Some));
        let values: Vec<_> = rows.iter().map(|row| row.value.clone()).collect();
        assert_eq!(values, [Ok(8.0), Ok(17.0)]);
        assert_eq!(rows[0].how, "mean of 2 copies, 7.0 to 9.0");
        assert!(added("", &[Some(10.0), None, Some(26.0)])[0].value.is_err(), "no figure without all three");
    }
}
