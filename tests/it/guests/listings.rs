//! Commands read the slot of the right host, and say whose it is.

use std::path::Path;

use enforcer_common::packet::UDP;
use harness::packet::Packet;
use harness::program::Outcome;

use super::{A, B, Files, OUTSIDE, World, answer, question};

#[test]
fn flows_are_listed_and_ended_by_guest() {
    let world = World::protected(Files::One, "");
    for (guest, address) in [(0, A), (1, B)] {
        for family in [0, 1] {
            world.sends(guest, &question(address[family], OUTSIDE[family]));
        }
    }
    let [a, b] = world.ports.each_ref().map(String::as_str);
    let listed = |arguments: &[&str]| -> Vec<String> {
        let arguments = ["flows", "--format", "json", "--sort", "peer"].iter().chain(arguments).copied();
        let json = world.run(&arguments.collect::<Vec<_>>()).expect_code(0).json();
        let line = |flow: &serde_json::Value| format!("{} {}", flow["interface"], flow["local"]).replace('"', "");
        json.as_array().expect("a list").iter().map(line).collect()
    };
    let mut all = listed(&[]);
    all.sort();
    let mut wanted: Vec<String> =
        [(a, A), (b, B)].iter().flat_map(|(port, of)| of.map(|address| format!("{port} {address}"))).collect();
    wanted.sort();
    assert_eq!(all, wanted);
    assert_eq!(listed(&["--interface", b]).len(), 2);

    let ended = world.run(&["flows", "--end", "--interface", a, "--protocol", "udp"]).expect_code(0);
    assert!(ended.stderr.contains("2 flows ended"), "{}", ended.stderr);
    assert_eq!([0, 1].map(|guest| world.tables(guest).flows_of(UDP, 5060)), [0, 2]);
    assert_eq!(world.towards(0, &answer(OUTSIDE[0], A[0])), Outcome::Dropped);
    assert_eq!(world.towards(1, &answer(OUTSIDE[0], B[0])), Outcome::Passed);
}

#[test]
fn denied_flows_and_numbers_are_those_of_the_guest() {
    let world = World::protected(Files::Each, "");
    let [a, b] = world.ports.each_ref().map(String::as_str);
    for (guest, address, port) in [(0, A, 1111), (1, B, 2222), (1, B, 3333)] {
        let packet = Packet::new().ip(OUTSIDE[0], address[0]).tcp(40_000, port);
        assert_eq!(world.towards(guest, &packet), Outcome::Dropped);
    }
    world.sends(1, &question(B[0], OUTSIDE[0]));
    let ports = |interface: &str| -> Vec<u64> {
        let json = world.run(&["denied", "--format", "json", "--interface", interface]).expect_code(0).json();
        let mut found: Vec<u64> =
            json.as_array().expect("a list").iter().map(|one| one["port"].as_u64().expect("a port")).collect();
        found.sort_unstable();
        found
    };
    assert_eq!((ports(a), ports(b)), (vec![1111], vec![2222, 3333]));
    let all = world.run(&["denied", "--format", "json"]).expect_code(0).json();
    assert_eq!(all.as_array().map(Vec::len), Some(3));

    let status = world.run(&["status", "--format", "json"]).expect_code(0).json();
    for (one, made) in status["interfaces"].as_array().expect("a list").iter().zip([0, 1]) {
        let flows = &one["flows"];
        assert_eq!(
            (flows["entries"].as_u64(), flows["entries_ipv6"].as_u64(), flows["made"].as_u64()),
            (Some(4096), Some(1024), Some(made)),
            "{status}"
        );
        assert_eq!(one["protects"], "guest");
    }
    assert_eq!(status["all"]["flows"]["entries"].as_u64(), Some(8192), "{status}");
    let text = world.run(&["status"]).expect_code(0).stdout;
    assert!(
        text.contains(&format!("{b}: guest in slot 2, flows: 1 IPv4 of 4096 and 0 IPv6 of 1024; 1 made")),
        "{text}"
    );

    let metrics = world.run(&["counters", "--format", "prometheus"]).expect_code(0).stdout;
    for line in [
        format!("enforcer_flows_made_total{{interface=\"{a}\"}} 0"),
        format!("enforcer_flows_made_total{{interface=\"{b}\"}} 1"),
        format!("enforcer_denied_flows{{interface=\"{b}\"}} 2"),
        format!("enforcer_flows_capacity{{interface=\"{a}\",family=\"ipv6\"}} 1024"),
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }
}

#[test]
fn one_reader_gets_the_events_of_all_guests() {
    let world = World::protected(Files::Each, "");
    for (guest, address) in [(0, A), (1, B)] {
        let _ = world.towards(guest, &Packet::new().ip(OUTSIDE[0], address[0]).tcp(40_000, 4444));
    }
    let ran = world.run(&["events", "--backlog", "--count", "2", "--format", "json"]).expect_code(0);
    for port in &world.ports {
        assert!(ran.stdout.contains(&format!("\"{port}\"")), "{}", ran.stdout);
    }
}

#[test]
fn flows_of_a_guest_survive_a_change_of_its_policy_and_of_its_name() {
    let world = World::protected(Files::Each, "");
    world.sends(1, &question(B[0], OUTSIDE[0]));
    world.apply(&[&world.ports[1]], "deny: [{name: n, protocol: tcp, ports: [23]}]\n").expect_code(0);
    assert_eq!(world.towards(1, &answer(OUTSIDE[0], B[0])), Outcome::Passed);
    assert_eq!(world.slots(), expected(&world));

    let (old, new) = (&world.ports[1], format!("{}x", world.ports[1]));
    world.host.batch(&format!("link set {old} down\nlink set {old} name {new}\nlink set {new} up\n"));
    world.apply(&[&new], "").expect_code(0);
    let slots = world.slots();
    assert!(slots.contains(&(new.clone(), 2)), "{slots:?}");
    let flows = world.run(&["flows", "--format", "json", "--interface", &new]).expect_code(0).json();
    assert_eq!(flows[0]["interface"].as_str(), Some(&*new), "{flows}");
    assert!(!Path::new("/sys/fs/bpf/enforcer").join(old).exists());
    world.run(&["detach", "--interface", &new]).expect_code(0);
}

/// The slots in the order in which the ports were protected, by name.
fn expected(world: &World) -> Vec<(String, u64)> {
    let mut slots = vec![(world.ports[0].clone(), 1), (world.ports[1].clone(), 2)];
    slots.sort();
    slots
}

#[test]
fn the_site_says_how_many_flows_a_guest_has() {
    let world = World::protected(Files::One, "flows: {entries: 2048}\n");
    let status = world.run(&["status", "--format", "json"]).expect_code(0).json();
    let flows = &status["interfaces"][0]["flows"];
    assert_eq!((flows["entries"].as_u64(), flows["entries_ipv6"].as_u64()), (Some(2048), Some(2048)), "{status}");
}
