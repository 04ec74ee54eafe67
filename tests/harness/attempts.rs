//! The connections that the clients of the demo try, and the verdict that the policy gives each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::netns::Cable;
use crate::sockets::{self, Reply};

/// The addresses of the other server of the cluster, in both families.
pub const MEMBER: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 18, 0, 3)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 3))];

/// One client, one port.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// `stranger` or `cluster`.
    pub who: &'static str,
    /// The client's address.
    pub from: IpAddr,
    to: IpAddr,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The destination port.
    pub port: u16,
    /// The rule that permits the attempt, or the reason for the refusal.
    pub says: Says,
}

/// The policy's answer to one client for one port.
pub type Says = Result<&'static str, &'static str>;

/// Protocol and port, then the policy's answer to the stranger and to the cluster member.
type Case = (&'static str, u16, [Says; 2]);

const CASES: &[Case] = &[
    // For anybody.
    ("tcp", 443, [Ok("unity-connection/web"); 2]),
    ("tcp", 143, [Ok("unity-connection/imap"); 2]),
    ("udp", 161, [Ok("unity-connection/snmp"); 2]),
    // The first port of a range, and the one before it.
    ("tcp", 21000, [Ok("unity-connection/phone-applications"); 2]),
    ("tcp", 20999, [Err("no-rule"); 2]),
    // For servers of the cluster.
    ("tcp", 1502, [Err("peer"), Ok("unity-connection/database")]),
    ("udp", 22001, [Err("peer"), Ok("unity-connection/role-manager-heartbeat")]),
    // The document keeps it to the host itself.
    ("tcp", 8005, [Err("internal"); 2]),
    // The document does not know these.
    ("tcp", 4444, [Err("no-rule"); 2]),
    ("udp", 4444, [Err("no-rule"); 2]),
];

/// Every case over both address families. The cluster member skips a case where it would get the stranger's answer, except for the
/// internal port: the demo shows that this port is closed to the cluster as well.
#[must_use]
pub fn all(cable: &Cable) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for ((to, stranger), member) in cable.near.addresses().into_iter().zip(cable.far.addresses()).zip(MEMBER) {
        for &(protocol, port, [says, says_member]) in CASES {
            attempts.push(Attempt { who: "stranger", from: stranger, to, protocol, port, says });
            if says_member != says || says == Err("internal") {
                attempts.push(Attempt { who: "cluster", from: member, to, protocol, port, says: says_member });
            }
        }
    }
    attempts
}

/// The ports of one protocol that the clients try.
#[must_use]
pub fn ports(attempts: &[Attempt], protocol: &str) -> Vec<u16> {
    let mut ports: Vec<_> = attempts.iter().filter(|one| one.protocol == protocol).map(|one| one.port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

impl Attempt {
    /// Asks, and returns what the client saw.
    #[track_caller]
    #[must_use]
    pub fn make(&self, cable: &Cable) -> Reply {
        let to = (self.to, self.port).into();
        if self.protocol == "tcp" {
            sockets::tcp(&cable.remote, self.from, to)
        } else {
            sockets::udp(&cable.remote, self.from, to)
        }
    }
}
