//! Interfaces and addresses come and go.

use std::net::TcpListener;
use std::path::Path;

use enforcer_common::layout::LAYOUT_VERSION;
use harness::netns::another_interface;
use harness::packet::Packet;
use harness::program::{Outcome, Program};
use serde_json::Value;

use super::{ENFORCING, Host, wait_for_value};

#[test]
fn an_interface_that_appears_later_is_protected_by_name_and_by_pattern() {
    let host = Host::new();
    let (named, fitting, other) = (another_interface(), another_interface(), another_interface());
    host.write(&format!("interfaces: [IF, {named}, '{fitting}*']\nroles: [unity-connection]\nmode: enforce\n"));
    let agent = host.start(&[]);
    assert_eq!(host.interfaces().len(), 1);
    for name in [&named, &fitting] {
        // The peer of the pair is not to fit the pattern.
        host.cable.host.batch(&format!("link add {name} type veth peer name p{}\n", &name[2..]));
    }
    host.cable.host.batch(&format!("link add {other} type veth peer name p{}\n", &other[2..]));
    wait_for_value(&3, || host.interfaces().len());
    assert!(host.interfaces().iter().all(|one| one["inbound"]["mode"] == "enforce"));

    // Deleted and made again: another interface, with the counters of the first.
    let counted = |host: &Host| host.interfaces().iter().find(|one| one["interface"] == named.as_str()).cloned();
    let since = counted(&host).expect("it is protected")["since"].clone();
    host.cable.host.batch(&format!("link del {named}\n"));
    agent.wait_for_log("is gone");
    host.cable.host.batch(&format!("link add {named} type veth peer name p{}\n", &named[2..]));
    wait_for_value(&Some(0), || host.run(&["status", "--interface", &named]).code);
    assert_eq!(counted(&host).expect("it is protected")["since"], since);
}

#[test]
fn an_interface_that_fits_a_pattern_and_does_not_come_back_leaves_nothing() {
    let host = Host::new();
    let fitting = another_interface();
    let add = || host.cable.host.batch(&format!("link add {fitting} type veth peer name p{}\n", &fitting[2..]));
    host.write(&format!("interfaces: [IF, '{fitting}*']\nroles: [unity-connection]\nmode: enforce\n"));
    let agent = host.start(&["--check", "1s"]);
    add();
    wait_for_value(&2, || host.interfaces().len());
    let pins = Path::new("/sys/fs/bpf/enforcer").join(&fitting);
    let kept = host.folder.join(format!("{fitting}.json"));
    wait_for_value(&(true, true), || (pins.exists(), kept.exists()));
    host.cable.host.batch(&format!("link del {fitting}\n"));
    agent.wait_for_log("its pins are removed");
    assert_eq!((pins.exists(), kept.exists(), host.interfaces().len()), (false, false, 1));
    add();
    wait_for_value(&2, || host.interfaces().len());
    assert!(agent.stop());
}

#[test]
fn a_renamed_interface_stays_protected_whether_the_site_file_knows_the_new_name_or_not() {
    let host = Host::new();
    let late = another_interface();
    host.cable.host.batch(&format!("link add {late} type veth peer name p{}\n", &late[2..]));
    host.write(&format!("interfaces: [IF, {late}, '{late}w*']\nroles: [unity-connection]\nmode: enforce\n"));
    let agent = host.start(&["--check", "1s"]);
    assert_eq!(host.interfaces().len(), 2);
    let rename = |from: &str, to: &str| {
        host.cable.host.batch(&format!("link set {from} down\nlink set {from} name {to}\nlink set {to} up\n"));
    };
    // One that nobody speaks of: what it has stays, and that is told.
    let unknown = format!("p{}x", &late[2..]);
    rename(&late, &unknown);
    agent.wait_for_log(&format!("is called {unknown} now"));
    agent.wait_for_checks(2);
    let names = || host.interfaces().iter().map(|one| one["interface"].clone()).collect::<Vec<_>>();
    assert!(names().contains(&late.as_str().into()), "{:?}", names());
    assert!(!agent.log().contains("detached by an operator"), "{}", agent.log());
    // One that fits a pattern: the pins move.
    let known = format!("{late}w0");
    rename(&unknown, &known);
    wait_for_value(&Some(0), || host.run(&["status", "--interface", &known]).code);
    assert!(!names().contains(&late.as_str().into()), "{:?}", names());
    let kept = |name: &str| host.folder.join(format!("{name}.json")).exists();
    assert_eq!((kept(&known), kept(&late)), (true, false));
    // Another one of the first name is an interface of its own.
    host.cable.host.batch(&format!("link add {late} type veth peer name q{}\n", &late[2..]));
    wait_for_value(&3, || host.interfaces().len());
    wait_for_value(&Some(0), || host.run(&["status"]).code);
    assert!(host.interfaces().iter().all(|one| one["inbound"]["mode"] == "enforce"));
    assert!(agent.stop());
}

#[test]
fn an_address_that_is_added_is_ours_from_then_on() {
    let host = Host::with_site(ENFORCING);
    let _agent = host.start(&[]);
    // From the wire, with a source that is ours: a martian. The port is one that the role opens to all.
    let frame = Packet::new().ipv4("198.18.0.77", "198.18.0.1").tcp(40_000, 443).build();
    let judge = || Program::pinned(&host.pins().join("inbound")).judge(&frame);
    assert_eq!(judge(), Outcome::Passed);
    let near = &host.cable.near.interface;
    host.cable.host.batch(&format!("addr add 198.18.0.77/24 dev {near}\n"));
    wait_for_value(&Outcome::Dropped, judge);
    host.cable.host.batch(&format!("addr del 198.18.0.77/24 dev {near}\n"));
    wait_for_value(&Outcome::Passed, judge);
}

#[test]
fn a_listener_that_opens_later_is_known() {
    let host = Host::with_site(ENFORCING);
    let _agent = host.start(&[]);
    let path = format!("/sys/fs/bpf/enforcer/host:{}/v{LAYOUT_VERSION}/LISTENERS", host.cable.host.inode());
    let is_known = || {
        let output = host.cable.host.command("bpftool").args(["-j", "map", "dump", "pinned", &path]).output();
        let json: Value = serde_json::from_slice(&output.expect("bpftool runs").stdout).expect("it prints JSON");
        let entries = json.as_array().expect("a list").iter();
        entries.flat_map(|entry| entry["value"].as_array().into_iter().flatten()).any(|byte| byte != "0x00")
    };
    assert!(!is_known(), "nothing listens yet");
    let listener = host.cable.host.run(|| TcpListener::bind("0.0.0.0:45000").expect("the port is free"));
    wait_for_value(&true, is_known);
    drop(listener);
    wait_for_value(&false, is_known);
}
