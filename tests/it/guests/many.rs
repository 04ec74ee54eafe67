//! Many guests: what a change of one costs.

use std::fs;

use harness::calls::{Then, watch};
use harness::enforcer::{command, enforcer, enforcer_with_input};
use harness::netns::{Namespace, another_interface, host_pins, pins_of, remove_pins};

use super::ALLOW;

/// Calls of bpf(2) that each other port may cost: its record is read some times, and the memory of its maps.
const EACH: usize = 150;

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
    let change = |port: u16| {
        let deny = format!("deny: [{{name: changed, protocol: tcp, ports: [{port}]}}]\n");
        fs::write(&file, site(&ports[0], &deny)).expect("the folder can be written to");
        let mut calls = 0_usize;
        let mut apply = command(&host, &["apply", &file.to_string_lossy(), "--yes"]);
        let ran = watch(&mut apply, &[libc::SYS_bpf], |_| {
            calls += 1;
            Then::GoOn
        });
        ran.expect_code(0);
        calls
    };
    apply(&ports[0]);
    apply(&ports[1]);
    let with_two = change(1);
    ports[2..].iter().for_each(apply);
    let with_eight = change(2);
    let each = with_eight.saturating_sub(with_two) / 6;
    enforcer(&host, &["detach"]).expect_code(0);
    fs::remove_file(&file).expect("it was written");
    for folder in ports.iter().map(|port| pins_of(port)).chain([host_pins(host.inode())]) {
        remove_pins(&folder);
    }
    assert!(each <= EACH, "{each} calls for each other port ({with_two} with two, {with_eight} with eight)");
}
