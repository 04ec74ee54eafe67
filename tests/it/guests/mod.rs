//! Two guests behind ports of a bridge, and the machine itself on the bridge. Whoever is behind a port may send whatever frames he likes.

mod claims;
mod detach;
mod isolation;
mod listings;
mod many;

use std::time::{Duration, Instant};

use enforcer::dataplane;
use enforcer_common::layout::FlowState;
use enforcer_common::{Direction, Reason};
use harness::enforcer::{Ran, enforcer, enforcer_with_input};
use harness::machine::patience;
use harness::netns::{Namespace, another_interface, host_pins, pins_of, remove_pins};
use harness::packet::Packet;
use harness::program::{About, Outcome, Program};
use harness::raw::RawSocket;
use harness::remembered::Tables;

/// Addresses of guest A, guest B, the machine, and somebody outside; IPv4 and IPv6.
const A: [&str; 2] = ["198.18.7.10", "2001:db8:7::10"];
const B: [&str; 2] = ["198.18.7.20", "2001:db8:7::20"];
const MACHINE: [&str; 2] = ["198.18.7.1", "2001:db8:7::1"];
const OUTSIDE: [&str; 2] = ["198.18.7.2", "2001:db8:7::2"];

/// What every site permits.
const ALLOW: &str = "\
roles: []
allow:
  - {name: https, protocol: tcp, ports: [443]}
  - {name: out, direction: out, protocol: udp, ports: [5060, 40000]}
";

/// How policies are applied to the ports.
#[derive(Clone, Copy, Debug)]
enum Files {
    /// One site file for both ports.
    One,
    /// A site file for each port.
    Each,
}

/// A machine with guests A and B behind ports of its bridge.
struct World {
    host: Namespace,
    /// They last as long as the world.
    _guests: [Namespace; 2],
    ports: [String; 2],
    /// Where the machine has its addresses.
    bridge: String,
    /// Sockets inside the guests.
    sockets: [RawSocket; 2],
}

impl World {
    /// The machine before anything is protected.
    #[track_caller]
    fn new() -> Self {
        let (host, guests) = (Namespace::new(), [Namespace::new(), Namespace::new()]);
        let ports = [another_interface(), another_interface()];
        let bridge = another_interface();
        host.batch(&format!(
            "link add {bridge} address 02:00:00:00:00:0b type bridge mcast_snooping 0\n\
             link set {bridge} addrgenmode none up\n\
             addr add 198.18.7.1/24 dev {bridge}\n\
             addr add 2001:db8:7::1/64 dev {bridge} nodad\n",
        ));
        for (number, (guest, port)) in (10..).step_by(10).zip(guests.iter().zip(&ports)) {
            host.batch(&format!(
                "link add {port} type veth peer name eth0 netns {}\n\
                 link set {port} addrgenmode none master {bridge} up\n",
                guest.name()
            ));
            // Guests without addresses say nothing by themselves.
            guest.batch(&format!("link set eth0 address 02:00:00:00:00:{number} addrgenmode none up\n"));
        }
        let sockets = [0, 1].map(|guest| RawSocket::open(&guests[guest], "eth0"));
        Self { host, _guests: guests, ports, bridge, sockets }
    }

    /// The machine with both ports protected. `more` is the rest of each site file.
    #[track_caller]
    fn protected(files: Files, more: &str) -> Self {
        let world = Self::new();
        match files {
            Files::One => world.apply(&world.ports.each_ref().map(String::as_str), more).expect_code(0),
            Files::Each => {
                world.apply(&[&world.ports[0]], more).expect_code(0);
                world.apply(&[&world.ports[1]], more).expect_code(0)
            }
        };
        world
    }

    /// Applies a site file for guests behind these ports.
    #[track_caller]
    fn apply(&self, ports: &[&str], more: &str) -> Ran {
        let interfaces: Vec<String> = ports.iter().map(|port| format!("{{name: {port}, protects: guest}}")).collect();
        let mode = if more.contains("mode:") { "" } else { "mode: enforce\n" };
        let site = format!("interfaces: [{}]\n{ALLOW}{mode}{more}", interfaces.join(", "));
        enforcer_with_input(&self.host, &["apply", "-", "--yes"], &site)
    }

