//! What more costs: rules, prefixes, roles and flows, each from few to many. Every size is measured in every round, so that a bad
//! second spoils one round of each.
//!
//! "Flat" is said of a ratio together with the noise. Where in memory the kernel puts a program changes what it costs by up to a
//! nanosecond, so the smallest size and the largest are loaded several times over, on cables of their own: the ratio is that of the
//! means, and what the copies of the smallest differ by is noise.

use std::time::Instant;

use harness::bpf::{self, Kind};
use harness::enforcer::enforcer_with_input;
use harness::packet::{Packet, tcp};
use serde_json::{Value, json};

use crate::Effort;
use crate::classes::{Bench, Class, Hook, measure};
use crate::programs::{DESTINATION, SOURCE, Varying};
use crate::report::{Row, Section, Target};
use crate::site::{FIRST_RULE_PORT, HOST, PREFIX_PORT, STRANGER, Site};

/// Copies of the smallest size and of the largest.
const COPIES: usize = 5;
/// Of the largest flow tables, which are a gigabyte with as many.
const COPIES_OF_FLOWS: usize = 2;
/// What adding may lose.
const ROUNDING: f64 = 1e-9;
const ANY_SOURCE: &str = "permitted to any source";
const BY_PREFIX: &str = "permitted by prefix";
const DENIED: &str = "denied, SYN";
/// No rule permits it.
const UNUSED_PORT: u16 = 4444;
/// Of the flows: the port of the other side, and ours.
const FLOW_PORTS: (u16, u16) = (5000, 40_000);

pub(crate) fn section(effort: Effort) -> Section {
    let mut rows = Vec::new();
    for (what, grow) in [
        ("rules", rules as fn(Effort) -> Result<Vec<Row>, String>),
        ("prefixes", prefixes),
        ("roles", roles),
        ("flows", flows),
    ] {
        effort.say(&format!("growth: {what}"));
        match grow(effort) {
            Ok(found) => rows.extend(found),
            Err(why) => rows.push(Row::not_measured(what, "all", why)),
        }
    }
    Section::new("growth", "(e) Growth: inbound at XDP, above an empty program; and time to apply", rows)
}

/// These sizes, from few to many, the first and the last several times over.
fn with_copies<T: Copy>(effort: Effort, sizes: &[T], of_last: usize) -> Vec<T> {
    let (of_first, of_last) = if effort.quick { (2, 1) } else { (COPIES, of_last) };
    let more = |size: Option<&T>, copies: usize| std::iter::repeat_n(size.copied(), copies - 1).flatten();
    more(sizes.first(), of_first).chain(sizes.iter().copied()).chain(more(sizes.last(), of_last)).collect()
}

/// Whether this is the copy of its size that is shown.
fn is_shown(sizes: &[Size], index: usize) -> bool {
    sizes.iter().position(|size| size.count == sizes[index].count) == Some(index)
}

/// One size of what grows.
struct Size {
    count: usize,
    site: Site,
    bench: Bench,
    /// Members of the prefixes, and an address beside them, where prefixes grow.
    sources: Vec<String>,
}

impl Size {
    fn new(count: usize, site: Site) -> Result<Self, String> {
        let bench = Bench::new(&site, Hook::Xdp).map_err(|why| format!("{count}: {why}"))?;
        Ok(Self { count, site, bench, sources: Vec::new() })
    }
}

/// Milliseconds of one `apply` over the policy in force, and of what it does before it touches the kernel.
pub(crate) fn time_to_apply(bench: &Bench, site: &Site) -> Result<[f64; 2], String> {
    let cable = &bench.guarded.protected.cable;
    let text = site.text(&[&cable.near.interface]);
    let time = |more: &[&str]| -> Result<f64, String> {
        let line = [&["apply", "-", "--hook", "native", "--mode", "enforce"], more].concat();
        let start = Instant::now();
        let ran = enforcer_with_input(&cable.host, &line, &text);
        let took = start.elapsed().as_secs_f64() * 1000.0;
        if ran.code == Some(0) { Ok(took) } else { Err(format!("`{}`: {}", ran.line, ran.stderr)) }
    };
    Ok([time(&[])?, time(&["--dry-run"])?])
}

