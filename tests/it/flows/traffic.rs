//! Flows under real clients, servers and floods.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use enforcer_common::{Direction, Reason};
use harness::enforcer::Protected;
use harness::netns::{Cable, Namespace};
use harness::packet::Packet;
use harness::raw::RawSocket;
use harness::sockets::{Servers, tcp_stream};

use super::SITE;
use crate::stage::Stage;

const PATIENCE: Duration = Duration::from_secs(2);

fn protected(site: &str) -> Stage {
    Stage::of(Protected::apply_site(Cable::new(), site, &["--hook", "tc"]))
}

#[test]
fn a_flood_of_spoofed_clients_of_a_permitted_service_makes_no_flow() {
    const CLIENTS: u16 = 500;
    let stage = protected(SITE);
    let Cable { host, remote, near, far } = &stage.protected.cable;
    // The answers leave, whoever they are for.
    host.batch(&format!("route add 198.51.100.0/24 via {} dev {}\n", far.v4, near.interface));
    let _servers = Servers::start(host, &[443], &[161]);
    let flood = RawSocket::open(remote, &far.interface);
    for client in 0..CLIENTS {
        let source = format!("198.51.100.{}", client % 250 + 1);
        let packet = || Packet::new().mac(far.mac, near.mac).ipv4(&source, "198.18.0.1");
        flood.send(&packet().udp(10_000 + client, 161).payload(b"who are you?").build());
        flood.send(&packet().tcp(10_000 + client, 443).build());
    }
    stage.wait_for(Direction::Inbound, false, Reason::Rule, 2 * u64::from(CLIENTS));
    // As many answers have left as questions came; the server needs a moment.
    stage.wait_for(Direction::Outbound, false, Reason::Open, 2 * u64::from(CLIENTS));
    assert_eq!(stage.tables.flows4(), []);
}

#[test]
fn audit_counts_the_whole_of_a_denied_conversation() {
    let stage = protected(&SITE.replace("mode: enforce", "mode: audit"));
    let Cable { host, remote, near, far } = &stage.protected.cable;
    for (from, to) in far.addresses().into_iter().zip(near.addresses()) {
        let _servers = Servers::start(host, &[], &[4444]);
        let before = stage.counted();
        let client = remote.run(|| UdpSocket::bind((from, 0)).expect("a port is free"));
        client.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
        for _ in 0..5 {
            client.send_to(b"ping", (to, 4444)).expect("it is sent");
            client.recv(&mut [0; 16]).expect("audit drops no packet");
        }
        let key = (Direction::Inbound, true, Reason::NoRule);
        let denied = |counted: &crate::stage::Reasons| counted.get(&key).copied().unwrap_or(0);
        assert_eq!(denied(&stage.counted()) - denied(&before), 5, "{to}: datagrams");

        let before = stage.counted();
        let listener = host.run(|| TcpListener::bind((to, 4445)).expect("the port is free"));
        let mut client = tcp_stream(remote, (to, 4445).into());
        let (mut server, _) = listener.accept().expect("the client has connected");
        for _ in 0..5 {
            exchange(&mut client, &mut server);
        }
        drop(client);
        let after = stage.counted();
        // SYN, ACK and at least five segments.
        assert!(denied(&after) - denied(&before) >= 7, "{to}: {after:?}");
        let flow = (Direction::Inbound, false, Reason::Flow);
        assert_eq!(after.get(&flow), None, "{to}: no part of it hides behind a flow");
    }
    assert_eq!((stage.tables.flows_of(17, 4444), stage.tables.flows_of(6, 4445)), (0, 0));
}

#[test]
fn an_answer_in_fragments_arrives() {
    let stage = protected(SITE);
    let Cable { host, remote, near, far } = &stage.protected.cable;
    for (from, to) in near.addresses().into_iter().zip(far.addresses()) {
        let server = remote.run(|| UdpSocket::bind((to, 9999)).expect("the port is free"));
        let client = host.run(|| UdpSocket::bind((from, 0)).expect("a port is free"));
        for socket in [&client, &server] {
            socket.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
        }
        client.send_to(b"tell me more", (to, 9999)).expect("it is sent");
        let (_, asked_by) = server.recv_from(&mut [0; 64]).expect("the question arrives");
        // Three fragments at an MTU of 1500.
        server.send_to(&[7; 4000], asked_by).expect("it is sent");
        let mut buffer = [0; 5000];
        assert_eq!(client.recv(&mut buffer).expect("the answer arrives"), 4000, "{to}");
    }
    let counted = stage.counted();
    assert_eq!(counted.get(&(Direction::Inbound, false, Reason::FragmentPass)), Some(&4), "{counted:?}");
}

#[test]
fn clients_and_servers_of_a_role_talk_when_what_leaves_is_judged() {
    let site = "interfaces: [IF]\nmode: enforce\nroles: [unity-connection]\noutbound: role\n";
    let stage = protected(site);
    let Cable { host, remote, near, far } = &stage.protected.cable;
    for (own, other) in near.addresses().into_iter().zip(far.addresses()) {
        talk(host, remote, (own, 443).into()).expect("a service of the role");
        talk(remote, host, (other, 6972).into()).expect("a connection of the role");
        talk(remote, host, (other, 4444).into()).expect_err("no connection of the role");
    }
    let counted = stage.counted();
    assert!(counted.contains_key(&(Direction::Outbound, false, Reason::NoConnection)), "{counted:?}");
}

/// A client of one namespace and a server of another greet each other.
fn talk(server: &Namespace, client: &Namespace, at: SocketAddr) -> std::io::Result<()> {
    let listener = server.run(|| TcpListener::bind(at))?;
    let mut stream = client.run(|| TcpStream::connect_timeout(&at, Duration::from_millis(300)))?;
    let (mut served, _) = listener.accept()?;
    exchange(&mut stream, &mut served);
    Ok(())
}

fn exchange(client: &mut TcpStream, server: &mut TcpStream) {
    let mut buffer = [0; 4];
    for stream in [&*client, &*server] {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
    }
    client.write_all(b"ping").expect("the connection is open");
    server.read_exact(&mut buffer).expect("the segment arrives");
    server.write_all(b"pong").expect("the connection is open");
    client.read_exact(&mut buffer).expect("the answer arrives");
}
