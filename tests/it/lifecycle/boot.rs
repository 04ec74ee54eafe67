//! After a reboot: what was for good before is in force again, and nothing else is.
//!
//! A reboot takes all pins, and with them programs, links and maps. It leaves the state folder.

use std::fs;
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};

use harness::enforcer::{Ran, binary, enforcer_with};
use harness::netns::{Cable, another_interface, entries, forget_filters};
use harness::sockets::{Reply, tcp};
use serde_json::Value;

use super::picture::on_hooks;
use super::{REFUSED_PORT, pins_of, wait_for};

/// A host with a state folder of its own.
struct Machine {
    cable: Cable,
    folder: PathBuf,
}

impl Machine {
    fn new() -> Self {
        let cable = Cable::new();
        let folder = std::env::temp_dir().join(format!("enforcer-boot-{}", cable.near.interface));
        fs::create_dir_all(&folder).expect("the folder can be made");
        Self { cable, folder }
    }

    #[track_caller]
    fn run(&self, line: &[&str]) -> Ran {
        self.run_with_input(line, "")
    }

    #[track_caller]
    fn run_with_input(&self, line: &[&str], input: &str) -> Ran {
        let folder = self.folder.to_str().expect("the name is plain");
        enforcer_with(&self.cable.host, line, input, &[("ENFORCER_STATE_DIR", folder)])
    }

    /// Applies a site file that names the near end.
    #[track_caller]
    fn apply(&self, site: &str, options: &[&str]) -> PathBuf {
        let path = self.folder.join("site.yaml");
        fs::write(&path, site.replace("IF", &self.cable.near.interface)).expect("the folder is there");
        let name = path.to_str().expect("the name is plain").to_owned();
        let line: Vec<&str> = ["apply", &name].into_iter().chain(options.iter().copied()).collect();
        self.run(&line).expect_code(0);
        path
    }

    fn reboot(&self) {
        self.reboot_with(&[]);
    }

    fn reboot_with(&self, others: &[&str]) {
        let root = Path::new("/sys/fs/bpf/enforcer");
        for interface in others.iter().chain([&self.cable.near.interface.as_str()]) {
            fs::remove_dir_all(root.join(interface)).expect("it was protected");
            forget_filters(&self.cable.host, interface);
        }
        fs::remove_dir_all(root.join(format!("host:{}", self.cable.host.inode()))).expect("it was protected");
        assert_eq!(self.interfaces(), Vec::<Value>::new(), "nothing is protected after a reboot");
        // Tests that list the kernel's links have them open for a moment, and so in force.
        for interface in others.iter().chain([&self.cable.near.interface.as_str()]) {
            wait_for(&false, || on_hooks(&self.cable.host, interface).iter().any(|line| line.contains(" id ")));
        }
    }

    #[track_caller]
    fn interfaces(&self) -> Vec<Value> {
        let json = self.run(&["status", "--format", "json"]).json();
        json["interfaces"].as_array().cloned().expect("a list")
    }

    fn ask(&self) -> Reply {
        let Cable { remote, near, far, .. } = &self.cable;
        tcp(remote, IpAddr::from(far.v4), (near.v4, REFUSED_PORT).into())
    }