fn raw(what: &str, count: usize, class: &str) -> Value {
    json!({"grows": what, "count": count, "class": class})
}

/// Measures the classes of all sizes, and says how the largest compares with the smallest. Every size has the same classes, by
/// name; `flat` are those that should cost the same however many there are.
fn compare(
    effort: Effort,
    what: &'static str,
    sizes: &[Size],
    flat: &[&str],
    classes: Vec<Vec<(&'static str, Class<'_>)>>,
) -> Result<Vec<Row>, String> {
    let names: Vec<&str> = classes.first().into_iter().flatten().map(|(name, _)| *name).collect();
    let mut all = Vec::new();
    for ((name, class), count) in
        classes.into_iter().zip(sizes).flat_map(|(of_size, size)| of_size.into_iter().map(|one| (one, size.count)))
    {
        all.push(class.named(what, format!("{name}, {count} {what}")));
    }
    let measured = measure(effort, &mut all)?;
    let mut rows = Vec::new();
    for (index, row) in measured.into_iter().enumerate() {
        let (size, class) = (index / names.len(), names[index % names.len()]);
        if is_shown(sizes, size) {
            rows.push(row.raw(raw(what, sizes[size].count, class)));
        }
    }
    let (Some(smallest), Some(largest)) = (sizes.first(), sizes.last()) else { return Ok(rows) };
    for (class, name) in names.iter().enumerate().filter(|(_, name)| flat.contains(name)) {
        let title = format!("{name}: {} {what} / {}", largest.count, smallest.count);
        let figures = |count: usize| -> Option<Vec<f64>> {
            let copies = sizes.iter().enumerate().filter(|(_, size)| size.count == count);
            copies.map(|(size, _)| all[size * names.len() + class].above_empty()).collect()
        };
        rows.push(match (figures(smallest.count), figures(largest.count)) {
            (Some(few), Some(many)) => ratio(what, title, &few, &many),
            _ => Row::not_measured(what, title, "one of the two was not measured"),
        });
    }
    Ok(rows)
}

/// The mean of the copies of the largest size over that of the smallest, with what those differ by as noise.
fn ratio(what: &str, title: String, few: &[f64], many: &[f64]) -> Row {
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let (least, most) = few.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), one| (a.min(*one), b.max(*one)));
    let noise = (most - least) / mean(few);
    Row::new(what, title, mean(many) / mean(few), "times")
        .target(Some(Target::AtMost(1.0 + noise + ROUNDING)))
        .how(format!("{:.1} / {:.1}; copies of the smaller: {least:.1} to {most:.1}", mean(many), mean(few)))
        .raw(json!({"noise": noise, "few": few, "many": many}))
}

/// How long `apply` takes at every size.
fn applies(effort: Effort, what: &'static str, sizes: &[Size]) -> Vec<Row> {
    let rounds = effort.growing_applies();
    let mut least: Vec<Result<[f64; 2], String>> = sizes.iter().map(|_| Ok([f64::INFINITY; 2])).collect();
    for round in 0..rounds {
        effort.progress(round + 1, rounds);
        for (index, (least, size)) in least.iter_mut().zip(sizes).enumerate() {
            if let Ok(before) = least
                && is_shown(sizes, index)
            {
                *least =
                    time_to_apply(&size.bench, &size.site).map(|[all, dry]| [all.min(before[0]), dry.min(before[1])]);
            }
        }
    }
    let row = |(index, (size, least)): (usize, (&Size, Result<[f64; 2], String>))| {
        let name = format!("apply, all of the command, {} {what}", size.count);
        is_shown(sizes, index).then(|| match least {
            Ok([all, dry]) => Row::new(what, name, all, "ms")
                .how(format!("least of {rounds}; {dry:.1} until compiled"))
                .raw(raw(what, size.count, "apply")),
            Err(why) => Row::not_measured(what, name, why),
        })
    };
    sizes.iter().zip(least).enumerate().filter_map(row).collect()
}

