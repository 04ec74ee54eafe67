//! Stations on one bridge: a namespace each, and nothing on the wire that nobody sent.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{fs, thread};

use crate::enforcer::{enforcer, state_folder};
use crate::interrupt;
use crate::netns::{Namespace, another_interface, entries, host_pins, pins_of, remove_pins, silence, wait_for_carrier};

/// A machine on the bridge.
#[derive(Debug)]
pub struct Station {
    /// Its name in the estate.
    pub name: String,
    /// Its addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Its interface.
    pub interface: String,
    /// Where it is.
    pub namespace: Namespace,
    mac: String,
}

/// The bridge and its stations. Dropping it detaches the programs and removes everything.
#[derive(Debug)]
pub struct Lan {
    /// The stations, in the order in which they were given.
    pub stations: Vec<Station>,
    /// The bridge is in it, and goes with it.
    _bridge: Namespace,
}

impl Lan {
    /// Joins hosts by a bridge. Every station knows every other one, and the bridge knows all: nobody has to ask for a link address,
    /// and no frame reaches a station that it is not for.
    ///
    /// # Panics
    /// When it cannot be made: not root, or no iproute2.
    #[must_use]
    #[track_caller]
    pub fn new<'n>(hosts: impl IntoIterator<Item = (&'n str, &'n BTreeSet<IpAddr>)>) -> Self {
        let bridge = Namespace::new();
        bridge.batch("link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n");
        bridge.run(|| silence("br0"));
        bridge.batch("link set br0 addrgenmode none up\n");
        let stations: Vec<Station> = (1_u16..)
            .zip(hosts)
            .map(|(number, (name, addresses))| {
                let [high, low] = number.to_be_bytes();
                Station {
                    name: name.to_owned(),
                    addresses: addresses.clone(),
                    interface: another_interface(),
                    namespace: Namespace::new(),
                    mac: format!("02:00:00:00:{high:02x}:{low:02x}"),
                }
            })
            .collect();
        let mut known = String::new();
        for (number, station) in stations.iter().enumerate() {
            interrupt::check();
            let Station { interface, mac, namespace, .. } = station;
            let name = namespace.name();
            bridge.batch(&format!("link add p{number} type veth peer name {interface} netns {name}\n"));
            bridge.run(|| silence(&format!("p{number}")));
            bridge.batch(&format!(
                "link set p{number} addrgenmode none master br0 up\n\
                 link set p{number} type bridge_slave learning off flood off mcast_flood off bcast_flood off\n"
            ));
            namespace.run(|| silence(interface));
            let mut lines = format!("link set {interface} address {mac} addrgenmode none up\n");
            for address in &station.addresses {
                let flags = if address.is_ipv4() { "" } else { " nodad" };
                // Writing to a string cannot fail.
                let _ = writeln!(lines, "addr add {address} dev {interface}{flags}");
            }
            let _ = writeln!(lines, "route add default dev {interface}\nroute add ::/0 dev {interface}");
            let others = stations.iter().filter(|other| other.name != station.name);
            for (address, other) in others.flat_map(|other| other.addresses.iter().map(move |address| (address, other)))
            {
                let _ = writeln!(lines, "neigh replace {address} lladdr {} dev {interface} nud permanent", other.mac);
            }
            namespace.batch(&lines);
            let _ = writeln!(known, "fdb replace {mac} dev p{number} master static");
        }
        feed(bridge.command("bridge").args(["-batch", "-"]), &known);
        for station in &stations {
            wait_for_carrier(&station.namespace, &station.interface);
        }
        Self { stations, _bridge: bridge }
    }

    /// Does something for every station, on as many threads as there are processors.
    ///
    /// # Panics
    /// When one of them does.
    pub fn for_each(&self, work: impl Fn(&Station) + Sync) {
        for_each(&self.stations, &work);
    }

    /// What is left of pins once the stations are gone; empty as it should be.
    pub fn pins(&self) -> Vec<PathBuf> {
        self.stations.iter().flat_map(Station::pins).collect()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for_each(&self.stations, &|station| station.leave());
    }
}

impl Station {
    fn pins(&self) -> [PathBuf; 2] {
        [pins_of(&self.interface), host_pins(self.namespace.inode())]
    }

    /// Detaches, and removes what is kept of the interface for later.
    fn leave(&self) {
        let pins = self.pins();
        if pins[0].exists() {
            let ran = enforcer(&self.namespace, &["detach", "--interface", &self.interface]);
            let left: Vec<_> = pins.iter().filter(|path| path.exists()).collect();
            if !left.is_empty() && !thread::panicking() {
                for path in &left {
                    remove_pins(path);
                }
                panic!("detach left {left:?}: {}", ran.stderr);
            }
        }
        pins.iter().for_each(|path| remove_pins(path));
        let of_interface = |path: &PathBuf| path.file_stem().is_some_and(|name| name == self.interface.as_str());
        for path in entries(&state_folder()).into_iter().filter(of_interface) {
            // Nothing can be done about what cannot be removed; the next run tries again.
            let _ = fs::remove_file(path);
        }
    }
}

fn for_each(stations: &[Station], work: &(impl Fn(&Station) + Sync)) {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(4);
    let share = stations.len().div_ceil(workers).max(1);
    thread::scope(|scope| {
        for some in stations.chunks(share) {
            scope.spawn(move || some.iter().for_each(work));
        }
    });
}

/// Runs a command with this on its standard input.
#[track_caller]
pub(super) fn feed(command: &mut Command, text: &str) {
    let line = format!("{command:?}");
    let mut child =
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}
