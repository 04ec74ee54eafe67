//! Applying, and applying again.

use std::slice::from_ref;

use harness::enforcer::Protected;
use harness::packet::Packet;
use harness::program::Outcome;

use super::{ENFORCE, has_xdp};

fn permitted() -> Packet {
    Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 443)
}

fn refused() -> Packet {
    Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 23)
}

#[test]
fn protection_stays_when_the_command_has_returned() {
    let protected = Protected::apply(ENFORCE);
    assert!(has_xdp(&protected.cable));
    protected.expect(Outcome::Passed, "rule", &[permitted()]);
    protected.expect(Outcome::Dropped, "no-rule", &[refused()]);
}

#[test]
fn without_a_mode_nothing_is_dropped() {
    let protected = Protected::apply(&["--role", "unity-connection", "--hook", "native"]);
    protected.expect_counted(Outcome::Passed, "would_drop", "no-rule", &[refused()]);
}

#[test]
fn applying_again_keeps_the_mode_and_goes_on_counting() {
    let protected = Protected::apply(ENFORCE);
    protected.expect(Outcome::Dropped, "no-rule", &[refused(), refused()]);
    let before = protected.counters();
    protected.apply_again(&["--role", "unity-connection", "--hook", "native"]);
    let after = protected.counters();
    assert!(after.of_name("inbound reason no-rule drop") >= 2, "before: {before:?}\nafter: {after:?}");
    protected.expect(Outcome::Dropped, "no-rule", &[refused()]);
    protected.expect(Outcome::Passed, "rule", &[permitted()]);
}

#[test]
fn another_policy_replaces_the_first() {
    let protected = Protected::apply(ENFORCE);
    let member = Packet::new().ipv4("198.18.0.3", "198.18.0.1").tcp(40_000, 1502);
    protected.expect(Outcome::Dropped, "peer", from_ref(&member));
    let mut bound = ENFORCE.to_vec();
    bound.extend(["--peer", "cluster=198.18.0.3"]);
    protected.apply_again(&bound);
    protected.expect(Outcome::Passed, "rule", from_ref(&member));
    protected.apply_again(ENFORCE);
    protected.expect(Outcome::Dropped, "peer", from_ref(&member));
}

#[test]
fn status_says_what_is_attached_and_how() {
    let protected = Protected::apply(ENFORCE);
    let json = protected.run(&["status", "--format", "json"]).expect_code(0).json();
    let near = &protected.cable.near.interface;
    let all = json["interfaces"].as_array().expect("an array");
    let one = all.iter().find(|one| one["interface"] == near.as_str()).expect("the interface is listed");
    assert_eq!(one["inbound"]["hook"], "xdp", "{one}");
    assert_eq!(one["inbound"]["attach_mode"], "native", "{one}");
    assert_eq!(one["inbound"]["mode"], "enforce", "{one}");
    assert_eq!(one["drift"], false, "{one}");
}

#[test]
fn two_interfaces_are_protected_apart() {
    let [a, b] = [Protected::apply(ENFORCE), Protected::apply(ENFORCE)];
    b.mode("audit");
    a.expect(Outcome::Dropped, "no-rule", &[refused()]);
    b.expect_counted(Outcome::Passed, "would_drop", "no-rule", &[refused()]);
}
