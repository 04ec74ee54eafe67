//! Real clients and servers over a cable.

mod cluster;
mod flow;
mod hook;
mod ipsec;
mod mode;
mod own;

use std::net::IpAddr;

use harness::enforcer::Protected;
use harness::netns::Cable;
use harness::sockets::{Reply, Servers, tcp, udp};

/// The other server of the cluster, in both families.
const MEMBER: [&str; 2] = ["198.18.0.3", "2001:db8::3"];

/// A host in the role of Unity Connection, with servers on ports of all kinds.
struct Site {
    _servers: Servers,
    protected: Protected,
}

impl Site {
    #[track_caller]
    fn new(mode: &str) -> Self {
        let cluster = format!("cluster={},{}", MEMBER[0], MEMBER[1]);
        let protected =
            Protected::apply(&["--role", "unity-connection", "--peer", &cluster, "--mode", mode, "--hook", "native"]);
        for address in MEMBER {
            protected.cable.add_remote_address(address.parse().expect("an address"));
        }
        let servers = Servers::start(&protected.cable.host, &[143, 1502, 8005, 4444], &[161, 22001, 4444]);
        Self { _servers: servers, protected }
    }

    /// What a client of this address gets from a port, in the family of the address.
    #[track_caller]
    fn ask(&self, protocol: &str, from: IpAddr, port: u16) -> Reply {
        let Cable { remote, near, .. } = &self.protected.cable;
        let to = if from.is_ipv4() { IpAddr::from(near.v4) } else { near.v6.into() };
        match protocol {
            "tcp" => tcp(remote, from, (to, port).into()),
            "udp" => udp(remote, from, (to, port).into()),
            other => panic!("{other}: not a protocol of these tests"),
        }
    }

    fn strangers(&self) -> [IpAddr; 2] {
        self.protected.cable.far.addresses()
    }
}

fn members() -> [IpAddr; 2] {
    MEMBER.map(|address| address.parse().expect("an address"))
}
