//! Whatever fails in an `apply`, all interfaces have what they had before.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use enforcer_common::layout::LAYOUT_VERSION;
use harness::calls::{CHANGING, Call, Then, watch};
use harness::enforcer::{Protected, Ran, command, enforcer, enforcer_with_environment};
use harness::foreign::ForeignXdp;
use harness::machine::tc_attach_mode;
use harness::netns::{Cable, Namespace, silence};
use harness::skip::say;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::resource::{Resource, setrlimit};

use super::picture::Picture;
use super::upgrade::as_by_another_version;

/// Set it to let every single call fail, not a choice of them.
const ALL: &str = "ENFORCER_TESTS_ALL_CALLS";
// Commands of bpf(2).
const PROG_LOAD: u64 = 5;
const LINK_CREATE: u64 = 28;
pub(super) const LINK_UPDATE: u64 = 29;

/// Two interfaces of one namespace.
pub(super) struct Two {
    protected: Protected,
    pub(super) names: [String; 2],
}

impl Two {
    pub(super) fn new() -> Self {
        let protected = Protected { cable: Cable::quiet() };
        let near = protected.cable.near.interface.clone();
        let (second, peer) = (format!("{near}x"), format!("{near}y"));
        let host = &protected.cable.host;
        host.batch(&format!("link add {second} type veth peer name {peer}\n"));
        host.run(|| [&second, &peer].map(|name| silence(name)));
        host.batch(&format!("link set {second} addrgenmode none up\nlink set {peer} addrgenmode none up\n"));
        Self { protected, names: [near, second] }
    }

    pub(super) fn host(&self) -> &Namespace {
        &self.protected.cable.host
    }

    pub(super) fn picture(&self) -> Picture {
        Picture::of(self.host(), &[&self.names[0], &self.names[1]])
    }

