//! Applying, and applying again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::slice::from_ref;

use aya::programs::ProgramInfo;
use enforcer_common::layout::LAYOUT_VERSION;
use harness::bpf;
use harness::enforcer::{Protected, command, enforcer};
use harness::netns::Cable;
use harness::packet::Packet;
use harness::program::Outcome;
use serde_json::Value;

use super::failure::Two;
use super::picture::Picture;
use super::{ENFORCE, has_xdp, wait_for};

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

/// What the verifier walks through is most of the time that an `apply` takes. Where ways meet that differ in a number alone, it
/// follows each, unless the number is blurred: without that it walked through a quarter of a million instructions.
#[test]
fn the_verifier_is_soon_through() {
    const MOST: u32 = 150_000;
    let site = "interfaces: [IF]\nroles: [unity-connection]\noutbound: role\n";
    let protected = Protected::apply_site(Cable::new(), site, &["--hook", "tc"]);
    for program in ["inbound", "outbound"] {
        let pin = protected.pin().with_file_name(format!("v{LAYOUT_VERSION}/g1/{program}"));
        let info = ProgramInfo::from_pin(&pin).expect("the program is pinned");
        match info.verified_instruction_count() {
            Some(walked) => assert!((1000..MOST).contains(&walked), "{program}: {walked} instructions"),
            None => eprintln!("skipped: {program}: this kernel does not say what its verifier did (Linux 5.16 does)"),
        }
    }
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

#[test]
fn applying_twice_leaves_as_much_as_applying_once() {
    let protected = Protected::apply(ENFORCE);
    let near = &protected.cable.near.interface;
    // What a number of the generation is part of, without it.
    let pins = || Picture::of(&protected.cable.host, &[near]).pins;
    let plain = |path: &Path| path.to_string_lossy().split("/g").next().unwrap_or_default().to_owned();
    let first = pins();
    protected.apply_again(ENFORCE);
    let second = pins();
    let names = |pins: &BTreeMap<PathBuf, u32>| pins.keys().map(|path| plain(path)).collect::<Vec<_>>();
    assert_eq!(names(&first), names(&second));
    for (path, number) in &first {
        let is_kept = second.get(path) == Some(number);
        let is_public = path.ends_with("inbound") || path.ends_with("outbound");
        let is_replaced = path.to_string_lossy().contains("/g") || is_public;
        assert_ne!(is_kept, is_replaced, "{}", path.display());
        // The kernel frees what nobody holds after a grace period.
        if is_public {
            wait_for(&false, || bpf::program_by_id(*number).is_ok());
        }
    }
}

#[test]
fn three_capabilities_are_enough() {
    let cable = Cable::new();
    let mut line = vec!["apply", "--interface", &cable.near.interface];
    line.extend(ENFORCE);
    for line in [&line[..], &line, &["status"], &["counters"], &["mode", "audit"], &["detach"]] {
        let mut command = command(&cable.host, line);
        // SAFETY: between fork and exec only `prctl` is called, which is a system call and allocates nothing.
        unsafe { command.pre_exec(keep_three_capabilities) };
        let output = command.output().expect("it starts");
        assert_eq!(output.status.code(), Some(0), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!has_xdp(&cable));
}

/// After the next exec, uid 0 has what its bounding set holds (capabilities(7)).
fn keep_three_capabilities() -> io::Result<()> {
    // CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF
    const KEPT: [libc::c_ulong; 3] = [12, 38, 39];
    for capability in (0..64).filter(|one| !KEPT.contains(one)) {
        // Beyond the last one that this kernel knows it fails.
        // SAFETY: no pointers.
        let _ = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
    Ok(())
}

#[test]
fn what_interfaces_share_is_shown_and_counted_once() {
    let two = Two::new();
    let mut line = vec!["apply", "--interface", &two.names[0], "--interface", &two.names[1]];
    line.extend(ENFORCE);
    let ran = enforcer(two.host(), &line).expect_code(0);
    assert_eq!(ran.stderr.matches("maps take").count(), 1, "{}", ran.stderr);
    let ran = enforcer(two.host(), &["status"]).expect_code(0);
    for once in ["maps take", "flows: 0 IPv4"] {
        assert_eq!(ran.stdout.matches(once).count(), 1, "{}", ran.stdout);
    }
    let json = enforcer(two.host(), &["status", "--format", "json"]).expect_code(0).json();
    let of = |one: &Value, field: &str| one["memory"][field].as_u64().expect("bytes");
    let each = json["interfaces"].as_array().expect("a list");
    let (first, second, all) = (&each[0], &each[1], &json["all"]);
    assert_eq!((of(first, "flows"), of(second, "flows")), (of(all, "flows"), of(all, "flows")), "one table");
    assert_eq!(of(first, "counters") + of(second, "counters"), of(all, "counters"), "counters are their own");
    assert_eq!(of(all, "total"), of(first, "total") + of(second, "counters"), "{json}");
}

#[test]
fn an_apply_over_another_sites_policy_says_what_it_replaces() {
    let protected = Protected { cable: Cable::new() };
    let near = protected.cable.near.interface.clone();
    let folder = std::env::temp_dir().join(format!("enforcer-other-site-{near}"));
    fs::create_dir_all(&folder).expect("the folder can be made");
    let file = |name: &str, role: &str| {
        let path = folder.join(name);
        fs::write(&path, format!("interfaces: [{near}]\nroles: [{role}]\n")).expect("the folder is there");
        path.to_str().expect("plain").to_owned()
    };
    let (first, second) = (file("a.yaml", "unity-connection"), file("b.yaml", "finesse"));
    let ran = protected.run(&["apply", &first]).expect_code(0);
    assert!(!ran.stderr.contains("replace"), "{}", ran.stderr);
    let ran = protected.run(&["apply", &first]).expect_code(0);
    assert!(!ran.stderr.contains("replace"), "the same again: {}", ran.stderr);
    // Finesse includes the ports of a CTI server.
    let text = format!(
        "the policy of {first} (roles: unity-connection) with that of {second} (roles: cce-cti-server, finesse)"
    );
    let ran = protected.run(&["apply", &second, "--dry-run"]).expect_code(0);
    assert!(ran.stderr.contains(&format!("{near}: would replace {text}")), "{}", ran.stderr);
    let ran = protected.run(&["apply", &second]).expect_code(0);
    assert!(ran.stderr.contains(&format!("{near}: replaced {text}")), "{}", ran.stderr);
    let _ = fs::remove_dir_all(&folder);
}
