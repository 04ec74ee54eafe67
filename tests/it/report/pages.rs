//! Reports of hosts that no test can wait for: long names, 64 ports, a year of history, and nothing at all.

use enforcer::dataplane::{Count, VerdictCounts};
use enforcer::observe::readiness::{AuditEvidence, Check, Readiness, Thresholds, Unused, WouldDrop};
use enforcer::observe::report::{
    CutPart, FlowCounts, InterfacePart, Interval, LastSeen, PolicyPart, ReasonPart, Report, RulePart, SpanPart,
};
use enforcer::observe::suggest::AlsoOpens;
use enforcer::observe::suggest::Suggestions;
use enforcer::policy::modes::Modes;
use enforcer::state::history::{DirectionTotals, Entry, Event};
use enforcer_common::Direction;
use jiff::{SignedDuration, Timestamp};

/// When the reports are made.
fn now() -> Timestamp {
    "2026-11-30T09:17:05Z".parse().expect("a time")
}

fn ago(hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(hours)
}

fn modes(inbound: &str, outbound: &str) -> Modes {
    let mode = |word: &str| serde_json::from_value(word.into()).expect("a mode");
    Modes { inbound: mode(inbound), outbound: mode(outbound) }
}

fn interface(name: &str) -> InterfacePart {
    InterfacePart {
        interface: name.to_owned(),
        modes: modes("audit", "audit"),
        deadline: None,
        attached: [Some("tc (tcx)".to_owned()), Some("tc (tcx)".to_owned())],
        since: ago(0),
        applied: ago(0),
        drift: false,
        problems: Vec::new(),
        notes: Vec::new(),
        totals: [DirectionTotals::default(); 2],
        reasons: Vec::new(),
    }
}

fn check(name: &'static str, met: bool, found: &str, wanted: &str) -> Check {
    Check { name, met, found: found.to_owned(), wanted: wanted.to_owned() }
}

/// Just applied; nothing has passed and nothing was refused.
pub(crate) fn empty() -> Report {
    Report {
        version: "0.1.0",
        host: "cuc1".to_owned(),
        at: now(),
        policy: PolicyPart {
            hash: "9394c2b7ffcc00000000".to_owned(),
            origin: "/etc/enforcer/site.yaml".to_owned(),
            roles: vec!["unity-connection".to_owned()],
            rules: 67,
            outbound_judged: false,
        },
        interfaces: vec![interface("eth0")],
        rules: Vec::new(),
        readiness: Readiness {
            ready: false,
            thresholds: Thresholds { hours: 168.0, policy_hours: 24.0, weekdays: 5, flows: 0, connections: 0 },
            checks: vec![
                check(
                    "in-force",
                    true,
                    "the kernel holds the programs and tables that were applied",
                    "no problem, no drift",
                ),
                check("policy-hours", false, "0.0 hours of audit with the active policy", "24 or more"),
                check("unexplained", true, "0 refused flows without an explanation", "none"),
            ],
            audit: vec![AuditEvidence {
                interface: "eth0".to_owned(),
                hours: 0.0,
                policy_hours: 0.0,
                first: None,
                weekdays: Vec::new(),
                restarts: 0,
                enforces: false,
            }],
            would_drop: Vec::new(),
            unused: Vec::new(),
            notes: Vec::new(),
        },
        cut: Vec::new(),
        suggestions: Suggestions {
            policy_hash: String::new(),
            suggestions: Vec::new(),
            unexplained: Vec::new(),
            notes: Vec::new(),
            yaml: String::new(),
            site: String::new(),
            is_rewritten: false,
            also_opens: AlsoOpens::default(),
        },
        spans: Vec::new(),
        changes: Vec::new(),
        over_time: Vec::new(),
        last_seen: Vec::new(),
    }
}

fn refused(service: &str, peer: Option<&str>, says: &str) -> WouldDrop {
    WouldDrop {
        peer: peer.map(str::to_owned),
        direction: Direction::Inbound,
        service: service.to_owned(),
        addresses: 17,
        example: Some("2001:db8:1234:5678:9abc:def0:1234:5678".parse().expect("an address")),
        packets: 1_234_567,
        dropped: 234_567,
        class: "suggested",
        says: says.to_owned(),
    }
}

