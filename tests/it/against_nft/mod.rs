//! Somebody else's code agrees: nftables, with what `enforcer export nft` writes, and our programs get the same packets, and
//! what arrives is compared, packet by packet, under every role of the catalogue.
//!
//! Two hosts with the same addresses stand side by side. Inbound frames are sent over their cables; what has come through all
//! that filters is logged behind it. Outbound packets go through the stack of the host, and are seen at the other end. Where the
//! two differ, [`differences`] says why, or the test fails.

mod differences;
mod estate;
mod packets;
mod worlds;

use std::collections::{BTreeMap, BTreeSet};

use enforcer::dataplane::HookChoice;
use enforcer::fixtures::sites::every_role;
use enforcer::judge::tables::HostTables;
use enforcer::policy::catalogue::embedded;
use enforcer::policy::compile::compile;
use enforcer::policy::export::{Target, export};
use enforcer::policy::site;
use enforcer::text::diagnostic::Text;
use enforcer_common::frame::Bytes;
use enforcer_common::outcome::Outcome;
use enforcer_common::{Direction, Mode, Reason};
use harness::machine::{cpus, stay_on_cpu};
use harness::netns::Cable;
use harness::results;
use harness::skip::say;

use self::differences::Case;
use self::packets::{Conversation, Generator, Sent};
use self::worlds::{Arrived, World};

/// Packets for each of the two hooks. `ENFORCER_PACKETS` sets another number, and has each hook judge under every role; without
/// it they share the roles, because loading takes longer than judging.
const PACKETS: usize = 10_000;
/// Conversations that are sent together.
const TOGETHER: usize = 400;

#[test]
fn nft_and_native_xdp_let_the_same_packets_arrive() {
    compare(HookChoice::Native, 1);
}

#[test]
fn nft_and_tc_let_the_same_packets_arrive() {
    compare(HookChoice::Tc, 2);
}

/// What was found.
#[derive(Default)]
struct Tally {
    packets: usize,
    arrived: usize,
    /// Of the named differences, how often.
    differences: BTreeMap<&'static str, usize>,
    reasons: BTreeSet<Reason>,
    /// What nothing explains.
    unexplained: Vec<String>,
}

fn compare(hook: HookChoice, seed: u64) {
    let asked = std::env::var("ENFORCER_PACKETS").ok();
    let packets = asked
        .as_ref()
        .map_or(PACKETS, |number| number.parse().unwrap_or_else(|_| panic!("ENFORCER_PACKETS={number} is no number")));
    // Frames that are sent from two processors may overtake each other. Both tests need not share one.
    let cpus = cpus();
    stay_on_cpu(cpus[usize::from(hook == HookChoice::Tc) % cpus.len()]);
    let ours = World::new(Cable::quiet());
    let theirs = World::new(Cable::quiet());
    let catalogue = embedded().expect("the catalogue");
    let interface = &ours.cable.near.interface;
    let mut sites = every_role(catalogue, interface);
    if asked.is_none() {
        let number = sites.len();
        let mut turn = 0..number;
        // The last one says everything, and is for both.
        sites.retain(|_| {
            turn.next().is_some_and(|turn| turn + 1 == number || (turn % 4 < 2) == (hook == HookChoice::Tc))
        });
    }
    let mut tally = Tally::default();
    let mut generator = Generator::new(seed, &ours.cable);
    let share = packets.div_ceil(sites.len());
    for (name, text) in &sites {
        let site = site::read(Text::new("site.yaml", text), catalogue).unwrap_or_else(|error| panic!("{error}"));
        let compiled = compile(&site, catalogue, jiff::civil::date(2026, 8, 1)).expect("it compiles");
        ours.enforce(&compiled.ruleset, hook);
        let exported = export(Target::Nft, &site, &compiled, Some(Mode::Enforce)).expect("it can be written").text;
        theirs.load(&exported.replace(interface.as_str(), &theirs.cable.near.interface));
        let host = ours.host();
        let tables = HostTables::new(&compiled.ruleset, &host);
        for direction in Direction::ALL {
            tables.set_mode(direction, Mode::Enforce);
        }
        let end = tally.packets + share;
        generator.learn(&compiled.ruleset);
        while tally.packets < end {
            let left = end - tally.packets;
            // A conversation has some two packets.
            let conversations: Vec<Conversation> =
                (0..TOGETHER.min(left / 2 + 1)).map(|_| generator.conversation()).collect();
            let before = tally.packets;
            together(&conversations, &tables, [&ours, &theirs], &mut generator, &mut tally, name);
            assert!(tally.packets > before);
        }
        // Otherwise the next policy would refuse to remember what this one permitted, which nft knows nothing of.
        ours.detach();
    }
    let differences: Vec<String> = tally.differences.iter().map(|(name, count)| format!("{name} {count}")).collect();
    say(&format!(
        "{} packets under {} policies, {} arrived; differences with a reason: {}; without: {}",
        tally.packets,
        sites.len(),
        tally.arrived,
        differences.join(", "),
        tally.unexplained.len()
    ));
    let name = format!("oracle-{}", if hook == HookChoice::Tc { "tc" } else { "native" });
    results::write(
        &name,
        &serde_json::json!({
            "packets": tally.packets, "policies": sites.len(), "arrived": tally.arrived,
            "differences": tally.differences, "unexplained": tally.unexplained.len(),
        }),
    );
    assert!(
        tally.unexplained.is_empty(),
        "{} differences that nothing explains, the first of them:\n{}",
        tally.unexplained.len(),
        tally.unexplained.iter().take(12).cloned().collect::<Vec<_>>().join("\n")
    );
    let named: usize = tally.differences.values().sum();
    assert!(named * 20 < tally.packets, "so many differences are no exceptions any more");
    assert!(tally.packets >= packets && tally.arrived > tally.packets / 10, "too little arrives to compare anything");
    let missing: Vec<_> = worth_meeting().filter(|reason| !tally.reasons.contains(reason)).collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
}

