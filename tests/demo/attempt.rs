//! What the clients try, and what the policy says of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use harness::netns::Cable;
use harness::sockets::{self, Reply};

/// The addresses of the other server of the cluster, in both families.
pub(crate) const MEMBER: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 18, 0, 3)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 3))];

/// One client, one port.
pub(crate) struct Attempt {
    pub(crate) who: &'static str,
    pub(crate) from: IpAddr,
    to: IpAddr,
    pub(crate) protocol: &'static str,
    pub(crate) port: u16,
    /// The rule that permits it, or the reason why none does.
    pub(crate) says: Result<&'static str, &'static str>,
}

/// Protocol, port, what the policy says to a stranger, and what it says to a member of the cluster.
type Case = (&'static str, u16, Result<&'static str, &'static str>, Result<&'static str, &'static str>);

const CASES: &[Case] = &[
    ("tcp", 443, Ok("unity-connection/web"), Ok("unity-connection/web")),
    ("tcp", 143, Ok("unity-connection/imap"), Ok("unity-connection/imap")),
    ("udp", 161, Ok("unity-connection/snmp"), Ok("unity-connection/snmp")),
    // The first port of a range and the one before it.
    ("tcp", 21000, Ok("unity-connection/phone-applications"), Ok("unity-connection/phone-applications")),
    ("tcp", 20999, Err("no-rule"), Err("no-rule")),
    // For servers of the cluster only.
    ("tcp", 1502, Err("peer"), Ok("unity-connection/database")),
    ("udp", 22001, Err("peer"), Ok("unity-connection/role-manager-heartbeat")),
    // The document keeps it to the host itself.
    ("tcp", 8005, Err("internal"), Err("internal")),
    // The document does not know these.
    ("tcp", 4444, Err("no-rule"), Err("no-rule")),
    ("udp", 4444, Err("no-rule"), Err("no-rule")),
];

/// Every case, from a stranger and from a member, over both families.
pub(crate) fn all(cable: &Cable) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for ((to, stranger), member) in cable.near.addresses().into_iter().zip(cable.far.addresses()).zip(MEMBER) {
        for &(protocol, port, says_stranger, says_member) in CASES {
            attempts.push(Attempt { who: "stranger", from: stranger, to, protocol, port, says: says_stranger });
            if says_member != says_stranger || port == 8005 {
                attempts.push(Attempt { who: "cluster", from: member, to, protocol, port, says: says_member });
            }
        }
    }
    attempts
}

/// The ports of a protocol that are tried.
pub(crate) fn ports(attempts: &[Attempt], protocol: &str) -> Vec<u16> {
    let mut ports: Vec<_> = attempts.iter().filter(|one| one.protocol == protocol).map(|one| one.port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

impl Attempt {
    pub(crate) fn make(&self, cable: &Cable) -> Reply {
        let to = (self.to, self.port).into();
        if self.protocol == "tcp" {
            sockets::tcp(&cable.remote, self.from, to)
        } else {
            sockets::udp(&cable.remote, self.from, to)
        }
    }
}
