//! Flows, sentence by sentence of the design: who makes one, who may answer by it, and when it is over.

mod denials;
mod end;
mod ended;
mod one_way;
mod outbound;
mod tftp;
mod traffic;

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::thread;
use std::time::Duration;

use enforcer_common::layout::{FlowKey4, FlowKey6, FlowState, HotFlow4, Ports, Statistic};
use enforcer_common::{Direction, Reason};
use harness::enforcer::Protected;
use harness::machine::patience;
use harness::netns::{Cable, another_interface};
use harness::packet::{Packet, protocol, tcp};
use harness::program::{About, Outcome, Program};

use crate::stage::Stage;

const HOST: [&str; 2] = ["198.18.0.1", "2001:db8::1"];
const OTHER: [&str; 2] = ["198.18.0.2", "2001:db8::2"];

/// TCP 443 and UDP 161 for everybody, in enforce.
const SITE: &str = "\
interfaces: [IF]
mode: enforce
roles: []
allow:
  - {name: https, protocol: tcp, ports: [443]}
  - {name: snmp, protocol: udp, ports: [161]}
";

fn to_host(family: usize) -> Packet {
    Packet::new().ip(OTHER[family], HOST[family])
}

fn from_host(family: usize) -> Packet {
    Packet::new().mac([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ip(HOST[family], OTHER[family])
}

/// Lets the host answer at once, as fast as a service does.
fn ask_and_answer(stage: &Stage, question: &Packet, answer: &Packet) {
    for (program, packet) in stage.programs.iter().zip([question, answer]) {
        program.ask(&packet.build(), About::default()).expect("the kernel runs it");
    }
}

fn stage(more: &str) -> Stage {
    Stage::new(&format!("{SITE}{more}"), "tc")
}

#[test]
fn a_syn_from_the_host_makes_a_flow_and_a_bare_syn_from_outside_never_matches_it() {
    let stage = stage("");
    for family in [0, 1] {
        stage.inbound(&to_host(family).tcp(80, 40_000).flags(tcp::SYN | tcp::ACK), Reason::NoRule);
        stage.outbound(&from_host(family).tcp(40_000, 80), Reason::Open);
        stage.inbound(&to_host(family).tcp(80, 40_000).flags(tcp::SYN | tcp::ACK), Reason::Flow);
        stage.inbound(&to_host(family).tcp(80, 40_000), Reason::NoRule);
        // ECN and other bits do not hide what it is (RFC 3168, section 6.1.1).
        stage.inbound(&to_host(family).tcp(80, 40_000).flags(tcp::SYN | 0xc0), Reason::NoRule);
        stage.inbound(&to_host(family).tcp(81, 40_000).flags(tcp::ACK), Reason::NoRule);
        stage.inbound(&to_host(family).tcp(80, 40_001).flags(tcp::ACK), Reason::NoRule);
    }
}

#[test]
fn what_a_host_answers_with_makes_no_flow() {
    let stage = stage("");
    for bits in [tcp::SYN | tcp::ACK, tcp::RST, tcp::RST | tcp::ACK] {
        for family in [0, 1] {
            stage.outbound(&from_host(family).tcp(40_000, 80).flags(bits), Reason::Open);
            stage.inbound(&to_host(family).tcp(80, 40_000).flags(tcp::ACK), Reason::NoRule);
        }
    }
    assert_eq!(stage.tables.flows_of(protocol::TCP, 40_000), 0);
}

#[test]
fn no_flow_is_made_where_a_rule_permits_the_answer() {
    let stage = stage("");
    stage.outbound(&from_host(0).udp(161, 40_000), Reason::Open);
    stage.outbound(&from_host(0).tcp(443, 40_000), Reason::Open);
    stage.outbound(&from_host(0).tcp(443, 40_000).flags(tcp::ACK), Reason::Open);
    assert_eq!(stage.tables.flows4().len(), 0);
}

#[test]
fn an_evicted_flow_revives_from_the_ephemeral_range_only_and_not_from_a_port_with_a_listener() {
    let cable = Cable::quiet();
    let _listener = cable.host.run(|| TcpListener::bind("0.0.0.0:40100").expect("the port is free"));
    let stage = Stage::of(Protected::apply_site(cable, SITE, &["--hook", "tc"]));
    let ack = |port| from_host(0).tcp(port, 80).flags(tcp::ACK);
    let answer = |port| to_host(0).tcp(80, port).flags(tcp::ACK);
    stage.outbound(&from_host(0).tcp(40_000, 80), Reason::Open);
    let (key, _) = stage.tables.flows4()[0];
    stage.tables.evict4(&key);
    stage.tables.cool();
    stage.inbound(&answer(40_000), Reason::NoRule);
    stage.outbound(&ack(40_000), Reason::Open);
    stage.inbound(&answer(40_000), Reason::Flow);
    assert_eq!(stage.tables.statistic(Statistic::FlowsRevived), 1);
    for port in [40_100, 30_000, 22, 61_000] {
        stage.outbound(&ack(port), Reason::Open);
        stage.inbound(&answer(port), Reason::NoRule);
    }
    assert_eq!(stage.tables.statistic(Statistic::FlowsRevived), 1);
}

#[test]
fn a_conversation_remembered_as_denied_revives_no_flow() {
    let stage = stage("");
    stage.protected.mode("audit");
    for family in [0, 1] {
        stage.would_drop(Direction::Inbound, &to_host(family).tcp(80, 40_000).flags(tcp::ACK), Reason::NoRule);
        stage.outbound(&from_host(family).tcp(40_000, 80).flags(tcp::ACK), Reason::Open);
        stage.would_drop(Direction::Inbound, &to_host(family).tcp(80, 40_000).flags(tcp::ACK), Reason::NoRule);
        ask_and_answer(&stage, &to_host(family).udp(5000, 40_000), &from_host(family).udp(40_000, 5000));
        stage.would_drop(Direction::Inbound, &to_host(family).udp(5000, 40_000), Reason::NoRule);
    }
    assert_eq!(stage.tables.flows_of(protocol::TCP, 40_000) + stage.tables.flows_of(protocol::UDP, 40_000), 0);
    assert_eq!(stage.tables.statistic(Statistic::DenialsRemembered), 8);
}

#[test]
fn the_first_datagram_makes_a_flow_whatever_its_source_port() {
    let stage = stage("");
    for family in [0, 1] {
        // NTP speaks from 123, SIP from 5060.
        for port in [123, 5060] {
            stage.inbound(&to_host(family).udp(port, port), Reason::NoRule);
            stage.outbound(&from_host(family).udp(port, port), Reason::Open);
            stage.inbound(&to_host(family).udp(port, port), Reason::Flow);
            stage.inbound(&to_host(family).udp(port + 1, port), Reason::NoRule);
        }
    }
    stage.outbound(&from_host(0).icmp(8, 0), Reason::Open);
    stage.inbound(&to_host(0).icmp(0, 0), Reason::Flow);
    stage.outbound(&from_host(1).icmpv6(128, 0), Reason::Open);
    stage.inbound(&to_host(1).icmpv6(129, 0), Reason::Flow);
    stage.inbound(&Packet::new().ip("198.18.0.9", HOST[0]).icmp(0, 0), Reason::IcmpType);
}

#[test]
fn a_flow_ends_when_nothing_was_heard_for_its_timeout() {
    let seconds = 2 * patience();
    let stage = stage(&format!("flows: {{tcp: {seconds}s, udp: {seconds}s, icmp: {seconds}s}}\n"));
    let opening = [
        from_host(0).tcp(40_000, 80),
        from_host(1).tcp(40_000, 80),
        from_host(0).udp(40_000, 53),
        from_host(1).udp(40_000, 53),
        from_host(0).icmp(8, 0),
        from_host(1).icmpv6(128, 0),
    ];
    let answers = [
        (to_host(0).tcp(80, 40_000).flags(tcp::ACK), Reason::NoRule),
        (to_host(1).tcp(80, 40_000).flags(tcp::ACK), Reason::NoRule),
        (to_host(0).udp(53, 40_000), Reason::NoRule),
        (to_host(1).udp(53, 40_000), Reason::NoRule),
        (to_host(0).icmp(0, 0), Reason::IcmpType),
        (to_host(1).icmpv6(129, 0), Reason::IcmpType),
    ];
    for packet in &opening {
        stage.outbound(packet, Reason::Open);
    }
    for (packet, _) in &answers {
        stage.inbound(packet, Reason::Flow);
    }
    // The clock of a flow cannot be turned forward.
    thread::sleep(Duration::from_secs(seconds.into()) + Duration::from_millis(100));
    for (packet, reason) in &answers {
        stage.inbound(packet, *reason);
    }
}

#[test]
fn what_a_cpu_remembers_of_an_evicted_flow_is_over_after_a_second() {
    let stage = stage("");
    let answer = to_host(0).tcp(80, 40_000).flags(tcp::ACK);
    stage.outbound(&from_host(0).tcp(40_000, 80), Reason::Open);
    stage.inbound(&answer, Reason::Flow);
    let (key, _) = stage.tables.flows4()[0];
    stage.tables.evict4(&key);
    thread::sleep(Duration::from_millis(1200));
    stage.inbound(&answer, Reason::NoRule);
}

#[test]
fn a_flow_that_a_cpu_remembers_is_not_taken_for_another_one() {
    let stage = stage("");
    for family in [0, 1] {
        let (mine, theirs) = (from_host(family), to_host(family));
        stage.outbound(&mine.clone().tcp(40_000, 80), Reason::Open);
        stage.outbound(&mine.clone().udp(41_000, 80), Reason::Open);
        // Found, so remembered; and found once more by what is remembered.
        for _ in 0..2 {
            stage.inbound(&theirs.clone().tcp(80, 40_000).flags(tcp::ACK), Reason::Flow);
            stage.inbound(&theirs.clone().udp(80, 41_000), Reason::Flow);
        }
        stage.inbound(&theirs.clone().udp(80, 40_000), Reason::NoRule);
        stage.inbound(&theirs.clone().tcp(80, 41_000).flags(tcp::ACK), Reason::NoRule);
        stage.inbound(&theirs.clone().tcp(81, 40_000).flags(tcp::ACK), Reason::NoRule);
        let [other_host, other_address] = [
            [["198.18.0.77", HOST[0]], ["2001:db8::77", HOST[1]]],
            [[OTHER[0], "198.18.0.78"], [OTHER[1], "2001:db8::78"]],
        ]
        .map(|of| of[family]);
        for [source, destination] in [other_host, other_address] {
            let packet = Packet::new().ip(source, destination).tcp(80, 40_000).flags(tcp::ACK);
            stage.inbound(&packet, Reason::NoRule);
        }
    }
}

#[test]
fn an_ipv6_flow_is_its_local_address_s_alone_even_where_the_digest_of_another_is_the_same() {
    let stage = stage("");
    let words = |address: Ipv6Addr| {
        let octets = address.octets();
        [0, 4, 8, 12].map(|i| u32::from_ne_bytes([octets[i], octets[i + 1], octets[i + 2], octets[i + 3]]))
    };
    let [host, server]: [Ipv6Addr; 2] = [HOST[1], OTHER[1]].map(|text| text.parse().expect("an address"));
    let key = |local| FlowKey6::new(words(server), words(local), Ports::new(80, 40_000), protocol::TCP);
    let prefix = u128::from(host) & !u128::from(u32::MAX);
    let like = (2..u32::MAX).map(|low| Ipv6Addr::from(prefix | u128::from(low))).find(|other| key(*other) == key(host));
    let like = like.expect("24 bits repeat").to_string();
    let other = Packet::new().ip(OTHER[1], &like).tcp(80, 40_000).flags(tcp::ACK);
    stage.outbound(&from_host(1).tcp(40_000, 80), Reason::Open);
    stage.inbound(&other, Reason::NoRule);
    stage.inbound(&to_host(1).tcp(80, 40_000).flags(tcp::ACK), Reason::Flow);
    // Now a CPU remembers it, too.
    stage.inbound(&other, Reason::NoRule);
}

#[test]
fn two_flows_that_share_a_place_in_the_memory_of_a_cpu_both_live() {
    let stage = stage("");
    let place = |remote: u16| {
        let [remote_address, local_address] =
            [OTHER[0], HOST[0]].map(|text| u32::from_ne_bytes(text.parse::<Ipv4Addr>().expect("an address").octets()));
        let ports = Ports::new(remote, 40_000);
        HotFlow4::index(&FlowKey4 { remote: remote_address, local: local_address, ports, protocol: 6 })
    };
    let other = (81..u16::MAX).find(|port| place(*port) == place(80)).expect("there are more ports than places");
    for port in [80, other] {
        stage.outbound(&from_host(0).tcp(40_000, port), Reason::Open);
    }
    for _ in 0..3 {
        for port in [80, other] {
            stage.inbound(&to_host(0).tcp(port, 40_000).flags(tcp::ACK), Reason::Flow);
        }
    }
}

#[test]
fn an_answer_keeps_a_flow_alive() {
    let timeout = Duration::from_secs(4) * patience();
    let stage = stage(&format!("flows: {{udp: {}s}}\n", timeout.as_secs()));
    stage.outbound(&from_host(0).udp(40_000, 53), Reason::Open);
    // Longer than the timeout all together, and each far from it on a machine that is busy.
    for _ in 0..3 {
        thread::sleep(timeout * 2 / 5);
        stage.inbound(&to_host(0).udp(53, 40_000), Reason::Flow);
    }
}

#[test]
fn fin_from_both_sides_shortens_a_flow_and_so_does_a_reset_of_ours_but_none_from_outside() {
    let stage = stage("flows: {tcp: 1000s, tcp_closing: 10s}\n");
    let state = || -> FlowState {
        let flows = stage.tables.flows4();
        assert_eq!(flows.len(), 1, "{flows:?}");
        flows[0].1
    };
    let fin = tcp::FIN | tcp::ACK;
    stage.outbound(&from_host(0).tcp(40_000, 80), Reason::Open);
    let long = state().timeout;
    stage.inbound(&to_host(0).tcp(80, 40_000).flags(tcp::RST | tcp::ACK), Reason::Flow);
    assert_eq!(state().timeout, long, "a reset from outside may be forged");
    stage.inbound(&to_host(0).tcp(80, 40_000).flags(fin), Reason::Flow);
    assert_eq!(state().timeout, long, "half-closed");
    stage.outbound(&from_host(0).tcp(40_000, 80).flags(fin), Reason::Open);
    assert_eq!(state().timeout, long / 100, "closed from both sides");
    stage.inbound(&to_host(0).tcp(80, 40_000).flags(tcp::ACK), Reason::Flow);
    // The same ports again.
    stage.outbound(&from_host(0).tcp(40_000, 80), Reason::Open);
    assert_eq!((state().timeout, state().flags), (long, 0), "a new conversation");
    stage.outbound(&from_host(0).tcp(40_000, 80).flags(tcp::RST), Reason::Open);
    assert_eq!(state().timeout, long / 100, "we gave up");
}

#[test]
fn the_ephemeral_range_is_closed_when_tracked_and_open_as_printed_when_not() {
    let site = |ephemeral: &str| {
        format!("interfaces: [IF]\nmode: enforce\nroles: [unity-connection]\nephemeral: {ephemeral}\n")
    };
    let stage = Stage::new(&site("tracked"), "tc");
    let question = to_host(0).udp(53, 40_000);
    stage.inbound(&question, Reason::NoRule);
    stage.outbound(&from_host(0).udp(40_000, 53), Reason::Open);
    stage.inbound(&question, Reason::Flow);
    stage.inbound(&to_host(0).udp(53, 40_001), Reason::NoRule);
    stage.protected.try_site(&site("open"), &["--hook", "tc"]).expect_code(0);
    let stage = Stage { programs: [stage.protected.inbound(), stage.protected.outbound()], ..stage };
    stage.inbound(&to_host(0).udp(53, 40_001), Reason::Rule);
}

#[test]
fn an_answer_may_arrive_on_another_protected_interface() {
    let cable = Cable::quiet();
    let [second, end] = [another_interface(), another_interface()];
    cable.host.batch(&format!("link add {second} type veth peer name {end}\nlink set {second} up\n"));
    let site = SITE.replace("[IF]", &format!("[IF, {second}]"));
    let stage = Stage::of(Protected::apply_site(cable, &site, &["--hook", "tc"]));
    let pins = std::path::Path::new("/sys/fs/bpf/enforcer");
    {
        let other = Program::pinned(&pins.join(&second).join("inbound"));
        let ask = |packet: Packet| other.ask(&packet.build(), About::default());
        assert_eq!(ask(to_host(0).udp(53, 40_000)), Some(Outcome::Dropped));
        stage.outbound(&from_host(0).udp(40_000, 53), Reason::Open);
        assert_eq!(ask(to_host(0).udp(53, 40_000)), Some(Outcome::Passed));
        // Fragments, too: they belong to the host.
        stage.inbound(&to_host(0).fragment(0, true, 7).udp(40_000, 161).udp_length(32), Reason::Rule);
        assert_eq!(ask(to_host(0).fragment(1, false, 7).raw(17, &[0; 24])), Some(Outcome::Passed));
    }
    stage.protected.run(&["detach", "--interface", &second]).expect_code(0);
}

#[test]
fn fragments_of_an_answer_follow_the_first_one() {
    let stage = stage("");
    stage.outbound(&from_host(0).udp(40_000, 53), Reason::Open);
    stage.inbound(&to_host(0).fragment(1, true, 9).raw(17, &[0; 16]), Reason::FragmentDrop);
    stage.inbound(&to_host(0).fragment(0, true, 9).udp(53, 40_000).udp_length(48), Reason::Flow);
    stage.inbound(&to_host(0).fragment(1, true, 9).raw(17, &[0; 16]), Reason::FragmentPass);
    stage.inbound(&to_host(0).fragment(3, false, 9).raw(17, &[0; 24]), Reason::FragmentPass);
    stage.inbound(&to_host(0).fragment(0, true, 10).udp(54, 40_000).udp_length(48), Reason::NoRule);
    stage.inbound(&to_host(0).fragment(1, false, 10).raw(17, &[0; 16]), Reason::FragmentDrop);
}
