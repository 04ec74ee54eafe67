//! Other firewalls, with the same policy: the ports of the role, the rest refused.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use harness::enforcer::enforcer_with_input;
use harness::netns::{Cable, Namespace};

use crate::site::Site;

/// What a role permits inbound, as other firewalls take it.
pub(crate) struct Ports {
    /// Protocol, ports as `A-B,C`, and the prefixes that may use them; none: everybody.
    rules: Vec<(String, String, Vec<String>)>,
}

impl Ports {
    /// The permits of a policy, as `enforcer compile` lists them.
    pub(crate) fn of(site: &Site, cable: &Cable) -> Result<Self, String> {
        let text = site.text(&[&cable.near.interface]);
        let ran = enforcer_with_input(&cable.host, &["compile", "-", "--format", "json"], &text);
        if ran.code != Some(0) {
            return Err(ran.stderr);
        }
        let json = ran.json();
        let mut rules = Vec::new();
        for rule in json["rules"].as_array().into_iter().flatten() {
            let [protocol, ports] = ["protocol", "ports"].map(|field| rule[field].as_str().unwrap_or_default());
            let prefixes = rule["prefixes"].as_array();
            if rule["direction"] != "inbound"
                || rule["action"] != "permit"
                || !matches!(protocol, "tcp" | "udp")
                || prefixes.is_some_and(Vec::is_empty)
            {
                continue;
            }
            let prefixes = prefixes.into_iter().flatten().filter_map(|prefix| prefix.as_str());
            // The comparison is over IPv4.
            let prefixes = prefixes.filter(|prefix| !prefix.contains(':')).map(str::to_owned).collect();
            rules.push((protocol.to_owned(), ports.to_owned(), prefixes));
        }
        if rules.is_empty() {
            return Err("`enforcer compile` lists no permits".to_owned());
        }
        Ok(Self { rules })
    }

    /// Lines of a chain of nftables: one set for each protocol that is open, one rule for each that is not.
    fn nft(&self) -> String {
        let mut lines = String::new();
        for protocol in ["tcp", "udp"] {
            let open = self.rules.iter().filter(|(of, _, prefixes)| of == protocol && prefixes.is_empty());
            let ports: Vec<_> = open.map(|(_, ports, _)| ports.as_str()).collect();
            if !ports.is_empty() {
                let _ = writeln!(lines, "    {protocol} dport @open_{protocol} accept");
            }
        }
        for (protocol, ports, prefixes) in self.rules.iter().filter(|(_, _, prefixes)| !prefixes.is_empty()) {
            let prefixes = prefixes.join(", ");
            let _ = writeln!(lines, "    ip saddr {{ {prefixes} }} {protocol} dport {{ {ports} }} accept");
        }
        lines
    }

    fn nft_sets(&self) -> String {
        let mut sets = String::new();
        for protocol in ["tcp", "udp"] {
            let open = self.rules.iter().filter(|(of, _, prefixes)| of == protocol && prefixes.is_empty());
            let ports: Vec<_> = open.map(|(_, ports, _)| ports.as_str()).collect();
            if !ports.is_empty() {
                let _ = writeln!(
                    sets,
                    "  set open_{protocol} {{ type inet_service; flags interval; auto-merge; elements = {{ {} }}; }}",
                    ports.join(", ")
                );
            }
        }
        sets
    }

    /// Single ports and ranges of a protocol.
    fn ranges(&self, protocol: &str) -> impl Iterator<Item = (u16, u16)> {
        let of_protocol = self.rules.iter().filter(move |(of, _, prefixes)| of == protocol && prefixes.is_empty());
        of_protocol.flat_map(|(_, ports, _)| ports.split(',')).filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
        })
    }
}

/// Where nftables looks at packets.
#[derive(Clone, Copy)]
pub(crate) enum Chain {
    /// Before the IP layer.
    NetdevIngress,
    /// Before connection tracking.
    Raw,
    /// Where hosts filter, with connection tracking.
    Input,
}

