//! Hosts that forward or bridge: what is for others is not judged, what is for the host is, and a guest behind a port is judged on
//! the way to it.

use std::fs;
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use enforcer_common::{Direction, Reason};
use harness::enforcer::{Protected, enforcer_with_input};
use harness::netns::{Cable, Namespace, another_interface};
use harness::packet::Packet;
use harness::raw::RawSocket;
use harness::sockets::{Reply, Servers, tcp, udp};

use crate::stage::{By, Stage};

const SITE: &str = "\
interfaces: [IF]
mode: enforce
scope: host
roles: []
allow:
  - {name: https, protocol: tcp, ports: [443]}
";

fn forward(namespace: &Namespace) {
    namespace.run(|| {
        for path in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            fs::write(format!("/proc/sys/net/{path}"), "1").expect("root may forward");
        }
    });
}

/// A router: the near end of the cable and another one, behind which another host is.
fn router(site: &str) -> (Stage, Namespace) {
    let cable = Cable::new();
    let behind = host_behind(&cable);
    (Stage::of(Protected::apply_site(cable, site, &["--hook", "tc"])), behind)
}

/// Makes a router of the near end: behind its interface `behind` is a host with the address 203.0.113.9.
pub(crate) fn host_behind(cable: &Cable) -> Namespace {
    let behind = Namespace::new();
    cable.host.batch(&format!(
        "link add behind address 02:00:00:00:00:0a type veth peer name behind address 02:00:00:00:00:0b netns {}\n\
         link set behind addrgenmode none up\n\
         addr add 203.0.113.1/24 dev behind\n\
         addr add 2001:db8:b::1/64 dev behind nodad\n\
         neigh replace 203.0.113.9 lladdr 02:00:00:00:00:0b dev behind nud permanent\n\
         neigh replace 2001:db8:b::9 lladdr 02:00:00:00:00:0b dev behind nud permanent\n",
        behind.name()
    ));
    behind.batch(
        "link set behind addrgenmode none up\n\
         addr add 203.0.113.9/24 dev behind\n\
         addr add 2001:db8:b::9/64 dev behind nodad\n\
         neigh replace 203.0.113.1 lladdr 02:00:00:00:00:0a dev behind nud permanent\n\
         neigh replace 2001:db8:b::1 lladdr 02:00:00:00:00:0a dev behind nud permanent\n\
         route add default via 203.0.113.1\n\
         route add default via 2001:db8:b::1\n",
    );
    cable.remote.batch(&format!(
        "route add 203.0.113.0/24 via {}\nroute add 2001:db8:b::/64 via {}\n",
        cable.near.v4, cable.near.v6
    ));
    forward(&cable.host);
    behind
}

#[test]
fn what_is_routed_passes_and_what_is_for_the_router_is_judged() {
    let (stage, behind) = router(SITE);
    let Cable { host, remote, near, far } = &stage.protected.cable;
    let _servers = [Servers::start(&behind, &[4444], &[]), Servers::start(host, &[443, 4444], &[])];
    let others: [IpAddr; 2] = ["203.0.113.9", "2001:db8:b::9"].map(|address| address.parse().expect("an address"));
    for ((from, own), other) in far.addresses().into_iter().zip(near.addresses()).zip(others) {
        assert_eq!(tcp(remote, from, (other, 4444).into()), Reply::Answered, "{other}: {:?}", stage.counted());
        assert_eq!(tcp(remote, from, (own, 443).into()), Reply::Answered, "{own}");
        assert_eq!(tcp(remote, from, (own, 4444).into()), Reply::Silence, "{own}");
    }
    // The router's address on the other side is its own, too.
    assert_eq!(tcp(remote, far.v4.into(), "203.0.113.1:4444".parse().expect("an address")), Reply::Silence);
    let counted = stage.counted();
    for direction in Direction::ALL {
        assert!(counted.contains_key(&(direction, false, Reason::Forwarded)), "{direction:?}: {counted:?}");
    }
}

