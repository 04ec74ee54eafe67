//! A host in the role of Unity Connection, and what its program says of single frames: in enforce, then in audit.

mod dhcp;
mod fragment;
mod icmp;
mod ipv4;
mod ipv6;
mod link;
mod martian;
mod port;
mod protocol;
mod source;
mod truncation;
mod vlan;

use harness::enforcer::Protected;
use harness::netns::Cable;
use harness::packet::Packet;
use harness::program::Outcome;

/// The protected host, in both families.
const HOST: [&str; 2] = ["198.18.0.1", "2001:db8::1"];
/// A host that is bound to no peer.
const STRANGER: [&str; 2] = ["198.18.0.2", "2001:db8::2"];
/// A host that is bound to the peer `cluster`.
const MEMBER: [&str; 2] = ["198.18.0.3", "2001:db8::3"];

/// An interface in the role of Unity Connection that enforces, and the frames that it judges.
struct Judge {
    protected: Protected,
}

impl Judge {
    #[track_caller]
    fn new() -> Self {
        Self::on(Cable::quiet())
    }

    #[track_caller]
    fn on(cable: Cable) -> Self {
        let cluster = format!("cluster={},{}", MEMBER[0], MEMBER[1]);
        let arguments = ["--role", "unity-connection", "--peer", &cluster, "--mode", "enforce", "--hook", "native"];
        Self { protected: Protected::apply_on(cable, &arguments) }
    }

    /// These frames pass, under this reason, in enforce and in audit.
    #[track_caller]
    fn passes(&self, reason: &str, frames: &[Packet]) {
        self.protected.mode("enforce");
        self.protected.expect(Outcome::Passed, reason, frames);
        self.protected.mode("audit");
        self.protected.expect(Outcome::Passed, reason, frames);
    }

    /// These frames are dropped under this reason in enforce; in audit they pass, and are counted under the same reason.
    #[track_caller]
    fn drops(&self, reason: &str, frames: &[Packet]) {
        self.protected.mode("enforce");
        self.protected.expect(Outcome::Dropped, reason, frames);
        self.protected.mode("audit");
        self.protected.expect_counted(Outcome::Passed, "would_drop", reason, frames);
    }
}

/// A frame from the stranger to the host, for each family.
fn from_stranger() -> [Packet; 2] {
    [0, 1].map(|family| Packet::new().ip(STRANGER[family], HOST[family]))
}

/// A frame from the member of the cluster to the host, for each family.
fn from_member() -> [Packet; 2] {
    [0, 1].map(|family| Packet::new().ip(MEMBER[family], HOST[family]))
}

/// Both families, with the same done to each.
fn both(frames: [Packet; 2], with: impl Fn(Packet) -> Packet) -> Vec<Packet> {
    frames.into_iter().map(with).collect()
}
