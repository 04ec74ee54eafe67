//! Audit drops nothing, and the switch takes effect at once.

use std::io::{Read, Write};
use std::time::Duration;

use harness::sockets::{self, Reply};

use super::{Site, members};

#[test]
fn audit_lets_everything_through_and_counts_what_enforce_would_drop() {
    let site = Site::new("audit");
    for client in site.strangers().into_iter().chain(members()) {
        for (protocol, port) in
            [("tcp", 143), ("udp", 161), ("tcp", 1502), ("udp", 22001), ("tcp", 8005), ("udp", 4444)]
        {
            assert_eq!(site.ask(protocol, client, port), Reply::Answered, "{protocol} {port} from {client}");
        }
    }
    let counted = site.protected.counters();
    for reason in ["no-rule", "peer", "internal"] {
        assert!(counted.of_name(&format!("inbound reason {reason} would_drop")) > 0, "{reason}: {counted:?}");
    }
    assert!(counted.of_name("inbound verdict would_drop") > 0, "{counted:?}");
    assert_eq!(counted.of_name("inbound verdict drop"), 0, "{counted:?}");
}

#[test]
fn the_mode_is_switched_at_run_time_both_ways() {
    let site = Site::new("audit");
    let [v4, v6] = site.strangers();
    for _ in 0..3 {
        site.protected.mode("enforce");
        assert_eq!(site.ask("tcp", v4, 8005), Reply::Silence);
        assert_eq!(site.ask("udp", v6, 4444), Reply::Silence);
        site.protected.mode("audit");
        assert_eq!(site.ask("tcp", v4, 8005), Reply::Answered);
        assert_eq!(site.ask("udp", v6, 4444), Reply::Answered);
    }
}

#[test]
fn a_permitted_connection_lives_on_through_apply_and_mode() {
    let site = Site::new("audit");
    let cable = &site.protected.cable;
    let listener = cable.host.run(|| std::net::TcpListener::bind((cable.near.v4, 25)).expect("port 25 is free"));
    let mut client = sockets::tcp_stream(&cable.remote, (cable.near.v4, 25).into());
    let (mut server, _) = listener.accept().expect("the client has connected");
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket has a timeout");
    }
    let mut exchange = || {
        let mut buffer = [0; 4];
        client.write_all(b"ping").expect("the connection is open");
        server.read_exact(&mut buffer).expect("the packet arrives");
        server.write_all(b"pong").expect("the connection is open");
        client.read_exact(&mut buffer).expect("the answer arrives");
    };
    exchange();
    site.protected.mode("enforce");
    exchange();
    site.protected.apply_again(&["--role", "unity-connection", "--mode", "enforce"]);
    exchange();
}