#[test]
fn an_address_that_the_table_does_not_know_is_judged() {
    let (stage, _behind) = router(SITE);
    let Cable { host, near, .. } = &stage.protected.cable;
    host.batch(&format!("addr add 198.18.0.77/24 dev {0}\naddr add 2001:db8::77/64 dev {0} nodad\n", near.interface));
    for (source, own) in [("198.18.0.2", "198.18.0.77"), ("2001:db8::2", "2001:db8::77")] {
        let packet = Packet::new().ip(source, own).tcp(40_000, 4444).build();
        let (counted, _) = stage.judge(Direction::Inbound, &packet, By::Cable).expect("a frame");
        assert_eq!(counted, [((Direction::Inbound, false, Reason::NoRule), 1)].into(), "{own}");
    }
}

#[test]
fn a_packet_in_the_name_of_the_router_is_a_martian_before_it_is_forwarded() {
    for hook in ["tc", "native"] {
        let cable = Cable::new();
        let _behind = host_behind(&cable);
        let stage = Stage::of(Protected::apply_site(cable, SITE, &["--hook", hook]));
        for (source, elsewhere) in [
            ("198.18.0.1", "203.0.113.9"),
            ("203.0.113.1", "203.0.113.9"),
            ("127.0.0.1", "203.0.113.9"),
            ("2001:db8::1", "2001:db8:b::9"),
        ] {
            let forged = Packet::new().ip(source, elsewhere).udp(5060, 40_000);
            stage.inbound(&forged, Reason::Martian);
        }
        stage.inbound(&Packet::new().ip("198.18.0.2", "203.0.113.9").udp(5060, 40_000), Reason::Forwarded);
        stage.inbound(&Packet::new().ip("2001:db8::2", "2001:db8:b::9").udp(5060, 40_000), Reason::Forwarded);
    }
}

#[test]
fn clients_behind_a_router_that_masquerades_get_their_answers() {
    for (family, server, from) in [("ip", "198.18.0.2", "203.0.113.9"), ("ip6", "2001:db8::2", "2001:db8:b::9")] {
        for scope in ["host", "all"] {
            let (stage, behind) = router(&SITE.replace("scope: host", &format!("scope: {scope}")));
            let Cable { host, remote, near, .. } = &stage.protected.cable;
            let rules = format!(
                "add table {family} t\nadd chain {family} t c {{ type nat hook postrouting priority 100; }}\n\
                 add rule {family} t c oifname {} masquerade\n",
                near.interface
            );
            nft(host, &rules);
            let _servers = Servers::start(remote, &[4444], &[4445]);
            let at = |port| (server.parse::<IpAddr>().expect("an address"), port).into();
            let from: IpAddr = from.parse().expect("an address");
            assert_eq!(tcp(&behind, from, at(4444)), Reply::Answered, "{scope}: {:?}", stage.counted());
            assert_eq!(udp(&behind, from, at(4445)), Reply::Answered, "{scope}: {:?}", stage.counted());
        }
    }
}

/// Gives rules to nftables in a namespace.
fn nft(namespace: &Namespace, rules: &str) {
    use std::io::Write as _;
    namespace.run(|| {
        let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft starts");
        nft.stdin.take().expect("a pipe").write_all(rules.as_bytes()).expect("nft reads");
        assert!(nft.wait().expect("nft ends").success(), "{rules}");
    });
}

#[test]
fn a_frame_in_the_name_of_the_host_from_another_port_of_its_bridge_opens_nothing() {
    for scope in ["host", "all"] {
        let (cable, guest, port) = bridge();
        // Beside the near end, `port` is not protected: whoever is behind it may claim what he likes.
        let site = SITE.replace("scope: host", &format!("scope: {scope}"));
        let stage = on_a_port(cable, &site);
        let intruder = RawSocket::open(&guest, "eth0");
        let forged = Packet::new().mac([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 2]).ipv4("198.18.7.1", "198.18.7.2");
        let [reason, refused] =
            if scope == "host" { [Reason::Forwarded, Reason::NoRule] } else { [Reason::Open, Reason::NoRule] };
        intruder.send(&forged.udp(5060, 40_000).build());
        stage.wait_for(Direction::Outbound, false, reason, 1);
        let answer = Packet::new().mac([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 0x0b]).ipv4("198.18.7.2", "198.18.7.1");
        stage.inbound(&answer.udp(40_000, 5060), refused);
        drop(port);
    }
}

#[test]
fn with_scope_all_what_is_routed_is_judged() {
    let (stage, behind) = router(&SITE.replace("scope: host", "scope: all"));
    let Cable { remote, far, .. } = &stage.protected.cable;
    let _servers = Servers::start(&behind, &[443, 4444], &[]);
    let at = |port| (IpAddr::from([203, 0, 113, 9]), port).into();
    assert_eq!(tcp(remote, far.v4.into(), at(443)), Reply::Answered);
    assert_eq!(tcp(remote, far.v4.into(), at(4444)), Reply::Silence);
}

