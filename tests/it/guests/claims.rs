//! What a guest claims to be, by raw frames: other guests' addresses, this machine's, and parts in the network that it does not play.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use enforcer_common::packet::UDP;
use enforcer_common::{Direction, Reason};
use harness::enforcer::{Ran, enforcer_with_input};
use harness::machine::patience;
use harness::netns::pins_of;
use harness::packet::{Extension, Packet};
use harness::program::{About, Outcome, Program};

use super::{A, ALLOW, B, MACHINE, OUTSIDE, World, answer, question};

/// Hardware addresses of guest A, of guest B and of the bridge.
const A_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x10];
const B_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x20];
const BRIDGE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x0b];
/// An address that both guests may claim.
const SHARED: [&str; 2] = ["198.18.7.30", "2001:db8:7::30"];

/// What is known of A.
const KNOWN: &str =
    r#"addresses: [198.18.7.10, "2001:db8:7::10"], shared: [198.18.7.30, "2001:db8:7::30"], mac: "02:00:00:00:00:10""#;

/// A frame that a guest sends, what it is, and what becomes of it; `None`: it passes.
type Sent = (String, Packet, Option<Reason>);

impl World {
    /// Applies a site file for guest A, of which `claims` are known, and one for guest B, whose addresses are known.
    #[track_caller]
    fn with_claims(claims: &str, more: &str) -> Self {
        let world = Self::new();
        world.claims(0, claims, more).expect_code(0);
        let of_b = r#"addresses: [198.18.7.20, "2001:db8:7::20"], shared: [198.18.7.30, "2001:db8:7::30"]"#;
        world.claims(1, of_b, more).expect_code(0);
        world
    }

    /// Applies a site file for a guest with these claims.
    #[track_caller]
    fn claims(&self, guest: usize, claims: &str, more: &str) -> Ran {
        self.claims_with(guest, claims, more, &[])
    }

    /// Likewise, with these options.
    #[track_caller]
    fn claims_with(&self, guest: usize, claims: &str, more: &str, options: &[&str]) -> Ran {
        let separator = if claims.is_empty() { "" } else { ", " };
        let port = format!("{{name: {}, protects: guest{separator}{claims}}}", self.ports[guest]);
        let mode = if more.contains("mode:") { "" } else { "mode: enforce\n" };
        let line = [&["apply", "-", "--yes"], options].concat();
        enforcer_with_input(&self.host, &line, &format!("interfaces: [{port}]\n{ALLOW}{mode}{more}"))
    }

    /// Asks the outbound program of guest A about each of these frames.
    #[track_caller]
    fn ask(&self, frames: &[Sent]) {
        let program = Program::pinned(&pins_of(&self.ports[0]).join("outbound"));
        let mut wanted: BTreeMap<Reason, u64> = BTreeMap::new();
        let before = self.outbound();
        for (what, frame, reason) in frames {
            let outcome =
                program.ask(&frame.build(), About::default()).unwrap_or_else(|| panic!("{what} is not asked"));
            let expected = if reason.is_none() { Outcome::Passed } else { Outcome::Dropped };
            assert_eq!(outcome, expected, "{what}: {:02x?}", frame.build());
            *wanted.entry(reason.unwrap_or(Reason::Open)).or_default() += 1;
        }
        let after = self.outbound();
        let counted = after
            .into_iter()
            .map(|(reason, packets)| (reason, packets - before.get(&reason).copied().unwrap_or_default()));
        assert_eq!(counted.filter(|(_, packets)| *packets > 0).collect::<BTreeMap<_, _>>(), wanted);
    }

    /// What was counted for guest A outbound, by reason.
    fn outbound(&self) -> BTreeMap<Reason, u64> {
        let reasons = self.reasons(&self.ports[0]).into_iter();
        reasons
            .filter(|(direction, ..)| *direction == Direction::Outbound)
            .map(|(_, reason, count)| (reason, count))
            .collect()
    }
}

fn of(what: &str, reason: Option<Reason>, packet: Packet) -> Sent {
    (what.to_owned(), packet, reason)
}

/// From A's device.
fn from_a() -> Packet {
    Packet::new().mac(A_MAC, BRIDGE_MAC)
}

/// Neighbour discovery with a target, and an option with a link-layer address.
fn neighbour(source: &str, kind: u8, target: &str, option: u8, mac: [u8; 6]) -> Packet {
    let target: std::net::Ipv6Addr = target.parse().expect("an address");
    let target = if matches!(kind, 135 | 136) { target.octets().to_vec() } else { Vec::new() };
    from_a().ipv6(source, "ff02::1").hop_limit(255).icmpv6(kind, 0).payload(&[&target[..], &[option, 1], &mac].concat())
}

