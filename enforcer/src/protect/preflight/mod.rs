//! `preflight`: what on this machine would not be filtered, and what must be put right before a policy is applied. Facts come in,
//! findings go out; only [`Facts::read`] and [`Device::read`] ask the kernel.

mod children;
mod interface;
mod listeners;

use std::fs;

use serde::Serialize;

use crate::dataplane::{
    ExpectedHook, HookChoice, OnHooks, Plan, PlannedInterface, Protects, expected_hook, kernel_problem, lacks_tcx,
    on_hooks, untried_kernel,
};
use crate::host::device::Device;
use crate::host::links::{self, Child, Link};
use crate::policy::ruleset::Scope;

pub use children::refusal as refusal_for_children;
pub use listeners::{Listener, unpermitted};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// `apply` would fail or be refused, or would do harm.
    Fix,
    /// Something is not filtered, or not as one might think.
    Warning,
    /// Good to know.
    Note,
}

impl Level {
    /// The word in tables and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fix => "fix",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Something that was found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// The interface it is about; `None`: the host.
    pub interface: Option<String>,
    /// What it is about, in a word: `hook`, `mtu`, `vlan`, `bridge` and so on.
    pub topic: &'static str,
    /// What was found.
    pub message: String,
}

/// What is known of the machine.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Interfaces of this namespace.
    pub links: Vec<Link>,
    /// What keeps programs from being loaded or pinned.
    pub kernel_problem: Option<String>,
    /// The kernel is older than those that were tried.
    pub untried_kernel: Option<String>,
    /// The host forwards packets, of either family.
    pub forwards: bool,
    /// Interfaces of others that stand on those of this namespace.
    pub children: Vec<Child>,
}

/// What is known of an interface that is to be protected.
#[derive(Clone, Debug)]
pub struct InterfaceFacts {
    /// How it would be attached, or why not.
    pub expected: Result<ExpectedHook, String>,
    /// What its driver says.
    pub device: Device,
    /// Who is on its hooks.
    pub on_hooks: OnHooks,
    /// The kernel has no tc links; `None` where it does not tell.
    pub lacks_tcx: Option<bool>,
}

impl Facts {
    /// Looks at the machine.
    #[must_use]
    pub fn read(links: Vec<Link>) -> Self {
        let children = links::children(&links);
        Self {
            links,
            kernel_problem: kernel_problem(),
            untried_kernel: untried_kernel(),
            forwards: forwards(),
            children,
        }
    }
}

impl InterfaceFacts {
    /// Looks at an interface.
    #[must_use]
    pub fn read(planned: &PlannedInterface, link: &Link, hook: HookChoice) -> Self {
        Self {
            expected: expected_hook(planned, link, hook).map_err(|error| error.to_string()),
            device: Device::read(&link.name),
            on_hooks: on_hooks(link),
            lacks_tcx: lacks_tcx(link),
        }
    }
}

/// Whether this host forwards packets, of either family.
#[must_use]
pub fn forwards() -> bool {
    let is_on = |path: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() != "0");
    is_on("/proc/sys/net/ipv4/ip_forward") || is_on("/proc/sys/net/ipv6/conf/all/forwarding")
}

/// Everything that is found about a plan, what matters most first.
#[must_use]
pub fn findings(
    plan: &Plan<'_>,
    facts: &Facts,
    look: impl Fn(&PlannedInterface, &Link) -> InterfaceFacts,
) -> Vec<Finding> {
    let mut found = of_host(plan, facts);
    let names: Vec<&str> = plan.interfaces.iter().map(|one| one.name.as_str()).collect();
    for planned in &plan.interfaces {
        match facts.links.iter().find(|link| link.name == planned.name) {
            None => found.push(Finding {
                level: Level::Fix,
                interface: Some(planned.name.clone()),
                topic: "interface",
                message: "there is no such interface in this network namespace".to_owned(),
            }),
            Some(link) => {
                interface::findings(plan.ruleset, planned, link, facts, &look(planned, link), &names, &mut found);
                children::findings(plan, planned, link, facts, &mut found);
            }
        }
    }
    interface::unprotected(facts, &names, &mut found);
    found.sort_by_key(|finding| finding.level);
    found
}

