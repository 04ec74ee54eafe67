//! The operator's own SSH session: found from the environment, and from the process tree where `sudo` has emptied that.

use std::env;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;

use enforcer_common::numbers::SSH;
use enforcer_common::{Direction, Entry, EntryKind, Reason};

use super::Coverage;
use super::cut::inbound;
use crate::host::snapshot::Snapshot;
use crate::host::sockets::{Socket, State, TCP, socket_inodes};
use crate::policy::ruleset::Lookup;

/// Processes that carry an SSH session; `sshd-session` since OpenSSH 9.8.
const SERVERS: [&str; 3] = ["sshd", "sshd-session", "dropbear"];

/// An SSH session of whoever runs this.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Session {
    /// This host's end. The address is unspecified where only `SSH_CLIENT` tells.
    pub local: SocketAddr,
    /// The client.
    pub remote: SocketAddr,
}

/// A process above this one that carries SSH sessions.
struct Server {
    /// Its sockets; `None`: we may not look at them.
    inodes: Option<Vec<u64>>,
    /// It is in this network namespace.
    is_here: bool,
}

impl Server {
    /// Without the right to look, every session on the usual port may be the one.
    fn carries(&self, socket: &Socket) -> bool {
        self.inodes.as_ref().map_or(socket.local.port() == SSH, |inodes| inodes.contains(&socket.inode))
    }
}

/// The SSH sessions that this process runs in.
#[must_use]
pub fn own_sessions(snapshot: &Snapshot) -> Vec<Session> {
    let told = env::var("SSH_CONNECTION").ok().and_then(|text| connection(&text));
    let told = told.or_else(|| env::var("SSH_CLIENT").ok().and_then(|text| client(&text)));
    sessions(told, &servers_above(), snapshot)
}

fn sessions(told: Option<Session>, above: &[Server], snapshot: &Snapshot) -> Vec<Session> {
    let is_carried = |socket: &&Socket| {
        socket.protocol == TCP
            && matches!(socket.state, State::Open | State::ClosedHere | State::ClosedThere)
            && above.iter().any(|server| server.is_here && server.carries(socket))
            // What the server forwards for its client is opened by it; the session itself is not.
            && !snapshot.sockets.opened_here(socket)
    };
    let carried = snapshot.on_the_wire().filter(is_carried);
    let mut found: Vec<Session> =
        carried.map(|socket| Session { local: socket.local, remote: socket.remote }).collect();
    // The environment may tell of a session that ends in another network namespace. Where neither the address nor the server
    // says so, that it ends here is the safe belief.
    let elsewhere = !above.is_empty() && above.iter().all(|server| !server.is_here);
    found.extend(told.filter(|session| !elsewhere || snapshot.addresses.own.contains(&session.local.ip())));
    found.sort();
    found.dedup();
    found
}

/// `SSH_CONNECTION`: address and port of the client, address and port of the server.
fn connection(text: &str) -> Option<Session> {
    let mut words = text.split_whitespace();
    let mut end = || Some(SocketAddr::new(address(words.next()?)?, words.next()?.parse().ok()?));
    let remote = end()?;
    Some(Session { local: end()?, remote })
}

