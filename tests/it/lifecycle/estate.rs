//! Policies of an estate: the host finds itself, and another host's policy is not replaced by mistake.

use harness::enforcer::Protected;
use harness::netns::{Cable, another_interface};
use harness::packet::{self, Packet};
use harness::raw::RawSocket;

use super::status;

const OF: &str = "estate: reference\nhost: HOST\ninterfaces: [IF]\nroles: [unity-connection]\nmode: audit\n";

fn of(host: &str) -> String {
    OF.replace("HOST", host)
}

#[track_caller]
fn expect_host(protected: &Protected, host: &str) {
    let (_, json) = status(protected);
    assert_eq!((&json["estate"], &json["host"]), (&"reference".into(), &host.into()), "{json}");
}

#[test]
fn the_policy_of_another_host_is_replaced_only_on_request() {
    let protected = Protected::apply_site(Cable::new(), &of("cuc1"), &[]);
    expect_host(&protected, "cuc1");
    // Its own file again, changed or not, is no other host's.
    protected.try_site(&(of("cuc1") + "icmp_echo: none\n"), &[]).expect_code(0);
    let ran = protected.try_site(&of("cuc2"), &[]).expect_code(4);
    assert!(ran.stderr.contains("that of the host `cuc1`") && ran.stderr.contains("`--replace`"), "{}", ran.stderr);
    protected.try_site(&of("cuc2"), &["--dry-run"]).expect_code(4);
    expect_host(&protected, "cuc1");
    protected.try_site(&of("cuc2"), &["--replace"]).expect_code(0);
    expect_host(&protected, "cuc2");
    // A file of no estate is nobody else's.
    protected.try_site("interfaces: [IF]\nroles: [unity-connection]\nmode: audit\n", &[]).expect_code(0);
    let (_, json) = status(&protected);
    assert!(json["host"].is_null(), "{json}");
}

#[test]
fn a_machine_finds_itself_in_an_estate_by_its_addresses() {
    let cable = Cable::new();
    let own = cable.near.v4.to_string();
    let estate = |address: &str| {
        format!(
            "estate: reference\ndefaults: {{mode: audit, interfaces: [IF]}}\nhosts:\n  \
             cuc1: {{addresses: [{address}], roles: [unity-connection]}}\n  \
             cuc2: {{addresses: [192.0.2.2], roles: [unity-connection]}}\n"
        )
    };
    let protected = Protected::apply_site(cable, &estate(&own), &[]);
    expect_host(&protected, "cuc1");
    let ran = protected.try_site(&estate("192.0.2.1"), &[]).expect_code(2);
    assert!(
        ran.stderr.contains("has an address of this machine") && ran.stderr.contains("cuc1, cuc2"),
        "{}",
        ran.stderr
    );
    protected.try_site(&estate("192.0.2.1"), &["--host", "cuc1"]).expect_code(0);
    protected.try_site(&estate("192.0.2.1"), &["--host", "cuc2"]).expect_code(4);
    expect_host(&protected, "cuc1");
}

#[test]
fn a_machine_finds_its_guest_by_the_link_address() {
    let cable = Cable::new();
    let (near, bridge) = (&cable.near.interface, another_interface());
    cable.host.batch(&format!(
        "link add {bridge} type bridge stp_state 0 forward_delay 0\nlink set {bridge} addrgenmode none up\n\
         addr flush dev {near}\nlink set {near} master {bridge}\naddr add 198.18.0.1/24 dev {bridge}\n"
    ));
    // The second machine has another port for it, which is none of this one.
    let estate = "estate: reference\ndefaults: {mode: audit}\nhosts:\n  \
                  hv1: {addresses: [198.18.0.1]}\n  hv2: {addresses: [192.0.2.2]}\n  \
                  guest: {addresses: [198.18.0.7], behind: [{host: hv1, mac: \"52:54:00:0a:00:01\"}, {host: hv2, interface: lo9}], \
                  roles: [unity-connection]}\n";
    let protected = Protected { cable };
    let ran = protected.try_site(estate, &["--host", "guest"]).expect_code(2);
    assert!(ran.stderr.contains("known to lead to the guest `guest`"), "{}", ran.stderr);
    let far = RawSocket::open(&protected.cable.remote, &protected.cable.far.interface);
    let mac = [0x52, 0x54, 0, 0x0a, 0, 1];
    let frame = Packet::new().mac(mac, [0xff; 6]).ethertype(packet::ARP).payload(&[0; 46]).build();
    // The port learns as soon as it forwards, which is a moment after it was added.
    let mut ran = ran;
    for _ in 0..200 {
        far.send(&frame);
        ran = protected.try_site(estate, &["--host", "guest"]);
        if ran.code == Some(0) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    ran.expect_code(0);
    expect_host(&protected, "guest");
}