fn from_stranger(port: u16) -> Packet {
    Packet::new().ipv4(STRANGER[0], HOST[0]).tcp(40_000, port)
}

fn rules(effort: Effort) -> Result<Vec<Row>, String> {
    let counts: &[u16] = if effort.quick { &[10, 1000] } else { &[10, 100, 1000, 10_000] };
    let counts = with_copies(effort, counts, COPIES);
    let sizes = counts.iter().map(|count| Size::new((*count).into(), Site::one_role().with_rules(*count)));
    let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
    let classes = sizes.iter().map(|size| {
        // The last rule that is for everybody, and the last that is for the peer.
        let ports = [1, 0]
            .map(|rest| (0..counts[counts.len() - 1]).rev().find(|n| usize::from(*n) < size.count && n % 4 == rest));
        let [any, scoped] = ports.map(|number| FIRST_RULE_PORT + number.unwrap_or_default());
        let member = Packet::new().ipv4("10.0.0.7", HOST[0]).tcp(40_000, scoped).flags(tcp::ACK);
        vec![
            (ANY_SOURCE, size.bench.class(ANY_SOURCE, &from_stranger(any).flags(tcp::ACK))),
            (BY_PREFIX, size.bench.class(BY_PREFIX, &member)),
            (DENIED, size.bench.class(DENIED, &from_stranger(UNUSED_PORT)).dropped(&size.bench)),
        ]
    });
    let mut rows = compare(effort, "rules", &sizes, &[ANY_SOURCE, BY_PREFIX, DENIED], classes.collect())?;
    rows.extend(applies(effort, "rules", &sizes));
    Ok(rows)
}

fn prefixes(effort: Effort) -> Result<Vec<Row>, String> {
    let counts: &[usize] = if effort.quick { &[10, 1000] } else { &[10, 100, 1000, 10_000, 100_000] };
    let counts = with_copies(effort, counts, COPIES);
    let size = |count: &usize| {
        let (site, members, beside) = Site::one_role().with_prefixes(PREFIX_PORT, *count);
        let sources = members.iter().chain([&beside]).map(ToString::to_string).collect();
        Ok(Size { sources, ..Size::new(*count, site)? })
    };
    let sizes = counts.iter().map(size).collect::<Result<Vec<_>, String>>()?;
    let classes = sizes.iter().map(|size| {
        let frame = |source: &str| Packet::new().ipv4(source, HOST[0]).tcp(40_000, PREFIX_PORT).flags(tcp::ACK);
        let beside = "denied, beside a prefix";
        let [first, middle, last, stranger] = [0, 1, 2, 3].map(|index| frame(&size.sources[index]));
        let member = |which: &'static str, frame| (which, size.bench.class(which, frame));
        vec![
            (ANY_SOURCE, size.bench.class(ANY_SOURCE, &from_stranger(143).flags(tcp::ACK))),
            member("member, the first", &first),
            member("member, of the middle", &middle),
            member("member, the last", &last),
            (beside, size.bench.class(beside, &stranger).dropped(&size.bench)),
        ]
    });
    let mut rows = compare(effort, "prefixes", &sizes, &[ANY_SOURCE], classes.collect())?;
    rows.extend(applies(effort, "prefixes", &sizes));
    Ok(rows)
}

