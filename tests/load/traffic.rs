//! Frames to the protected host at full rate, and conversations that it begins.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;

use harness::bpf;
use harness::packet::Packet;
use serde_json::{Map, Value};

use crate::world::{Pair, World};
use crate::{Over, programs};

/// Frames of one kind in a row, and how many of them the sender hands over at a time.
const ROW: u32 = 20_000;
const BATCH: u32 = 64;
/// What the host speaks from, and what everybody else listens on.
const OWN_PORT: u16 = 5000;
const THEIR_PORT: u16 = 40_000;

/// Sends until it is over; gives back how many frames the generator was told to send.
pub(crate) fn flood(world: &World, pair: usize, over: &Over) -> u64 {
    let pair = &world.pairs[pair];
    let senders = [programs::sender(), programs::spoofing_sender()].map(|sender| sender.expect("it loads"));
    let kinds = kinds(pair);
    let mut sent = 0;
    world.remote.run(|| {
        for (sender, frame) in kinds.iter().cycle() {
            if over.is() {
                break;
            }
            let sender: &OwnedFd = &senders[*sender as usize];
            bpf::send_live(sender, &pair.far, frame, ROW, BATCH).expect("live frames can be sent");
            sent += u64::from(ROW);
        }
    });
    sent
}

#[derive(Clone, Copy)]
enum Sender {
    /// The frame as it is.
    Plain,
    /// Each from another source `10.x.x.x`.
    Spoofing,
}

/// One of each that the decision code tells apart early, and what makes it look up the most.
fn kinds(pair: &Pair) -> Vec<(Sender, Vec<u8>)> {
    let (host, stranger) = (pair.host().to_string(), pair.stranger().to_string());
    let new = || Packet::new().mac(pair.far_mac, pair.near_mac);
    let spoofed = |to: u16| {
        let mut frame = new().ipv4("0.0.0.0", &host).udp(THEIR_PORT, to).payload(&[0; 18]).build();
        // RFC 768: no checksum. The sources vary, and it covers them.
        frame[40..42].fill(0);
        (Sender::Spoofing, frame)
    };
    let plain = |packet: Packet| (Sender::Plain, packet.payload(&[0; 18]).build());
    let other = [format!("2001:db8:{}::2", pair.network), format!("2001:db8:{}::1", pair.network)];
    vec![
        spoofed(4444),
        spoofed(7000),
        // Some of them answer what the host has just said.
        spoofed(OWN_PORT),
        plain(new().ipv4(&stranger, &host).udp(THEIR_PORT, 7000)),
        plain(new().ipv4(&stranger, &host).udp(THEIR_PORT, OWN_PORT)),
        plain(new().ipv4(&stranger, &host).tcp(THEIR_PORT, 443)),
        plain(new().ipv4(&stranger, &host).udp(THEIR_PORT, 7000).fragment(0, true, 7)),
        plain(new().ipv4(&stranger, &host).udp(THEIR_PORT, 7000).fragment(185, false, 9)),
        plain(new().vlan(5).ipv4(&stranger, &host).udp(THEIR_PORT, 7000)),
        plain(new().ipv4(&stranger, &host).udp(THEIR_PORT, 7000).ihl(4)),
        plain(new().ipv4(&host, &host).udp(THEIR_PORT, 7000)),
        plain(new().ipv6(&other[0], &other[1]).udp(THEIR_PORT, 7000)),
        plain(new().ipv6(&other[0], &other[1]).udp(THEIR_PORT, 4444)),
        plain(new().ethertype(0x88b5)),
    ]
}

/// Speaks to more strangers than the flow table has room for, by both interfaces, and to one again and again.
pub(crate) fn conversations(world: &World, over: &Over) -> Map<String, Value> {
    let mut said: u64 = 0;
    world.host.run(|| {
        let open = |pair: &Pair| UdpSocket::bind((pair.host(), OWN_PORT)).expect("the port is free");
        let sockets = world.pairs.each_ref().map(open);
        let mut state: u64 = 1;
        while !over.is() {
            for (socket, pair) in sockets.iter().zip(&world.pairs) {
                // Knuth's MMIX generator: any will do that does not repeat itself.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let [a, b, c, ..] = state.to_be_bytes();
                let other = Ipv4Addr::new(10, a >> 1 | pair.network << 7, b, c);
                for to in [other, pair.stranger()] {
                    // A refusal of the port comes back as an error of the next call; the packet was not sent then.
                    said += u64::from(socket.send_to(b"load", (to, THEIR_PORT)).is_ok());
                }
            }
        }
    });
    Map::from_iter([("datagrams_that_the_host_has_sent".to_owned(), said.into())])
}