    fn line<'a>(&'a self, policy: &[&'a str]) -> Vec<&'a str> {
        let mut line = vec!["apply", "--interface", &self.names[0], "--interface", &self.names[1]];
        line.extend(policy);
        line
    }

    /// Applies a policy to some of them.
    #[track_caller]
    pub(super) fn apply_to(&self, which: &[usize], policy: &[&str]) {
        let mut line = vec!["apply"];
        line.extend(which.iter().flat_map(|number| ["--interface", self.names[*number].as_str()]));
        line.extend(policy);
        enforcer(self.host(), &line).expect_code(0);
    }

    #[track_caller]
    pub(super) fn apply(&self, policy: &[&str]) {
        enforcer(self.host(), &self.line(policy)).expect_code(0);
    }

    pub(super) fn try_apply(&self, policy: &[&str], decide: impl FnMut(&Call) -> Then) -> Ran {
        watch(&mut command(self.host(), &self.line(policy)), CHANGING, decide)
    }

    fn detach(&self) {
        enforcer(self.host(), &["detach"]).expect_code(0);
    }
}

impl Drop for Two {
    fn drop(&mut self) {
        let _ = enforcer(self.host(), &["detach"]);
    }
}

/// Lets one call after the other fail, with this error number. `put_back` makes what is to be kept.
#[track_caller]
fn fail_everywhere(two: &Two, error: i32, put_back: impl Fn(), policy: &[&str]) {
    put_back();
    let mut calls = Vec::new();
    let note = |call: &Call| {
        calls.push(*call);
        Then::GoOn
    };
    two.try_apply(policy, note).expect_code(0);
    put_back();
    let mut before = two.picture();
    let (mut failed, mut done) = (0, 0);
    for number in chosen(&calls) {
        let mut count = 0;
        let ran = two.try_apply(policy, |_| {
            count += 1;
            if count == number + 1 { Then::Fail(error) } else { Then::GoOn }
        });
        if ran.code == Some(0) {
            // Feature probes of the library, and what is removed last, may fail.
            done += 1;
            put_back();
            before = two.picture();
            continue;
        }
        failed += 1;
        let when = format!("call {number} of {} failed: {:x?}\n{}", calls.len(), calls[number], ran.stderr);
        two.picture().expect(&before, &when);
    }
    say(&format!("of {} calls, {failed} failed and changed nothing, {done} did not matter", calls.len()));
    assert!(failed >= 5, "calls that matter were found");
}

pub(super) fn is_bpf(call: &Call, commands: &[u64]) -> bool {
    call.number == libc::SYS_bpf && commands.contains(&call.arguments[0])
}

/// Calls to fail: of those before the last program is loaded a few, of those that put the policy in force more, all if asked.
fn chosen(calls: &[Call]) -> Vec<usize> {
    // BPF_MAP_LOOKUP_ELEM, BPF_MAP_GET_NEXT_KEY, BPF_OBJ_GET, BPF_OBJ_GET_INFO_BY_FD
    const READS: [u64; 4] = [1, 4, 7, 15];
    if env::var_os(ALL).is_some() {
        return (0..calls.len()).collect();
    }
    let loaded = calls.iter().rposition(|call| is_bpf(call, &[PROG_LOAD])).expect("programs are loaded");
    let early = (0..loaded).step_by(loaded / 4);
    let late = (loaded..calls.len()).filter(|number| !is_bpf(&calls[*number], &READS));
    early.chain(late.step_by(6)).collect()
}

pub(super) const NATIVE: &[&str] = &["--role", "unity-connection", "--mode", "enforce", "--hook", "native"];
pub(super) const OTHER: &[&str] = &["--role", "finesse", "--mode", "audit", "--hook", "native"];

#[test]
fn a_takeover_from_another_version_that_fails_at_any_call_changes_nothing() {
    for hook in ["native", "clsact"] {
        let two = Two::new();
        let policy = ["--role", "finesse", "--mode", "enforce", "--hook", hook];
        let by_another_version = || {
            two.detach();
            two.apply(&policy);
            as_by_another_version(two.host(), &two.names);
        };
        fail_everywhere(&two, libc::ENOMEM, by_another_version, &policy);
    }
}

#[test]
fn a_change_of_policy_that_fails_at_any_call_changes_nothing() {
    let two = Two::new();
    two.apply(NATIVE);
    fail_everywhere(&two, libc::ENOMEM, || two.apply(NATIVE), OTHER);
}

#[test]
fn a_change_that_is_to_be_confirmed_and_fails_at_any_call_changes_nothing() {
    let two = Two::new();
    two.apply(NATIVE);
    let policy: Vec<&str> = OTHER.iter().copied().chain(["--confirm-within", "1h"]).collect();
    fail_everywhere(&two, libc::ENOMEM, || two.apply(NATIVE), &policy);
}

#[test]
fn a_change_of_hooks_that_fails_at_any_call_changes_nothing() {
    let two = Two::new();
    fail_everywhere(
        &two,
        libc::EPERM,
        || {
            two.detach();
            two.apply(NATIVE);
        },
        &["--role", "finesse", "--mode", "audit", "--hook", "clsact"],
    );
}

#[test]
fn a_first_apply_that_fails_at_any_call_leaves_nothing() {
    let two = Two::new();
    fail_everywhere(&two, libc::ENOSPC, || drop(enforcer(two.host(), &["detach"])), NATIVE);
}

#[test]
fn when_the_kernel_gives_no_more_maps_nothing_changes() {
    let two = Two::new();
    two.apply(NATIVE);
    let before = two.picture();
    let mut said = String::new();
    for limit in [12, 20, 26, 32] {
        let mut command = command(two.host(), &two.line(OTHER));
        let lower = move || setrlimit(Resource::RLIMIT_NOFILE, limit, limit).map_err(io::Error::from);
        // SAFETY: between fork and exec only `setrlimit` is called, which is a system call and allocates nothing.
        unsafe { command.pre_exec(lower) };
        let output = command.output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "with {limit} descriptors: {text}");
        two.picture().expect(&before, &format!("with {limit} descriptors: {text}"));
        said += &text;
    }
    assert!(said.contains("Too many open files"), "{said}");
}

#[test]
fn when_the_verifier_refuses_a_program_of_the_second_interface_nothing_changes() {
    let two = Two::new();
    two.apply(NATIVE);
    let before = two.picture();
    let mut programs = 0;
    let ran = two.try_apply(OTHER, |call| {
        if is_bpf(call, &[PROG_LOAD]) && is_large(call) {
            programs += 1;
            // Two programs for each interface.
            if programs >= 3 {
                garble(call);
            }
        }
        Then::GoOn
    });
    assert_ne!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("refused the program"), "{}", ran.stderr);
    assert!(ran.stderr.contains("opcode"), "the reason of the verifier is told: {}", ran.stderr);
    two.picture().expect(&before, &ran.stderr);
}

/// Reads or writes the memory of the process that is about to make a call.
fn memory(call: &Call) -> fs::File {
    let path = format!("/proc/{}/mem", call.thread);
    fs::OpenOptions::new().read(true).write(true).open(path).expect("root may look into a process")
}

/// `insn_cnt` of `union bpf_attr`: whether it is one of our programs, and not a probe of the library.
fn is_large(call: &Call) -> bool {
    let mut count = [0; 4];
    memory(call).read_exact_at(&mut count, call.arguments[1] + 4).expect("the attributes are there");
    u32::from_ne_bytes(count) > 500
}