/// Frames in which A claims an address of each family.
fn claiming(who: &str, [v4, v6]: [&str; 2], reason: Option<Reason>) -> Vec<Sent> {
    let mut frames = Vec::new();
    for (address, to) in [(v4, OUTSIDE[0]), (v6, OUTSIDE[1])] {
        let plain = from_a().ip(address, to).udp(5060, 40_000);
        frames.extend([
            of(&format!("a packet from {who}"), reason, plain.clone()),
            of(&format!("a tagged packet from {who}"), reason, plain.clone().vlan(7)),
            of(&format!("a packet with two tags from {who}"), reason, plain.tag(0x88a8, 7).vlan(7)),
        ]);
    }
    let fragments = |offset, more| {
        [
            from_a().ipv4(v4, OUTSIDE[0]).fragment(offset, more, 9).udp(5060, 40_000).payload(&[0; 16]),
            from_a()
                .ipv6(v6, OUTSIDE[1])
                .extension(Extension::Fragment { offset, more, id: 9 })
                .udp(5060, 40_000)
                .payload(&[0; 16]),
        ]
    };
    for fragment in fragments(0, true).into_iter().chain(fragments(3, false)) {
        frames.push(of(&format!("a fragment from {who}"), reason, fragment));
    }
    frames.extend([
        of(&format!("ARP from {who}"), reason, from_a().arp(v4, OUTSIDE[0])),
        of(&format!("ARP from {who} in a tag"), reason, from_a().vlan(7).arp(v4, OUTSIDE[0])),
        of(&format!("gratuitous ARP of {who}"), reason, from_a().arp(v4, v4)),
        of(&format!("an ARP probe for {who}"), reason, from_a().arp("0.0.0.0", v4)),
        of(&format!("an advertisement of {who}"), reason, neighbour("fe80::10", 136, v6, 2, A_MAC)),
        of(&format!("a tagged advertisement of {who}"), reason, neighbour("fe80::10", 136, v6, 2, A_MAC).vlan(7)),
        of(&format!("address detection for {who}"), reason, neighbour("::", 135, v6, 14, A_MAC)),
        of(&format!("a solicitation from {who}"), reason, neighbour(v6, 135, OUTSIDE[1], 1, A_MAC)),
    ]);
    frames
}

/// What any guest may send.
fn permitted() -> Vec<Sent> {
    let mut frames = claiming("itself", A, None);
    frames.extend(claiming("what it shares", SHARED, None));
    frames.extend([
        of("a DHCP request", None, from_a().ipv4("0.0.0.0", "255.255.255.255").udp(68, 67)),
        of("a DHCPv6 request", None, from_a().ipv6("fe80::10", "ff02::1:2").udp(546, 547)),
        of("a router solicitation", None, neighbour("fe80::10", 133, "::", 1, A_MAC)),
        of("a solicitation for another", None, neighbour(A[1], 135, B[1], 1, A_MAC)),
        of("LLDP", None, from_a().ethertype(0x88cc).payload(&[0; 46])),
    ]);
    frames
}

/// Parts in the network that only routers, switches and DHCP servers play.
fn parts(reason: Option<Reason>) -> Vec<Sent> {
    let option = [1, 1].into_iter().chain(A_MAC).collect::<Vec<_>>();
    let advertisement = [vec![0; 8], option].concat();
    let bpdu =
        |to: [u8; 6]| Packet::new().mac(A_MAC, to).ethertype(38).payload(&[&[0x42, 0x42, 3][..], &[0; 43]].concat());
    let v6 = |kind: u8| from_a().ipv6("fe80::10", "ff02::1").hop_limit(255).icmpv6(kind, 0);
    vec![
        of("a router advertisement", reason, v6(134).payload(&advertisement)),
        of("a tagged router advertisement", reason, v6(134).payload(&advertisement).vlan(7)),
        of(
            "a router advertisement behind options",
            reason,
            from_a()
                .ipv6("fe80::10", "ff02::1")
                .hop_limit(255)
                .extension(Extension::Destination { words: 1 })
                .icmpv6(134, 0)
                .payload(&advertisement),
        ),
        of("a redirect of IPv6", reason, v6(137).payload(&[0; 32])),
        of("a redirect of IPv4", reason, from_a().ipv4(A[0], B[0]).icmp(5, 1).payload(&[0; 28])),
        of("a router advertisement of IPv4", reason, from_a().ipv4(A[0], B[0]).icmp(9, 0).payload(&[0; 8])),
        of("a DHCP offer", reason, from_a().ipv4(A[0], "255.255.255.255").udp(67, 68)),
        of("a DHCP offer from another port", reason, from_a().ipv4(A[0], B[0]).udp(4000, 68)),
        of("a DHCPv6 answer", reason, from_a().ipv6("fe80::10", B[1]).udp(547, 546)),
        of("a DHCPv6 answer from another port", reason, from_a().ipv6("fe80::10", B[1]).udp(4000, 546)),
        of("LACP", reason, from_a().ethertype(0x8809).payload(&[1; 110])),
        of("a BPDU", reason, bpdu([1, 0x80, 0xc2, 0, 0, 0])),
        of("a BPDU to another address", reason, bpdu([2, 0, 0, 0, 0, 9])),
    ]
}