fn of_host(plan: &Plan<'_>, facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |level, topic, message: String| found.push(Finding { level, interface: None, topic, message });
    if let Some(problem) = &facts.kernel_problem {
        add(Level::Fix, "kernel", problem.clone());
    }
    if let Some(note) = &facts.untried_kernel {
        add(Level::Warning, "kernel", note.clone());
    }
    if facts.forwards {
        let scope = |one: &PlannedInterface| one.scope.or(plan.ruleset.settings.scope);
        let of_host = || plan.interfaces.iter().filter(|one| one.protects == Protects::Host);
        if of_host().any(|one| scope(one).is_none()) {
            add(
                Level::Fix,
                "forwarding",
                "this host forwards packets and the policy does not say whose are judged: set `scope: host` or `scope: all`"
                    .to_owned(),
            );
        } else if of_host().any(|one| scope(one) == Some(Scope::Host)) {
            add(
                Level::Warning,
                "forwarding",
                "this host forwards packets, and with `scope: host` what is addressed to others is not filtered"
                    .to_owned(),
            );
        } else {
            add(
                Level::Warning,
                "forwarding",
                "this host forwards packets, and with `scope: all` what is addressed to others is judged by the roles of this host"
                    .to_owned(),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rtnetlink::packet_route::link::InfoKind;

    use super::*;
    use crate::dataplane::{AttachMode, OnFilter};
    use crate::policy::ranges::Ranges4;
    use crate::policy::ruleset::{FlowSettings, Ruleset, Settings};

    fn ruleset(scope: Option<Scope>) -> Ruleset {
        Ruleset {
            hash: String::new(),
            rules: Vec::new(),
            tables: Default::default(),
            prefixes: BTreeMap::new(),
            ranges: Ranges4::of(&BTreeMap::new()),
            settings: Settings { outbound_judged: false, scope, flows: FlowSettings::default() },
        }
    }

    fn link(index: u32, name: &str, kind: Option<InfoKind>) -> Link {
        Link {
            index,
            name: name.to_owned(),
            kind,
            is_ethernet: true,
            is_loopback: false,
            mac: None,
            mtu: 1500,
            master: None,
            lower: None,
            is_up: true,
            xdp_program: None,
        }
    }

    fn native() -> InterfaceFacts {
        let expected = ExpectedHook { mode: AttachMode::Native, fallback: None, why: "as asked".to_owned() };
        InterfaceFacts {
            expected: Ok(expected),
            device: Device { driver: Some("ixgbe".to_owned()), strips_vlan: Some(false) },
            on_hooks: OnHooks {
                xdp: None,
                tcx: Some([Vec::new(), Vec::new()]),
                filters: Some([Vec::new(), Vec::new()]),
            },
            lacks_tcx: Some(false),
        }
    }

    /// What is found about `eth0`, notes left out.
    fn check(scope: Option<Scope>, facts: &Facts, about: &InterfaceFacts) -> Vec<String> {
        let ruleset = ruleset(scope);
        let eth0 = PlannedInterface {
            name: "eth0".to_owned(),
            protects: Protects::Host,
            scope: None,
            said: crate::dataplane::Said::default(),
        };
        let plan = Plan {
            ruleset: &ruleset,
            origin: String::new(),
            interfaces: vec![eth0],
            hook: HookChoice::Native,
            ending: crate::dataplane::Ending::Allowed,
            confirm_within: None,
            source: crate::policy::source::Source::default(),
            bpf_log: crate::dataplane::BpfLog::Off,
            caller: crate::dataplane::Caller::Operator,
        };
        let found = findings(&plan, facts, |_, _| about.clone());
        let found = found.iter().filter(|finding| finding.level != Level::Note);
        let line =
            |one: &Finding| format!("{} {} {}", one.level.name(), one.interface.as_deref().unwrap_or("-"), one.topic);
        found.map(line).collect()
    }

    #[test]
    fn a_plain_host_has_nothing_to_fix() {
        let facts = Facts { links: vec![link(1, "eth0", None)], ..Facts::default() };
        assert_eq!(check(None, &facts, &native()), Vec::<String>::new());
        let facts = Facts { untried_kernel: Some("Linux 5.10".to_owned()), ..facts };
        assert_eq!(check(None, &facts, &native()), ["warning - kernel"]);
    }

    #[test]
    fn what_apply_would_refuse_must_be_fixed() {
        let facts = Facts { forwards: true, kernel_problem: Some("no BTF".to_owned()), ..Facts::default() };
        assert_eq!(check(None, &facts, &native()), ["fix - kernel", "fix - forwarding", "fix eth0 interface"]);
        let facts = Facts { links: vec![link(1, "eth0", None)], ..facts };
        let mut taken = native();
        taken.on_hooks.xdp = Some("the program with id 7".to_owned());
        assert_eq!(
            check(Some(Scope::Host), &facts, &taken),
            ["fix - kernel", "fix eth0 programs", "warning - forwarding"]
        );
    }

    #[test]
    fn what_goes_past_the_interface_is_told() {
        let mut links = vec![
            link(1, "eth0", None),
            link(2, "br0", Some(InfoKind::Bridge)),
            link(3, "eth1", None),
            link(4, "wg0", Some(InfoKind::Wireguard)),
            link(5, "br0.5", Some(InfoKind::Vlan)),
            link(6, "eth2", None),
        ];
        links[0].master = Some(2);
        links[2].master = Some(2);
        links[4].lower = Some(2);
        let facts = Facts { links, ..Facts::default() };
        assert_eq!(
            check(None, &facts, &native()),
            ["fix eth0 layers", "warning eth1 unprotected", "warning wg0 tunnel", "warning eth2 unprotected"]
        );
    }

    #[test]
    fn a_port_of_another_interface_is_told_where_to_be_protected() {
        for (kind, level) in [
            (InfoKind::Bridge, "fix"),
            (InfoKind::Bond, "warning"),
            (InfoKind::Team, "warning"),
            (InfoKind::Vrf, "warning"),
            (InfoKind::Other("openvswitch".to_owned()), "warning"),
        ] {
            let mut links = vec![link(1, "eth0", None), link(2, "above0", Some(kind.clone()))];
            links[0].master = Some(2);
            let facts = Facts { links, ..Facts::default() };
            assert_eq!(check(None, &facts, &native()), [format!("{level} eth0 layers")], "{kind}");
        }
    }

    #[test]
    fn a_large_mtu_and_who_runs_before_us_are_told() {
        let mut eth0 = link(1, "eth0", None);
        eth0.mtu = 9000;
        let facts = Facts { links: vec![eth0], ..Facts::default() };
        let mut about = native();
        about.on_hooks.tcx = Some([vec![Some("the program `x` (id 7)".to_owned()), None], Vec::new()]);
        assert_eq!(check(None, &facts, &about), ["warning eth0 mtu", "warning eth0 programs"]);
    }

    #[test]
    fn filters_are_told_and_those_before_us_are_warned_of() {
        let facts = Facts { links: vec![link(1, "eth0", None)], ..Facts::default() };
        let filter = |name: Option<&str>, is_first| OnFilter { name: name.map(str::to_owned), is_first };
        let mut about = native();
        let set = |about: &mut InterfaceFacts, filters| about.on_hooks.filters = Some([Vec::new(), filters]);
        set(&mut about, vec![filter(Some("a u32 filter of priority 1"), true)]);
        assert_eq!(check(None, &facts, &about), Vec::<String>::new(), "links run before filters");
        (about.on_hooks.tcx, about.lacks_tcx) = (None, Some(true));
        assert_eq!(check(None, &facts, &about), ["warning eth0 kernel", "warning eth0 programs"]);
        set(&mut about, vec![filter(Some("a u32 filter of priority 2"), false)]);
        assert_eq!(check(None, &facts, &about), ["warning eth0 kernel"]);
        set(&mut about, vec![filter(None, true), filter(Some("a u32 filter of priority 1"), true)]);
        assert_eq!(check(None, &facts, &about), ["warning eth0 kernel"], "ours was there before");
    }
}
