//! The same policy at every hook: what a client sees does not depend on where its packets are judged.

use harness::enforcer::Protected;
use harness::machine::tc_attach_mode;
use harness::packet::{Extension, Packet, SERVICE_VLAN};
use harness::program::Outcome;
use harness::sockets::{Reply, Servers, tcp, udp};

fn protected_at(hook: &str) -> Protected {
    Protected::apply(&["--role", "unity-connection", "--mode", "enforce", "--hook", hook])
}

#[test]
fn clients_see_the_same_at_every_hook() {
    for hook in ["native", "generic", "tc", "clsact"] {
        let protected = protected_at(hook);
        let cable = &protected.cable;
        let _servers = Servers::start(&cable.host, &[443, 4444], &[161, 4444]);
        for (from, to) in cable.far.addresses().into_iter().zip(cable.near.addresses()) {
            assert_eq!(tcp(&cable.remote, from, (to, 443).into()), Reply::Answered, "{hook}: {to}");
            assert_eq!(udp(&cable.remote, from, (to, 161).into()), Reply::Answered, "{hook}: {to}");
            assert_eq!(tcp(&cable.remote, from, (to, 4444).into()), Reply::Silence, "{hook}: {to}");
            assert_eq!(udp(&cable.remote, from, (to, 4444).into()), Reply::Silence, "{hook}: {to}");
        }
    }
}

#[test]
fn status_names_the_hook_that_was_asked_for() {
    for (hook, name, attach_mode) in [
        ("native", "xdp", "native"),
        ("generic", "xdp", "generic"),
        ("tc", "tc", tc_attach_mode()),
        ("clsact", "tc", "clsact"),
    ] {
        let protected = protected_at(hook);
        let json = protected.run(&["status", "--format", "json"]).expect_code(0).json();
        let all = json["interfaces"].as_array().expect("an array");
        let near = protected.cable.near.interface.as_str();
        let one = all.iter().find(|one| one["interface"] == near).expect("the interface is listed");
        assert_eq!(one["inbound"]["hook"], name, "{one}");
        assert_eq!(one["inbound"]["attach_mode"], attach_mode, "{one}");
    }
}

#[test]
fn tc_and_xdp_judge_a_frame_alike() {
    let [xdp, tc] = ["native", "tc"].map(protected_at);
    let v4 = || Packet::new().ipv4("198.18.0.2", "198.18.0.1");
    let v6 = || Packet::new().ipv6("2001:db8::2", "2001:db8::1");
    let frames = [
        v4().tcp(40_000, 443),
        v4().tcp(40_000, 23),
        v4().options(10).udp(40_000, 161),
        v4().icmp(8, 0),
        v4().icmp(5, 0),
        v4().raw(47, &[0; 24]),
        v4().fragment(9, false, 3).raw(17, &[0; 24]),
        v4().tag(SERVICE_VLAN, 3).vlan(4).tcp(40_000, 443),
        v4().vlan(1).vlan(2).vlan(3).tcp(40_000, 443),
        v4().tcp(40_000, 443).data_offset(4),
        v6().tcp(40_000, 443),
        v6().udp(40_000, 162),
        v6().extension(Extension::Destination { words: 2 }).tcp(40_000, 443),
        v6().icmpv6(128, 0),
        v6().icmpv6(135, 0),
        Packet::new().arp("198.18.0.2", "198.18.0.1"),
        Packet::new().ethertype(0x88b5).payload(&[0; 46]),
        Packet::new().ipv4("127.0.0.1", "198.18.0.1").tcp(40_000, 443),
    ];
    let programs = [&xdp, &tc].map(Protected::inbound);
    for frame in frames {
        let [by_xdp, by_tc] = [0, 1].map(|at: usize| programs[at].judge(&frame.build()));
        assert_eq!(by_xdp, by_tc, "{frame:#?}");
    }
    assert_eq!(programs[1].judge(&v4().tcp(40_000, 23).build()), Outcome::Dropped);
}