/// Frames that cannot be read, or that hide what they say.
fn broken() -> Vec<Sent> {
    let (malformed, spoofed) = (Some(Reason::Malformed), Some(Reason::Spoofed));
    let arp = |at: usize, with: u8| {
        let mut body = vec![0, 1, 8, 0, 6, 4, 0, 1];
        body.extend(A_MAC);
        body.extend([198, 18, 7, 20, 0, 0, 0, 0, 0, 0, 198, 18, 7, 2]);
        body[at] = with;
        from_a().ethertype(0x0806).payload(&body)
    };
    let advertisement = |body: &[u8]| from_a().ipv6("fe80::10", "ff02::1").hop_limit(255).icmpv6(136, 0).payload(body);
    vec![
        of("ARP of another kind", malformed, arp(1, 6)),
        of("ARP with longer addresses", malformed, arp(5, 16)),
        of("ARP that ends early", malformed, from_a().arp(B[0], OUTSIDE[0]).truncated(14 + 20)),
        of("an advertisement without a target", malformed, advertisement(&[0; 8])),
        of("three tags", Some(Reason::VlanDepth), from_a().vlan(1).vlan(2).vlan(3).arp(B[0], OUTSIDE[0])),
        of(
            "IPv4 in SNAP",
            Some(Reason::Ethertype),
            from_a().ethertype(38).payload(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &[0; 30]].concat()),
        ),
        of(
            "an advertisement in fragments",
            spoofed,
            from_a()
                .ipv6("fe80::10", "ff02::1")
                .hop_limit(255)
                .extension(Extension::Fragment { offset: 0, more: true, id: 3 })
                .icmpv6(136, 0)
                .payload(&[0; 24]),
        ),
    ]
}

