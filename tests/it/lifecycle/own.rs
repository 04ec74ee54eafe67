//! The table of the host's own addresses: what is not ours is not refused as a martian, and a difference is reported.

use std::time::{Duration, Instant};

use enforcer_common::Reason;
use harness::enforcer::Protected;
use harness::machine::patience;
use harness::netns::Cable;
use harness::packet::Packet;

use super::{sentences, status};
use crate::stage::Stage;

fn https(source: &str) -> Packet {
    let host = if source.contains(':') { "2001:db8::1" } else { "198.18.0.1" };
    Packet::new().ip(source, host).tcp(40_000, 443)
}

#[test]
fn an_address_that_moved_away_is_reported_and_refresh_repairs_it() {
    let stage = Stage::of(Protected::apply_on(Cable::quiet(), super::ENFORCE));
    let near = &stage.protected.cable.near.interface;
    let host = &stage.protected.cable.host;
    host.batch(&format!("addr add 198.18.0.77/24 dev {near}\n"));
    stage.protected.run(&["refresh"]).expect_code(0);
    assert_eq!(status(&stage.protected).0, Some(0), "{:?}", status(&stage.protected));
    stage.inbound(&https("198.18.0.77"), Reason::Martian);

    // The other router has it now (VRRP).
    host.batch(&format!("addr del 198.18.0.77/24 dev {near}\naddr add 198.18.0.78/24 dev {near}\n"));
    stage.inbound(&https("198.18.0.77"), Reason::Martian);
    let (code, json) = status(&stage.protected);
    let problems = sentences(&json, "problems");
    assert_eq!(code, Some(1), "{json}");
    for part in ["lacks 198.18.0.78", "still has 198.18.0.77", "`enforcer refresh`"] {
        assert!(problems.contains(part), "{problems}");
    }
    stage.protected.run(&["refresh"]).expect_code(0);
    assert_eq!(status(&stage.protected).0, Some(0), "{:?}", status(&stage.protected));
    stage.inbound(&https("198.18.0.77"), Reason::Rule);
    stage.inbound(&https("198.18.0.78"), Reason::Martian);
}

#[test]
fn an_address_that_another_host_has_is_not_ours() {
    let cable = Cable::new();
    let near = cable.near.interface.clone();
    cable.remote.batch(&format!("addr add 2001:db8::50/64 dev {} nodad\n", cable.far.interface));
    cable.host.run(|| {
        for setting in ["accept_dad", "dad_transmits"] {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{near}/{setting}"), "1").expect("a file");
        }
    });
    let stage = Stage::of(Protected::apply_on(cable, super::ENFORCE));
    let host = &stage.protected.cable.host;
    host.batch(&format!("addr add 2001:db8::50/64 dev {near}\n"));
    // The programs let the answer in that says so.
    let end = Instant::now() + Duration::from_secs(10) * patience();
    loop {
        let listed = host.command("ip").args(["-6", "addr", "show", "dev", &near]).output().expect("ip runs").stdout;
        if String::from_utf8_lossy(&listed).contains("dadfailed") {
            break;
        }
        assert!(Instant::now() < end, "nobody has defended it: {}", String::from_utf8_lossy(&listed));
        std::thread::sleep(Duration::from_millis(50));
    }
    stage.protected.run(&["refresh"]).expect_code(0);
    stage.inbound(&https("2001:db8::50"), Reason::Rule);
    assert_eq!(status(&stage.protected).0, Some(0), "{:?}", status(&stage.protected));
}

#[test]
fn an_address_of_another_link_is_not_ours_on_this_one() {
    let cable = Cable::quiet();
    cable.host.batch(
        "link add other type veth peer name other2\nlink set other addrgenmode none up\naddr add fe80::1/64 dev other nodad\n",
    );
    let stage = Stage::of(Protected::apply_on(cable, super::ENFORCE));
    // A router may have the same address as a bridge for containers.
    stage.inbound(&https("fe80::1"), Reason::Rule);
}
