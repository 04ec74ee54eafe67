//! The decision code agrees with the plain reading, on random policies and on random conversations of whole and broken packets.
//!
//! A run judges some 10^5 packets. `ENFORCER_CASES` sets the number of conversations, of about 30 packets each.

mod cut;
mod difference;
mod fixtures;
mod frames;
mod policies;
mod seed;

use std::cell::RefCell;
use std::collections::BTreeSet;

use enforcer::judge::reference::{Judged, Reference};
use enforcer::judge::tables::HostTables;
use enforcer::policy::compile::mark_ended;
use enforcer::policy::ruleset::Ruleset;
use enforcer_common::{Direction, Mode, Reason};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRunner};

use frames::{Packet, flags, packet};
use policies::{PORTS, World, world};

/// Conversations in a normal run.
const CASES: u32 = 4000;

/// One packet, or something else that happens.
#[derive(Clone, Debug)]
enum Step {
    /// A packet that has nothing to do with the ones before.
    New(Box<Packet>),
    /// An answer to an earlier packet.
    Answer { to: Index, flags: u8, port: Option<u16> },
    /// Another packet like an earlier one.
    Again { of: Index, flags: u8 },
    /// Another fragment of an earlier one.
    Fragment { of: Index, offset: u16, more: bool },
    /// Time goes by.
    Wait(u64),
    /// The operator changes a mode.
    Mode(Direction, Mode),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let port = prop_oneof![3 => Just(None), 1 => select(PORTS).prop_map(Some)];
    let times = &[
        1_u64, 124, 125, 249, 250, 500, 501, 999, 1000, 1001, 4000, 5000, 6000, 9999, 10_001, 19_000, 20_000, 20_001,
        29_999, 30_001, 49_000, 100_000, 100_001,
    ];
    let direction = prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)];
    let mode = prop_oneof![Just(Mode::Audit), Just(Mode::Enforce)];
    let step = prop_oneof![
        8 => packet().prop_map(|packet| Step::New(Box::new(packet))),
        8 => (any::<Index>(), flags(), port).prop_map(|(to, flags, port)| Step::Answer { to, flags, port }),
        3 => (any::<Index>(), flags()).prop_map(|(of, flags)| Step::Again { of, flags }),
        2 => (any::<Index>(), select(&[0_u16, 1, 2, 100][..]), any::<bool>())
            .prop_map(|(of, offset, more)| Step::Fragment { of, offset, more }),
        3 => select(&times[..]).prop_map(Step::Wait),
        1 => (direction, mode).prop_map(|(direction, mode)| Step::Mode(direction, mode)),
    ];
    vec(step, 1..60)
}

#[test]
fn the_decision_code_agrees_with_the_plain_reading() {
    let cases = std::env::var("ENFORCER_CASES").ok().map_or(CASES, |cases| cases.parse().expect("a number of cases"));
    let config = Config {
        cases,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        // The default generator takes half of the time of a test that is built without optimisation.
        rng_algorithm: RngAlgorithm::XorShift,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let reached = RefCell::new(BTreeSet::new());
    let before = prop_oneof![Just(None), world().prop_map(|world| Some(world.ruleset))];
    let outcome = runner
        .run(&(world(), before, steps()), |(world, before, steps)| run(&world, before.as_ref(), &steps, &reached));
    match outcome {
        // A reason that no packet met would not have been compared.
        Ok(()) => assert!(cases < CASES || reached.borrow().len() == Reason::ALL.len(), "only {reached:?}"),
        // The message says all; the policy's tables would bury it.
        Err(TestError::Fail(message, (_, _, steps))) => panic!("{message}\nafter {steps:?}"),
        Err(TestError::Abort(message)) => panic!("{message}"),
    }
}

/// Lets both judge the same packets, one after the other.
fn run(
    world: &World,
    before: Option<&Ruleset>,
    steps: &[Step],
    reached: &RefCell<BTreeSet<Reason>>,
) -> Result<(), TestCaseError> {
    let marked = before.and_then(|before| mark_ended(&world.ruleset, before.lookup()));
    let tables = HostTables::new(marked.as_ref().unwrap_or(&world.ruleset), &world.host);
    let mut reference = Reference::new(&world.ruleset, &world.host);
    let mut packets: Vec<Packet> = Vec::new();
    let mut now = 1_000_000;
    tables.set_time(now);
    reference.set_time(now);
    if let Some(before) = before {
        tables.policy_has_changed();
        reference.follows(before);
    }
    for step in steps {
        let earlier = |index: &Index| (!packets.is_empty()).then(|| index.get(&packets).clone());
        let packet = match step {
            Step::New(packet) => Some((**packet).clone()),
            Step::Answer { to, flags, port } => earlier(to).map(|packet| packet.answer(*flags, *port)),
            Step::Again { of, flags } => earlier(of).map(|packet| packet.again(*flags)),
            Step::Fragment { of, offset, more } => earlier(of).map(|packet| packet.other_fragment(*offset, *more)),
            Step::Wait(milliseconds) => {
                now += milliseconds;
                tables.set_time(now);
                reference.set_time(now);
                None
            }
            Step::Mode(direction, mode) => {
                tables.set_mode(*direction, *mode);
                reference.set_mode(*direction, *mode);
                None
            }
        };
        let Some(packet) = packet else { continue };
        let bytes = packet.bytes();
        let decided = tables.judge(packet.direction, &packet.frame(&bytes));
        let decided = Judged {
            reason: decided.outcome.reason(),
            rule: decided.outcome.rule().map(usize::from),
            audited: decided.outcome.is_audited(),
            goes_on: decided.goes_on(),
        };
        let read = reference.judge(packet.direction, packet.frame(&bytes));
        prop_assert_eq!(decided, read, "at {} ms: {:02x?}\n{:?}\n{:#?}", now, bytes, packet, world.ruleset.rules);
        reached.borrow_mut().insert(read.reason);
        packets.push(packet);
    }
    Ok(())
}
