//! Drivers that refuse native XDP: their own sentence reaches the operator, and asking them leaves nothing behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use harness::enforcer::{Protected, Ran, enforcer};
use harness::foreign::ForeignXdp;
use harness::netns::{Cable, Namespace};
use harness::raw::RawSocket;
use serde_json::Value;

/// A namespace with an interface for each way in which a driver of this kernel refuses native XDP, with its sentence.
fn refusals() -> (Namespace, [(&'static str, &'static str); 2]) {
    let namespace = Namespace::new();
    namespace.batch(
        "link add veth0 numrxqueues 1 numtxqueues 1 type veth peer name veth1 numtxqueues 2 numrxqueues 2\n\
         link set veth0 up\nlink set veth1 up\n\
         link add ifb0 type ifb\nlink set ifb0 up\n",
    );
    let unable = "Underlying driver does not support XDP in native mode";
    let queues = "XDP expects number of rx queues not less than peer tx queues";
    (namespace, [("veth0", queues), ("ifb0", unable)])
}

fn run(namespace: &Namespace, command: &str, interface: &str, more: &[&str]) -> Ran {
    let mut line = vec![command, "--role", "unity-connection", "--interface", interface, "--hook", "native"];
    line.extend(more);
    enforcer(namespace, &line)
}

/// What was found about hooks, each with its level.
fn hooks(json: &Value, interface: &str) -> Vec<String> {
    let all = json["findings"].as_array().expect("a list");
    let of_hook = all.iter().filter(|one| one["topic"] == "hook" && one["interface"] == interface);
    of_hook.map(|one| format!("{}: {}", one["level"].as_str().unwrap_or("?"), one["message"])).collect()
}

/// Whether a program is on the XDP hook.
fn has_xdp(namespace: &Namespace, interface: &str) -> bool {
    let links = namespace.run(|| enforcer::host::links::links().expect("netlink answers"));
    links.iter().any(|link| link.name == interface && link.xdp_program.is_some())
}

#[test]
fn a_driver_that_refuses_native_xdp_is_quoted_and_the_advice_is_not_what_was_just_done() {
    let (namespace, all) = refusals();
    for (interface, sentence) in all {
        let ran = run(&namespace, "apply", interface, &[]).expect_code(3);
        assert!(ran.stderr.contains("refuses native XDP on"), "{}", ran.stderr);
        assert!(ran.stderr.contains(sentence) && ran.stderr.contains("(MTU 1500)"), "{}", ran.stderr);
        assert!(ran.stderr.contains("use --hook tc"), "{}", ran.stderr);
        let ran = enforcer(&namespace, &["status"]).expect_code(0);
        assert!(ran.stderr.contains("no interface in this network namespace is protected"), "{}", ran.stderr);
        let line = ["apply", "--role", "unity-connection", "--interface", interface, "--hook", "tc"];
        let ran = enforcer(&namespace, &line).expect_code(0);
        assert!(!ran.stderr.contains("use --hook tc"), "{}", ran.stderr);
        enforcer(&namespace, &["detach"]).expect_code(0);
    }
}

#[test]
fn preflight_asks_the_driver_and_takes_its_program_off_again() {
    let (namespace, all) = refusals();
    for (interface, sentence) in all {
        let found =
            hooks(&run(&namespace, "preflight", interface, &["--format", "json"]).expect_code(1).json(), interface);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("fix:") && found[0].contains(sentence), "{found:?}");
        assert!(!has_xdp(&namespace, interface));
        // From the table, a veth has native XDP.
        let unasked = run(&namespace, "preflight", interface, &["--format", "json", "--no-probe"]).expect_code(0);
        let found = hooks(&unasked.json(), interface);
        let doubted = found[0].contains("this driver is not known to have native XDP");
        assert_eq!(doubted, interface == "ifb0", "{found:?}");
    }
    let cable = Cable::new();
    let near = &cable.near.interface;
    let asked =
        |code| hooks(&run(&cable.host, "preflight", near, &["--format", "json"]).expect_code(code).json(), near);
    assert!(asked(0)[0].contains("the driver was asked, and takes it"), "{:?}", asked(0));
    assert!(!has_xdp(&cable.host, near), "what asked is gone");
    let foreign = ForeignXdp::attach(&cable.host, near);
    assert!(!asked(1)[0].contains("was asked"), "somebody else is on the hook");
    assert!(has_xdp(&cable.host, near), "and stays there");
    drop(foreign);
}

#[test]
fn detach_says_when_the_program_still_runs_somewhere() {
    let protected = Protected::apply(&["--role", "unity-connection", "--hook", "native"]);
    let other = Cable::new();
    // A driver that keeps the program is made of another interface that runs it, too.
    let pin = protected.pin();
    let program = harness::bpf::pinned(&pin).expect("it is pinned");
    let link = other.host.run(|| harness::bpf::attach_xdp(&program, &other.near.interface)).expect("it is of its type");
    let far = RawSocket::open(&other.remote, &other.far.interface);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                far.send(&[0xff; 60]);
                thread::sleep(Duration::from_millis(5));
            }
        });
        let ran = protected.run(&["detach"]);
        is_over.store(true, Ordering::Relaxed);
        let said = ran.expect_code(0).stderr;
        assert!(said.contains("still runs the native program that was detached (it still counts packets)"), "{said}");
    });
    harness::bpf::detach(&link).expect("it is ours");
    protected.apply_again(&["--role", "unity-connection", "--hook", "native"]);
    let said = protected.run(&["detach"]).expect_code(0).stderr;
    assert!(!said.contains("still runs"), "{said}");
}

#[test]
fn an_mtu_that_the_driver_takes_is_no_problem() {
    let protected = Protected::apply(&["--role", "unity-connection", "--hook", "native"]);
    let Cable { host, remote, near, far } = &protected.cable;
    remote.batch(&format!("link set {} mtu 3000\n", far.interface));
    host.batch(&format!("link set {} mtu 3000\n", near.interface));
    protected.run(&["status"]).expect_code(0);
}

#[test]
fn a_read_only_bpf_file_system_is_told_before_and_by_apply() {
    let cable = Cable::new();
    let near = &cable.near.interface;
    let binary = harness::enforcer::binary();
    let ran = |command: &str| {
        let line = format!(
            "mount --make-rprivate / && mount -o remount,ro,bind /sys/fs/bpf && exec {} {command} --role unity-connection --interface {near}",
            binary.display()
        );
        let mut unshared = cable.host.command("unshare");
        unshared.args(["-m", "sh", "-c", &line]).env("ENFORCER_STATE_DIR", harness::enforcer::state_folder());
        unshared.output().expect("util-linux has unshare")
    };
    let output = ran("preflight");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("mounted read-only") && said.contains("mount -o remount,rw /sys/fs/bpf"), "{said}");
    let output = ran("apply");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("/sys/fs/bpf is mounted read-only, so nothing can be pinned there"), "{said}");
}
