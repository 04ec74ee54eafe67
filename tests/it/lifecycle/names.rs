//! Pins: who may look at them, and two interfaces of one name in different network namespaces.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use harness::enforcer::{Protected, Ran, enforcer};
use harness::netns::{Namespace, another_interface, host_pins};
use serde_json::Value;

use super::ENFORCE;

const ROOT: &str = "/sys/fs/bpf/enforcer";

#[test]
fn only_root_can_enter_the_pins() {
    let protected = Protected::apply(ENFORCE);
    for folder in [Path::new(ROOT), protected.pin().parent().expect("a pin is in a folder")] {
        let mode = fs::metadata(folder).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}", folder.display());
    }
}

#[test]
fn equal_names_in_two_namespaces_do_not_collide() {
    let name = another_interface();
    let namespaces = [Namespace::new(), Namespace::new()];
    let pins = namespaces.each_ref().map(|namespace| {
        namespace
            .batch(&format!("link add {name} type veth peer name p{name}\nlink set {name} up\nlink set p{name} up\n"));
        run(namespace, &["apply", "--role", "finesse", "--mode", "enforce", "--interface", &name]);
        let status = interfaces(namespace);
        assert_eq!(status.len(), 1, "{status:?}");
        status[0]["pin"].as_str().expect("status names the pin").to_owned()
    });
    assert_eq!(pins[0], format!("{ROOT}/{name}/inbound"));
    assert_eq!(pins[1], format!("{ROOT}/{name}@{}/inbound", namespaces[1].inode()));

    run(&namespaces[0], &["mode", "audit"]);
    assert_eq!(interfaces(&namespaces[1])[0]["inbound"]["mode"], "enforce", "the other one is untouched");
    run(&namespaces[0], &["detach"]);
    assert_eq!(interfaces(&namespaces[1]).len(), 1);
    run(&namespaces[1], &["detach"]);
    for pin in pins {
        assert!(!Path::new(&pin).exists(), "{pin}");
    }
}

#[test]
fn what_a_namespace_that_is_gone_has_left_is_removed_and_named() {
    for remover in ["apply", "status"] {
        let name = another_interface();
        let add = format!("link add {name} type veth peer name p{name}\nlink set {name} up\nlink set p{name} up\n");
        let (first, other) = (Namespace::new(), Namespace::new());
        let enforce = ["apply", "--role", "finesse", "--mode", "enforce", "--interface", &name];
        first.batch(&add);
        run(&first, &enforce);
        let inode = first.inode();
        let (pins, host) = (Path::new(ROOT).join(&name), host_pins(inode));
        // As long as anybody holds it, if only by an open file, it is not gone.
        let held = fs::File::open(Path::new("/run/netns").join(first.name())).expect("it is there");
        drop(first);
        let said = run(&other, &["status"]).stderr;
        assert_eq!((pins.exists(), host.exists()), (true, true), "it is held: {said}");
        drop(held);
        // The kernel takes its interfaces away some time later.
        let mut said = String::new();
        super::wait_for(&false, || {
            let ran = match remover {
                "apply" => {
                    let near = another_interface();
                    other.batch(&format!("link add {near} type veth peer name p{near}\n"));
                    run(&other, &["apply", "--role", "finesse", "--interface", &near])
                }
                _ => run(&other, &["status"]),
            };
            said += &ran.stderr;
            host.exists()
        });
        assert!(!pins.exists(), "{said}");
        // Other tests may have been faster.
        if said.contains(&inode.to_string()) {
            let line = said.lines().rfind(|line| line.contains(&inode.to_string())).expect("it is there");
            let is_told = line.contains("no longer exists") || line.contains("seems to be gone");
            assert!(is_told && line.contains(&name) && line.contains(" MiB"), "{line}");
        }
        run(&other, &["detach"]);
    }
}

#[track_caller]
fn run(namespace: &Namespace, line: &[&str]) -> Ran {
    enforcer(namespace, line).expect_code(0)
}

#[track_caller]
fn interfaces(namespace: &Namespace) -> Vec<Value> {
    let json = run(namespace, &["status", "--format", "json"]).json();
    json["interfaces"].as_array().cloned().unwrap_or_default()
}
