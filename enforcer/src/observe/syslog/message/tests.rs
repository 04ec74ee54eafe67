use expect_test::expect;

use super::*;

fn plain(message: &Message) -> String {
    message.syslog("cvp-1").replace(&format!(" {} ", std::process::id()), " PID ")
}

#[test]
fn a_refused_packet_is_a_message_with_structured_data() {
    expect![[r#"<164>1 2026-01-02T03:04:05.000000Z cvp-1 enforcer PID denied [denied@32473 interface="eth0" direction="inbound" reason="no-rule" mode="enforce" protocol="tcp" remote="2001:db8::2" remote_port="40000" local="2001:db8::1" local_port="23" port="23" bytes="74"] 2026-01-02T03:04:05Z eth0 in tcp [2001:db8::2]:40000 -> [2001:db8::1]:23 no-rule, dropped (74 bytes)"#]]
        .assert_eq(&plain(&Message::denied(&DeniedEvent::for_tests("eth0"))));
    let mut audit = DeniedEvent::for_tests("eth0");
    audit.flow.mode = Mode::Audit;
    assert!(plain(&Message::denied(&audit)).starts_with("<165>1 "), "a notice: it was not dropped");
    expect![[r#"<166>1 2026-01-02T03:04:05.000000Z cvp-1 enforcer PID suppressed [suppressed@32473 suppressed="12" lost="3"] 12 refused packets suppressed, 3 events lost so far"#]]
        .assert_eq(&plain(&Message::suppressed((12, 3), DeniedEvent::for_tests("eth0").flow.last)));
}

#[test]
fn a_hostile_name_ends_neither_its_value_nor_the_message() {
    let message = plain(&Message::denied(&DeniedEvent::for_tests("a\"] x\\\n<0>1 \u{1b}[2J")));
    assert!(message.contains(r#" interface="a\"\] x\\\\n<0>1 \\u{1b}[2J" direction="#), "{message}");
    assert!(!message.contains(|c: char| c.is_control()), "{message}");
    let entry = Message::denied(&DeniedEvent::for_tests("a\nPRIORITY=0")).journal();
    assert_eq!(entry.matches("\nPRIORITY=").count(), 1, "{entry}");
    assert!(entry.contains("\nENFORCER_INTERFACE=a\\nPRIORITY=0\n"), "{entry}");
}

#[test]
fn every_message_fits_into_a_datagram() {
    let message = plain(&Message::denied(&DeniedEvent::for_tests(&"\u{1b}".repeat(15))));
    assert!(message.len() < 1024, "{}", message.len());
}

#[test]
fn the_name_of_the_host_is_plain() {
    assert_eq!(plain_host("cvp 1\n"), "cvp1");
    assert_eq!(plain_host("köln"), "kln");
    assert_eq!(plain_host("\u{1b} "), "-");
    assert_eq!(plain_host(&"a".repeat(300)).len(), LONGEST_HOST);
}

#[test]
fn an_entry_of_the_journal_has_a_field_for_each_parameter() {
    expect![[r"
        MESSAGE=2026-01-02T03:04:05Z eth0 in tcp [2001:db8::2]:40000 -> [2001:db8::1]:23 no-rule, dropped (74 bytes)
        PRIORITY=4
        SYSLOG_FACILITY=20
        SYSLOG_IDENTIFIER=enforcer
        ENFORCER_EVENT=denied
        ENFORCER_INTERFACE=eth0
        ENFORCER_DIRECTION=inbound
        ENFORCER_REASON=no-rule
        ENFORCER_MODE=enforce
        ENFORCER_PROTOCOL=tcp
        ENFORCER_REMOTE=2001:db8::2
        ENFORCER_REMOTE_PORT=40000
        ENFORCER_LOCAL=2001:db8::1
        ENFORCER_LOCAL_PORT=23
        ENFORCER_PORT=23
        ENFORCER_BYTES=74
    "]]
    .assert_eq(&Message::denied(&DeniedEvent::for_tests("eth0")).journal());
}
