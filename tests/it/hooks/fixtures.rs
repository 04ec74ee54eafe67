//! The named ugly packets meet their fate at each hook, in either mode: by test run, and over a cable, where the kernel takes the
//! outer VLAN tag out of a frame before tc sees it.

use enforcer::fixtures::{SITE, ugly};
use enforcer_common::Mode;
use harness::program::Outcome;
use harness::skip::say;

use crate::stage::{By, Stage};

fn every_ugly_packet_meets_its_fate(hook: &str, by: By) {
    let stage = Stage::new(&SITE.replace("eth0", "IF"), hook);
    let (mut judged, mut not_asked) = (0, 0);
    for mode in [Mode::Enforce, Mode::Audit] {
        stage.protected.mode(mode.name());
        for fixture in ugly() {
            stage.tables.forget();
            for (number, packet) in fixture.packets.iter().enumerate() {
                let place = format!("{} ({mode:?}), packet {}: {:02x?}", fixture.name, number + 1, packet.frame);
                let Some((counted, outcome)) = stage.judge(packet.direction, &packet.frame, by) else {
                    not_asked += 1;
                    continue;
                };
                judged += 1;
                let refused = packet.reason.verdict() == enforcer_common::Verdict::Drop;
                let key = (packet.direction, refused && mode == Mode::Audit, packet.reason);
                assert_eq!(counted, [(key, 1)].into(), "{place}");
                if let Some(outcome) = outcome {
                    let dropped = refused && mode == Mode::Enforce;
                    assert_eq!(outcome, if dropped { Outcome::Dropped } else { Outcome::Passed }, "{place}");
                }
            }
        }
    }
    say(&format!("{judged} packets judged; {not_asked} are no frames that the kernel lets this hook see"));
    assert!(judged > 5 * not_asked, "{not_asked} of {judged}");
}

#[test]
fn at_native_xdp() {
    every_ugly_packet_meets_its_fate("native", By::TestRun);
}

#[test]
fn at_tc() {
    every_ugly_packet_meets_its_fate("tc", By::TestRun);
}

#[test]
fn at_tc_over_a_cable() {
    every_ugly_packet_meets_its_fate("tc", By::Cable);
}
