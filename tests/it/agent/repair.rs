//! What somebody takes away or changes behind our back is put back.

use std::fs;

use enforcer_common::layout::LAYOUT_VERSION;
use enforcer_common::{Entry, EntryKind, ServiceIndex};
use harness::remembered::Tables;
use harness::sockets::Reply;

use super::file::metrics;
use super::{Agent, ENFORCING, Host, SITE, wait_for_value};

#[track_caller]
fn started(host: &Host) -> Agent<'_> {
    let agent = host.start(&["--check", "1s"]);
    assert_eq!(host.ask(), Reply::Silence);
    agent
}

#[test]
fn a_link_that_was_removed_is_put_back_with_the_mode_in_force() {
    let host = Host::with_site(ENFORCING);
    let _listener = host.listen();
    let _agent = started(&host);
    let since = host.status("/since");
    fs::remove_file(host.pins().join(format!("v{LAYOUT_VERSION}/link_inbound"))).expect("it is there");
    wait_for_value(&Reply::Silence, || host.ask());
    wait_for_value(&Some(0), || host.run(&["status"]).code);
    assert_eq!((host.status("/inbound/mode"), host.status("/since")), ("enforce".into(), since));
}

#[test]
fn what_is_damaged_while_a_change_waits_is_repaired_by_the_way_back() {
    let host = Host::with_site(ENFORCING);
    let _listener = host.listen();
    let agent = started(&host);
    let first = host.status("/policy_hash");
    let within = format!("{}s", 12 * harness::machine::patience());
    let near = &host.cable.near.interface;
    host.run(&["apply", "--role", "finesse", "--interface", near, "--confirm-within", &within]).expect_code(0);
    // The dispatcher is no damage.
    agent.wait_for_checks(2);
    assert!(!agent.log().contains("not repaired before"), "{}", agent.log());
    fs::remove_file(host.pins().join(format!("v{LAYOUT_VERSION}/link_inbound"))).expect("it is there");
    agent.wait_for_log("not repaired before");
    wait_for_value(&first, || host.status("/policy_hash"));
    wait_for_value(&Some(0), || host.run(&["status"]).code);
    assert_eq!((host.ask(), host.status("/inbound/mode")), (Reply::Silence, "enforce".into()));
    assert!(agent.stop());
}

#[test]
fn a_control_map_without_its_pin_is_pinned_again() {
    let host = Host::with_site(SITE);
    let _listener = host.listen();
    let agent = host.start(&["--check", "1s"]);
    host.run(&["mode", "enforce"]).expect_code(0);
    assert_eq!(host.ask(), Reply::Silence);
    let since = host.status("/since");
    fs::remove_file(host.pins().join(format!("v{LAYOUT_VERSION}/g1/CONTROL"))).expect("it is there");
    wait_for_value(&Some(0), || host.run(&["status"]).code);
    assert_eq!((host.status("/inbound/mode"), host.status("/since")), ("enforce".into(), since));
    assert_eq!(host.ask(), Reply::Silence);
    host.run(&["mode", "audit"]).expect_code(0);
    assert_eq!(host.ask(), Reply::Answered, "it is the one by which the programs judge");
    assert!(agent.stop());
}

#[test]
fn pins_that_were_removed_are_put_back_with_the_mode_that_was_kept() {
    let host = Host::with_site("interfaces: [IF]\nroles: [unity-connection]\n");
    let _listener = host.listen();
    let _agent = host.start(&["--check", "1s"]);
    host.run(&["mode", "enforce"]).expect_code(0);
    // One after the other: the agent may look when half of them are gone.
    fs::remove_dir_all(host.pins()).expect("it is there");
    wait_for_value(&"enforce".into(), || host.status("/inbound/mode"));
    assert_eq!(host.ask(), Reply::Silence);
}

#[test]
fn an_entry_that_was_changed_in_the_kernel_is_put_back() {
    let host = Host::with_site(ENFORCING);
    let _listener = host.listen();
    let agent = started(&host);
    // A port that the policy refuses, and an entry that permits.
    let entry = Entry::new(EntryKind::Permit, 0);
    Tables::of(&host.cable.host).change_service(1, ServiceIndex::tcp(super::REFUSED_PORT), entry);
    agent.wait_for_log("another process has changed them");
    wait_for_value(&(Some(0), false.into()), || (host.run(&["status"]).code, host.status("/drift")));
    // So there was a check. Totals go into the history four times an hour, and at the end.
    let samples =
        || fs::read_to_string(host.folder.join("history.jsonl")).expect("it is kept").matches("\"sample\"").count();
    assert_eq!(samples(), 0);
    assert!(agent.stop());
    assert_eq!(samples(), 1);
}

#[test]
fn another_policy_that_an_operator_applies_is_not_drift() {
    let host = Host::with_site(ENFORCING);
    let agent = host.start(&["--check", "1s", "--metrics", "127.0.0.1:0"]);
    let is_site =
        |number: u8| metrics(&host, &agent.log()).contains(&format!("\nenforcer_agent_site_in_force {number}\n"));
    let near = &host.cable.near.interface;
    host.run(&["apply", "--role", "finesse", "--interface", near]).expect_code(0);
    let hash = host.status("/policy_hash");
    agent.wait_for_log("another policy than the site file's");
    assert_eq!(host.status("/policy_hash"), hash);
    wait_for_value(&true, || is_site(0));
    // The site's own, by hand.
    host.run(&["apply", host.site().to_str().expect("plain")]).expect_code(0);
    wait_for_value(&true, || is_site(1));
    host.run(&["apply", "--role", "finesse", "--interface", near]).expect_code(0);
    agent.signal(libc::SIGHUP);
    wait_for_value(&true, || host.status("/policy_hash") != hash);
}
