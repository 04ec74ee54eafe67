//! The loaded programs agree with the decision code as it runs on the host, on random policies and random conversations of
//! whole and broken packets: the verdict of each packet, and after each conversation the counters of every reason and rule.
//!
//! The host side is itself held against a plain reading of the design (`enforcer/tests/agreement`). The packets are judged by
//! test run; what the kernel does not let a test run ask is counted and said.

#[path = "../../enforcer/tests/agreement/frames.rs"]
mod frames;
#[path = "../../enforcer/tests/agreement/policies.rs"]
mod policies;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use aya::maps::{Array, Map, MapData};
use enforcer::dataplane::{self, BpfLog, Caller, Ending, HookChoice, Plan, PlannedInterface, Protects, Said};
use enforcer::judge::host::Host;
use enforcer::judge::tables::HostTables;
use enforcer::policy::ruleset::{FlowSettings, Scope};
use enforcer::policy::source::Source;
use enforcer::state::FOLDER_VARIABLE;
use enforcer_common::layout::{Control, LAYOUT_VERSION, holder, map};
use enforcer_common::{Direction, Mode, Reason};
use harness::enforcer::{Protected, state_folder};
use harness::netns::{Cable, End, Namespace, another_interface, silence};
use harness::program::{About, Outcome, Program};
use harness::remembered::Tables;
use harness::skip::say;
use ipnet::IpNet;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::frames::{Packet, flags, packet};
use self::policies::{PORTS, World, world};

/// Policies a hook.
const WORLDS: usize = 10;
/// Policies at most, where a reason was not met under those.
const MOST_WORLDS: usize = 3 * WORLDS;
/// Packets a policy.
const PACKETS: usize = 6000;
/// Both begin each conversation with nothing remembered, and what is remembered counts for longer than this: for 1/8 s at least
/// ([`DenialState::ANSWERS`]). One that takes longer tells nothing, because the kernel's clock goes on and the host's does not.
const LONGEST: Duration = Duration::from_millis(60);
/// How many of them may take longer.
const SLOW: usize = 100;
/// A longer frame does not fit into the first buffer of a test run at XDP, and the headers of these may be anywhere.
const ONE_BUFFER: usize = 3400;

#[test]
fn native_xdp_judges_like_the_host() {
    compare(HookChoice::Native, 1);
}

#[test]
fn tc_judges_like_the_host() {
    compare(HookChoice::Tc, 2);
}

/// One packet, or a change of mode.
#[derive(Clone, Debug)]
enum Step {
    New(Box<Packet>),
    Answer { to: Index, flags: u8, port: Option<u16> },
    Again { of: Index, flags: u8 },
    Fragment { of: Index, offset: u16, more: bool },
    Mode(Direction, Mode),
}

/// Steps, each with the port that it is for: the second one where two guests are protected.
fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let port = prop_oneof![3 => Just(None), 1 => select(PORTS).prop_map(Some)];
    let direction = prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)];
    let mode = prop_oneof![Just(Mode::Audit), Just(Mode::Enforce)];
    let step = prop_oneof![
        8 => packet().prop_map(|packet| Step::New(Box::new(packet))),
        8 => (any::<Index>(), flags(), port).prop_map(|(to, flags, port)| Step::Answer { to, flags, port }),
        3 => (any::<Index>(), flags()).prop_map(|(of, flags)| Step::Again { of, flags }),
        2 => (any::<Index>(), select(&[0_u16, 1, 2, 100][..]), any::<bool>())
            .prop_map(|(of, offset, more)| Step::Fragment { of, offset, more }),
        1 => (direction, mode).prop_map(|(direction, mode)| Step::Mode(direction, mode)),
    ];
    vec((step, any::<bool>()), 20..100)
}

/// How many packets were compared, how many could not be asked, and what they were judged by.
#[derive(Debug, Default)]
struct Tally {
    compared: usize,
    not_asked: usize,
    reasons: BTreeSet<Reason>,
    /// Conversations that took too long.
    slow: usize,
}