/// Every reason but that of another scope, that of guests, and those of packets that were never on the wire.
fn worth_meeting() -> impl Iterator<Item = Reason> {
    let elsewhere = [Reason::Forwarded, Reason::Loopback, Reason::Decrypted, Reason::Spoofed];
    Reason::ALL.iter().copied().filter(move |reason| !elsewhere.contains(reason))
}

/// Sends conversations to both hosts, a turn of all of them after the other, and compares.
fn together(
    conversations: &[Conversation],
    tables: &HostTables<'_>,
    worlds: [&World; 2],
    generator: &mut Generator,
    tally: &mut Tally,
    name: &str,
) {
    let turns = turns(conversations);
    let arrived: [Arrived; 2] = worlds.map(|world| {
        let mut arrived = Arrived::default();
        for (direction, packets) in &turns {
            world.send(*direction, packets, &generator.sentinel(*direction), &mut arrived);
        }
        arrived
    });
    for (direction, packets) in &turns {
        for sent in packets {
            let outcomes: Vec<Outcome> =
                sent.frames.iter().map(|frame| tables.judge(*direction, &Bytes::new(frame)).outcome).collect();
            let reasons: Vec<Reason> = outcomes.iter().map(|outcome| outcome.reason()).collect();
            let is_answer = outcomes.iter().all(|outcome| outcome.is(Reason::Rule) && outcome.rule().is_none());
            let (ours, theirs) = (arrived[0].has(sent.id), arrived[1].has(sent.id));
            tally.packets += 1;
            tally.arrived += usize::from(ours && theirs);
            tally.reasons.extend(&reasons);
            if ours == theirs {
                continue;
            }
            match differences::named(&Case { sent, direction: *direction, reasons: &reasons, is_answer, ours }) {
                Some(known) => *tally.differences.entry(known).or_default() += 1,
                None => tally.unexplained.push(format!(
                    "{name}: {} {}, {} {:?}: ours {ours}, nft {theirs}: {:02x?}",
                    sent.what,
                    sent.about,
                    direction.name(),
                    reasons,
                    sent.frames
                )),
            }
        }
    }
    for (bytes, times) in arrived[0].without(&arrived[1]) {
        tally.unexplained.push(format!("{name}: arrived only here, {times} times: {bytes:02x?}"));
    }
    for (bytes, times) in arrived[1].without(&arrived[0]) {
        let reason = tables.judge(Direction::Inbound, &Bytes::new(&with_link(&bytes))).outcome.reason();
        match differences::named_without(reason, &bytes) {
            Some(known) => *tally.differences.entry(known).or_default() += times,
            None => {
                tally.unexplained.push(format!("{name}: arrived only at nft, {times} times, {reason:?}: {bytes:02x?}"));
            }
        }
    }
}

/// What was logged begins with its IP header.
fn with_link(packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet.first().is_some_and(|first| first >> 4 == 6) { [0x86, 0xdd] } else { [8, 0] };
    [&[0; 12][..], &ethertype, packet].concat()
}

/// The packets of all conversations in turns of one direction each; within a conversation the order stays.
fn turns(conversations: &[Conversation]) -> Vec<(Direction, Vec<Sent>)> {
    let mut turns: Vec<(Direction, Vec<Sent>)> = Vec::new();
    for conversation in conversations {
        let mut at = 0;
        for (direction, sent) in conversation {
            while turns.get(at).is_some_and(|(of, _)| of != direction) {
                at += 1;
            }
            if at == turns.len() {
                let next = match turns.last() {
                    Some((Direction::Inbound, _)) => Direction::Outbound,
                    Some((Direction::Outbound, _)) => Direction::Inbound,
                    None => Direction::Inbound,
                };
                turns.push((next, Vec::new()));
                if next != *direction {
                    turns.push((*direction, Vec::new()));
                    at += 1;
                }
            }
            turns[at].1.push(sent.clone());
        }
    }
    turns
}