/// `SSH_CLIENT`: address and port of the client, port of the server.
fn client(text: &str) -> Option<Session> {
    let mut words = text.split_whitespace();
    let (ip, port, server) = (address(words.next()?)?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let any: IpAddr = if ip.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
    Some(Session { local: SocketAddr::new(any, server), remote: SocketAddr::new(ip, port) })
}

/// An address, perhaps with a zone (`fe80::1%eth0`), perhaps IPv4 mapped.
fn address(text: &str) -> Option<IpAddr> {
    let ip: IpAddr = text.split('%').next()?.parse().ok()?;
    Some(ip.to_canonical())
}

fn servers_above() -> Vec<Server> {
    let own = std::fs::metadata("/proc/self/ns/net").ok().map(|namespace| namespace.ino());
    let mut found = Vec::new();
    let mut next = procfs::process::Process::myself().ok();
    // No process tree is that deep; a loop cannot be, but /proc is read while it changes.
    for _ in 0..256 {
        let Some(stat) = next.take().and_then(|process| process.stat().ok()) else { break };
        let Ok(parent) = procfs::process::Process::new(stat.ppid) else { break };
        let is_server = parent.stat().is_ok_and(|stat| SERVERS.contains(&stat.comm.as_str()));
        if is_server {
            let namespace =
                std::fs::metadata(format!("/proc/{}/ns/net", stat.ppid)).ok().map(|namespace| namespace.ino());
            let is_here = namespace.is_none() || namespace == own;
            found.push(Server { inodes: socket_inodes(&parent), is_here });
        }
        next = Some(parent);
    }
    found
}

/// Why a policy must not be put in force while one of these sessions lasts, and the rule that would let it live.
#[must_use]
pub fn refusal(sessions: &[Session], policy: Lookup<'_>, coverage: &Coverage) -> Option<String> {
    let is_covered = |session: &&Session| coverage.enforces_on(Direction::Inbound, session.local, session.remote);
    sessions.iter().filter(is_covered).find_map(|session| {
        let (_, reason, entry) = inbound(policy, TCP, session.local, session.remote)?;
        Some(explain(session, reason, entry))
    })
}

fn explain(session: &Session, reason: Reason, entry: Entry) -> String {
    let (port, from) = (session.local.port(), session.remote.ip());
    let mut text = format!(
        "this would cut your own SSH session, from {} to port {port} ({}: {})",
        session.remote,
        reason.name(),
        reason.sentence().trim_end_matches('.')
    );
    if entry.kind() == EntryKind::Deny {
        let _ = write!(text, "; take its address out of that deny rule, because a deny rule beats every permit");
    }
    let from = if from.is_ipv6() { format!("\"{from}\"") } else { from.to_string() };
    let _ = write!(
        text,
        "\n\nThe rule that would keep it, for the site file:\n\nallow:\n  - {{name: ssh, protocol: tcp, ports: [{port}], \
         from: [{from}], reason: administration}}\n\nNothing was changed; --force goes on without it"
    );
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use enforcer_common::{Mode, ServiceIndex};

    use super::*;
    use crate::dataplane::Modes;
    use crate::host::sockets::Sockets;
    use crate::policy::ruleset::Table;

    fn session(local: &str, remote: &str) -> Session {
        Session { local: local.parse().unwrap(), remote: remote.parse().unwrap() }
    }

    fn snapshot() -> Snapshot {
        let socket = |local: &str, remote: &str, state, inode| {
            let [local, remote] = [local, remote].map(|text| text.parse().unwrap());
            Socket { protocol: TCP, local, remote, state, uid: 0, inode, only_v6: false, opener: None }
        };
        let sockets = Sockets::of(vec![
            socket("[::]:22", "[::]:0", State::Listening, 1),
            socket("[::ffff:10.0.0.1]:22", "[::ffff:10.0.0.9]:50000", State::Open, 2),
            socket("10.0.0.1:41000", "10.0.0.7:80", State::Open, 3),
        ]);
        Snapshot { sockets, ..Snapshot::default() }
    }

    #[test]
    fn the_environment_is_read_with_zones_and_mapped_addresses() {
        assert_eq!(connection("10.0.0.9 50000 10.0.0.1 22"), Some(session("10.0.0.1:22", "10.0.0.9:50000")));
        assert_eq!(
            connection("fe80::9%eth0 50000 ::ffff:10.0.0.1 2222"),
            Some(session("10.0.0.1:2222", "[fe80::9]:50000"))
        );
        assert_eq!(client("10.0.0.9 50000 22"), Some(session("0.0.0.0:22", "10.0.0.9:50000")));
        for wrong in ["", "10.0.0.9", "10.0.0.9 x 10.0.0.1 22", "10.0.0.9 50000 10.0.0.1"] {
            assert_eq!(connection(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_server_above_tells_of_its_session_and_not_of_what_it_forwards() {
        let above = [Server { inodes: Some(vec![2, 3]), is_here: true }];
        assert_eq!(sessions(None, &above, &snapshot()), [session("10.0.0.1:22", "10.0.0.9:50000")]);
    }

    #[test]
    fn a_server_that_hides_its_sockets_may_carry_any_session_on_its_port() {
        let above = [Server { inodes: None, is_here: true }];
        assert_eq!(sessions(None, &above, &snapshot()), [session("10.0.0.1:22", "10.0.0.9:50000")]);
    }

    #[test]
    fn a_session_that_ends_in_another_namespace_is_none_of_ours() {
        let told = session("192.0.2.1:22", "192.0.2.9:50000");
        let above = [Server { inodes: Some(vec![2]), is_here: false }];
        assert_eq!(sessions(Some(told.clone()), &above, &snapshot()), []);
        assert_eq!(sessions(Some(told.clone()), &[], &snapshot()), [told]);
    }

    #[test]
    fn a_refusal_has_the_rule_that_is_needed() {
        let tables = [Table { columns: 1, ..Table::default() }, Table { columns: 1, ..Table::default() }];
        let prefixes = BTreeMap::new();
        let policy = Lookup { tables: &tables, prefixes: &prefixes, outbound_judged: false };
        let own = [session("[2001:db8::1]:22", "[2001:db8::9]:50000")];
        let enforce = Coverage::everywhere(Modes::both(Mode::Enforce));
        let text = refusal(&own, policy, &enforce).unwrap();
        assert!(
            text.contains("{name: ssh, protocol: tcp, ports: [22], from: [\"2001:db8::9\"], reason: administration}"),
            "{text}"
        );
        assert_eq!(refusal(&own, policy, &Coverage::everywhere(Modes::both(Mode::Audit))), None);
        let mut permitting = tables.clone();
        permitting[0].services.insert(ServiceIndex::tcp(22), Entry::new(EntryKind::Permit, 0));
        let policy = Lookup { tables: &permitting, ..policy };
        assert_eq!(refusal(&own, policy, &enforce), None);
    }
}