#[test]
fn a_guest_claims_nothing_that_is_not_its_own() {
    let world = World::with_claims(KNOWN, "");
    let spoofed = Some(Reason::Spoofed);
    let mut frames = permitted();
    for (who, addresses) in [("B", B), ("the machine", MACHINE), ("somebody outside", OUTSIDE)] {
        frames.extend(claiming(who, addresses, spoofed));
    }
    frames.extend(parts(spoofed));
    frames.extend(broken());
    // In the name of its own address, from another device.
    let other = |packet: Packet| packet.mac(B_MAC, BRIDGE_MAC);
    frames.extend([
        of("a frame from B's device", spoofed, other(question(A[0], OUTSIDE[0]))),
        of("LLDP from B's device", spoofed, other(Packet::new().ethertype(0x88cc).payload(&[0; 46]))),
        of(
            "ARP that names B's device",
            spoofed,
            Packet::new().mac(B_MAC, BRIDGE_MAC).arp(A[0], B[0]).mac(A_MAC, [0xff; 6]),
        ),
        of("a solicitation that names B's device", spoofed, neighbour(A[1], 135, OUTSIDE[1], 1, B_MAC)),
        of("an advertisement that names B's device", spoofed, neighbour("fe80::10", 136, A[1], 2, B_MAC)),
        of("a router solicitation that names B's device", spoofed, neighbour("fe80::10", 133, "::", 1, B_MAC)),
        of(
            "an option without a length",
            Some(Reason::Malformed),
            neighbour(A[1], 135, OUTSIDE[1], 1, A_MAC).append(&[1, 0, 0, 0, 0, 0, 0, 0]),
        ),
        of(
            "an option that ends early",
            Some(Reason::Malformed),
            neighbour(A[1], 135, OUTSIDE[1], 1, A_MAC).append(&[3, 4, 0, 0, 0, 0, 0, 0]),
        ),
    ]);
    world.ask(&frames);
    // What comes back is not from the guest, and nobody else answers in its name.
    for [a, outside] in [[A[0], OUTSIDE[0]], [A[1], OUTSIDE[1]]] {
        let https = |from: &str| Packet::new().ip(from, a).tcp(40_000, 443);
        assert_eq!(world.towards(0, &https(outside)), Outcome::Passed);
        assert_eq!(world.towards(0, &https(a)), Outcome::Dropped, "from itself");
        assert_eq!(world.towards(0, &https(a).vlan(7)), Outcome::Dropped, "from itself, in a tag");
    }
    assert_eq!(world.towards(0, &Packet::new().ip(SHARED[0], A[0]).tcp(40_000, 443)), Outcome::Passed, "B has it now");
    let defending = neighbour(A[1], 136, A[1], 2, B_MAC);
    assert_eq!(world.towards(0, &defending), Outcome::Passed, "who has the address already says so");
    let inbound = |reason| {
        let reasons = world.reasons(&world.ports[0]).into_iter();
        reasons
            .filter(|(direction, of, _)| (*direction, *of) == (Direction::Inbound, reason))
            .map(|(.., n)| n)
            .sum::<u64>()
    };
    assert_eq!(inbound(Reason::Martian), 4);
    // The same frames over the wire: B gets what A may send to all, and nothing else; what B opened is answered as before.
    world.sends(1, &question(B[0], OUTSIDE[0]));
    let forged: Vec<Vec<u8>> =
        frames.iter().filter(|(.., reason)| reason.is_some()).map(|(_, frame, _)| frame.build()).collect();
    let last = from_a().arp(A[0], B[0]).build();
    let sent = [&forged[..], std::slice::from_ref(&last)].concat();
    world.send_all(0, &sent);
    let arrived = std::cell::RefCell::new(Vec::new());
    let is_over = world.sockets[1].frames(
        Duration::from_secs(20) * patience(),
        |frame| arrived.borrow_mut().push(frame.to_vec()),
        || arrived.borrow().contains(&last),
    );
    assert!(is_over, "the last frame has not arrived");
    let slipped: Vec<Vec<u8>> = arrived.into_inner().into_iter().filter(|frame| forged.contains(frame)).collect();
    assert_eq!(slipped, Vec::<Vec<u8>>::new());
    assert_eq!(world.towards(1, &answer(OUTSIDE[0], B[0])), Outcome::Passed);
    assert_eq!(world.tables(1).flows_of(UDP, 5060), 1);
    // Denied flows say who it was.
    let denied =
        world.run(&["denied", "--reason", "spoofed", "--interface", &world.ports[0], "--format", "json"]).json();
    assert!(denied.as_array().is_some_and(|list| !list.is_empty()), "{denied}");
    let denied = world.run(&["denied", "--reason", "spoofed", "--interface", &world.ports[0]]).expect_code(0).stdout;
    assert!(denied.contains(&format!("from {}\n", B[0])), "{denied}");
    // A router may speak as one, and a DHCP server; addresses are checked all the same.
    world.claims(0, &format!("{KNOWN}, router: true, dhcp-server: true"), "").expect_code(0);
    let mut frames = parts(None);
    frames.extend(claiming("B", B, spoofed));
    world.ask(&frames);
}