fn rule(interface: &str, id: &str, packets: u64) -> RulePart {
    RulePart {
        interface: interface.to_owned(),
        id: id.to_owned(),
        direction: Direction::Outbound,
        action: "internal",
        packets,
        bytes: packets * 512,
        last_hit: Some(ago(1)),
        since: ago(9000),
        sources: Vec::new(),
        rows: "Unity Connection 1:12, 1:13, 1:14, 3:2; Unified CCE 14:7, genesys:4".to_owned(),
    }
}

const LONGEST_NAME: &str = "wwan130s0f1np12";
const LONGEST_RULE: &str = "remote-network-management/role-manager-heartbeat-and-database-replication";
const YAML: &str = "allow:\n  - {name: tcp-4444, protocol: tcp, ports: [4444], from: [10.1.1.1, 10.1.1.2, \
    \"2001:db8:1234:5678:9abc:def0:1234:5678\", \"2001:db8:1234:5678:9abc:def0:1234:5679\"], reason: from denied flows; state the purpose}\n";

/// Every text that comes from elsewhere is long or hostile.
pub(crate) fn hostile() -> Report {
    const HOSTILE: &str = "</style><script>alert(\"x\")</script>&'";
    let long = "x".repeat(200);
    let mut report = empty();
    report.host = format!("{HOSTILE}{}", "very-long-name.".repeat(12));
    report.policy.origin = format!("/srv/{}/{long}/site.yaml", HOSTILE.replace('/', ""));
    report.policy.roles = vec!["unity-connection".to_owned(), "cce-rogger-with-a-name-without-end".repeat(4)];
    let mut one = interface("IFNAMSIZ%15char@4026532845");
    one.modes = modes("enforce", "audit");
    one.deadline = Some(ago(-1));
    one.drift = true;
    one.problems = vec![format!("the program at /sys/fs/bpf/enforcer/IFNAMSIZ%15char@4026532845/inbound is {long}")];
    one.notes = vec![HOSTILE.to_owned()];
    one.totals = [DirectionTotals { pass: u64::MAX / 2, drop: 12_345_678_901, would_drop: 9_876_543_210 }; 2];
    one.reasons = reasons();
    report.interfaces = vec![one];
    report.rules = vec![rule("eth0", LONGEST_RULE, u64::MAX / 1024), rule("eth0", &format!("site/{long}"), 1)];
    let peers = "administrator-workstations, monitoring-and-management-stations-of-the-headquarters";
    report.readiness.would_drop = vec![
        refused("tcp 65535", Some(peers), &format!("role {LONGEST_RULE}")),
        refused("ethertype 0x88cc", Some(HOSTILE), HOSTILE),
        refused("udp 161", Some(&long), &long),
    ];
    report.readiness.checks.push(check("audit-hours", false, &long, HOSTILE));
    report.readiness.notes = vec![long.clone(), HOSTILE.to_owned()];
    report.readiness.unused = vec![unused(LONGEST_RULE), unused(&long)];
    report.cut = vec![CutPart {
        connection:
            "tcp [2001:db8:1234:5678:9abc:def0:1234:5678]:65535 - [2001:db8:1234:5678:9abc:def0:1234:5679]:65535"
                .to_owned(),
        process: Some(format!("{HOSTILE} {long}")),
        why: format!("no-rule ({LONGEST_RULE})"),
    }];
    report.suggestions.yaml = YAML.repeat(3) + &format!("  # {long}\n");
    report.changes = vec![entry(0, Event::Applied, &long), entry(1, Event::Mode, HOSTILE)];
    report
}

fn unused(id: &str) -> Unused {
    Unused { id: id.to_owned(), direction: Direction::Inbound, since: ago(9000), sources: Vec::new() }
}

fn entry(hours: i64, event: Event, interface: &str) -> Entry {
    Entry {
        at: ago(hours),
        event,
        interface: interface.to_owned(),
        boot: String::new(),
        modes: Some(modes("enforce", "audit")),
        until: None,
        policy_hash: Some("9394c2b7ffcc0000".to_owned()),
        totals: None,
    }
}

fn reasons() -> Vec<ReasonPart> {
    let count = |packets| Count { packets, bytes: packets * 100 };
    let counts = VerdictCounts { pass: count(1), drop: count(2), would_drop: count(3) };
    enforcer_common::Reason::ALL
        .iter()
        .flat_map(|reason| Direction::ALL.map(|direction| (reason, direction)))
        .map(|(reason, direction)| ReasonPart {
            reason: *reason,
            sentence: reason.sentence(),
            direction,
            verdict: if direction == Direction::Inbound { "would_drop" } else { "drop" },
            packets: counts.drop.packets * 1_000_000,
            bytes: counts.drop.bytes * 1_000_000,
        })
        .collect()
}