/// Makes the first instruction one that there is not.
fn garble(call: &Call) {
    let memory = memory(call);
    let mut instructions = [0; 8];
    memory.read_exact_at(&mut instructions, call.arguments[1] + 8).expect("the attributes are there");
    memory.write_all_at(&[0xff], u64::from_ne_bytes(instructions)).expect("the instructions are in memory of its own");
}

#[test]
fn when_the_disk_is_full_nothing_changes() {
    let two = Two::new();
    let disk = SmallDisk::new();
    let folder = disk.0.to_string_lossy().into_owned();
    let state = [("ENFORCER_STATE_DIR", folder.as_str())];
    enforcer_with_environment(two.host(), &two.line(NATIVE), &state).expect_code(0);
    let before = (two.picture(), disk.files());
    // Room for what is kept of one interface, not of both.
    disk.fill_but_one_page();
    let ran = enforcer_with_environment(two.host(), &two.line(OTHER), &state);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
    fs::remove_file(disk.0.join("filler")).expect("it is ours");
    two.picture().expect(&before.0, &ran.stderr);
    assert_eq!(disk.files(), before.1);
    enforcer_with_environment(two.host(), &["detach"], &state).expect_code(0);
}

/// A file system of a few pages.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new() -> Self {
        let path = env::temp_dir().join(format!("enforcer-disk-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder can be made");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some("size=64k,mode=700"))
            .expect("root can mount");
        Self(path)
    }

    fn fill_but_one_page(&self) {
        let mut filler = fs::File::create(self.0.join("filler")).expect("an entry takes no room");
        while filler.write_all(&[0; 4096]).is_ok() {}
        let length = filler.metadata().expect("it is open").len();
        filler.set_len(length - 4096).expect("it is cut");
    }

    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(&self.0).expect("it is mounted").flatten();
        let mut files: Vec<_> = entries.map(|entry| (entry.path(), fs::read(entry.path()).expect("a file"))).collect();
        files.sort();
        files
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn when_an_interface_vanishes_the_other_one_keeps_what_it_had() {
    let updates = (1..=links_of_two() - 1).map(|number| (number, LINK_UPDATE));
    for (number, command) in updates.chain([(1, PROG_LOAD)]) {
        let two = Two::new();
        two.apply(NATIVE);
        let first = || Picture::of(two.host(), &[&two.names[0]]);
        let before = first();
        let ran = two.try_apply(OTHER, delete_at(&two, number, command));
        assert_ne!(ran.code, Some(0), "{}", ran.stderr);
        first().expect(&before, &ran.stderr);
        let ran = enforcer(two.host(), &["detach"]).expect_code(0);
        assert!(ran.stderr.contains(&two.names[1]), "{}", ran.stderr);
    }
}

#[test]
fn when_an_interface_vanishes_in_the_first_apply_nothing_is_left() {
    for number in 2..=links_of_two() {
        let two = Two::new();
        let before = two.picture();
        let ran = two.try_apply(NATIVE, delete_at(&two, number, LINK_CREATE));
        assert_ne!(ran.code, Some(0), "{}", ran.stderr);
        let now = two.picture();
        assert_eq!((&now.pins, &now.kept), (&before.pins, &before.kept), "{}", ran.stderr);
        let root = Path::new("/sys/fs/bpf/enforcer");
        assert!(!two.names.iter().any(|name| root.join(name).exists()), "{}", ran.stderr);
    }
}

/// Links of two interfaces at native XDP. What leaves is judged by a filter where there is no TCX.
pub(super) fn links_of_two() -> usize {
    if tc_attach_mode() == "tcx" { 4 } else { 2 }
}

/// Deletes the second interface just before this call of a kind.
fn delete_at(two: &Two, number: usize, bpf_command: u64) -> impl FnMut(&Call) -> Then {
    let mut count = 0;
    move |call| {
        count += usize::from(is_bpf(call, &[bpf_command]));
        if count == number && is_bpf(call, &[bpf_command]) {
            two.host().batch(&format!("link delete {}\n", two.names[1]));
        }
        Then::GoOn
    }
}

#[test]
fn a_hook_that_was_lost_to_somebody_else_is_found_after_the_first_interface_was_switched() {
    let two = Two::new();
    two.apply(NATIVE);
    fs::remove_file(
        Path::new("/sys/fs/bpf/enforcer").join(&two.names[1]).join(format!("v{LAYOUT_VERSION}/link_inbound")),
    )
    .expect("the link is pinned");
    let foreign = ForeignXdp::attach(two.host(), &two.names[1]);
    let before = two.picture();
    let ran = enforcer(two.host(), &two.line(OTHER)).expect_code(4);
    assert!(ran.stderr.contains(&two.names[1]), "{}", ran.stderr);
    two.picture().expect(&before, &ran.stderr);
    drop(foreign);
}
