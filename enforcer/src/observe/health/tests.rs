use expect_test::{Expect, expect};

use super::*;

fn healthy() -> Evidence {
    Evidence {
        interfaces: vec![interface("eth0")],
        of_other_versions: 0,
        agent: AgentHealth::Running {
            age: Duration::from_secs(12),
            every: Some(Duration::from_secs(30)),
            trouble: None,
        },
        denied: DeniedRate { now: Some(0.25), usual: Some(1.5) },
    }
}

fn interface(name: &str) -> InterfaceHealth {
    InterfaceHealth {
        name: name.to_owned(),
        modes: [Some(Mode::Enforce), None],
        drift: false,
        is_blind: false,
        problems: 0,
        is_held: false,
        deadline: None,
    }
}

fn limits() -> Limits {
    Limits { mode: None, needs_agent: true, agent_age: None, denied_floor: 20.0, denied_factor: 10.0 }
}

fn check(evidence: &Evidence, limits: &Limits, expected: &Expect) {
    let health = evidence.judge(limits);
    let text = format!("{} {health}", health.state.code());
    assert_eq!(text.matches('|').count(), 1, "one bar: {text}");
    let (line, data) = text.split_once(" |").unwrap();
    expected.assert_eq(&format!("{line}\n{}\n", data.trim()));
}

/// Exit code and line, without performance data.
fn said(change: impl FnOnce(&mut Evidence, &mut Limits)) -> String {
    let (mut evidence, mut limits) = (healthy(), limits());
    change(&mut evidence, &mut limits);
    let health = evidence.judge(&limits);
    let text = format!("{} {health}", health.state.code());
    text.split_once(" |").unwrap().0.to_owned()
}

