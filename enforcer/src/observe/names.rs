//! Names for what was refused: of the port, by the host's list of services and by the catalogue; of the rule that is for others;
//! and, where somebody asks for it, of the remote address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use enforcer_common::{EntryKind, ServiceIndex};

use crate::dataplane::{DeniedFlow, Loaded};
use crate::host::trusted::{Pipes, read_named};
use crate::policy::site::protocol_name;

/// The names of ports that this host knows, from `/etc/services` (services(5)).
#[derive(Clone, Debug, Default)]
pub struct Services {
    names: BTreeMap<(u16, String), String>,
}

/// No list of services is longer.
const MOST_BYTES: usize = 4 << 20;

impl Services {
    /// Reads the list; without one, no port has a name.
    #[must_use]
    pub fn of_host() -> Self {
        // Not every line has to be UTF-8 for the others to be of use.
        let text = read_named(Path::new("/etc/services"), MOST_BYTES, Pipes::Refused).unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&text))
    }

    fn parse(text: &str) -> Self {
        let mut names = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let (Some(name), Some(port)) = (words.next(), words.next()) else { continue };
            let Some((number, protocol)) = port.split_once('/') else { continue };
            let Ok(number) = number.parse() else { continue };
            // The first name of a port is the usual one.
            names.entry((number, protocol.to_owned())).or_insert_with(|| name.to_owned());
        }
        Self { names }
    }

    /// The name of a port, where it has one.
    #[must_use]
    pub fn name(&self, protocol: u8, port: u16) -> Option<&str> {
        self.names.get(&(port, protocol_name(protocol))).map(String::as_str)
    }
}

/// The rule of the policy in force that refuses a flow, or that names its port for others.
#[must_use]
pub fn rule_of<'a>(flow: &DeniedFlow, loaded: &'a Loaded) -> Option<&'a str> {
    let (remote, protocol) = (flow.remote?, flow.protocol?);
    let service = match flow.asked.port() {
        Some(port) => ServiceIndex::port(protocol, port)?,
        None => ServiceIndex::protocol(protocol),
    };
    let entry = loaded.lookup().entry(flow.direction, service, remote);
    match entry.kind() {
        EntryKind::Peer | EntryKind::Deny | EntryKind::Internal => {
            loaded.rule(flow.direction, entry.number()).map(|rule| rule.id.as_str())
        }
        // The policy has changed since, or no rule knows the port.
        EntryKind::None | EntryKind::Permit | EntryKind::Scoped => None,
    }
}

/// Asks the resolver for the names of addresses, several at once, and takes what has come after this time.
#[must_use]
pub fn reverse(addresses: impl IntoIterator<Item = IpAddr>, patience: Duration) -> BTreeMap<IpAddr, String> {
    /// More questions at once would be a flood of their own.
    const WORKERS: usize = 8;
    let end = Instant::now() + patience;
    let waiting: Vec<IpAddr> = addresses.into_iter().collect();
    let waiting = Arc::new(Mutex::new(waiting));
    let (sender, receiver) = channel();
    for _ in 0..WORKERS {
        let (waiting, sender) = (Arc::clone(&waiting), sender.clone());
        // A resolver that does not answer holds its thread until the process ends, which is soon.
        thread::spawn(move || {
            let next = || waiting.lock().ok()?.pop();
            while let Some(address) = next() {
                let name = dns_lookup::lookup_addr(&address).ok().filter(|name| *name != address.to_string());
                if sender.send((address, name)).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let mut names = BTreeMap::new();
    loop {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok((address, name)) => names.extend(name.map(|name| (address, name))),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return names,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_named_by_the_first_line_that_names_them() {
        let text =
            "# a comment\nssh 22/tcp # shell\nother\t22/tcp\ndomain 53/udp dns\nbroken 1x/tcp\nhalf\nfar 70000/tcp\n";
        let services = Services::parse(text);
        assert_eq!(services.name(6, 22), Some("ssh"));
        assert_eq!(services.name(17, 53), Some("domain"));
        assert_eq!(services.name(17, 22), None);
        assert_eq!(services.names.len(), 2);
    }

    #[test]
    fn nobody_waits_longer_than_patience_for_names() {
        let addresses = (0..64).map(|last| IpAddr::from([198, 51, 100, last]));
        // Whatever the resolver does, this comes back; that nothing is asked of nobody is all that can be said of the rest.
        let names = reverse(addresses, Duration::ZERO);
        assert!(names.len() <= 64);
        assert_eq!(reverse([], Duration::from_secs(60)), BTreeMap::new());
    }
}
