//! Many guests: what a change of one costs.

use std::collections::BTreeMap;
use std::fs;

use harness::calls::{Then, watch};
use harness::enforcer::{command, enforcer, enforcer_with_input};
use harness::netns::{Namespace, another_interface, host_pins, pins_of, remove_pins};

use super::ALLOW;

/// Pins of each other port that may be opened: its record is read some times, and every map that it shares with no other is
/// opened once, for the memory that it takes.
const EACH: usize = 75;

#[test]
fn a_change_of_one_guest_reads_neither_policies_nor_counters_of_the_others() {
    let host = Namespace::new();
    let ports: Vec<String> = (0..8).map(|_| another_interface()).collect();
    for port in &ports {
        host.batch(&format!("link add {port} type veth peer name {port}p\nlink set {port} up\n"));
        // What this machine says on them by itself is not the question.
        host.batch(&format!("link set {port} addrgenmode none\n"));
    }
    let site = |port: &str, more: &str| {
        format!("interfaces: [{{name: {port}, protects: guest}}]\n{ALLOW}mode: enforce\n{more}")
    };
    let apply = |port: &String| {
        enforcer_with_input(&host, &["apply", "-", "--yes"], &site(port, "")).expect_code(0);
    };
    let file = std::env::temp_dir().join(format!("enforcer-guests-{}.yaml", std::process::id()));
    ports.iter().for_each(apply);
    let deny = "deny: [{name: changed, protocol: tcp, ports: [1]}]\n";
    fs::write(&file, site(&ports[0], deny)).expect("the folder can be written to");
    // By port, since what other tests have pinned on this machine is looked at too.
    let mut opened: BTreeMap<&str, Vec<String>> = ports.iter().map(|port| (port.as_str(), Vec::new())).collect();
    let mut change = command(&host, &["apply", &file.to_string_lossy(), "--yes"]);
    let ran = watch(&mut change, &[libc::SYS_bpf], |call| {
        let pin = call.opened_pin();
        let of_port = pin.as_deref().and_then(|pin| pin.strip_prefix("/sys/fs/bpf/enforcer/")?.split_once('/'));
        if let Some((port, pin)) = of_port
            && let Some(opened) = opened.get_mut(port)
        {
            opened.push(pin.to_owned());
        }
        Then::GoOn
    });
    ran.expect_code(0);
    enforcer(&host, &["detach"]).expect_code(0);
    fs::remove_file(&file).expect("it was written");
    for folder in ports.iter().map(|port| pins_of(port)).chain([host_pins(host.inode())]) {
        remove_pins(&folder);
    }
    assert!(opened[ports[0].as_str()].iter().any(|pin| pin.contains("/g") && !pin.ends_with("/CONTROL")));
    for port in &ports[1..] {
        let opened = &opened[port.as_str()];
        // Those of the policy on the port are opened once, too, for the memory that they take.
        let of_port = ["/CONTROL", "/CLAIMS"];
        let is_of_port = |pin: &String| of_port.iter().any(|name| pin.ends_with(name));
        let of_policies: Vec<&String> = opened.iter().filter(|pin| pin.contains("/g") && !is_of_port(pin)).collect();
        assert!(of_policies.is_empty(), "{port}: {of_policies:?}");
        let mut often: BTreeMap<&String, usize> = BTreeMap::new();
        opened.iter().for_each(|pin| *often.entry(pin).or_default() += 1);
        for counters in ["/RULES", "/REASONS", "/STATISTICS"] {
            let opened = often.iter().find(|(pin, _)| pin.ends_with(counters));
            assert!(opened.is_none_or(|(_, often)| *often == 1), "{port}: more than their memory is asked: {opened:?}");
        }
        assert!((1..=EACH).contains(&opened.len()), "{port}: {} pins: {often:?}", opened.len());
    }
}
