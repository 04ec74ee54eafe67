//! The connections that would be cut are listed before they are, and may be a reason to stop.

use std::io::Write as _;

use harness::enforcer::Protected;
use harness::netns::Cable;

use super::{Conversation, UNLISTED, apply, run};

#[test]
fn abort_if_cut_stops_and_changes_nothing() {
    let cable = Cable::new();
    let mut intruder = Conversation::from_peer(&cable, UNLISTED);
    let ran = run(&cable, &apply(&cable, &["--abort-if-cut"])).expect_code(4);
    assert!(ran.stderr.contains(&intruder.remote().to_string()), "{}", ran.stderr);
    let pins = std::path::Path::new("/sys/fs/bpf/enforcer").join(&cable.near.interface);
    assert!(!pins.exists(), "nothing is pinned");
    intruder.exchange();
    drop(intruder);
    let protected = Protected { cable };
    run(&protected.cable, &apply(&protected.cable, &["--abort-if-cut"])).expect_code(0);
}

#[test]
fn abort_if_cut_stops_the_mode_too() {
    let protected = Protected::apply(&["--role", "unity-connection", "--mode", "audit"]);
    let near = &protected.cable.near.interface;
    let mut intruder = Conversation::from_peer(&protected.cable, UNLISTED);
    protected.run(&["mode", "enforce", "--abort-if-cut", "--interface", near]).expect_code(4);
    intruder.exchange();
    protected.run(&["mode", "enforce", "--abort-if-cut", "--outbound", "--interface", near]).expect_code(0);
    intruder.exchange();
    protected.run(&["mode", "enforce", "--yes", "--interface", near]).expect_code(0);
    assert!(intruder.is_cut());
}

#[test]
fn nothing_is_listed_in_audit_or_twice() {
    let cable = Cable::new();
    let _intruder = Conversation::from_peer(&cable, UNLISTED);
    let protected = Protected { cable };
    let audit = protected.apply_again(&["--role", "unity-connection", "--mode", "audit"]);
    assert!(!audit.stderr.contains("would be cut"), "{}", audit.stderr);
    let first = protected.apply_again(&["--role", "unity-connection", "--mode", "enforce"]);
    assert!(first.stderr.contains("1 live connection would be cut"), "{}", first.stderr);
    let again = protected.apply_again(&["--role", "unity-connection", "--mode", "enforce", "--abort-if-cut"]);
    assert!(!again.stderr.contains("would be cut"), "what is cut already is no news: {}", again.stderr);
}

#[test]
fn what_a_listener_accepted_before_it_went_is_listed_and_cut() {
    // A port of servers, and one that this host's own connections may have.
    for port in [UNLISTED, 45_000] {
        for begins in ["audit", "enforce"] {
            let cable = Cable::new();
            let mut intruder = Conversation::from_peer_once(&cable, port);
            let mut own = Conversation::from_host(&cable, cable.far.v4);
            intruder.exchange();
            let protected = Protected { cable };
            let applied = protected.apply_again(&["--role", "unity-connection", "--mode", begins]);
            let told = if begins == "audit" {
                intruder.exchange();
                protected.run(&["mode", "enforce", "--yes", "--interface", &protected.cable.near.interface])
            } else {
                applied
            };
            let told = told.expect_code(0).stderr;
            assert!(told.contains("1 live connection would be cut"), "{port}: {told}");
            assert!(told.contains(&intruder.remote().to_string()), "{port}: {told}");
            // What the host says revives nothing.
            intruder.host.write_all(b"still here").expect("the connection is open on this side");
            assert!(intruder.is_cut(), "{port}, from {begins}");
            own.exchange();
        }
    }
}

#[test]
fn a_connection_over_another_interface_is_not_listed() {
    let cable = Cable::new();
    // A second cable between the same namespaces, which stays unprotected.
    cable.host.batch(&format!(
        "link add other0 type veth peer name other1 netns {}\nlink set other0 up\naddr add 198.18.9.1/24 dev other0\n",
        cable.remote.name()
    ));
    cable.remote.batch("link set other1 up\naddr add 198.18.9.2/24 dev other1\n");
    let listener = cable.host.run(|| std::net::TcpListener::bind(("198.18.9.1", UNLISTED)).expect("the port is free"));
    let peer = harness::sockets::tcp_stream(&cable.remote, listener.local_addr().expect("it is bound"));
    let (host, _) = listener.accept().expect("the client has connected");
    let mut elsewhere = Conversation::of(host, peer, listener);
    let protected = Protected { cable };
    run(&protected.cable, &apply(&protected.cable, &["--abort-if-cut"])).expect_code(0);
    elsewhere.exchange();
}