fn compare(hook: HookChoice, seed: u8) {
    // SAFETY: the standard library guards its own uses of the environment, and nothing here reads it by other means.
    unsafe { std::env::set_var(FOLDER_VARIABLE, state_folder()) };
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &[seed; 16]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut tally = Tally::default();
    let mut number = 0;
    // A test run neither loops a packet nor decrypts one, and nobody is a guest behind native XDP.
    let can_be_met = |reason: &&Reason| {
        !matches!(reason, Reason::Loopback | Reason::Decrypted)
            && (hook != HookChoice::Native || **reason != Reason::Spoofed)
    };
    let missing = |tally: &Tally| -> Vec<Reason> {
        Reason::ALL.iter().filter(|reason| can_be_met(reason) && !tally.reasons.contains(reason)).copied().collect()
    };
    while tally.compared < WORLDS * PACKETS || (!missing(&tally).is_empty() && number < MOST_WORLDS) {
        let mut world = world().new_tree(&mut runner).expect("a policy").current();
        // XDP does not see what goes to a guest. The clock of the kernel goes on: nothing may run out meanwhile.
        if hook == HookChoice::Native && world.host.guest {
            (world.host.guest, world.host.ephemeral) = (false, Host::default().ephemeral);
        }
        world.ruleset.settings.flows =
            FlowSettings { entries: None, tcp: 7500, tcp_closing: 7500, udp: 7500, one_way: 7500, icmp: 7500 };
        if number < 3 {
            world.ruleset.settings.scope = Some(Scope::Host);
        }
        number += 1;
        compare_world(&mut world, hook, &mut runner, &mut tally);
        assert!(tally.slow < SLOW, "this machine is too busy: {tally:?}");
    }
    say(&format!(
        "{} packets compared under {number} policies; {} could not be asked by a test run, {} conversations took too long",
        tally.compared, tally.not_asked, tally.slow
    ));
    let missing = missing(&tally);
    assert!(missing.is_empty(), "never met: {missing:?}");
}

fn compare_world(world: &mut World, hook: HookChoice, runner: &mut TestRunner, tally: &mut Tally) {
    let (protected, bridge) = host_of(world);
    let second = format!("{}b", protected.cable.near.interface);
    if let Some(bridge) = bridge {
        world.host.macs.push(bridge);
    }
    // Both guests claim the same: where they claim single addresses, nobody asks which of them has one.
    world.host.claims.addresses.retain(|net| net.prefix_len() == net.max_prefix_len());
    let shared = world.host.claims.shared.iter().map(|net| (*net, holder::SHARED));
    let of_machine = world.host.addresses.iter().map(|address| (IpNet::from(*address), holder::MACHINE));
    world.host.holders = shared.chain(of_machine).collect();
    let world = &*world;
    let Cable { host, near, .. } = &protected.cable;
    host.run(|| {
        // Two guests are two hosts, whatever one of them sends in the name of the other.
        let names: Vec<&str> = [near.interface.as_str(), &second][..1 + usize::from(world.host.guest)].to_vec();
        let planned = |name: &&str| PlannedInterface {
            name: (*name).to_owned(),
            protects: if world.host.guest { Protects::Guest } else { Protects::Host },
            scope: None,
            claims: world.host.claims.clone(),
            said: Said { asked: enforcer::policy::modes::SaidModes::both(Some(Mode::Audit)), ..Said::default() },
        };
        let plan = Plan {
            ruleset: &world.ruleset,
            origin: "oracle".to_owned(),
            interfaces: names.iter().map(planned).collect(),
            hook,
            ending: Ending::Allowed,
            confirm_within: None,
            source: Source::default(),
            bpf_log: BpfLog::Off,
            caller: Caller::Keeper,
        };
        let apply = || dataplane::apply(&plan).unwrap_or_else(|error| panic!("apply: {error:?}"));
        let mut applied = apply();
        if world.host.bridge_port {
            // Nobody is protected at a port who was not before.
            host.batch(&format!("link set {} master above\n", near.interface));
            applied = apply();
        }
        let mut pins = dataplane::protected(&[]).expect("it is protected");
        pins.sort_by_key(|one| names.iter().position(|name| *name == one.interface));
        let judges: Vec<Judge<'_>> = (applied.iter().zip(pins))
            .map(|(applied, pins)| Judge {
                remembered: if world.host.guest { Tables::of_guest(host, &pins.interface) } else { Tables::of(host) },
                programs: Direction::ALL
                    .map(|direction| Program::pinned(&applied.pin.with_file_name(direction.name()))),
                pins,
                tables: HostTables::new(&world.ruleset, &world.host),
            })
            .collect();
        for judge in &judges {
            judge.remembered.set_listeners(world.host.listeners.iter().copied());
        }
        hold_conversations(world, &judges, runner, tally);
        if world.host.guest {
            dataplane::detach(&[second]).expect("it is protected");
        }
    });
}

