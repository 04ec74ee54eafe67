//! What the host itself opens is answered, and only that.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use harness::enforcer::Protected;
use harness::packet::{Packet, tcp as flags};
use harness::sockets::{Reply, Servers, tcp, udp};

#[test]
fn answers_to_the_host_come_back_over_both_families() {
    let protected = Protected::apply(&["--role", "unity-connection", "--mode", "enforce"]);
    let cable = &protected.cable;
    // Ports that the role knows neither as a service nor as a connection.
    let _servers = Servers::start(&cable.remote, &[9999], &[9999]);
    for (from, to) in cable.near.addresses().into_iter().zip(cable.far.addresses()) {
        assert_eq!(tcp(&cable.host, from, (to, 9999).into()), Reply::Answered, "{to}");
        assert_eq!(udp(&cable.host, from, (to, 9999).into()), Reply::Answered, "{to}");
    }
    let counted = protected.counters();
    assert!(counted.of_name("inbound reason flow pass") > 0, "{counted:?}");
    assert_eq!(counted.of_name("inbound verdict drop"), 0, "{counted:?}");
}

#[test]
fn an_answer_that_nobody_asked_for_is_dropped() {
    let protected = Protected::apply(&["--role", "unity-connection", "--mode", "enforce"]);
    let cable = &protected.cable;
    let local: SocketAddr = (cable.near.v4, 9998).into();
    let socket = cable.host.run(|| UdpSocket::bind(local).expect("the port is free"));
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a socket has a timeout");
    let stranger = cable.remote.run(|| UdpSocket::bind((cable.far.v4, 9999)).expect("the port is free"));
    let mut buffer = [0; 16];
    stranger.send_to(b"unasked", local).expect("it is sent");
    assert!(socket.recv(&mut buffer).is_err(), "nobody asked for it");
    socket.send_to(b"ask", (cable.far.v4, 9999)).expect("it is sent");
    stranger.send_to(b"answer", local).expect("it is sent");
    let length = socket.recv(&mut buffer).expect("it was asked for");
    assert_eq!(&buffer[..length], b"answer");
}

#[test]
fn a_bare_syn_never_passes_as_an_answer() {
    let protected = Protected::apply(&["--role", "unity-connection", "--mode", "enforce"]);
    let cable = &protected.cable;
    let _servers = Servers::start(&cable.remote, &[9999], &[]);
    // A flow: the host connects from a port that is known, and the remote side answers.
    let from: SocketAddr = (cable.near.v4, 30_000).into();
    let connection = cable.host.run(|| harness::sockets::connect(from, (cable.far.v4, 9999).into()));
    let _connection = connection.expect("the answer comes back");
    let frame = |bits: u8| {
        let packet = Packet::new().mac(cable.far.mac, cable.near.mac).ipv4("198.18.0.2", "198.18.0.1");
        packet.tcp(9999, 30_000).flags(bits).build()
    };
    let program = protected.inbound();
    assert_eq!(program.judge(&frame(flags::ACK)), harness::program::Outcome::Passed);
    assert_eq!(program.judge(&frame(flags::SYN)), harness::program::Outcome::Dropped);
}
