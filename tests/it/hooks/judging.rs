//! Programs that are on their hook and see nothing: only counts tell.

use std::path::PathBuf;

use enforcer_common::layout::LAYOUT_VERSION;
use harness::bpf::{self, Kind};
use harness::bypass::{Bypass, while_sending};
use harness::enforcer::{HTTPS_ONLY, Protected};
use harness::netns::Cable;
use harness::packet::Packet;
use harness::raw::RawSocket;
use serde_json::Value;

/// A frame to a port that is not permitted.
fn frame() -> Vec<u8> {
    Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 23).build()
}

fn listed(json: &Value, field: &str) -> Value {
    json["interfaces"][0][field].clone()
}

fn link(protected: &Protected) -> PathBuf {
    protected.pin().with_file_name(format!("v{LAYOUT_VERSION}/link_inbound"))
}

#[test]
fn a_driver_that_never_runs_the_program_is_told_of_by_apply_and_status() {
    let cable = Cable::quiet();
    let Some(bypass) = Bypass::to(&cable) else { return };
    let protected = Protected::apply_site(cable, HTTPS_ONLY, &["--hook", "native"]);
    let json = protected.run(&["status", "--format", "json"]).expect_code(0).json();
    assert_eq!(listed(&json, "judging"), Value::Null, "nothing has come in");
    let ran = while_sending(|| bypass.send(&frame()), || protected.try_site(HTTPS_ONLY, &["--hook", "native"]));
    let said = ran.expect_code(0).stderr;
    assert!(said.contains("PROBLEM: nothing is judged") && said.contains("--hook tc"), "{said}");
    (0..300).for_each(|_| bypass.send(&frame()));
    let ran = protected.run(&["status", "--format", "json"]).expect_code(1);
    assert_eq!(listed(&ran.json(), "judging"), Value::Bool(false));
    assert_eq!(listed(&ran.json(), "drift"), Value::Bool(false), "it is on its hook");
    assert_eq!(ran.json()["interfaces"][0]["inbound"]["attach_mode"], "native", "asked for by name");
    let said = protected.run(&["status"]).expect_code(1).stderr;
    assert!(said.contains("PROBLEM: nothing is judged: "), "{said}");
    let text = protected.run(&["counters", "--format", "prometheus"]).expect_code(0).stdout;
    assert!(
        text.contains("enforcer_judging{") && text.contains("enforcer_interface_received_packets_total{"),
        "{text}"
    );
    protected.try_site(HTTPS_ONLY, &["--hook", "tc"]).expect_code(0);
    bypass.send(&frame());
    let json = protected.run(&["status", "--format", "json"]).expect_code(0).json();
    assert_eq!(listed(&json, "judging"), Value::Bool(true), "tc sees it");
}

#[test]
fn a_program_that_was_forgotten_after_a_while_is_told_of_while_packets_come_in() {
    let cable = Cable::quiet();
    let Some(bypass) = Bypass::to(&cable) else { return };
    let far = RawSocket::open(&cable.remote, &cable.far.interface);
    let protected = Protected::apply_site(cable, HTTPS_ONLY, &["--hook", "native"]);
    far.send(&frame());
    let sent = while_sending(|| far.send(&frame()), || protected.run(&["status", "--format", "json"]));
    assert_eq!(listed(&sent.expect_code(0).json(), "judging"), Value::Bool(true));
    let blind = while_sending(|| bypass.send(&frame()), || protected.run(&["status"]));
    let said = blind.expect_code(1).stderr;
    assert!(said.contains("PROBLEM: nothing is judged: "), "{said}");
    protected.run(&["status"]).expect_code(0);
}

#[test]
fn a_program_that_counts_nothing_in_the_place_of_ours_is_noticed_by_the_counts_too() {
    let protected = Protected::apply_site(Cable::quiet(), HTTPS_ONLY, &["--hook", "native"]);
    let cable = &protected.cable;
    let far = RawSocket::open(&cable.remote, &cable.far.interface);
    // r0 = 2 (XDP_PASS); exit
    let code = [bpf::instruction(0xb7, [0, 0], 0, 2), bpf::instruction(0x95, [0, 0], 0, 0)];
    let theirs = bpf::load(Kind::Xdp, "somebody_else", &code).expect("a program of two instructions loads");
    let place = bpf::pinned(&link(&protected)).expect("it is pinned");
    bpf::replace(&place, &theirs).expect("of the same type");
    let ran = while_sending(|| far.send(&frame()), || protected.run(&["status"]));
    let said = ran.expect_code(1).stderr;
    assert!(said.contains("another inbound program than the applied one is attached"), "{said}");
    assert!(said.contains("nothing is judged: "), "{said}");
}