    /// Protects the machine itself, at its bridge. `more` is the rest of the site file.
    #[track_caller]
    fn protect_machine(&self, more: &str) {
        let site = format!("interfaces: [{}]\n{ALLOW}mode: enforce\n{more}", self.bridge);
        enforcer_with_input(&self.host, &["apply", "-", "--yes"], &site).expect_code(0);
    }

    /// What a program of the machine does with a packet.
    #[track_caller]
    fn machine(&self, direction: Direction, packet: &Packet) -> Outcome {
        let program = Program::pinned(&pins_of(&self.bridge).join(direction.name()));
        self.host.run(|| program.ask(&packet.build(), About::default())).expect("a frame that can be asked")
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Ran {
        enforcer(&self.host, arguments)
    }

    fn tables(&self, guest: usize) -> Tables {
        Tables::of_guest(&self.host, &self.ports[guest])
    }

    /// What the inbound program of a guest does with a packet.
    #[track_caller]
    fn towards(&self, guest: usize, packet: &Packet) -> Outcome {
        Program::pinned(&pins_of(&self.ports[guest]).join("inbound")).judge(&packet.build())
    }

    /// A guest sends a packet; returns when the program of its port has judged it.
    #[track_caller]
    fn sends(&self, guest: usize, packet: &Packet) {
        self.send_all(guest, &[packet.build()]);
    }

    /// A guest sends frames; returns when the program of its port has judged them.
    #[track_caller]
    fn send_all(&self, guest: usize, frames: &[Vec<u8>]) {
        let wanted = self.counted(guest, Direction::Outbound) + frames.len() as u64;
        self.sockets[guest].send_all(frames);
        let end = Instant::now() + Duration::from_secs(20) * patience();
        while self.counted(guest, Direction::Outbound) < wanted {
            assert!(Instant::now() < end, "the port has not seen all frames of guest {guest}");
        }
    }

    /// Packets that were counted for a guest.
    fn counted(&self, guest: usize, direction: Direction) -> u64 {
        self.reasons(&self.ports[guest])
            .into_iter()
            .filter(|(of, ..)| *of == direction)
            .map(|(.., packets)| packets)
            .sum()
    }

    /// What was counted for an interface.
    #[track_caller]
    fn reasons(&self, interface: &str) -> Vec<(Direction, Reason, u64)> {
        let only = [interface.to_owned()];
        let counters = self.host.run(|| {
            let protected = dataplane::protected(&only).expect("it is protected");
            dataplane::counters(&protected[0]).expect("counters can be read")
        });
        counters.reasons.into_iter().map(|one| (one.direction, one.reason, one.count.packets)).collect()
    }

    /// The slots of the protected interfaces.
    #[track_caller]
    fn slots(&self) -> Vec<(String, u64)> {
        let json = self.run(&["status", "--format", "json"]).json();
        let interfaces = json["interfaces"].as_array().expect("a list").iter();
        let slot = |one: &serde_json::Value| {
            (one["interface"].as_str().expect("a name").to_owned(), one["slot"].as_u64().expect("a number"))
        };
        interfaces.map(slot).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let ran = self.run(&["detach"]);
        let of_interfaces = self.ports.iter().chain([&self.bridge]).map(|interface| pins_of(interface));
        for folder in of_interfaces.chain([host_pins(self.host.inode())]) {
            let left = folder.exists();
            remove_pins(&folder);
            if left && !std::thread::panicking() {
                panic!("detach left {}: {}", folder.display(), ran.stderr);
            }
        }
    }
}

/// A question over UDP from a host's port 5060 to somebody's port 40000.
fn question(from: &str, to: &str) -> Packet {
    // To the bridge, which does not flood it to other ports.
    Packet::new().mac([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 0x0b]).ip(from, to).udp(5060, 40_000)
}

/// The answer to it.
fn answer(from: &str, to: &str) -> Packet {
    Packet::new().ip(from, to).udp(40_000, 5060)
}

/// Whether there is a flow, and whether it is in doubt.
fn flow_of(tables: &Tables) -> Option<bool> {
    let v4 = tables.flows4().into_iter().map(|(_, state)| state);
    let v6 = tables.flows6().into_iter().map(|(_, state)| state.state);
    v4.chain(v6).map(|state| state.flags & FlowState::IN_DOUBT != 0).next()
}