/// Conversations under one policy, until as many packets are compared as are wanted, or one took too long.
fn hold_conversations(world: &World, judges: &[Judge<'_>], runner: &mut TestRunner, tally: &mut Tally) {
    let begin = Instant::now();
    let end = tally.compared + PACKETS;
    while tally.compared < end {
        let steps = steps().new_tree(runner).expect("a conversation").current();
        for judge in judges {
            judge.tables.set_time(u64::try_from(begin.elapsed().as_millis()).expect("not so long") + 1_000_000);
            judge.tables.forget();
            judge.remembered.forget();
        }
        let Some(told) = converse(&steps, judges, tally) else {
            // Nothing can be said of the counters from here on.
            tally.slow += 1;
            return;
        };
        for judge in judges {
            let (kernel, ours) = (counted(&judge.pins), expected(&judge.tables, world));
            assert_eq!(kernel, ours, "after {told:#?}\nunder {:#?}", world.ruleset.rules);
        }
    }
}

/// A port, as the kernel and as the host know it.
struct Judge<'a> {
    remembered: Tables,
    programs: [Program; 2],
    pins: dataplane::Protected,
    tables: HostTables<'a>,
}

/// Lets both judge the same packets, and fails where a verdict differs. Gives back what the host decided; `None` where it took
/// too long to tell.
fn converse(steps: &[(Step, bool)], judges: &[Judge<'_>], tally: &mut Tally) -> Option<Vec<String>> {
    let begin = Instant::now();
    let mut packets: Vec<Packet> = Vec::new();
    let mut told = Vec::new();
    for (step, is_second) in steps {
        let Judge { programs, pins, tables, .. } = if *is_second { judges.last()? } else { judges.first()? };
        let earlier = |index: &Index| (!packets.is_empty()).then(|| index.get(&packets).clone());
        let packet = match step {
            Step::New(packet) => Some((**packet).clone()),
            Step::Answer { to, flags, port } => earlier(to).map(|packet| packet.answer(*flags, *port)),
            Step::Again { of, flags } => earlier(of).map(|packet| packet.again(*flags)),
            Step::Fragment { of, offset, more } => earlier(of).map(|packet| packet.other_fragment(*offset, *more)),
            Step::Mode(direction, mode) => {
                set_mode(pins, *direction, *mode);
                tables.set_mode(*direction, *mode);
                None
            }
        };
        let Some(packet) = packet else { continue };
        let program = &programs[packet.direction as usize];
        let bytes = packet.bytes();
        let mut frame = packet.frame(&bytes);
        // A test run has no VLAN device below it, and at XDP there is nothing but bytes.
        frame.tag_taken_out = false;
        (frame.is_looped, frame.decrypted_from) = (false, None);
        let at_xdp = matches!(program, Program::Xdp(_));
        frame.is_super_packet &= !at_xdp;
        frame.is_forwarded &= !at_xdp;
        // The kernel compares the destination with the address of lo, where a test run is.
        frame.is_bridged = frame.is_forwarded && bytes.get(..6).is_some_and(|destination| destination != [0; 6]);
        let about = About { is_forwarded: frame.is_forwarded, is_super_packet: frame.is_super_packet };
        let answer = if bytes.len() > ONE_BUFFER { None } else { program.ask(&bytes, about) };
        let Some(answer) = answer else {
            tally.not_asked += 1;
            continue;
        };
        let decided = tables.judge(packet.direction, &frame);
        let reason = decided.outcome.reason();
        let goes_on = answer == Outcome::Passed;
        told.push(format!("{} {reason:?} {goes_on} {bytes:02x?}", packet.direction.name()));
        if begin.elapsed() > LONGEST {
            return None;
        }
        assert_eq!(goes_on, decided.goes_on(), "{about:?} {packet:?}\n{told:#?}");
        tally.reasons.insert(reason);
        tally.compared += 1;
        packets.push(packet);
    }
    Some(told)
}

/// Sets a mode as `enforcer mode` does in the end; the command also keeps it for the next boot, which takes its time.
fn set_mode(protected: &dataplane::Protected, direction: Direction, mode: Mode) {
    let generation = format!("v{LAYOUT_VERSION}/g{}", protected.record.generation);
    let path = protected.pins.dir().join(generation).join(map::CONTROL);
    let data = MapData::from_pin(path).expect("it is pinned");
    let mut map: Array<_, Control> = Map::from_map_data(data).and_then(TryInto::try_into).expect("it is an array");
    let control = map.get(&0, 0).expect("there is one");
    let bit = 1 << direction as u64;
    let modes = if mode == Mode::Enforce { control.modes | bit } else { control.modes & !bit };
    // What was refused in audit may still be answered, as after the command: for longer than a conversation takes.
    map.set(0, Control { modes, memory_until: u64::MAX, ..control }, 0).expect("it can be written");
}

/// Packets and bytes, by direction, whether it is `would_drop`, and reason; and those of each rule.
type Counted = (BTreeMap<(Direction, bool, Reason), (u64, u64)>, Vec<(u64, u64)>);

fn counted(protected: &dataplane::Protected) -> Counted {
    let counters = dataplane::counters(protected).expect("counters can be read");
    let reasons = counters
        .reasons
        .iter()
        .map(|one| ((one.direction, one.would_drop, one.reason), (one.count.packets, one.count.bytes)));
    let rules = counters.rules.iter().map(|one| (one.count.packets, one.count.bytes));
    (reasons.collect(), rules.collect())
}

fn expected(tables: &HostTables<'_>, world: &World) -> Counted {
    let reasons = tables.reasons().into_iter().map(|(key, counter)| (key, (counter.packets, counter.bytes)));
    let by_rule = tables.rules();
    let rules = (0_u16..).take(world.ruleset.rules.len());
    let rules = rules.map(|rule| by_rule.get(&rule).map_or((0, 0), |counter| (counter.packets, counter.bytes)));
    (reasons.collect(), rules.collect())
}

/// A namespace with the addresses of the generated host on an interface that is down, so that nothing but the test speaks; it
/// forwards to the networks that the generated host forwards to. With the hardware address of the bridge, where there is one.
fn host_of(world: &World) -> (Protected, Option<[u8; 6]>) {
    const BRIDGE: [u8; 6] = [2, 0, 0, 0, 0, 3];
    let [near, far] = [another_interface(), another_interface()];
    let (host, remote) = (Namespace::new(), Namespace::new());
    host.run(|| {
        for path in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/net/{path}"), "1").expect("root may forward");
        }
    });
    host.batch(&format!("link add {near} address 02:00:00:00:00:01 type veth peer name {far}\n"));
    // Reports of groups pass by the programs although the interface is down.
    host.run(|| silence(&near));
    host.batch(&format!(
        "link set {near} addrgenmode none\n\
         addr add 10.0.0.1/24 brd + dev {near}\n\
         addr add 2001:db8::1/64 dev {near} nodad\n\
         addr add fe80::1/64 dev {near} nodad\n\
         link add onwards type veth peer name onwards2\n\
         link set onwards addrgenmode none up\n\
         link set onwards2 addrgenmode none up\n\
         route add 192.0.2.0/24 dev onwards\n\
         route add 2001:db8:f::/48 dev onwards\n"
    ));
    if world.host.guest {
        host.batch(&format!("link add {near}b type veth peer name {far}b\nlink set {near}b addrgenmode none\n"));
        host.run(|| silence(&format!("{near}b")));
    }
    if world.host.bridge_port {
        host.batch("link add above address 02:00:00:00:00:03 type bridge\n");
    }
    let end = |interface: &str, last: u8| End {
        interface: interface.to_owned(),
        mac: [2, 0, 0, 0, 0, last],
        v4: [10, 0, 0, last].into(),
        v6: [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)].into(),
    };
    let cable = Cable { host, remote, near: end(&near, 1), far: end(&far, 2) };
    (Protected { cable }, world.host.bridge_port.then_some(BRIDGE))
}
