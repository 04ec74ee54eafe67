//! Programs of others on the same hook: ours comes first, leaves theirs alone, and lets them have what passes. And policies as
//! large as they come.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, ProgramInfo, SchedClassifier, TcAttachType};
use enforcer_common::{Direction, Reason};
use harness::enforcer::{HTTPS_ONLY, Protected};
use harness::netns::Cable;
use harness::packet::Packet;

use crate::stage::{By, Stage};

fn tc(cable: &Cable, words: &[&str]) -> String {
    let mut command: Command = cable.host.command("/usr/sbin/tc");
    let output = command.args(words).output().expect("iproute2 has tc");
    assert!(output.status.success(), "tc {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A pinned program that belongs to neither the test nor the interface that it is about: it stands for one of others.
fn of_others() -> (Protected, PathBuf) {
    let other = Protected::apply_site(Cable::quiet(), &HTTPS_ONLY.replace("enforce", "audit"), &["--hook", "tc"]);
    let pin = other.pin().with_file_name("outbound");
    (other, pin)
}

#[test]
fn filters_of_others_on_clsact_stay_through_attach_replace_and_detach() {
    let (_other, pin) = of_others();
    let pin = pin.to_str().expect("a path of ours");
    let cable = Cable::quiet();
    let near = cable.near.interface.clone();
    tc(&cable, &["qdisc", "add", "dev", &near, "clsact"]);
    for side in ["ingress", "egress"] {
        tc(&cable, &["filter", "add", "dev", &near, side, "prio", "7", "bpf", "direct-action", "pinned", pin]);
    }
    let filters = |cable: &Cable| {
        ["ingress", "egress"].map(|side| {
            let text = tc(cable, &["filter", "show", "dev", &near, side]);
            let of =
                |priority: &str| text.lines().filter(|line| line.contains(priority) && line.contains("handle")).count();
            (of("pref 1 "), of("pref 7 "))
        })
    };
    assert_eq!(filters(&cable), [(0, 1); 2]);
    let stage = Stage::of(Protected::apply_site(cable, HTTPS_ONLY, &["--hook", "clsact"]));
    let cable = &stage.protected.cable;
    assert_eq!(filters(cable), [(1, 1); 2]);
    stage.protected.try_site(HTTPS_ONLY, &["--hook", "clsact"]).expect_code(0);
    assert_eq!(filters(cable), [(1, 1); 2], "replaced, not added");
    stage.protected.run(&["detach"]).expect_code(0);
    assert_eq!(filters(cable), [(0, 1); 2]);
    assert!(tc(cable, &["qdisc", "show", "dev", &near]).contains("clsact"), "the qdisc is not ours");
}

#[test]
fn a_tcx_program_of_others_stays_behind_ours() {
    if harness::machine::tc_attach_mode() != "tcx" {
        return harness::skip::skip("this kernel has no TCX");
    }
    let (_other, pin) = of_others();
    let cable = Cable::quiet();
    let near = cable.near.interface.clone();
    let theirs = cable.host.run(|| {
        let mut program = SchedClassifier::from_pin(&pin).expect("it is pinned");
        let last = TcAttachOptions::TcxOrder(LinkOrder::last());
        program.attach_with_options(&near, TcAttachType::Ingress, last).expect("the kernel has TCX");
        program
    });
    let id = theirs.info().expect("the kernel tells").id();
    let chain = |cable: &Cable| -> Vec<u32> {
        let (_, programs) =
            cable.host.run(|| SchedClassifier::query_tcx(&near, TcAttachType::Ingress)).expect("the kernel has TCX");
        programs.iter().map(ProgramInfo::id).collect()
    };
    assert_eq!(chain(&cable), [id]);
    let stage = Stage::of(Protected::apply_site(cable, HTTPS_ONLY, &["--hook", "tc"]));
    let cable = &stage.protected.cable;
    let ours = || ProgramInfo::from_pin(stage.protected.pin()).expect("it is pinned").id();
    assert_eq!(chain(cable), [ours(), id], "ours is first");
    stage.protected.try_site(HTTPS_ONLY, &["--hook", "tc"]).expect_code(0);
    assert_eq!(chain(cable), [ours(), id], "replaced in its place");
    // What we refuse does not reach theirs; what passes is left to it.
    for (port, reason) in [(443, Reason::Rule), (23, Reason::NoRule)] {
        let frame = Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, port).build();
        let (counted, _) = stage.judge(Direction::Inbound, &frame, By::Cable).expect("a frame");
        assert_eq!(counted, [((Direction::Inbound, false, reason), 1)].into());
    }
    stage.protected.run(&["detach"]).expect_code(0);
    assert_eq!(chain(cable), [id]);
}

#[test]
fn the_clsact_qdisc_goes_with_us_when_it_was_made_for_us() {
    let stage = Stage::new(HTTPS_ONLY, "clsact");
    let cable = &stage.protected.cable;
    let near = cable.near.interface.as_str();
    assert!(tc(cable, &["qdisc", "show", "dev", near]).contains("clsact"));
    stage.protected.run(&["detach"]).expect_code(0);
    assert!(!tc(cable, &["qdisc", "show", "dev", near]).contains("clsact"));
}

#[test]
fn sixty_four_peers_and_a_hundred_thousand_prefixes_judge_right() {
    let mut site = String::from("interfaces: [IF]\nmode: enforce\nroles: []\npeers:\n");
    // Each name has its own 1,563 networks of 64 addresses, below 10.0.0.0/8: 64 x 1563 = 100,032.
    let network = |peer: u32, number: u32| 0x0a00_0000 + (number * 64 + peer) * 64;
    for peer in 0..64 {
        let nets = (0..1563).map(|number| format!("{}/26", std::net::Ipv4Addr::from(network(peer, number))));
        writeln!(site, "  p{peer}: [{}]", nets.collect::<Vec<_>>().join(", ")).expect("a string grows");
    }
    site.push_str("allow:\n");
    for peer in 0..64 {
        writeln!(site, "  - {{name: r{peer}, protocol: tcp, ports: [{}], from: [p{peer}]}}", 5000 + peer)
            .expect("a string grows");
    }
    let stage = Stage::new(&site, "native");
    for peer in [0_u16, 1, 31, 63] {
        for number in [0, 700, 1562] {
            let source = std::net::Ipv4Addr::from(network(peer.into(), number) + 9).to_string();
            let to = |port| Packet::new().ipv4(&source, "198.18.0.1").tcp(40_000, port);
            stage.inbound(&to(5000 + peer), Reason::Rule);
            stage.inbound(&to(5000 + (peer + 1) % 64), Reason::Peer);
            stage.inbound(&to(23), Reason::NoRule);
        }
    }
    stage.inbound(&Packet::new().ipv4("192.0.2.1", "198.18.0.1").tcp(40_000, 5000), Reason::Peer);
}