/// A machine with 64 protected ports.
pub(crate) fn crowd() -> Report {
    let mut report = empty();
    let names: Vec<String> = (0..64).map(|number| format!("tapguest{number}i0")).collect();
    report.interfaces = names
        .iter()
        .map(|name| {
            let mut one = interface(name);
            one.reasons = reasons();
            one.totals = [DirectionTotals { pass: 1_000_000, drop: 7, would_drop: 900 }; 2];
            one.notes = vec!["outbound is not judged".to_owned()];
            one
        })
        .collect();
    for name in &names {
        report.rules.extend((0_u64..30).map(|number| rule(name, &format!("{LONGEST_RULE}-{number}"), number)));
        report.changes.push(entry(3, Event::Applied, name));
        report.spans.push(span(name, 300, 0, "audit"));
        report.over_time.push(interval(name, 300, 0, [0, 40]));
        let mut audit = report.readiness.audit[0].clone();
        audit.interface.clone_from(name);
        report.readiness.audit.push(audit);
    }
    report.readiness.audit.remove(0);
    report
}

fn span(interface: &str, from: i64, to: i64, mode: &str) -> SpanPart {
    SpanPart {
        interface: interface.to_owned(),
        from: ago(from),
        to: ago(to),
        modes: modes(mode, "audit"),
        policy_hash: None,
    }
}

fn interval(interface: &str, from: i64, to: i64, [drop, would_drop]: [u64; 2]) -> Interval {
    let inbound = DirectionTotals { pass: 1_000, drop, would_drop };
    let outbound = DirectionTotals { pass: 1_000, drop: drop / 3, would_drop: 0 };
    let packets = DirectionTotals { pass: 2_000, drop: inbound.drop + outbound.drop, would_drop: inbound.would_drop };
    Interval { interface: interface.to_owned(), from: ago(from), to: ago(to), packets, inbound, outbound }
}

/// A host that was looked at for a year.
pub(crate) fn year() -> Report {
    const HOURS: i64 = 365 * 24;
    let mut report = empty();
    report.policy.outbound_judged = true;
    report.interfaces[0].since = ago(HOURS);
    report.interfaces[0].totals = [DirectionTotals { pass: 8_765_432_100, drop: 54_321, would_drop: 987_654 }; 2];
    report.interfaces[0].reasons = reasons();
    for week in (0..52).rev() {
        let from = week * 7 * 24 + 168;
        let mode = if week > 30 { "audit" } else { "enforce" };
        report.spans.push(span("eth0", from, from - 168, mode));
        for day in 0..7 {
            let from = from - day * 24;
            let number = u64::try_from(from * 37 % 101).expect("positive");
            let counts = if week > 30 { [0, number * 900] } else { [number * 40, 0] };
            report.over_time.push(interval("eth0", from, from - 24, counts));
        }
        report.changes.push(entry(from, Event::Applied, LONGEST_NAME));
        report.changes.push(entry(from - 3, Event::Confirmed, LONGEST_NAME));
    }
    report.changes.reverse();
    report.rules = (0..300).map(|number| rule("eth0", &format!("unity-connection/service-{number}"), number)).collect();
    report.readiness.unused = (0..300).map(|number| unused(&format!("unity-connection/unused-{number}"))).collect();
    report.readiness.would_drop =
        (0..300).map(|port| refused(&format!("tcp {}", 1000 + port), None, "allow tcp-4444")).collect();
    report.suggestions.yaml = YAML.repeat(40);
    let hour = |hours: i64| Timestamp::from_second(ago(hours).as_second() / 3600 * 3600).expect("a time");
    report.last_seen = (0..160)
        .rev()
        .map(|hours| {
            let flows = usize::try_from(hours % 13).expect("few");
            let inbound = FlowCounts { dropped: flows, would_drop: 2 };
            LastSeen {
                hour: hour(hours),
                flows: flows + 3,
                inbound,
                outbound: FlowCounts { dropped: 0, would_drop: 1 },
            }
        })
        .collect();
    report
}