#[test]
fn apply_refuses_a_host_that_forwards_until_the_scope_is_chosen() {
    let cable = Cable::quiet();
    forward(&cable.host);
    let site = SITE.replace("scope: host\n", "").replace("IF", &cable.near.interface);
    let ran = enforcer_with_input(&cable.host, &["apply", "-", "--hook", "tc"], &site).expect_code(4);
    assert!(ran.stderr.contains("scope: host") && ran.stderr.contains("scope: all"), "{}", ran.stderr);
}

/// A bridge of the host with two ports: the near end of the cable, and one behind which a guest is.
fn bridge() -> (Cable, Namespace, String) {
    let cable = Cable::quiet();
    let guest = Namespace::new();
    let port = another_interface();
    let near = &cable.near.interface;
    cable.host.batch(&format!(
        "link add bridge address 02:00:00:00:00:0b type bridge mcast_snooping 0\n\
         link set bridge addrgenmode none up\n\
         addr add 198.18.7.1/24 dev bridge\n\
         link set {near} master bridge\n\
         link add {port} type veth peer name eth0 netns {}\n\
         link set {port} addrgenmode none master bridge up\n",
        guest.name()
    ));
    guest.batch("link set eth0 address 02:00:00:00:00:09 addrgenmode none up\naddr add 198.18.7.9/24 dev eth0\n");
    cable.remote.batch(&format!("addr add 198.18.7.2/24 dev {}\n", cable.far.interface));
    (cable, guest, port)
}

/// The near end, protected before it became a port of the bridge, and as it was again after a reboot.
fn on_a_port(cable: Cable, site: &str) -> Stage {
    let near = cable.near.interface.clone();
    cable.host.batch(&format!("link set {near} nomaster\n"));
    let protected = Protected::apply_site(cable, site, &["--hook", "tc"]);
    protected.cable.host.batch(&format!("link set {near} master bridge\n"));
    fs::remove_dir_all(Path::new("/sys/fs/bpf/enforcer").join(&near)).expect("it was protected");
    // Its exit code is that of all policies in the folder, those of other tests included.
    protected.run(&["boot"]);
    Stage::of(protected)
}

#[test]
fn an_operator_is_sent_from_the_port_to_the_bridge_and_what_is_in_force_stays() {
    let (cable, _guest, _) = bridge();
    let near = cable.near.interface.clone();
    let site = SITE.replace("IF", &near);
    for options in [&["--hook", "tc"][..], &["--dry-run"]] {
        let line: Vec<&str> = ["apply", "-"].into_iter().chain(options.iter().copied()).collect();
        let ran = enforcer_with_input(&cable.host, &line, &site).expect_code(4);
        assert!(ran.stderr.contains("port of the bridge bridge") && ran.stderr.contains("[bridge]"), "{}", ran.stderr);
    }
    let ran = enforcer_with_input(&cable.host, &["preflight", "-"], &site).expect_code(1);
    assert!(ran.stdout.contains("[bridge]"), "{}", ran.stdout);
    enforcer_with_input(&cable.host, &["apply", "-"], &SITE.replace("IF", "bridge")).expect_code(0);
    enforcer_with_input(&cable.host, &["detach"], "").expect_code(0);

    let stage = on_a_port(cable, SITE);
    let host = &stage.protected.cable.host;
    let ran = enforcer_with_input(host, &["apply", "-"], &site).expect_code(4);
    assert!(ran.stderr.contains(&format!("enforcer detach --interface {near}")), "{}", ran.stderr);
    let ran = stage.protected.run(&["status"]).expect_code(1);
    assert!(ran.stderr.contains("PROBLEM: it is a port of the bridge bridge"), "{}", ran.stderr);
    let status = stage.protected.run(&["status", "--format", "json"]).expect_code(1).json();
    assert_eq!(status["interfaces"][0]["inbound"]["mode"], "enforce", "{status}");
}

