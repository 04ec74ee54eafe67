//! Flows for which something can be suggested, and the rest with the reason why not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use enforcer_common::numbers::FIRST_ETHERTYPE;
use enforcer_common::{Direction, Reason, Verdict};

use super::Base;
use super::kinds::{Class, Denied, Flow, Tried, Unexplained};

/// Ports that no rule names, tried by one address, from which on it looks for open ones.
const SCAN: usize = 20;

/// Denied flows, in two heaps.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    /// One for each direction, service and remote address, with the reason of the policy as it is.
    pub open: Vec<Denied>,
    pub unexplained: Vec<Unexplained>,
}

pub(super) fn sift(base: &Base<'_>, denied: &[Denied]) -> Sifted {
    let mut sifted = Sifted::default();
    let tables = base.tables();
    for mut flow in together(denied) {
        let found = tables.judge(&flow).filter(|_| is_of_policy(flow.reason));
        if let Some(found) = found {
            if found.reason.verdict() == Verdict::Pass {
                sifted.leave(&flow, Class::Permitted, "the current policy permits it".to_owned());
                continue;
            }
            flow.reason = found.reason;
        }
        let rule = found.and_then(|found| base.ruleset.rules.get(found.rule?));
        let id = rule.map_or_else(|| "a rule".to_owned(), |rule| format!("`{}`", rule.id));
        match refusal(&flow, &id) {
            Some((class, why)) => sifted.leave(&flow, class, why),
            None => sifted.open.push(flow),
        }
    }
    sifted.leave_scans();
    sifted
}

/// Whether another policy could have had another reason.
const fn is_of_policy(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NoRule | Reason::Peer | Reason::Internal | Reason::Denied | Reason::Protocol | Reason::NoConnection
    )
}

/// The same flow may have been seen on several interfaces, in audit and in enforce.
fn together(denied: &[Denied]) -> Vec<Denied> {
    let mut flows: BTreeMap<(Direction, Tried, Option<IpAddr>), Denied> = BTreeMap::new();
    for flow in denied {
        flows
            .entry((flow.direction, flow.tried, flow.remote))
            .and_modify(|known| {
                known.packets += flow.packets;
                known.dropped += flow.dropped;
                known.bytes += flow.bytes;
            })
            .or_insert_with(|| flow.clone());
    }
    flows.into_values().collect()
}

/// Why nothing can be suggested for a flow.
fn refusal(flow: &Denied, rule: &str) -> Option<(Class, String)> {
    match (flow.reason, flow.tried) {
        (Reason::Denied, _) => Some((Class::Refused, format!("{rule} of the site denies it; deny overrides permit"))),
        (Reason::Internal, _) => Some((
            Class::Refused,
            format!(
                "the document reserves this port for the host itself ({rule}); `enforcer explain` shows how to open it"
            ),
        )),
        (Reason::EchoDrop, _) => {
            Some((Class::Refused, "a ping: `icmp_echo` in the site sets who may ping this host".to_owned()))
        }
        (Reason::NoRule | Reason::Peer | Reason::NoConnection, Tried::Port { .. } | Tried::Protocol(_))
        | (Reason::Protocol, Tried::Protocol(_))
            if flow.remote.is_some() =>
        {
            None
        }
        (Reason::Ethertype, Tried::Ethertype(ethertype)) if ethertype >= FIRST_ETHERTYPE => None,
        (reason, _) => Some((Class::Never, format!("no entry of a site can permit it: {}", reason.sentence()))),
    }
}

impl Sifted {
    fn leave(&mut self, flow: &Denied, class: Class, why: String) {
        self.unexplained.push(Unexplained { flow: Flow::from(flow), class, why });
    }

    /// Addresses that try port after port explain nothing: a permit for each would be the opposite of a firewall.
    fn leave_scans(&mut self) {
        let mut tried: BTreeMap<IpAddr, BTreeSet<Tried>> = BTreeMap::new();
        let unknown = |flow: &&Denied| flow.direction == Direction::Inbound && flow.reason == Reason::NoRule;
        for flow in self.open.iter().filter(unknown) {
            tried.entry(flow.remote.unwrap_or(IpAddr::from([0; 4]))).or_default().insert(flow.tried);
        }
        tried.retain(|_, ports| ports.len() >= SCAN);
        let open = std::mem::take(&mut self.open);
        for flow in open {
            let scan =
                flow.remote.and_then(|remote| tried.get(&remote)).filter(|_| flow.direction == Direction::Inbound);
            match scan {
                Some(ports) => {
                    let why =
                        format!("this address tried {} ports that no rule names, which looks like a scan", ports.len());
                    self.leave(&flow, Class::Scan, why);
                }
                None => self.open.push(flow),
            }
        }
    }
}
