//! Random packets around the edges of a policy: its ports and their neighbours, its peers and who is just outside of them, in
//! conversations of both directions, in fragments, behind tags and extension headers, and bent.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

use enforcer::policy::ruleset::{Match, Ruleset};
use enforcer_common::Direction;
use harness::netns::Cable;
use harness::packet::{Extension, Packet, SERVICE_VLAN, VLAN, internet_checksum, tcp};

/// Stands before the number of a packet, in its last bytes.
const NAME: [u8; 4] = [0xe7, 0x5a, 0xc3, 0x1d];

/// Packets that belong together, in their order.
pub(super) type Conversation = Vec<(Direction, Sent)>;

/// One packet, perhaps in several frames.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Its number, which it carries.
    pub(super) id: u32,
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) what: &'static str,
    pub(super) about: String,
}

/// The number of a packet that was made here, if it still carries it.
pub(super) fn name_of(bytes: &[u8]) -> Option<u32> {
    let at = bytes.windows(4).rposition(|window| window == NAME)?;
    bytes.get(at + 4..at + 8).and_then(|id| id.try_into().ok()).map(u32::from_be_bytes)
}

/// What is made up.
pub(super) struct Generator {
    random: u64,
    next: u32,
    macs: [[u8; 6]; 2],
    ours: [String; 2],
    broadcast: String,
    /// Protocol and ports that rules name, by direction.
    ports: [Vec<(u8, RangeInclusive<u16>)>; 2],
    protocols: Vec<u8>,
    remotes: Vec<IpAddr>,
}

/// A conversation in the making.
#[derive(Clone)]
struct Sides {
    v6: bool,
    remote: String,
    local: String,
    protocol: u8,
    remote_port: u16,
    local_port: u16,
}

const IN: Direction = Direction::Inbound;
const OUT: Direction = Direction::Outbound;