/// Filters with nftables.
pub(crate) fn nft(namespace: &Namespace, interface: &str, chain: Chain, ports: &Ports) -> Result<(), String> {
    let (family, hook, first) = match chain {
        Chain::NetdevIngress => (
            "netdev",
            format!("ingress device \"{interface}\" priority 0"),
            "    ether type arp accept\n    icmp type echo-request accept\n",
        ),
        Chain::Raw => ("inet", "prerouting priority raw".to_owned(), "    meta l4proto { icmp, ipv6-icmp } accept\n"),
        Chain::Input => (
            "inet",
            "input priority filter".to_owned(),
            "    ct state established,related accept\n    meta l4proto { icmp, ipv6-icmp } accept\n",
        ),
    };
    let script = format!(
        "table {family} bench {{\n{}  chain refuse {{\n    type filter hook {hook}; policy drop;\n{first}{}  }}\n}}\n",
        ports.nft_sets(),
        ports.nft()
    );
    run_with_input(namespace, &["nft", "-f", "-"], &script)
}

/// Filters with iptables in INPUT, with connection tracking.
pub(crate) fn iptables(namespace: &Namespace, ports: &Ports) -> Result<(), String> {
    let run = |words: &[&str]| run_with_input(namespace, &[&["iptables", "-w"], words].concat(), "");
    run(&["-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"])?;
    run(&["-A", "INPUT", "-p", "icmp", "-j", "ACCEPT"])?;
    for protocol in ["tcp", "udp"] {
        let ranges = ports.ranges(protocol).map(|range| match range {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}:{last}"),
        });
        let ranges: Vec<_> = ranges.collect();
        // A rule takes 15 ports, and a range counts as two.
        for some in ranges.chunks(7) {
            run(&["-A", "INPUT", "-p", protocol, "-m", "multiport", "--dports", &some.join(","), "-j", "ACCEPT"])?;
        }
    }
    run(&["-P", "INPUT", "DROP"])
}

/// xdp-filter on an interface, taken off when this is dropped.
pub(crate) struct XdpFilter<'a> {
    cable: &'a Cable,
}

impl<'a> XdpFilter<'a> {
    /// Refuses everything but the UDP ports of the policy. Each port is a call of the program, and what a packet costs does
    /// not depend on how many there are, so that TCP is left out. `features` is what it looks at: for
    /// `tcp,udp` it takes its complete program, for `udp` a smaller one that knows no TCP.
    pub(crate) fn load(cable: &'a Cable, ports: &Ports, features: &str) -> Result<Self, String> {
        let interface = &cable.near.interface;
        let run = |words: &[&str]| run_with_input(&cable.host, &[&["xdp-filter"], words].concat(), "");
        run(&["load", interface, "--mode", "native", "--policy", "deny", "--features", features])?;
        let filter = Self { cable };
        for (first, last) in ports.ranges("udp") {
            for port in (first..=last).take(64) {
                run(&["port", &port.to_string(), "--mode", "dst", "--proto", "udp"])?;
            }
        }
        Ok(filter)
    }
}

impl Drop for XdpFilter<'_> {
    fn drop(&mut self) {
        // What is left goes with the namespace, but for pins: a second run of `xdp-filter unload` removes them.
        let _ = self.cable.host.command("xdp-filter").args(["unload", &self.cable.near.interface]).output();
    }
}

/// Runs a command in a namespace. Its failure is told in its own words.
pub(crate) fn run_with_input(namespace: &Namespace, words: &[&str], input: &str) -> Result<(), String> {
    output(namespace.command(words[0]).args(&words[1..]), input).map(drop)
}

/// Runs a command and returns what it printed.
pub(crate) fn output(command: &mut Command, input: &str) -> Result<Output, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut run = || -> std::io::Result<Output> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(input.as_bytes())?;
        }
        child.wait_with_output()
    };
    let output = run().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program}: {}", text.lines().next().unwrap_or("failed without a word")));
    }
    Ok(output)
}
