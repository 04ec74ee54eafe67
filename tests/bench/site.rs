//! Policies that are measured, put in force by the real binary on a cable of their own.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::enforcer::{Protected, enforcer_on_host, enforcer_with_input};
use harness::netns::Cable;

/// The protected host, in both families.
pub(crate) const HOST: [&str; 2] = ["198.18.0.1", "2001:db8::1"];
/// A host that is bound to no peer.
pub(crate) const STRANGER: [&str; 2] = ["198.18.0.2", "2001:db8::2"];
/// The servers of the cluster.
const CLUSTER: &str = "198.18.0.3, \"2001:db8::3\"";

/// The port that is permitted by prefix.
pub(crate) const PREFIX_PORT: u16 = 9100;
/// Where the ports of [`Site::with_rules`] begin.
pub(crate) const FIRST_RULE_PORT: u16 = 10_000;

/// A policy in the making: lines of a site file.
#[derive(Clone, Default)]
pub(crate) struct Site {
    roles: String,
    peers: String,
    allow: String,
    flows: String,
}

impl Site {
    /// Unity Connection with its cluster bound.
    pub(crate) fn one_role() -> Self {
        Self { roles: "  - unity-connection\n".to_owned(), ..Self::default() }
    }

    /// Every role of the catalogue on one host, which no estate has. Returns how many they are, too.
    pub(crate) fn every_role() -> Result<(Self, usize), String> {
        Self::roles(usize::MAX)
    }

    /// So many roles of the catalogue on one host, or all; the first is that of [`one_role`](Self::one_role). Returns how many.
    pub(crate) fn roles(most: usize) -> Result<(Self, usize), String> {
        let roles = enforcer_on_host(&["roles", "--format", "json"]).expect_code(0).json();
        let roles = roles.as_array().ok_or("`enforcer roles` prints no array")?;
        let (mut chosen, others): (Vec<_>, Vec<_>) = roles.iter().partition(|role| role["name"] == "unity-connection");
        chosen.extend(others);
        chosen.truncate(most);
        let mut site = Self::default();
        for role in &chosen {
            let name = role["name"].as_str().ok_or("a role without a name")?;
            let mut line = format!("  - {{role: {name}");
            for parameter in role["parameters"].as_array().into_iter().flatten() {
                if parameter["required"] == true {
                    let name = parameter["name"].as_str().unwrap_or_default();
                    let value = match name {
                        "distributor" => "primary",
                        "rtp_port_range_start" => "39500",
                        _ => "a",
                    };
                    let _ = write!(line, ", {name}: {value}");
                }
            }
            let _ = writeln!(site.roles, "{line}}}");
        }
        Ok((site, chosen.len()))
    }

    /// Permits so many TCP ports, from [`FIRST_RULE_PORT`] on, each by a rule of its own: every fourth to one peer, the others to
    /// everybody.
    pub(crate) fn with_rules(mut self, count: u16) -> Self {
        self.peers.push_str("  measured: [10.0.0.0/24]\n");
        for number in 0..count {
            let port = FIRST_RULE_PORT + number;
            let from = if number % 4 == 0 { ", from: [measured]" } else { "" };
            let _ = writeln!(self.allow, "  - {{name: rule-{number}, protocol: tcp, ports: [{port}]{from}}}");
        }
        self
    }

    /// Makes room for so many flows.
    pub(crate) fn with_flows(mut self, entries: u32) -> Self {
        self.flows = format!("flows: {{entries: {entries}}}\n");
        self
    }

    /// Permits a TCP port to so many prefixes, and returns some addresses in them, and one beside them.
    pub(crate) fn with_prefixes(mut self, port: u16, count: usize) -> (Self, [Ipv4Addr; 3], Ipv4Addr) {
        let prefixes = prefixes(count);
        let list: Vec<_> = prefixes.iter().map(|(address, length)| format!("{address}/{length}")).collect();
        let _ = writeln!(self.peers, "  measured: [{}]", list.join(", "));
        let _ = writeln!(self.allow, "  - {{name: measured, protocol: tcp, ports: [{port}], from: [measured]}}");
        let some = [0, count / 2, count - 1].map(|index| prefixes[index].0);
        let beside = beside(&prefixes).unwrap_or(Ipv4Addr::new(198, 18, 0, 77));
        (self, some, beside)
    }