impl Generator {
    pub(super) fn new(seed: u64, cable: &Cable) -> Self {
        let near = &cable.near;
        Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            next: 0,
            macs: [cable.far.mac, near.mac],
            ours: near.addresses().map(|address| address.to_string()),
            broadcast: "198.18.0.255".to_owned(),
            ports: [Vec::new(), Vec::new()],
            protocols: Vec::new(),
            remotes: Vec::new(),
        }
    }

    /// Takes ports, protocols and addresses from a policy.
    pub(super) fn learn(&mut self, ruleset: &Ruleset) {
        self.ports = [Vec::new(), Vec::new()];
        self.protocols = vec![47, 50, 51, 89, 103, 112];
        for rule in &ruleset.rules {
            match &rule.matches {
                Match::Ports { protocol, ports } => {
                    let all = ports.iter().map(|ports| (*protocol, ports.clone()));
                    self.ports[rule.direction as usize].extend(all);
                }
                Match::Protocol(protocol) => self.protocols.push(*protocol),
                Match::Ethertype(_) | Match::Echo => {}
            }
        }
        for ports in &mut self.ports {
            ports.push((6, 443..=443));
        }
        self.remotes = ["192.0.2.77", "203.0.113.5", "2a00::5", "2001:db8:ffff::1"].map(address).to_vec();
        for net in ruleset.prefixes.keys() {
            let (first, last) = (net.network(), net.broadcast());
            self.remotes.extend([first, last, next_to(first, false), next_to(last, true)]);
        }
        // What can stand in a packet from somewhere else and come to a stack.
        self.remotes.retain(|address| match address {
            IpAddr::V4(v4) => {
                let [first, ..] = v4.octets();
                first != 0 && first != 127 && first < 224 && !v4.octets().starts_with(&[198, 18])
            }
            IpAddr::V6(v6) => v6.segments()[0] & 0xe000 == 0x2000,
        });
    }

    /// The last packet of a turn: it always arrives.
    pub(super) fn sentinel(&mut self, direction: Direction) -> Sent {
        let ours = self.ours[0].clone();
        let packet = match direction {
            Direction::Inbound => Packet::new().ipv4("192.0.2.77", &ours).icmp(3, 1),
            Direction::Outbound => Packet::new().ipv4(&ours, "192.0.2.77").icmp(8, 0),
        };
        self.sent(direction, "sentinel", packet).1
    }

    pub(super) fn conversation(&mut self) -> Conversation {
        match self.below(32) {
            0..=5 => self.asked(),
            6..=13 => self.opened(),
            14..=15 => self.echo(),
            16 => self.icmp(),
            17..=18 => self.protocol(),
            19..=21 => self.fragments(),
            22..=23 => self.chain(),
            24..=25 => self.tagged(),
            26 => self.martian(),
            27 => self.assigned(),
            28 => self.link(),
            _ => self.bent(),
        }
    }

    /// A question from outside, and what follows it.
    fn asked(&mut self) -> Conversation {
        let sides = self.sides(IN);
        let mut packets = vec![self.of(IN, "question", &sides, tcp::SYN)];
        if self.below(2) == 0 {
            packets.push(self.of(OUT, "answer to a question", &sides, tcp::SYN | tcp::ACK));
            packets.push(self.of(IN, "onwards", &sides, tcp::ACK));
        }
        if self.below(4) == 0 {
            packets.push(self.of(OUT, "answer to a question", &sides, tcp::ACK));
        }
        packets
    }

    /// A conversation that the host opens, as it should be, with strangers who mix in.
    fn opened(&mut self) -> Conversation {
        if self.below(3) == 0 {
            return self.disorderly();
        }
        let sides = self.sides(OUT);
        let mut packets = vec![self.of(OUT, "opening", &sides, tcp::SYN)];
        packets.push(self.stranger(&sides));
        packets.push(self.of(IN, "answer", &sides, tcp::SYN | tcp::ACK));
        packets.push(self.of(OUT, "onwards out", &sides, tcp::ACK));
        packets.push(self.of(IN, "answer", &sides, tcp::ACK));
        packets.push(self.stranger(&sides));
        if self.below(3) == 0 {
            packets.push(self.of(OUT, "onwards out", &sides, tcp::FIN | tcp::ACK));
            packets.push(self.of(IN, "answer", &sides, tcp::FIN | tcp::ACK));
        }
        packets
    }

    /// A packet to the host that is almost an answer.
    fn stranger(&mut self, sides: &Sides) -> (Direction, Sent) {
        let mut other = sides.clone();
        match self.below(4) {
            0 => other.remote_port ^= 1,
            1 => other.local_port ^= 1,
            2 => other.remote = self.remote(other.v6),
            _ => return self.of(IN, "SYN where an answer would be", sides, tcp::SYN),
        }
        self.of(IN, "answer of a stranger", &other, tcp::SYN | tcp::ACK)
    }

    /// Segments that do not make up a conversation.
    fn disorderly(&mut self) -> Conversation {
        let direction = [IN, OUT][self.below(2)];
        let sides = self.sides(direction);
        let first = [tcp::SYN, tcp::ACK, tcp::SYN | tcp::ACK, tcp::RST][self.below(4)];
        let mut packets = vec![self.of(OUT, "disorderly out", &sides, first)];
        for _ in 0..=self.below(4) {
            let flags = [tcp::SYN | tcp::ACK, tcp::ACK, tcp::FIN | tcp::ACK, tcp::RST, 0, tcp::SYN][self.below(6)];
            packets.push(if self.below(4) == 0 {
                self.of(OUT, "disorderly out", &sides, flags)
            } else {
                self.of(IN, "disorderly", &sides, flags)
            });
        }
        packets
    }

    fn echo(&mut self) -> Conversation {
        let sides = self.sides(IN);
        let ((request, reply), ip) = if sides.v6 { ((128, 129), 58) } else { ((8, 0), 1) };
        let of = |kind: u8| Packet::new().raw(ip, &[kind, 0, 0, 0, 0x12, 0x34, 0, 1]);
        let out = |of: Packet| of.ip(&sides.local, &sides.remote);
        let into = |of: Packet| of.ip(&sides.remote, &sides.local);
        match self.below(3) {
            0 => vec![self.summed(IN, "ping", into(of(request)))],
            1 => vec![self.summed(IN, "answer to no ping", into(of(reply)))],
            _ => vec![
                self.summed(OUT, "ping out", out(of(request))),
                self.summed(IN, "answer to a ping", into(of(reply))),
            ],
        }
    }

    fn icmp(&mut self) -> Conversation {
        let sides = self.sides(IN);
        let packet = Packet::new().ip(&sides.remote, &sides.local);
        let packet = if sides.v6 {
            let kind = [1, 2, 3, 4, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 141, 143, 148, 151, 200]
                [self.below(20)];
            packet.icmpv6(kind, 0).hop_limit([255, 64][self.below(2)])
        } else {
            packet.icmp([0, 3, 4, 5, 8, 9, 10, 11, 12, 13, 15, 17, 30][self.below(13)], 0)
        };
        vec![self.sent(IN, "ICMP", packet)]
    }

    fn protocol(&mut self) -> Conversation {
        let sides = self.sides(IN);
        let number = self.below(self.protocols.len());
        let listed = self.protocols[number];
        let protocol = [listed, listed, 2, 1, 58, self.byte()][self.below(6)];
        let out = self.below(3) == 0;
        let (from, to) = if out { (&sides.local, &sides.remote) } else { (&sides.remote, &sides.local) };
        let size = [4, 20][self.below(2)];
        let packet = Packet::new().ip(from, to).raw(protocol, &vec![0x11; size]);
        vec![self.sent(if out { OUT } else { IN }, "protocol", packet)]
    }

    /// A datagram in two or three parts: in order, backwards, without its first, with a first that is too short.
    fn fragments(&mut self) -> Conversation {
        let mut sides = self.sides(IN);
        if self.below(6) == 0 {
            sides.protocol = 1;
        }
        let (_, whole) = self.of(IN, "fragments", &sides, tcp::SYN);
        let frame = &whole.frames[0];
        let (head, body) = frame.split_at(14 + if sides.v6 { 40 } else { 20 });
        let mut body = body.to_vec();
        // The name is in the last bytes: room before it, so that there are parts.
        body.splice(body.len() - 8..body.len() - 8, [0x22; 48]);
        let body = resummed(&sides, head, body);
        let cut = [8, 16, 24, 24, 32, 40][self.below(6)];
        let mut cuts = vec![0, cut];
        if self.below(3) == 0 {
            cuts.push(cut + 16);
        }
        cuts.push(body.len());
        let mut parts: Vec<Vec<u8>> = cuts
            .windows(2)
            .map(|ends| fragment(head, &body[ends[0]..ends[1]], ends[0], ends[1] < body.len(), whole.id, sides.v6))
            .collect();
        let what = match self.below(6) {
            0 => {
                parts.reverse();
                "fragments backwards"
            }
            1 => {
                parts.remove(0);
                "fragments without the first"
            }
            2 => {
                parts.truncate(1);
                "first fragment alone"
            }
            _ => "fragments",
        };
        let about = format!("cut at {cuts:?} {}", whole.about);
        vec![(IN, Sent { frames: parts, what, about, ..whole })]
    }

    /// Extension headers before what is asked for.
    fn chain(&mut self) -> Conversation {
        let mut sides = self.sides(IN);
        sides.v6 = true;
        (sides.remote, sides.local) = (self.remote(true), self.ours[1].clone());
        let count = [1, 1, 2, 3, 7, 8, 9][self.below(7)];
        let mut packet = Packet::new().ipv6(&sides.remote, &sides.local);
        let mut headers = String::new();
        for number in 0..count {
            let extension = match self.below(8) {
                0 if number == 0 => Extension::HopByHop { words: 0 },
                1 => Extension::Routing { kind: [0, 2, 3, 4][self.below(4)], segments: 0, words: 0 },
                2 => Extension::Authentication { length: [2, 4][self.below(2)] },
                3 => Extension::Fragment { offset: 0, more: false, id: self.next },
                4 if self.below(4) == 0 => Extension::Mobility { words: 0 },
                _ => Extension::Destination { words: [0, 0, 1][self.below(3)] },
            };
            headers += &format!("{extension:?} ");
            packet = packet.extension(extension);
        }
        let packet = with_transport(packet, &sides, IN, tcp::SYN);
        let (direction, sent) = self.sent(IN, "extension headers", packet);
        vec![(direction, Sent { about: headers, ..sent })]
    }

    /// Priority tags (VLAN 0), which take no VLAN device.
    fn tagged(&mut self) -> Conversation {
        let sides = self.sides(IN);
        let mut packet = Packet::new();
        for _ in 0..[1, 1, 2, 3][self.below(4)] {
            packet = packet.tag([VLAN, SERVICE_VLAN][self.below(2)], 0);
        }
        let packet = with_transport(packet.ip(&sides.remote, &sides.local), &sides, IN, tcp::SYN);
        vec![self.sent(IN, "tags", packet)]
    }

    fn martian(&mut self) -> Conversation {
        let mut sides = self.sides(IN);
        let sources: &[&str] = if sides.v6 {
            &["::1", "::", "ff02::1", "2001:db8::1", "fe80::9"]
        } else {
            &["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "198.18.0.1", "198.18.0.255"]
        };
        sources[self.below(sources.len())].clone_into(&mut sides.remote);
        vec![self.of(IN, "martian", &sides, tcp::SYN)]
    }

    /// Addresses are asked for and assigned.
    fn assigned(&mut self) -> Conversation {
        let (v4, v6) = (self.ours[0].clone(), self.ours[1].clone());
        let packet = match self.below(5) {
            0 => Packet::new().ipv4("0.0.0.0", "255.255.255.255").udp(68, 67),
            1 => Packet::new().ipv4("198.18.0.2", &v4).udp(67, 68),
            2 => Packet::new().ipv4("198.18.0.2", "255.255.255.255").udp(67, 68),
            3 => Packet::new().ipv6("2001:db8::2", &v6).udp(547, 546),
            _ => Packet::new().ipv6("::", "ff02::1").icmpv6([135, 143, 128][self.below(3)], 0).hop_limit(255),
        };
        vec![self.sent(IN, "address assignment", packet)]
    }

    /// What is not IP.
    fn link(&mut self) -> Conversation {
        let length = 0x28;
        let (ethertype, body): (u16, Vec<u8>) = match self.below(9) {
            0 => (0x88cc, vec![0; 30]),
            1 => (0x8809, vec![0; 30]),
            2 => (0x888e, vec![0; 30]),
            3 => (0x88f7, vec![0; 30]),
            4 => (0x8892, vec![0; 30]),
            5 => (0x88b5, vec![0; 30]),
            6 => (length, [vec![0x42, 0x42, 3], vec![0; 29]].concat()),
            7 => (length, [vec![0xaa, 0xaa, 3, 0, 0, 0, 8, 0], vec![0; 24]].concat()),
            _ => (length, [vec![0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0], vec![0; 24]].concat()),
        };
        let packet = Packet::new().ethertype(ethertype).payload(&body);
        vec![self.sent(IN, "not IP", packet)]
    }

    /// A question with some of its bytes changed, its IPv4 checksum right again more often than not.
    fn bent(&mut self) -> Conversation {
        let sides = self.sides(IN);
        let mut packet = Packet::new().ip(&sides.remote, &sides.local);
        if !sides.v6 && self.below(2) == 0 {
            packet = packet.options(1 + self.below(10));
        }
        let (_, mut sent) = self.sent(IN, "bent", with_transport(packet, &sides, IN, tcp::SYN));
        let frame = &mut sent.frames[0];
        for _ in 0..self.below(3) {
            let at = 14 + self.below(frame.len() - 14 - 8);
            frame[at] ^= 1 << self.below(8);
        }
        if self.below(8) == 0 {
            let length = 14 + self.below(frame.len() - 14);
            frame.truncate(length);
        }
        if self.below(4) == 0 {
            frame.resize(frame.len() + self.below(20), 0);
        }
        if self.below(4) != 0 {
            sum_again(&mut frame[14..]);
        }
        vec![(IN, sent)]
    }

    /// Who talks to whom, at or beside a port that a rule names.
    fn sides(&mut self, direction: Direction) -> Sides {
        let number = self.below(self.ports[direction as usize].len());
        let (protocol, range) = self.ports[direction as usize][number].clone();
        let asked = match self.below(8) {
            0..=2 => *range.start(),
            3..=4 => *range.end(),
            5 => range.start().wrapping_sub(1),
            6 => range.end().wrapping_add(1),
            _ => self.word(),
        };
        let protocol = if self.below(12) == 0 { [6, 17, 132][self.below(3)] } else { protocol };
        let client = [32768 + self.word() % 28_000, self.word().max(1)][usize::from(self.below(6) == 0)];
        let v6 = self.below(3) == 0;
        let (remote_port, local_port) = if direction == IN { (client, asked) } else { (asked, client) };
        let local = match self.below(24) {
            0 if direction == IN => {
                if v6 {
                    "ff02::1".to_owned()
                } else {
                    self.broadcast.clone()
                }
            }
            1 if direction == IN && !v6 => "224.0.0.1".to_owned(),
            _ => self.ours[usize::from(v6)].clone(),
        };
        Sides { v6, remote: self.remote(v6), local, protocol, remote_port, local_port }
    }

    fn remote(&mut self, v6: bool) -> String {
        let of_family: Vec<IpAddr> = self.remotes.iter().copied().filter(|address| address.is_ipv6() == v6).collect();
        of_family[self.below(of_family.len())].to_string()
    }

    fn of(&mut self, direction: Direction, what: &'static str, sides: &Sides, flags: u8) -> (Direction, Sent) {
        let (from, to) = if direction == IN { (&sides.remote, &sides.local) } else { (&sides.local, &sides.remote) };
        let packet = with_transport(Packet::new().ip(from, to), sides, direction, flags);
        let (direction, mut sent) = self.sent(direction, what, packet);
        sent.about = format!(
            "{} {} [{}]:{} to [{}]:{}",
            if direction == IN { "in" } else { "out" },
            sides.protocol,
            sides.remote,
            sides.remote_port,
            sides.local,
            sides.local_port
        );
        (direction, sent)
    }

    /// A packet with its name as payload, behind what stands there.
    fn sent(&mut self, direction: Direction, what: &'static str, packet: Packet) -> (Direction, Sent) {
        let id = self.next;
        self.next += 1;
        let name = [&NAME[..], &id.to_be_bytes()].concat();
        let macs = if direction == IN { (self.macs[0], self.macs[1]) } else { (self.macs[1], self.macs[0]) };
        let frame = packet.mac(macs.0, macs.1).append(&name).build();
        (direction, Sent { id, frames: vec![frame], what, about: String::new() })
    }

    /// As [`Self::sent`], with the checksum of an ICMP message whose header is given as payload.
    fn summed(&mut self, direction: Direction, what: &'static str, packet: Packet) -> (Direction, Sent) {
        let (direction, mut sent) = self.sent(direction, what, packet);
        let frame = &mut sent.frames[0];
        let v6 = frame[14] >> 4 == 6;
        let at = 14 + if v6 { 40 } else { 20 };
        let covered = if v6 {
            let length = u32::try_from(frame.len() - at).expect("a short packet");
            [&frame[22..54], &length.to_be_bytes(), &[0, 0, 0, 58], &frame[at..]].concat()
        } else {
            frame[at..].to_vec()
        };
        frame[at + 2..at + 4].copy_from_slice(&internet_checksum(&covered).to_be_bytes());
        (direction, sent)
    }

    /// A number below this one (xorshift64*; which numbers come is fixed by the seed).
    fn below(&mut self, limit: usize) -> usize {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let mixed = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(mixed).expect("31 bits") % limit
    }

    fn word(&mut self) -> u16 {
        u16::try_from(self.below(1 << 16)).expect("16 bits")
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(1 << 8)).expect("8 bits")
    }
}