    fn listen(&self) -> TcpListener {
        let address = (self.cable.near.v4, REFUSED_PORT);
        self.cable.host.run(|| TcpListener::bind(address).expect("the port is free"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.run(&["detach"]);
        for left in pins_of(&self.cable.near.interface) {
            let _ = fs::remove_dir_all(left);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

const SITE: &str = "interfaces: [IF]\nroles: [unity-connection]\n";

#[test]
fn the_policy_and_the_mode_that_was_set_last_survive_a_reboot() {
    let machine = Machine::new();
    let _listener = machine.listen();
    machine.apply(SITE, &["--hook", "native"]);
    machine.run(&["mode", "enforce", "--inbound"]).expect_code(0);
    let before = machine.interfaces();
    assert_eq!(machine.ask(), Reply::Silence);
    machine.reboot();
    assert_eq!(machine.ask(), Reply::Answered, "nothing judges");

    let ran = machine.run(&["boot"]).expect_code(0);
    assert!(ran.stderr.contains("inbound enforce, outbound audit"), "{}", ran.stderr);
    assert_eq!(machine.ask(), Reply::Silence);
    let after = machine.interfaces();
    for field in ["policy_hash", "policy", "deadline", "drift"] {
        assert_eq!(after[0][field], before[0][field], "{field}");
    }
    for direction in ["inbound", "outbound"] {
        for field in ["mode", "hook", "attach_mode"] {
            assert_eq!(after[0][direction][field], before[0][direction][field], "{direction} {field}");
        }
    }
    // Again, on a host that runs: what is in force is left alone.
    let since = after[0]["applied"].clone();
    assert!(machine.run(&["boot"]).expect_code(0).stderr.contains("already protected"));
    assert_eq!(machine.interfaces()[0]["applied"], since);
}

#[test]
fn the_policy_in_force_stays_whichever_host_of_an_estate_the_saved_one_is_for() {
    let machine = Machine::new();
    let of = |host: &str| format!("estate: reference\nhost: {host}\n{SITE}");
    machine.apply(&of("cuc1"), &[]);
    let saved = machine.folder.join("saved");
    let copy = |from: &Path, to: &Path| {
        fs::create_dir_all(to).expect("the folder can be made");
        for path in entries(from).into_iter().filter(|path| path.is_file()) {
            fs::copy(&path, to.join(path.file_name().expect("a file has a name"))).expect("it can be copied");
        }
    };
    copy(&machine.folder, &saved);
    machine.apply(&of("cuc2"), &["--replace"]);
    copy(&saved, &machine.folder);
    let ran = machine.run(&["boot"]).expect_code(0);
    assert!(ran.stderr.contains("already protected"), "{}", ran.stderr);
    assert_eq!(machine.interfaces()[0]["host"], "cuc2");
    // Where nothing is in force, the saved policy is, and it says whose it is.
    machine.reboot();
    machine.run(&["boot"]).expect_code(0);
    assert_eq!(machine.interfaces()[0]["host"], "cuc1");
}

#[test]
fn a_host_with_a_broken_site_file_boots_protected() {
    let machine = Machine::new();
    let site = machine.apply(SITE, &["--mode", "enforce"]);
    machine.reboot();
    fs::write(&site, "interfaces: [").expect("the folder is there");
    machine.run(&["apply", site.to_str().expect("plain")]).expect_code(2);
    machine.run(&["boot"]).expect_code(0);
    assert_eq!(machine.interfaces()[0]["inbound"]["mode"], "enforce");
}

#[test]
fn what_was_not_confirmed_does_not_boot() {
    let machine = Machine::new();
    machine.apply(SITE, &["--mode", "enforce", "--confirm-within", "1h"]);
    machine.reboot();
    let ran = machine.run(&["boot"]).expect_code(0);
    assert!(ran.stderr.contains("nothing to protect"), "{}", ran.stderr);
    assert!(ran.stderr.contains("was not confirmed before the machine went down"), "{}", ran.stderr);
    assert_eq!(machine.interfaces(), Vec::<Value>::new());
    // Said once: it is forgotten.
    let ran = machine.run(&["boot"]).expect_code(0);
    assert!(!ran.stderr.contains("went down"), "{}", ran.stderr);

    machine.apply(SITE, &[]);
    let good = machine.interfaces()[0]["policy_hash"].clone();
    let other = "interfaces: [IF]\nroles: [finesse]\n";
    machine.apply(other, &["--mode", "enforce", "--confirm-within", "1h"]);
    assert_ne!(machine.interfaces()[0]["policy_hash"], good);
    machine.reboot();
    let ran = machine.run(&["boot"]).expect_code(0);
    assert!(ran.stderr.contains("what was confirmed last counts"), "{}", ran.stderr);
    let booted = &machine.interfaces()[0];
    assert_eq!((&booted["policy_hash"], &booted["inbound"]["mode"]), (&good, &"audit".into()));

    // Confirmed, it does.
    machine.apply(other, &["--mode", "enforce", "--confirm-within", "1h"]);
    machine.run(&["confirm"]).expect_code(0);
    machine.reboot();
    machine.run(&["boot"]).expect_code(0);
    let booted = &machine.interfaces()[0];
    assert_ne!(booted["policy_hash"], good);
    assert_eq!(booted["inbound"]["mode"], "enforce");
}

#[test]
fn what_was_detached_does_not_boot() {
    let machine = Machine::new();
    machine.apply(SITE, &["--mode", "enforce"]);
    machine.run(&["detach"]).expect_code(0);
    assert!(machine.run(&["boot"]).expect_code(0).stderr.contains("nothing to protect"));
}

#[test]
fn an_interface_that_appears_late_is_waited_for_and_does_not_hold_up_the_others() {
    let machine = Machine::new();
    let (late, peer) = (another_interface(), another_interface());
    let make = format!("link add {late} type veth peer name {peer}\n");
    machine.cable.host.batch(&make);
    machine.apply(&format!("interfaces: [IF, {late}]\nroles: [unity-connection]\n"), &["--mode", "enforce"]);
    machine.reboot_with(&[&late]);
    machine.cable.host.batch(&format!("link del {late}\n"));

    let ran = machine.run(&["boot"]).expect_code(1);
    assert!(ran.stderr.contains(&format!("not protected: {late}")), "{}", ran.stderr);
    assert_eq!(machine.interfaces().len(), 1, "the other one is");

    let mut line = machine.cable.host.command(binary());
    line.args(["boot", "--wait", "60s"]).env("ENFORCER_STATE_DIR", &machine.folder);
    line.stderr(std::process::Stdio::null());
    let mut waiting = line.spawn().expect("the binary starts");
    machine.cable.host.batch(&make);
    wait_for(&2, || machine.interfaces().len());
    assert!(waiting.wait().expect("it ends").success());
    assert!(machine.interfaces().iter().all(|one| one["inbound"]["mode"] == "enforce"));
}

#[test]
fn a_file_that_holds_no_policy_is_named_and_the_rest_boots() {
    let machine = Machine::new();
    machine.apply(SITE, &["--mode", "enforce"]);
    machine.reboot();
    fs::write(machine.folder.join("eth9.json"), "{").expect("the folder is there");
    let ran = machine.run(&["boot"]).expect_code(1);
    assert!(ran.stderr.contains("eth9.json"), "{}", ran.stderr);
    assert_eq!(machine.interfaces()[0]["inbound"]["mode"], "enforce");
}

#[test]
fn a_pattern_protects_what_is_there_and_says_so() {
    let machine = Machine::new();
    // All but the last character of the name, so that nobody else's interface fits.
    let near = &machine.cable.near.interface;
    let pattern = format!("{}?", &near[..near.len() - 1]);
    let site = format!("interfaces: ['{pattern}', 'nothing*']\nroles: [unity-connection]\n");
    let ran = machine.run_with_input(&["apply", "-", "--mode", "enforce"], &site).expect_code(0);
    assert!(ran.stderr.contains(&format!("the patterns match these interfaces now: {near}")), "{}", ran.stderr);
    assert!(ran.stderr.contains("no interface matches nothing*"), "{}", ran.stderr);
    machine.reboot();
    machine.run(&["boot"]).expect_code(0);
    assert_eq!(machine.interfaces()[0]["inbound"]["mode"], "enforce");
    let site = "interfaces: ['nothing*']\nroles: [unity-connection]\n";
    assert!(machine.run_with_input(&["apply", "-"], site).expect_code(2).stderr.contains("nothing*"));
}