    /// Permits a TCP port to everybody.
    pub(crate) fn with_port(mut self, port: u16) -> Self {
        let _ = writeln!(self.allow, "  - {{name: port-{port}, protocol: tcp, ports: [{port}]}}");
        self
    }

    /// The site file, for these interfaces.
    pub(crate) fn text(&self, interfaces: &[&str]) -> String {
        let mut text = format!("interfaces: [{}]\nroles:\n{}", interfaces.join(", "), self.roles);
        let _ = write!(text, "peers:\n  cluster: [{CLUSTER}]\n{}", self.peers);
        if !self.allow.is_empty() {
            let _ = write!(text, "allow:\n{}", self.allow);
        }
        text + &self.flows
    }

    /// Puts it in force on the near end of a cable.
    pub(crate) fn apply(&self, cable: Cable, hook: &str, mode: &str) -> Result<Guarded, String> {
        let interface = cable.near.interface.clone();
        let protected = Protected { cable };
        let text = self.text(&[&interface]);
        let start = Instant::now();
        let ran = enforcer_with_input(&protected.cable.host, &["apply", "-", "--hook", hook, "--mode", mode], &text);
        let took = start.elapsed();
        if ran.code != Some(0) {
            // The first line says what is wrong; what follows says where.
            return Err(format!("`{}`: {}", ran.line, ran.stderr.lines().next().unwrap_or("no message")));
        }
        let inbound = protected.pin();
        let outbound = inbound.with_file_name("outbound");
        Ok(Guarded { protected, inbound, outbound, took })
    }
}

/// An interface that is protected, and where its programs are pinned.
pub(crate) struct Guarded {
    pub(crate) protected: Protected,
    pub(crate) inbound: PathBuf,
    pub(crate) outbound: PathBuf,
    /// How long `apply` took.
    pub(crate) took: Duration,
}

/// Different prefixes of 24 to 32 bits below 10.0.0.0/8, the same in every run.
fn prefixes(count: usize) -> Vec<(Ipv4Addr, u32)> {
    let mut state: u64 = 1;
    let mut seen = BTreeSet::new();
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        // Knuth's MMIX generator: any will do that does not repeat itself.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [_, a, b, c, n, ..] = state.to_be_bytes();
        let length = 24 + u32::from(n % 9);
        let address = u32::from_be_bytes([10, a, b, c]) & (u32::MAX << (32 - length));
        if seen.insert((address, length)) {
            all.push((Ipv4Addr::from(address), length));
        }
    }
    all
}

/// An address that differs from one of the prefixes in its last bit only, and is in none: a search has to go all the way down
/// to find nothing.
fn beside(prefixes: &[(Ipv4Addr, u32)]) -> Option<Ipv4Addr> {
    let covers =
        |(network, length): &(Ipv4Addr, u32), address: u32| (address ^ u32::from(*network)) >> (32 - length) == 0;
    let mut siblings = prefixes.iter().map(|(network, length)| u32::from(*network) ^ 1 << (32 - length));
    siblings.find(|address| !prefixes.iter().any(|one| covers(one, *address))).map(Ipv4Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_different_and_the_same_in_every_run() {
        let all = prefixes(1000);
        assert_eq!(all, prefixes(1000));
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 1000);
        assert!(all.iter().all(|(address, length)| u32::from(*address).trailing_zeros() >= 32 - length));
    }

    #[test]
    fn an_address_beside_the_prefixes_is_in_none_of_them() {
        let prefixes = [([10, 0, 2, 0], 24), ([10, 0, 3, 0], 24), ([10, 0, 6, 0], 24)].map(|(net, n)| (net.into(), n));
        assert_eq!(beside(&prefixes), Some(Ipv4Addr::new(10, 0, 7, 0)));
    }
}