fn with_transport(packet: Packet, sides: &Sides, direction: Direction, flags: u8) -> Packet {
    let (from, to) =
        if direction == IN { (sides.remote_port, sides.local_port) } else { (sides.local_port, sides.remote_port) };
    match sides.protocol {
        6 => packet.tcp(from, to).flags(flags),
        17 => packet.udp(from, to),
        132 => packet.sctp(from, to),
        _ if sides.v6 => packet.icmpv6(128, 0),
        _ => packet.icmp(8, 0),
    }
}

/// The body of a datagram that has grown, with its lengths and sums right again.
fn resummed(sides: &Sides, head: &[u8], mut body: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a short packet");
    let (at, protocol) = match sides.protocol {
        6 => (16, 6),
        17 => {
            body[4..6].copy_from_slice(&length.to_be_bytes());
            (6, 17)
        }
        132 => {
            body[8..12].fill(0);
            let sum = harness::packet::crc32c(&body);
            body[8..12].copy_from_slice(&sum.to_le_bytes());
            return body;
        }
        _ => (2, if sides.v6 { 58 } else { 1 }),
    };
    body[at..at + 2].fill(0);
    let mut covered = Vec::new();
    if protocol != 1 {
        covered.extend(if sides.v6 { &head[22..54] } else { &head[26..34] });
        covered.extend([0, protocol]);
        covered.extend(length.to_be_bytes());
    }
    covered.extend(&body);
    let sum = internet_checksum(&covered);
    body[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    body
}

fn fragment(head: &[u8], part: &[u8], offset: usize, more: bool, id: u32, v6: bool) -> Vec<u8> {
    let mut frame = head.to_vec();
    let units = u16::try_from(offset / 8).expect("a short packet");
    if v6 {
        let next = std::mem::replace(&mut frame[14 + 6], 44);
        frame.extend([next, 0]);
        frame.extend((units << 3 | u16::from(more)).to_be_bytes());
        frame.extend(id.to_be_bytes());
        let length = u16::try_from(part.len() + 8).expect("a short packet");
        frame[14 + 4..14 + 6].copy_from_slice(&length.to_be_bytes());
    } else {
        let length = u16::try_from(part.len() + 20).expect("a short packet");
        frame[14 + 2..14 + 4].copy_from_slice(&length.to_be_bytes());
        // The low half of the number: unique within any two minutes.
        frame[14 + 4..14 + 6].copy_from_slice(&id.to_be_bytes()[2..]);
        frame[14 + 6..14 + 8].copy_from_slice(&(units | u16::from(more) << 13).to_be_bytes());
        sum_again(&mut frame[14..]);
    }
    frame.extend(part);
    frame
}

/// Makes the checksum of an IPv4 header right, where there is one.
fn sum_again(packet: &mut [u8]) {
    let Some(first) = packet.first().copied() else { return };
    let length = usize::from(first & 0x0f) * 4;
    if first >> 4 == 4 && (20..=packet.len()).contains(&length) {
        packet[10..12].fill(0);
        let sum = internet_checksum(&packet[..length]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

fn next_to(address: IpAddr, above: bool) -> IpAddr {
    let step = |number: u128| if above { number.wrapping_add(1) } else { number.wrapping_sub(1) };
    match address {
        IpAddr::V4(v4) => {
            let number = u32::from(v4);
            IpAddr::V4(if above { number.wrapping_add(1) } else { number.wrapping_sub(1) }.into())
        }
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(step(u128::from(v6)))),
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
