use std::collections::BTreeSet;

use super::*;

#[test]
fn without_anything_protected_there_is_still_the_build() {
    let text = Metrics { interfaces: Vec::new(), slots: Vec::new() }.text(Detail::Summary).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let layout = format!("layout=\"{LAYOUT_VERSION}\"");
    expect_test::expect![[r#"
        # HELP enforcer_build_info Version of enforcer, and of the layout of its maps.
        # TYPE enforcer_build_info gauge
        enforcer_build_info{version="VERSION",layout="LAYOUT"} 1
    "#]]
    .assert_eq(&text.replace(version, "VERSION").replace(&layout, "layout=\"LAYOUT\""));
}

#[test]
fn every_reason_is_a_series_once() {
    let series: Vec<_> =
        outcomes().map(|(reason, let_through)| (reason.name(), reason.verdict(), let_through)).collect();
    let different: BTreeSet<_> = series.iter().copied().collect();
    assert_eq!(different.len(), series.len(), "no two series have the same labels");
    for reason in Reason::ALL {
        let of_reason = |let_through| different.contains(&(reason.name(), reason.verdict(), let_through));
        assert!(of_reason(false), "{reason:?} is counted");
        assert_eq!(of_reason(true), reason.verdict() == Verdict::Drop, "only a refusal can be let through: {reason:?}");
    }
}

#[test]
fn counters_keep_their_name_and_numbers_stay_whole() {
    #[derive(Debug)]
    struct One;
    impl Collector for One {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
            let mut writer = Writer { encoder };
            writer.counter("packets_total", "Packets.", [labels(&[("rule", "a\"b")], 9e15)])?;
            writer.gauge("nothing", "Is not there.", [])?;
            writer.gauge("share", "Half.", [(Vec::new(), 0.5)])
        }
    }
    let mut registry = Registry::with_prefix("enforcer");
    registry.register_collector(Box::new(One));
    let mut text = String::new();
    encode_registry(&mut text, &registry).unwrap();
    expect_test::expect![[r#"
        # HELP enforcer_packets_total Packets.
        # TYPE enforcer_packets_total counter
        enforcer_packets_total{rule="a\"b"} 9000000000000000
        # HELP enforcer_share Half.
        # TYPE enforcer_share gauge
        enforcer_share 0.5
    "#]]
    .assert_eq(&text);
}