#[test]
fn a_guest_whose_addresses_are_not_known_claims_nothing_that_is_known_to_be_anothers() {
    let world = World::with_claims(r#"shared: [198.18.7.30, "2001:db8:7::30"]"#, "");
    let spoofed = Some(Reason::Spoofed);
    let mut frames = permitted();
    frames.extend(claiming("somebody outside", OUTSIDE, None));
    frames.extend(claiming("B", B, spoofed));
    frames.extend(claiming("the machine", MACHINE, spoofed));
    frames.extend(parts(spoofed));
    frames.extend(broken());
    frames.push(of("a packet from loopback", spoofed, from_a().ipv4("127.0.0.1", OUTSIDE[0]).udp(1, 2)));
    frames.push(of("a packet from all", spoofed, from_a().ipv4("255.255.255.255", OUTSIDE[0]).udp(1, 2)));
    world.ask(&frames);
    // A new address of the machine, a router of the machine, and an address of B's that is no longer B's.
    world.host.batch(&format!(
        "addr add 198.18.7.40/24 dev {0}\nroute add 198.18.99.0/24 via 198.18.7.50 dev {0}\n",
        world.bridge
    ));
    world.run(&["refresh"]).expect_code(0);
    world.claims(1, "addresses: [198.18.7.21]", "").expect_code(0);
    let from = |address: &str| from_a().ipv4(address, OUTSIDE[0]).udp(5060, 40_000);
    world.ask(&[
        of("a new address", spoofed, from("198.18.7.40")),
        of("a router", spoofed, from("198.18.7.50")),
        of("B's new address", spoofed, from("198.18.7.21")),
        of("B's old address", None, from(B[0])),
    ]);
    // Nobody confirms that B has another one: it has the one before again.
    world.claims_with(1, "addresses: [198.18.7.22]", "", &["--confirm-within", "2s"]).expect_code(0);
    let program = Program::pinned(&pins_of(&world.ports[0]).join("outbound"));
    let end = Instant::now() + Duration::from_secs(60);
    while program.judge(&from("198.18.7.21").build()) != Outcome::Dropped {
        assert!(Instant::now() < end, "B's confirmed address is nobody's");
        thread::sleep(Duration::from_millis(100));
    }
    world.ask(&[of("what B did not get", None, from("198.18.7.22"))]);
    // A prefix is the guest's, but for what somebody else is known to have in it.
    world.claims(0, "addresses: [198.18.7.0/24]", "").expect_code(0);
    world.ask(&[
        of("its prefix", None, from("198.18.7.99")),
        of("B in its prefix", spoofed, from("198.18.7.21")),
        of("the machine in its prefix", spoofed, from(MACHINE[0])),
        of("another network", spoofed, from("198.18.8.1")),
        of("IPv6", spoofed, from_a().ipv6(A[1], OUTSIDE[1]).udp(1, 2)),
    ]);
    assert_eq!(world.towards(0, &Packet::new().ip(MACHINE[0], A[0]).tcp(40_000, 443)), Outcome::Passed);
    assert_eq!(world.towards(0, &Packet::new().ip(A[0], A[0]).tcp(40_000, 443)), Outcome::Dropped);
    // Of a guest that is protected no longer, nothing is known.
    world.run(&["detach", "--interface", &world.ports[1]]).expect_code(0);
    world.ask(&[of("B's address", None, from("198.18.7.21"))]);
}

#[test]
fn in_audit_a_forged_frame_is_counted_passes_and_makes_no_flow() {
    let world = World::with_claims(KNOWN, "mode: audit\n");
    for (own, forged) in [(A[0], B[0]), (A[1], B[1])] {
        world.sends(0, &question(forged, OUTSIDE[usize::from(own.contains(':'))]).mac(A_MAC, BRIDGE_MAC));
        assert_eq!(world.tables(0).flows_of(UDP, 5060), 0, "{forged}");
        world.sends(0, &question(own, OUTSIDE[usize::from(own.contains(':'))]).mac(A_MAC, BRIDGE_MAC));
        assert_eq!(world.tables(0).flows_of(UDP, 5060), 1, "{own}");
        world.tables(0).forget();
    }
    let json = world.run(&["counters", "--interface", &world.ports[0], "--format", "json"]).json();
    let would_drop = &json["interfaces"][0]["verdicts"]["outbound"]["would_drop"]["packets"];
    assert_eq!(would_drop, 2, "{json}");
    // A change of the claims alone is a change: the file is applied, and the programs know of it.
    world.claims(0, r#"addresses: [198.18.7.20], mac: "02:00:00:00:00:10""#, "mode: enforce\n").expect_code(0);
    let program = Program::pinned(&pins_of(&world.ports[0]).join("outbound"));
    let from = |address: &str| question(address, OUTSIDE[0]).mac(A_MAC, BRIDGE_MAC).build();
    assert_eq!(program.judge(&from(B[0])), Outcome::Passed);
    assert_eq!(program.judge(&from(A[0])), Outcome::Dropped);
    let site = format!("interfaces: [{{name: {}, protects: guest}}]\n{ALLOW}", world.ports[0]);
    let live = format!("--live={}", world.ports[0]);
    for (address, reason) in [(A[0], "spoofed"), (B[0], "open")] {
        let tuple = format!("out udp {address}:5060 -> 198.18.7.2:40000");
        let explained = enforcer_with_input(&world.host, &["explain", "-", &tuple, &live, "--format", "json"], &site);
        assert_eq!(explained.expect_code(0).json()["reason"], reason);
    }
}