#[test]
fn a_port_follows_the_addresses_of_the_bridge_and_of_what_stands_on_it() {
    let (cable, guest, _) = bridge();
    let stage = on_a_port(cable, SITE);
    let host = &stage.protected.cable.host;
    let from = |mac: u8, to: &str| {
        Packet::new().mac([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, mac]).ip("198.18.7.2", to).udp(40_000, 4445)
    };
    stage.inbound(&from(0x0b, "198.18.7.1"), Reason::NoRule);
    stage.inbound(&from(9, "198.18.7.9"), Reason::Forwarded);
    // The bridge has another hardware address: frames for the host's address are known by that before anybody has looked.
    host.batch("link set bridge address 02:00:00:00:00:0c\n");
    stage.inbound(&from(0x0c, "198.18.7.1"), Reason::NoRule);
    host.batch(
        "link add above link bridge address 02:00:00:00:00:0d type macvlan mode bridge\n\
         link set above addrgenmode none up\naddr add 198.18.7.3/24 dev above\n",
    );
    stage.protected.run(&["refresh"]).expect_code(0);
    stage.inbound(&from(0x0d, "198.18.7.3"), Reason::NoRule);
    // By the hardware address alone: the kernel says whose the address is.
    host.batch("addr add 198.18.7.4/24 dev above\n");
    stage.inbound(&from(0x0d, "198.18.7.4"), Reason::NoRule);
    drop(guest);
}

#[test]
fn a_bridged_frame_passes_and_one_for_the_bridge_is_judged() {
    let (cable, guest, _) = bridge();
    let stage = on_a_port(cable, SITE);
    let Cable { host, remote, .. } = &stage.protected.cable;
    let _servers = [Servers::start(&guest, &[4444], &[]), Servers::start(host, &[443, 4444], &[])];
    let from: IpAddr = [198, 18, 7, 2].into();
    let ask = |last, port| tcp(remote, from, (IpAddr::from([198, 18, 7, last]), port).into());
    assert_eq!(ask(9, 4444), Reply::Answered, "the guest");
    assert_eq!(ask(1, 443), Reply::Answered, "the host");
    assert_eq!(ask(1, 4444), Reply::Silence, "the host");
    // Before anything else is parsed: what is for another station may be as broken as it likes.
    let broken = Packet::new().mac([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 9]).ipv4("198.18.7.2", "198.18.7.9").ihl(4);
    let (counted, _) = stage.judge(Direction::Inbound, &broken.build(), By::Cable).expect("a frame");
    assert_eq!(counted, [((Direction::Inbound, false, Reason::Forwarded), 1)].into());
}

#[test]
fn a_guest_behind_a_port_is_judged_on_the_way_to_it() {
    let (mut cable, guest, port) = bridge();
    let site = SITE.replace("scope: host\n", "outbound: role\n");
    let site = site.replace("[IF]", &format!("[{{name: {port}, protects: guest}}]"));
    // The pins that go with the near end are those of the guest's port here.
    cable.near.interface = port;
    let protected = Protected::apply_site(cable, &site, &["--hook", "auto"]);
    let status = protected.run(&["status", "--format", "json"]).expect_code(0).json();
    assert_eq!(status["interfaces"][0]["inbound"]["attach_mode"], harness::machine::tc_attach_mode(), "{status}");
    let Cable { host, remote, .. } = &protected.cable;
    let _servers = [Servers::start(&guest, &[443, 4444], &[]), Servers::start(host, &[4444], &[])];
    let from: IpAddr = [198, 18, 7, 2].into();
    let ask = |last, port| tcp(remote, from, (IpAddr::from([198, 18, 7, last]), port).into());
    assert_eq!(ask(9, 443), Reply::Answered, "the guest");
    assert_eq!(ask(9, 4444), Reply::Silence, "the guest");
    assert_eq!(ask(1, 4444), Reply::Answered, "the host is not protected here");
    // The guest itself: no connection permits it to open one.
    let _elsewhere = remote.run(|| TcpListener::bind("198.18.7.2:4444").expect("the port is free"));
    assert_eq!(tcp(&guest, [198, 18, 7, 9].into(), "198.18.7.2:4444".parse().expect("an address")), Reply::Silence);
    let counted = protected.counters();
    assert!(counted.of_name("inbound reason no-rule drop") > 0, "{counted:?}");
    assert!(counted.of_name("outbound reason no-connection drop") > 0, "{counted:?}");
    assert!(counted.of_name("outbound reason rule pass") > 0, "{counted:?}");
}