#[test]
fn a_healthy_host_is_ok_with_data_for_graphs() {
    check(
        &healthy(),
        &limits(),
        &expect![[r#"
            0 ENFORCER OK - eth0 enforce/open; agent checked 12 s ago
            interfaces=1;;;0 enforcing=1;;;0 drift=0;;0;0 not_judging=0;;0;0 problems=0;0;;0 deadlines=0;0;;0 agent_age=12s;120;600;0 denied_rate=0.250;35;;0 denied_rate_usual=1.500;;;0
        "#]],
    );
}

#[test]
fn what_opens_the_host_is_critical() {
    let line = said(|evidence, _| evidence.interfaces.clear());
    assert!(line.starts_with("2 ENFORCER CRITICAL - no interface is protected"), "{line}");
    let line = said(|evidence, _| (evidence.interfaces[0].drift, evidence.interfaces[0].problems) = (true, 1));
    assert!(line.starts_with("2 ENFORCER CRITICAL - eth0 does not run the applied policy (drift); eth0"), "{line}");
    let line = said(|evidence, _| (evidence.interfaces[0].is_blind, evidence.interfaces[0].problems) = (true, 1));
    assert!(line.starts_with("2 ENFORCER CRITICAL - eth0 receives packets that nobody judges; eth0"), "{line}");
}

#[test]
fn a_mode_is_judged_where_one_is_expected() {
    let audit = |evidence: &mut Evidence| evidence.interfaces[0].modes[0] = Some(Mode::Audit);
    assert!(said(|evidence, _| audit(evidence)).starts_with("0 ENFORCER OK - eth0 audit/open"));
    let line = said(|evidence, limits| {
        audit(evidence);
        limits.mode = Some(Mode::Enforce);
    });
    assert!(line.starts_with("2 ENFORCER CRITICAL - eth0 is not in enforce"), "{line}");
    let line = said(|_, limits| limits.mode = Some(Mode::Audit));
    assert!(line.starts_with("1 ENFORCER WARNING - eth0 is not in audit"), "{line}");
}

#[test]
fn a_deadline_and_an_unapplied_site_file_are_warnings() {
    let at = "2026-11-30T12:01:00Z".parse().unwrap();
    let line = said(|evidence, _| evidence.interfaces[0].deadline = Some((DeadlineKind::Unconfirmed, at)));
    assert!(
        line.starts_with("1 ENFORCER WARNING - eth0 waits for `enforcer confirm` until 2026-11-30T12:01:00Z"),
        "{line}"
    );
    let line = said(|evidence, _| evidence.interfaces[0].deadline = Some((DeadlineKind::Window, at)));
    assert!(line.contains("eth0 is in a change window until 2026-11-30T12:01:00Z"), "{line}");
    let line = said(|evidence, _| {
        if let AgentHealth::Running { trouble, .. } = &mut evidence.agent {
            *trouble = Some("site.yaml:1: no\nroles".to_owned());
        }
    });
    assert!(line.starts_with(r"1 ENFORCER WARNING - the site file is not applied: site.yaml:1: no\nroles"), "{line}");
    let line = said(|evidence, _| evidence.interfaces[0].is_held = true);
    assert!(line.starts_with("1 ENFORCER WARNING - eth0 keeps enforcing"), "{line}");
}

#[test]
fn an_agent_is_stale_by_its_own_interval_or_by_the_given_ages() {
    let aged = |seconds| {
        move |evidence: &mut Evidence| {
            if let AgentHealth::Running { age, .. } = &mut evidence.agent {
                *age = Duration::from_secs(seconds);
            }
        }
    };
    assert!(said(|evidence, _| aged(120)(evidence)).starts_with("0 "));
    assert!(
        said(|evidence, _| aged(121)(evidence)).starts_with("1 ENFORCER WARNING - the agent's last check is 121 s old")
    );
    assert!(said(|evidence, _| aged(601)(evidence)).starts_with("2 ENFORCER CRITICAL - the agent's"));
    let ages = Some((Duration::from_secs(5), Duration::from_secs(10)));
    assert!(
        said(|_, limits| limits.agent_age = ages).starts_with("2 ENFORCER CRITICAL - the agent's last check is 12 s")
    );
    assert!(said(|evidence, _| evidence.agent = AgentHealth::Absent).starts_with("1 ENFORCER WARNING - no agent runs"));
    let line = said(|evidence, limits| (evidence.agent, limits.needs_agent) = (AgentHealth::Absent, false));
    assert_eq!(line, "0 ENFORCER OK - eth0 enforce/open");
}

#[test]
fn refused_packets_are_compared_with_the_past_of_the_host() {
    let rate = |now, usual| said(move |evidence, _| evidence.denied = DeniedRate { now, usual });
    assert!(rate(Some(35.0), Some(1.5)).starts_with("0 "));
    let line = rate(Some(35.1), Some(1.5));
    assert!(line.starts_with("1 ENFORCER WARNING - 35.1 packets/s are refused, more than 35.0"), "{line}");
    assert!(rate(Some(1e6), None).starts_with("0 "), "nothing is usual yet");
    assert!(rate(None, None).starts_with("0 "));
}

#[test]
fn what_is_not_known_is_u_and_no_name_breaks_the_line() {
    let mut evidence = healthy();
    (evidence.agent, evidence.denied) = (AgentHealth::Absent, DeniedRate::default());
    evidence.interfaces = vec![interface("e|x\n\u{1b}[2J")];
    check(
        &evidence,
        &Limits { needs_agent: false, ..limits() },
        &expect![[r#"
            0 ENFORCER OK - e/x\n\u{1b}[2J enforce/open
            interfaces=1;;;0 enforcing=1;;;0 drift=0;;0;0 not_judging=0;;0;0 problems=0;0;;0 deadlines=0;0;;0 agent_age=U denied_rate=U denied_rate_usual=U
        "#]],
    );
}

#[test]
fn many_interfaces_are_counted_and_the_worst_is_said_first() {
    let line = said(|evidence, _| {
        evidence.interfaces = (0..64).map(|number| interface(&format!("tap{number}"))).collect();
        evidence.interfaces.iter_mut().for_each(|one| one.is_held = true);
        evidence.interfaces[63].drift = true;
        evidence.interfaces[63].problems = 1;
    });
    assert!(line.starts_with("2 ENFORCER CRITICAL - tap63 does not run"), "{line}");
    assert!(line.contains("and 59 more; 64 interfaces: 64 enforce, 0 audit"), "{line}");
}

#[test]
fn an_agent_that_holds_the_lock_and_is_stale_is_critical_and_not_only_unknown() {
    let line = |seconds| {
        let agent = AgentHealth::Running { age: Duration::from_secs(seconds), every: None, trouble: None };
        let health = agent.without_answer(&limits(), "no answer within 10s".to_owned());
        format!("{} {health}", health.state.code())
    };
    assert_eq!(line(3), "3 ENFORCER UNKNOWN - no answer within 10s | agent_age=3s;120;600;0");
    assert!(line(601).starts_with("2 ENFORCER CRITICAL - the agent's last check is 601 s old; no answer within 10s |"));
}
