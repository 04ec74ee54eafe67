//! Frames that a hook sees in another shape than the wire has them: large ones, tags taken out, segments put together.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

use enforcer_common::{Direction, Reason};
use harness::enforcer::Protected;
use harness::netns::Cable;
use harness::packet::{Packet, SERVICE_VLAN};
use harness::skip::skip;
use harness::sockets::tcp_stream;

use crate::stage::{By, Stage};

const SITE: &str = "\
interfaces: [IF]
mode: enforce
roles: []
allow:
  - {name: bulk, protocol: tcp, ports: [5001]}
  - {name: bulk-udp, protocol: udp, ports: [5001]}
";

/// Sends so many bytes to a server of the host.
fn bulk(cable: &Cable, bytes: usize) {
    let to = (IpAddr::from(cable.near.v4), 5001).into();
    let listener = cable.host.run(|| TcpListener::bind(to).expect("the port is free"));
    let mut client = tcp_stream(&cable.remote, to);
    let (mut server, _) = listener.accept().expect("the client has connected");
    let sender = thread::spawn(move || client.write_all(&vec![7; bytes]).expect("the connection is open"));
    server.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket has a timeout");
    let mut buffer = vec![0; 1 << 16];
    let mut received = 0;
    while received < bytes {
        received += server.read(&mut buffer).expect("the bytes arrive");
    }
    sender.join().expect("all is sent");
}

#[test]
fn frames_of_several_buffers_pass_native_xdp() {
    let cable = Cable::new();
    for (namespace, end) in [(&cable.host, &cable.near), (&cable.remote, &cable.far)] {
        namespace.batch(&format!("link set {} mtu 9000\n", end.interface));
    }
    let stage = Stage::of(Protected::apply_site(cable, SITE, &["--hook", "native"]));
    let cable = &stage.protected.cable;
    bulk(cable, 1 << 20);
    for (from, to) in cable.far.addresses().into_iter().zip(cable.near.addresses()) {
        let server = cable.host.run(|| UdpSocket::bind((to, 5001)).expect("the port is free"));
        server.set_read_timeout(Some(Duration::from_secs(2))).expect("a socket has a timeout");
        let client = cable.remote.run(|| UdpSocket::bind((from, 0)).expect("a port is free"));
        client.send_to(&[7; 8900], (to, 5001)).expect("it is sent");
        assert_eq!(server.recv(&mut [0; 9000]).expect("it arrives"), 8900, "{to}");
        client.send_to(&[7; 8900], (to, 5002)).expect("it is sent");
    }
    let counted = stage.wait_for(Direction::Inbound, false, Reason::NoRule, 2);
    assert_eq!(counted.get(&(Direction::Inbound, false, Reason::Malformed)), None, "{counted:?}");
}

#[test]
fn tags_that_the_kernel_has_taken_out_are_judged_as_tags() {
    let stage = Stage::new(SITE, "tc");
    let to_host = || Packet::new().ipv4("198.18.0.2", "198.18.0.1");
    let tagged = |depth: usize, port| {
        (0..depth)
            .fold(to_host(), |packet, tag| packet.tag(if tag == 0 { SERVICE_VLAN } else { 0x8100 }, 5))
            .tcp(40_000, port)
    };
    for depth in 0..=3 {
        for (port, reason) in [(5001, Reason::Rule), (23, Reason::NoRule)] {
            let reason = if depth > 2 { Reason::VlanDepth } else { reason };
            let (counted, _) =
                stage.judge(Direction::Inbound, &tagged(depth, port).build(), By::Cable).expect("a frame");
            assert_eq!(counted, [((Direction::Inbound, false, reason), 1)].into(), "{depth} tags, port {port}");
        }
    }
}

#[test]
fn vlan_devices_over_a_protected_interface_are_judged_with_it() {
    let cable = Cable::new();
    let probe = cable
        .remote
        .command("ip")
        .args(["link", "add", "name", "probe", "link", &cable.far.interface])
        .args(["type", "vlan", "id", "4000"])
        .output()
        .expect("ip runs");
    if !probe.status.success() {
        skip("this kernel has no VLAN devices (8021q)");
        return;
    }
    // What leaves by them has its tag beside the bytes, both ways.
    for (namespace, end, last) in [(&cable.host, &cable.near, 1), (&cable.remote, &cable.far, 2)] {
        let interface = &end.interface;
        namespace.batch(&format!(
            "link add link {interface} name tagged type vlan id 7\n\
             link set tagged addrgenmode none up\n\
             addr add 198.19.0.{last}/24 dev tagged\n\
             link add link tagged name twice type vlan id 8\n\
             link set twice addrgenmode none up\n\
             addr add 198.19.1.{last}/24 dev twice\n"
        ));
    }
    let stage = Stage::of(Protected::apply_site(cable, SITE, &["--hook", "tc"]));
    let Cable { host, remote, .. } = &stage.protected.cable;
    for network in 0..2 {
        let to: IpAddr = [198, 19, network, 1].into();
        for (port, permitted) in [(5001, true), (4444, false)] {
            let _listener = host.run(|| TcpListener::bind((to, port)).expect("the port is free"));
            let found = harness::sockets::tcp(remote, [198, 19, network, 2].into(), (to, port).into());
            let expected = if permitted { harness::sockets::Reply::Answered } else { harness::sockets::Reply::Silence };
            assert_eq!(found, expected, "{} tags, port {port}", network + 1);
        }
    }
}

#[test]
fn a_super_packet_counts_as_its_segments() {
    const BYTES: usize = 4 << 20;
    let stage = Stage::of(Protected::apply_site(Cable::new(), SITE, &["--hook", "tc"]));
    let cable = &stage.protected.cable;
    let frames = || {
        let path = format!("/sys/class/net/{}/statistics/rx_packets", cable.near.interface);
        // The files are those of the namespace that mounted them: asked by a program that mounts its own.
        let mut command = std::process::Command::new("ip");
        let output = command.args(["netns", "exec", cable.host.name(), "cat", &path]).output().expect("ip runs");
        String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().expect("a number")
    };
    let before = frames();
    bulk(cable, BYTES);
    let frames = frames() - before;
    let segments = (BYTES / 1448) as u64;
    let counted = stage.counted();
    let packets = counted[&(Direction::Inbound, false, Reason::Rule)];
    assert!(packets >= segments, "{packets} packets counted of at least {segments}; {frames} went over the cable");
    assert!(frames < packets, "no super-packet was seen: {frames} frames, {packets} packets");
}
