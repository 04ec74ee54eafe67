//! What somebody changes behind our back is seen.

use std::fs;

use enforcer_common::layout::{LAYOUT_VERSION, map};
use enforcer_common::ranges::INDEX;
use enforcer_common::{Entry, EntryKind, ServiceIndex};
use harness::enforcer::Protected;
use harness::netns::host_pins;
use harness::remembered::Tables;

use super::{ENFORCE, sentences, status};

#[test]
fn an_entry_that_was_changed_in_the_kernel_is_drift() {
    let protected = Protected::apply(ENFORCE);
    let (code, json) = status(&protected);
    assert_eq!((code, &json["drift"]), (Some(0), &false.into()), "{json}");
    // A port that the policy gives no meaning, and an entry that permits.
    let entry = Entry::new(EntryKind::Permit, 0);
    Tables::of(&protected.cable.host).change_service(1, ServiceIndex::tcp(4444), entry);
    let (code, json) = status(&protected);
    assert_eq!((code, &json["drift"]), (Some(1), &true.into()), "{json}");
    assert!(sentences(&json, "problems").contains("tables"), "{json}");
    protected.apply_again(ENFORCE);
    assert_eq!(status(&protected).0, Some(0));
}

#[test]
fn ranges_of_sources_that_were_changed_in_the_kernel_are_drift() {
    let mut arguments = ENFORCE.to_vec();
    arguments.extend(["--peer", "cluster=198.51.100.0/24"]);
    let protected = Protected::apply(&arguments);
    assert_eq!(status(&protected).0, Some(0));
    let tables = Tables::of(&protected.cable.host);
    // The class of the range from 0.0.0.0 on, its first address (it then ends before it begins), where the ranges of 10.7.0.0/16
    // begin, and how many there are.
    let last = INDEX as usize - 1;
    for (table, at) in [(map::RANGES4, 1), (map::RANGES4, 0), (map::RANGE_INDEX4, 0x0a07), (map::RANGE_INDEX4, last)] {
        tables.change_word(1, table, at, |word| !word);
        let (code, json) = status(&protected);
        assert_eq!((code, &json["drift"]), (Some(1), &true.into()), "{table} {at}: {json}");
        tables.change_word(1, table, at, |word| !word);
        assert_eq!(status(&protected).0, Some(0), "{table} {at}");
    }
}

#[test]
fn a_question_to_the_program_makes_no_table_that_is_gone() {
    let protected = Protected::apply(ENFORCE);
    let question = ["explain", "--role", "unity-connection", "in tcp 198.51.100.9:40000 -> :443", "--live"];
    let answer = protected.run(&question).expect_code(0);
    assert!(answer.stdout.starts_with("pass: rule"), "{}", answer.stdout);
    let tables = host_pins(protected.cable.host.inode()).join(format!("v{LAYOUT_VERSION}/g1"));
    for name in [map::SERVICES_IN, map::MATRIX_IN, map::RANGES4, map::RANGE_INDEX4, map::PREFIXES6] {
        let (table, aside) = (tables.join(name), tables.join("aside"));
        fs::rename(&table, &aside).expect("it is there");
        let answer = protected.run(&question).expect_code(1);
        assert!(answer.stderr.contains(&format!("{name} is gone; run `enforcer apply` again")), "{}", answer.stderr);
        assert!(!table.exists(), "{name}");
        let shown = protected.run(&["status"]).expect_code(1);
        assert!(shown.stderr.contains(&format!("{name} is gone; run `enforcer apply` again")), "{}", shown.stderr);
        fs::rename(&aside, &table).expect("it is there");
    }
    protected.run(&question).expect_code(0);
}