fn roles(effort: Effort) -> Result<Vec<Row>, String> {
    let most: &[usize] = if effort.quick { &[1, usize::MAX] } else { &[1, 4, 16, usize::MAX] };
    let most = with_copies(effort, most, COPIES);
    let size = |most: &usize| {
        let (site, count) = Site::roles(*most)?;
        Size::new(count, site)
    };
    let sizes = most.iter().map(size).collect::<Result<Vec<_>, _>>()?;
    let classes = sizes.iter().map(|size| {
        vec![
            (ANY_SOURCE, size.bench.class(ANY_SOURCE, &from_stranger(143).flags(tcp::ACK))),
            (DENIED, size.bench.class(DENIED, &from_stranger(UNUSED_PORT)).dropped(&size.bench)),
        ]
    });
    let mut rows = compare(effort, "roles", &sizes, &[ANY_SOURCE, DENIED], classes.collect())?;
    rows.extend(applies(effort, "roles", &sizes));
    Ok(rows)
}

/// Flows are made by the program itself, out of packets that leave for addresses of so many random bits; then answers come in from
/// addresses of as many. Many flows do not fit into the caches of a CPU: what grows here is mostly the memory's share.
fn flows(effort: Effort) -> Result<Vec<Row>, String> {
    // So often is each flow drawn on average: of a thousand, none is left out.
    const DRAWS: u32 = 10;
    let bits: &[u32] = if effort.quick { &[10, 14] } else { &[10, 14, 17, 20] };
    let bits = with_copies(effort, bits, COPIES_OF_FLOWS);
    let of_io = |error: std::io::Error| error.to_string();
    let (theirs, ours) = FLOW_PORTS;
    let asking = Packet::new().ipv4(HOST[0], "10.0.0.0").udp(ours, theirs);
    let answer = Packet::new().ipv4("10.0.0.0", HOST[0]).udp(theirs, ours);
    let mut sizes = Vec::new();
    let mut varying = Vec::new();
    for bits in &bits {
        let count = 1_u32 << bits;
        // A quarter more, so that none is evicted.
        let size = Size::new(count as usize, Site::one_role().with_flows((count + count / 4).max(2048)))?;
        let destinations = Varying::among(Kind::Tc, DESTINATION, *bits).map_err(of_io)?;
        let maker = destinations.to(&size.bench.outbound).map_err(of_io)?;
        bpf::test_run(maker, &asking.build(), count * DRAWS).map_err(of_io)?;
        varying.push((Varying::among(Kind::Xdp, SOURCE, *bits).map_err(of_io)?, destinations));
        sizes.push(size);
    }
    let sizes = sizes;
    let classes = sizes.iter().map(|size| {
        let index = sizes.iter().position(|one| std::ptr::eq(one, size)).unwrap_or_default();
        let (sources, destinations) = &varying[index];
        let one = "reply to the same flow";
        let random = "reply to a random flow each";
        let leaving = "outbound, a random known flow each";
        vec![
            (one, size.bench.class(one, &answer)),
            (random, size.bench.class(random, &answer).varied(sources)),
            (leaving, size.bench.outbound(leaving, &asking).varied(destinations)),
        ]
    });
    let mut rows = compare(effort, "flows", &sizes, &["reply to the same flow"], classes.collect())?;
    for (index, size) in sizes.iter().enumerate().filter(|(index, _)| is_shown(&sizes, *index)) {
        let took = size.bench.guarded.took.as_secs_f64() * 1000.0;
        let name = format!("apply, the first time, all of the command, {} flows", size.count);
        let note = if index == 0 { "once; the tables are made then" } else { "once" };
        rows.push(Row::new("flows", name, took, "ms").how(note.to_owned()).raw(raw(
            "flows",
            size.count,
            "first apply",
        )));
    }
    rows.extend(applies(effort, "flows", &sizes));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_flat_within_what_copies_differ_by() {
        let flat = ratio("rules", String::new(), &[8.0, 9.0, 10.0], &[9.5, 9.5]);
        assert!(flat.json()["met"].as_bool().is_some_and(|met| met));
        assert_eq!(flat.how, "9.5 / 9.0; copies of the smaller: 8.0 to 10.0");
        let steep = ratio("rules", String::new(), &[8.0, 9.0, 10.0], &[12.0, 12.0]);
        assert!(steep.json()["met"].as_bool().is_some_and(|met| !met));
    }
}
