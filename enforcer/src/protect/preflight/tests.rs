use std::collections::BTreeMap;

use rtnetlink::packet_route::link::InfoKind;

use super::*;
use crate::dataplane::{OnFilter, Refusal};
use crate::policy::claims::Claims;
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
    Link { kind, ..Link::for_tests(index, name) }
}

fn native() -> InterfaceFacts {
    let expected = ExpectedHook { mode: AttachMode::Native, fallback: None, why: "as asked".to_owned() };
    InterfaceFacts {
        expected: Ok(expected),
        device: Device { driver: Some("ixgbe".to_owned()), strips_vlan: Some(false), merges_buffers: None },
        on_hooks: OnHooks { xdp: None, tcx: Some([Vec::new(), Vec::new()]), filters: Some([Vec::new(), Vec::new()]) },
        lacks_tcx: Some(false),
        answer: NativeXdp::NotAsked,
    }
}

/// What is found about `eth0`, notes left out.
fn check(scope: Option<Scope>, facts: &Facts, about: &InterfaceFacts) -> Vec<String> {
    let found = all(scope, facts, about);
    let found = found.iter().filter(|finding| finding.level != Level::Note);
    let line =
        |one: &Finding| format!("{} {} {}", one.level.name(), one.interface.as_deref().unwrap_or("-"), one.topic);
    found.map(line).collect()
}

/// The notes.
fn notes(facts: &Facts, about: &InterfaceFacts) -> Vec<String> {
    let found = all(None, facts, about);
    found.into_iter().filter(|finding| finding.level == Level::Note).map(|finding| finding.message).collect()
}

fn all(scope: Option<Scope>, facts: &Facts, about: &InterfaceFacts) -> Vec<Finding> {
    let ruleset = ruleset(scope);
    let eth0 = PlannedInterface {
        name: "eth0".to_owned(),
        protects: Protects::Host,
        scope: None,
        claims: Claims::default(),
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
    findings(&plan, facts, |_, _| about.clone())
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
    assert_eq!(check(Some(Scope::Host), &facts, &taken), ["fix - kernel", "fix eth0 programs", "warning - forwarding"]);
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
fn the_drivers_own_answer_counts_more_than_the_table() {
    let mut eth0 = link(1, "eth0", None);
    eth0.mtu = 9000;
    let facts = Facts { links: vec![eth0], ..Facts::default() };
    let mut about = native();
    about.device.driver = Some("unheard-of".to_owned());
    about.device.strips_vlan = Some(true);
    about.answer = NativeXdp::Takes;
    assert_eq!(check(None, &facts, &about), Vec::<String>::new(), "it takes it at this MTU");
    let sentence = Some("MTU too large".to_owned());
    about.answer = NativeXdp::Refuses(Refusal { number: libc::EINVAL, sentence });
    assert_eq!(check(None, &facts, &about), ["fix eth0 hook"], "native XDP was asked for by name");
    about.expected = about.expected.map(|expected| ExpectedHook { fallback: Some(AttachMode::Tcx), ..expected });
    assert_eq!(check(None, &facts, &about), Vec::<String>::new(), "tc takes its place, at any MTU");
    assert_eq!(
        notes(&facts, &about),
        [
            "driver unheard-of; inbound tcx (tc: the driver unheard-of refuses native XDP on eth0 (MTU 9000): \"MTU too large\"), outbound tc"
        ]
    );
}

#[test]
fn a_driver_that_was_not_asked_is_looked_up() {
    let facts = Facts { links: vec![link(1, "eth0", None)], ..Facts::default() };
    let mut about = native();
    for (driver, text) in [
        ("ixgbe", "driver ixgbe; inbound native (as asked), outbound tc"),
        (
            "e1000e",
            "driver e1000e; inbound native (as asked), outbound tc; this driver is not known to have native XDP, and nothing else was allowed",
        ),
    ] {
        about.device.driver = Some(driver.to_owned());
        assert_eq!(notes(&facts, &about), [text]);
    }
    about.expected = about.expected.map(|expected| ExpectedHook { fallback: Some(AttachMode::Tcx), ..expected });
    about.device.strips_vlan = Some(true);
    assert_eq!(notes(&facts, &about).len(), 1, "nothing about XDP and VLANs where tc is likely");
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
