//! A part of `cargo xtask demo --estate`: hosts of the reference estate try each other.

use std::path::Path;

use enforcer_common::Mode;
use harness::estate::{Laid, Outcome};
use harness::skip::say;

/// A cluster with both families, two sides, a desktop, and a machine that has no policy.
const HOSTS: &[&str] = &["cuc1", "cuc2", "fin1", "hv1", "rtr-a", "rtr-b"];

#[test]
fn what_the_estate_permits_arrives_and_nothing_else_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/estate/estate.yaml");
    let text = std::fs::read_to_string(path).expect("the reference estate");
    let laid = Laid::out(&text, HOSTS);
    laid.apply(|_| {});
    let mut wire = laid.open();
    let audit = laid.round(&mut wire, Mode::Audit, 0, |_, _| {});
    expect_right(&audit);
    assert_eq!(audit.arrived, audit.attempts, "{audit:?}");
    // One host that is not in the mode of the others is found: what it should have dropped arrives.
    laid.set_mode(Mode::Enforce, Some("cuc1"));
    let mixed = laid.round(&mut wire, Mode::Enforce, 1, |_, _| {});
    assert!(mixed.wrong.iter().any(|text| text.contains("cuc1 -> ")), "{mixed:?}");
    laid.set_mode(Mode::Enforce, None);
    let enforce = laid.round(&mut wire, Mode::Enforce, 2, |_, _| {});
    expect_right(&enforce);
    assert_eq!(enforce.arrived, enforce.permitted, "{enforce:?}");
    say(&format!("{} attempts in each mode, {} permitted", enforce.attempts, enforce.permitted));
    let pins = laid.lan.pins();
    drop(laid);
    assert_eq!(pins.iter().find(|path| path.exists()), None);
}

#[track_caller]
fn expect_right(outcome: &Outcome) {
    assert!(outcome.wrong.is_empty(), "{}", outcome.wrong.join("\n"));
    let Outcome { attempts, permitted, refused_out, refused_in, .. } = *outcome;
    assert_eq!(permitted + refused_out + refused_in, attempts);
    assert!(permitted > 100 && refused_out > 100 && refused_in > 20, "{outcome:?}");
}
