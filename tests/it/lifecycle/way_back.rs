//! The kernel's own way back: past the deadline of a change that nobody has confirmed, the policy that was confirmed last judges, with every
//! process of ours killed.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use aya::programs::ProgramInfo;
use enforcer_common::layout::LAYOUT_VERSION;
use harness::bpf;
use harness::calls::{CHANGING, Then, watch};
use harness::enforcer::{Protected, command};
use harness::machine::{patience, tc_attach_mode};
use harness::netns::Cable;
use harness::packet::Packet;
use harness::program::Outcome;
use harness::skip::skip;
use harness::sockets::{Reply, Servers};
use serde_json::Value;

use super::deadline::{ask, kept, kill_restorers};
use super::failure::{LINK_UPDATE, Two, is_bpf};
use super::picture::on_hooks;
use super::upgrade::as_by_another_version;
use super::{REFUSED_PORT, pins_of, sentences, status, wait_for};

/// Ports that both policies permit.
const BOTH: u16 = 443;
const BOTH_UDP: u16 = 5060;
/// A port that only the unconfirmed policy permits.
const NEW: u16 = 1502;
const HOOKS: [&str; 4] = ["native", "generic", "tc", "clsact"];

fn confirmed(hook: &str) -> Vec<&str> {
    vec!["--role", "unity-connection", "--mode", "enforce", "--hook", hook]
}

fn unconfirmed<'a>(hook: &'a str, within: &'a str) -> Vec<&'a str> {
    let mut line = confirmed(hook);
    line.extend(["--peer", "cluster=198.18.0.2", "--confirm-within", within]);
    line
}

/// Applies a change over what is in force, and kills every process of ours while it waits, with more time on a busy machine.
#[track_caller]
fn let_it_wait(protected: &Protected, change: impl Fn(&str)) {
    for seconds in [4, 16, 64].map(|seconds| seconds * patience()) {
        change(&format!("{seconds}s"));
        if kill_restorers(protected) > 0 && status(protected).1["deadline"].is_string() {
            return;
        }
    }
    panic!("this machine is too busy to kill a process within a minute");
}

#[track_caller]
fn wait_for_the_kernel(protected: &Protected) {
    wait_for(&"last-confirmed".into(), || status(protected).1["judges"].clone());
}

fn folder(protected: &Protected, generation: &str) -> PathBuf {
    let near = &protected.cable.near.interface;
    Path::new("/sys/fs/bpf/enforcer").join(near).join(format!("v{LAYOUT_VERSION}/{generation}"))
}

#[track_caller]
fn id(pin: &Path) -> u32 {
    ProgramInfo::from_pin(pin).unwrap_or_else(|error| panic!("{}: {error}", pin.display())).id()
}

/// Everything on the hooks, in one text.
fn hooks(protected: &Protected) -> String {
    on_hooks(&protected.cable.host, &protected.cable.near.interface).join("\n")
}

/// Whether the kernel shows this program on a hook.
fn is_on_hook(protected: &Protected, program: u32) -> bool {
    let text = hooks(protected);
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    words.windows(2).any(|two| two[0] == "id" && two[1] == program.to_string())
}

/// Sends datagrams to a port that both policies permit and to one that neither permits, for as long as a change lasts.
struct Stream<'a> {
    cable: &'a Cable,
    stop: AtomicBool,
}

impl Stream<'_> {
    /// Datagrams sent to each of the two ports.
    fn send(&self) -> u64 {
        let socket = self.cable.remote.run(|| UdpSocket::bind((self.cable.far.v4, 0)).expect("a port is free"));
        let mut sent = 0;
        while !self.stop.load(Ordering::Relaxed) {
            for port in [BOTH_UDP, REFUSED_PORT] {
                socket.send_to(b"one", (self.cable.near.v4, port)).expect("it is sent");
            }
            sent += 1;
            thread::sleep(Duration::from_millis(1));
        }
        // The last of them is on its way.
        thread::sleep(Duration::from_millis(100));
        sent
    }
}

fn received(socket: &UdpSocket) -> u64 {
    socket.set_nonblocking(true).expect("it can");
    let mut count = 0;
    while socket.recv(&mut [0; 16]).is_ok() {
        count += 1;
    }
    count
}

#[test]
fn past_the_deadline_the_kernel_alone_judges_by_the_policy_before_and_loses_and_adds_no_packet() {
    for hook in HOOKS {
        let protected = Protected::apply(&confirmed(hook));
        let cable = &protected.cable;
        let _servers = Servers::start(&cable.host, &[BOTH, NEW, REFUSED_PORT], &[]);
        let [permitted, refused] = [BOTH_UDP, REFUSED_PORT].map(|port| {
            let socket = cable.host.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the port is free"));
            nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBufForce, &(64 << 20))
                .expect("root may");
            socket
        });
        let good = status(&protected).1["policy_hash"].clone();
        let before = protected.counters();
        let stream = Stream { cable, stop: AtomicBool::new(false) };
        let sent = thread::scope(|scope| {
            let sent = scope.spawn(|| stream.send());
            let_it_wait(&protected, |within| drop(protected.apply_again(&unconfirmed(hook, within))));
            let (code, json) = status(&protected);
            assert_eq!(
                (code, &json["judges"], &json["at_deadline"]),
                (Some(0), &"unconfirmed".into(), &"last-confirmed".into())
            );
            assert_eq!((&json["last_confirmed"], json["policy_hash"] != good), (&good, true), "{hook}: {json}");
            let answers = [BOTH, NEW, REFUSED_PORT].map(|port| ask(cable, port));
            assert_eq!(answers, [Reply::Answered, Reply::Answered, Reply::Silence], "{hook}: the new policy judges");
            wait_for_the_kernel(&protected);
            let answers = [BOTH, NEW, REFUSED_PORT].map(|port| ask(cable, port));
            assert_eq!(answers, [Reply::Answered, Reply::Silence, Reply::Silence], "{hook}: the policy before judges");
            stream.stop.store(true, Ordering::Relaxed);
            sent.join().expect("it sends")
        });
        let (code, json) = status(&protected);
        assert_eq!(
            (code, &json["policy_hash"], &json["inbound"]["mode"]),
            (Some(0), &good, &"enforce".into()),
            "{json}"
        );
        assert!(sentences(&json, "notes").contains("the kernel judges by the last confirmed policy"), "{json}");
        assert_eq!((received(&permitted), received(&refused)), (sent, 0), "{hook}: what arrived");
        let counted = protected.counters().since(&before);
        assert_eq!(counted.of_name("inbound rule unity-connection/sip"), sent, "{hook}: {counted:?}");
        // Three connections were tried, each by several packets.
        let silent = counted.of_name("inbound reason no-rule drop");
        assert!(silent >= sent && silent < sent + 50, "{hook}: {silent} of {sent} dropped");
        assert_eq!(counted.of_name("inbound verdict would_drop"), 0, "{hook}: {counted:?}");

        // What the next command does changes nothing about who judges, and takes the dispatcher away.
        let ran = protected.run(&["save"]).expect_code(0);
        assert!(ran.stderr.contains("was not confirmed by"), "{}", ran.stderr);
        let (code, json) = status(&protected);
        assert_eq!((code, &json["judges"], &json["policy_hash"]), (Some(0), &"applied".into(), &good), "{json}");
        assert!(is_on_hook(&protected, id(&folder(&protected, "g1/inbound"))), "{hook}: {}", hooks(&protected));
        assert_eq!([NEW, REFUSED_PORT].map(|port| ask(cable, port)), [Reply::Silence; 2], "{hook}");
    }
}

#[test]
fn a_confirmed_change_is_on_the_hook_itself_and_nothing_is_left_of_the_dispatcher() {
    for hook in HOOKS {
        let protected = Protected::apply(&confirmed(hook));
        protected.apply_again(&unconfirmed(hook, "1h"));
        let direct = ["inbound", "outbound"].map(|name| id(&folder(&protected, "g2").join(name)));
        let waiting = ["inbound", "outbound"].map(|name| id(&folder(&protected, "g2").join(format!("pending_{name}"))));
        let public = || [protected.pin(), protected.pin().with_file_name("outbound")].map(|pin| id(&pin));
        assert_eq!(public(), waiting, "{hook}: while it waits, the public pins are the dispatchers");
        assert!(waiting.iter().all(|program| is_on_hook(&protected, *program)), "{hook}: {}", hooks(&protected));
        protected.run(&["confirm"]).expect_code(0);
        assert_eq!(public(), direct, "{hook}");
        assert!(direct.iter().all(|program| is_on_hook(&protected, *program)), "{hook}: {}", hooks(&protected));
        assert!(!waiting.iter().any(|program| is_on_hook(&protected, *program)), "{hook}: {}", hooks(&protected));
        let mut left: Vec<String> = fs::read_dir(folder(&protected, "g2"))
            .expect("it is in force")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, ["CLAIMS", "CONTROL", "inbound", "outbound"], "{hook}");
        assert!(!folder(&protected, "g1").exists(), "{hook}: nothing goes back any more");
        let (code, json) = status(&protected);
        assert_eq!((code, &json["judges"], &json["at_deadline"]), (Some(0), &"applied".into(), &Value::Null), "{json}");
        assert!(kept(&protected));
    }
}

#[test]
fn the_policy_before_comes_back_in_its_own_mode_whatever_the_mode_of_the_change() {
    let protected = Protected::apply(&confirmed("tc"));
    let cable = &protected.cable;
    let _servers = Servers::start(&cable.host, &[BOTH, REFUSED_PORT], &[]);
    let_it_wait(&protected, |within| {
        let line = ["--role", "unity-connection", "--mode", "audit", "--hook", "tc", "--confirm-within", within];
        protected.apply_again(&line);
    });
    assert_eq!(ask(cable, REFUSED_PORT), Reply::Answered, "the change is in audit");
    wait_for_the_kernel(&protected);
    assert_eq!([BOTH, REFUSED_PORT].map(|port| ask(cable, port)), [Reply::Answered, Reply::Silence]);
    assert_eq!(status(&protected).1["inbound"]["mode"], "enforce");
    protected.run(&["save"]).expect_code(0);
    // The other way round: what was in audit drops nothing.
    protected.mode("audit");
    let_it_wait(&protected, |within| drop(protected.apply_again(&unconfirmed("tc", within))));
    assert_eq!(ask(cable, REFUSED_PORT), Reply::Silence);
    wait_for_the_kernel(&protected);
    assert_eq!(
        (ask(cable, REFUSED_PORT), &status(&protected).1["inbound"]["mode"]),
        (Reply::Answered, &"audit".into())
    );
}

#[test]
fn a_mode_that_was_not_confirmed_either_does_not_come_back() {
    let protected = Protected::apply(&["--role", "unity-connection", "--mode", "audit", "--hook", "tc"]);
    let cable = &protected.cable;
    let _servers = Servers::start(&cable.host, &[NEW, REFUSED_PORT], &[]);
    // The mode alone, then a policy over it: both wait, and what was confirmed is audit.
    protected.run(&["mode", "enforce", "--confirm-within", "1h"]).expect_code(0);
    assert_eq!(ask(cable, REFUSED_PORT), Reply::Silence);
    let_it_wait(&protected, |within| drop(protected.apply_again(&unconfirmed("tc", within))));
    assert_eq!([NEW, REFUSED_PORT].map(|port| ask(cable, port)), [Reply::Answered, Reply::Silence]);
    wait_for_the_kernel(&protected);
    wait_for(&Reply::Answered, || ask(cable, REFUSED_PORT));
    assert_eq!(status(&protected).1["inbound"]["mode"], "audit");
}

#[test]
fn a_second_change_keeps_what_was_confirmed_last_and_a_mode_moves_the_deadline() {
    let protected = Protected::apply(&confirmed("clsact"));
    let cable = &protected.cable;
    let _servers = Servers::start(&cable.host, &[BOTH, NEW, REFUSED_PORT], &[]);
    let good = status(&protected).1["policy_hash"].clone();
    protected.apply_again(&unconfirmed("clsact", "1h"));
    let_it_wait(&protected, |within| {
        let line = ["--role", "finesse", "--mode", "enforce", "--hook", "clsact", "--confirm-within", "1h"];
        let ran = protected.apply_again(&line);
        assert!(ran.stderr.contains("the last confirmed policy") && ran.stderr.contains("reboot"), "{}", ran.stderr);
        assert_eq!(status(&protected).1["last_confirmed"], good, "not the one that waits");
        // The new policy goes on waiting, with another deadline.
        protected.run(&["mode", "enforce", "--outbound", "--confirm-within", within]).expect_code(0);
    });
    assert_eq!(ask(cable, NEW), Reply::Silence, "finesse does not have it");
    wait_for_the_kernel(&protected);
    let (code, json) = status(&protected);
    assert_eq!((code, &json["policy_hash"]), (Some(0), &good), "{json}");
    assert_eq!(
        [BOTH, NEW, REFUSED_PORT].map(|port| ask(cable, port)),
        [Reply::Answered, Reply::Silence, Reply::Silence]
    );
    // Without a deadline it is permanent, whatever waited.
    protected.apply_again(&unconfirmed("clsact", "1h"));
    protected.apply_again(&confirmed("clsact"));
    let (code, json) = status(&protected);
    assert_eq!((code, &json["judges"], &json["last_confirmed"]), (Some(0), &"applied".into(), &Value::Null), "{json}");
    assert!(!hooks(&protected).contains("pending_"), "{}", hooks(&protected));
    // So is a mode without a deadline.
    protected.apply_again(&unconfirmed("clsact", "1h"));
    protected.mode("audit");
    assert!(!hooks(&protected).contains("pending_"), "{}", hooks(&protected));
    assert_eq!((status(&protected).0, ask(cable, REFUSED_PORT)), (Some(0), Reply::Answered));
}

#[test]
fn detach_while_a_change_waits_removes_both_policies() {
    for hook in HOOKS {
        let protected = Protected::apply(&confirmed(hook));
        let _servers = Servers::start(&protected.cable.host, &[REFUSED_PORT], &[]);
        protected.apply_again(&unconfirmed(hook, "1h"));
        let ran = protected.run(&["detach"]).expect_code(0);
        assert!(ran.stderr.contains("its deadline of"), "{}", ran.stderr);
        assert_eq!(pins_of(&protected.cable.near.interface), Vec::<PathBuf>::new(), "{hook}");
        assert!(!hooks(&protected).contains("pending_"), "{hook}: {}", hooks(&protected));
        assert_eq!(ask(&protected.cable, REFUSED_PORT), Reply::Answered, "{hook}");
    }
}

#[test]
fn where_the_kernel_cannot_go_back_apply_says_why_and_audit_remains() {
    // Nothing before.
    let protected = Protected { cable: Cable::new() };
    let ran = protected.apply_again(&unconfirmed("native", "1h"));
    assert!(ran.stderr.contains("(no confirmed policy was in force before)"), "{}", ran.stderr);
    assert_eq!(status(&protected).1["at_deadline"], "audit");
    assert!(!hooks(&protected).contains("pending_"), "{}", hooks(&protected));
    protected.run(&["confirm"]).expect_code(0);
    // Another hook.
    let ran = protected.apply_again(&unconfirmed("tc", "1h"));
    assert!(ran.stderr.contains("(the policy before is on another hook)"), "{}", ran.stderr);
    assert_eq!(status(&protected).1["at_deadline"], "audit");
    // Over that, another one on the hook of what was confirmed last.
    let ran = protected.apply_again(&unconfirmed("native", "1h"));
    assert!(!ran.stderr.contains("the policy before is on another hook"), "{}", ran.stderr);
    assert_eq!(status(&protected).1["at_deadline"], "last-confirmed");
    protected.run(&["confirm"]).expect_code(0);
    // Another layout.
    as_by_another_version(&protected.cable.host, &[&protected.cable.near.interface]);
    let ran = protected.apply_again(&unconfirmed("native", "1h"));
    assert!(ran.stderr.contains("(the policy before is of another version of enforcer)"), "{}", ran.stderr);
    assert_eq!((status(&protected).0, &status(&protected).1["at_deadline"]), (Some(0), &"audit".into()));
    protected.run(&["confirm"]).expect_code(0);
}

#[test]
fn an_interface_that_is_new_in_the_change_ends_in_audit_and_the_other_one_goes_back() {
    let two = Two::new();
    two.apply_to(&[0], &["--role", "unity-connection", "--mode", "enforce", "--hook", "tc"]);
    let within = format!("{}s", 6 * patience());
    two.apply(&["--role", "finesse", "--mode", "enforce", "--hook", "tc", "--confirm-within", &within]);
    let at_deadline = || {
        let json = harness::enforcer::enforcer(two.host(), &["status", "--format", "json"]).json();
        two.names.each_ref().map(|name| {
            let all = json["interfaces"].as_array().expect("a list");
            let one = all.iter().find(|one| one["interface"] == name.as_str()).expect("it is protected");
            [&one["at_deadline"], &one["judges"], &one["inbound"]["mode"]]
                .map(|word| word.as_str().unwrap_or("").to_owned())
        })
    };
    assert_eq!(at_deadline().map(|[first, ..]| first), ["last-confirmed", "audit"]);
    // With or without the restoring process.
    wait_for(&["enforce", "audit"].map(str::to_owned), || at_deadline().map(|[_, _, mode]| mode));
}

#[test]
fn without_the_program_that_was_confirmed_the_new_one_is_in_audit_and_without_both_nothing_passes() {
    let protected = Protected::apply(&confirmed("tc"));
    let cable = &protected.cable;
    let _servers = Servers::start(&cable.host, &[BOTH, NEW, REFUSED_PORT], &[]);
    let_it_wait(&protected, |within| drop(protected.apply_again(&unconfirmed("tc", within))));
    let generation = fs::read_dir(folder(&protected, ""))
        .expect("it is protected")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.join("pending_inbound").exists())
        .expect("a change waits");
    let ways = generation.join("ways_inbound");
    let delete = |key: &str| {
        let line = ["map", "delete", "pinned", ways.to_str().expect("plain"), "key", key, "0", "0", "0"];
        let output = cable.host.command("bpftool").args(line).output().expect("bpftool runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    delete("1");
    assert_eq!(
        [NEW, REFUSED_PORT].map(|port| ask(cable, port)),
        [Reply::Answered, Reply::Silence],
        "the new one judges"
    );
    wait_for_the_kernel(&protected);
    // A second later it is in audit.
    wait_for(&Reply::Answered, || ask(cable, REFUSED_PORT));
    delete("0");
    assert_eq!([BOTH, NEW, REFUSED_PORT].map(|port| ask(cable, port)), [Reply::Silence; 3]);
    // The next command puts the policy itself on the hook, from its pin.
    protected.run(&["save"]).expect_code(0);
    assert_eq!(
        [BOTH, NEW, REFUSED_PORT].map(|port| ask(cable, port)),
        [Reply::Answered, Reply::Silence, Reply::Silence]
    );
    assert_eq!(status(&protected).0, Some(0));
}

#[test]
fn the_dispatcher_judges_test_runs_as_the_program_that_it_stands_for() {
    for hook in HOOKS {
        let protected = Protected::apply(&confirmed(hook));
        protected.apply_again(&unconfirmed(hook, "1h"));
        let to = |port| Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, port);
        protected.expect(Outcome::Passed, "rule", &[to(BOTH), to(NEW)]);
        protected.expect(Outcome::Dropped, "no-rule", &[to(REFUSED_PORT)]);
        // The kernel empties an array whose last pin goes, and then nothing is left to judge.
        fs::remove_file(folder(&protected, "g2/ways_inbound")).expect("it is pinned");
        let program = bpf::pinned(&protected.pin()).expect("it is pinned");
        let dropped = if ["native", "generic"].contains(&hook) { 1 } else { 2 };
        // The kernel does so a moment later.
        wait_for(&dropped, || bpf::test_run(&program, &to(BOTH).build(), 1).expect("it runs").answer);
    }
}

#[test]
fn a_guest_goes_back_like_this_machine() {
    let site = "interfaces: [{name: IF, protects: guest}]\nroles: [unity-connection]\n";
    let protected = Protected::apply_site(Cable::quiet(), site, &["--mode", "enforce"]);
    let change = format!("{site}peers: {{cluster: [198.18.0.2]}}\n");
    let_it_wait(&protected, |within| {
        protected.try_site(&change, &["--mode", "enforce", "--confirm-within", within]).expect_code(0);
    });
    let to = |port| Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, port);
    assert_eq!(status(&protected).1["at_deadline"], "last-confirmed");
    protected.expect(Outcome::Passed, "rule", &[to(BOTH), to(NEW)]);
    wait_for_the_kernel(&protected);
    protected.expect(Outcome::Passed, "rule", &[to(BOTH)]);
    protected.expect(Outcome::Dropped, "peer", &[to(NEW)]);
    protected.expect(Outcome::Dropped, "no-rule", &[to(REFUSED_PORT)]);
}

/// Kills a command when it is about to make this call of those by which it changes something; the number of calls that it made.
fn killed_at(protected: &Protected, line: &[&str], at: usize) -> usize {
    let mut made = 0;
    watch(&mut command(&protected.cable.host, line), CHANGING, |call| {
        made += 1;
        if made == at {
            let id = i32::try_from(call.thread).expect("a process id");
            // SAFETY: no pointers. The process is the command that this test has started, and waits for an answer.
            assert_eq!(unsafe { libc::kill(id, libc::SIGKILL) }, 0);
        }
        Then::GoOn
    });
    made
}

#[test]
fn a_confirmation_that_is_killed_at_any_point_is_either_done_or_not() {
    let protected = Protected::apply(&confirmed("clsact"));
    let cable = &protected.cable;
    let _servers = Servers::start(&cable.host, &[NEW, REFUSED_PORT], &[]);
    protected.apply_again(&unconfirmed("clsact", "1h"));
    let calls = killed_at(&protected, &["confirm", "-q"], usize::MAX);
    let mut found = [0, 0];
    // Each takes two applies.
    for at in (1..=calls).step_by(calls.div_ceil(14)) {
        protected.apply_again(&confirmed("clsact"));
        protected.apply_again(&unconfirmed("clsact", "1h"));
        killed_at(&protected, &["confirm", "-q"], at);
        let when = format!("killed at {at} of {calls}");
        assert_eq!([NEW, REFUSED_PORT].map(|port| ask(cable, port)), [Reply::Answered, Reply::Silence], "{when}");
        let (code, json) = status(&protected);
        assert_eq!(code, Some(0), "{when}: {json}");
        let is_done = json["deadline"].is_null();
        found[usize::from(is_done)] += 1;
        protected.run(&["save", "-q"]).expect_code(0);
        assert_eq!(hooks(&protected).contains("pending_"), !is_done, "{when}: {}", hooks(&protected));
        protected.run(&["confirm", "-q"]).expect_code(0);
        assert!(!hooks(&protected).contains("pending_"), "{when}: {}", hooks(&protected));
        let (code, json) = status(&protected);
        assert_eq!((code, &json["judges"]), (Some(0), &"applied".into()), "{when}: {json}");
        let saved = super::overdue::kept_hash(&protected);
        assert_eq!(json["policy_hash"], saved, "{when}: the next boot");
    }
    assert!(found.iter().all(|count| *count > 0), "killed before and after the confirmation: {found:?}");
}

#[test]
fn an_apply_that_is_killed_at_any_point_leaves_the_policy_before_or_a_change_that_goes_back() {
    let protected = Protected::apply(&confirmed("clsact"));
    let cable = &protected.cable;
    let _servers = Servers::start(&cable.host, &[BOTH, NEW, REFUSED_PORT], &[]);
    let near = cable.near.interface.clone();
    let line = |within| {
        let mut line = vec!["apply", "--interface", &near];
        line.extend(unconfirmed("clsact", within));
        line
    };
    let calls = killed_at(&protected, &line("1h"), usize::MAX);
    let good = || status(&protected).1["policy_hash"].clone();
    protected.apply_again(&confirmed("clsact"));
    let hash = good();
    // From where the last program is loaded, there is more to see.
    let points = (1..=5).map(|part| part * calls / 10).chain((6..=18).map(|part| calls - (18 - part) * calls / 60));
    for at in points {
        let when = format!("killed at {at} of {calls}");
        killed_at(&protected, &line("1h"), at);
        let answers = [BOTH, REFUSED_PORT].map(|port| ask(cable, port));
        assert_eq!(answers, [Reply::Answered, Reply::Silence], "{when}: what neither permits is dropped");
        // The next command finds its way.
        protected.apply_again(&confirmed("clsact"));
        assert_eq!((status(&protected).0, good()), (Some(0), hash.clone()), "{when}");
        assert!(!hooks(&protected).contains("pending_"), "{when}: {}", hooks(&protected));
        assert_eq!(
            [BOTH, NEW, REFUSED_PORT].map(|port| ask(cable, port)),
            [Reply::Answered, Reply::Silence, Reply::Silence]
        );
    }
}

#[test]
fn an_apply_that_is_killed_between_the_hooks_goes_back_on_both_past_the_deadline() {
    if tc_attach_mode() != "tcx" {
        return skip("the hooks are switched by filters here, not by links");
    }
    let protected = Protected::apply(&confirmed("tc"));
    let cable = &protected.cable;
    let _servers = Servers::start(&cable.host, &[BOTH, NEW, REFUSED_PORT], &[]);
    let good = status(&protected).1["policy_hash"].clone();
    let near = cable.near.interface.clone();
    let within = format!("{}s", 12 * patience());
    let mut line = vec!["apply", "--interface", &near];
    line.extend(unconfirmed("tc", &within));
    let mut updates = 0;
    watch(&mut command(&cable.host, &line), CHANGING, |call| {
        updates += usize::from(is_bpf(call, &[LINK_UPDATE]));
        if updates == 2 {
            let id = i32::try_from(call.thread).expect("a process id");
            // SAFETY: no pointers. The process is the command that this test has started, and waits for an answer.
            assert_eq!(unsafe { libc::kill(id, libc::SIGKILL) }, 0);
        }
        Then::GoOn
    });
    kill_restorers(&protected);
    assert!(hooks(&protected).contains("pending_out_tc"), "outbound is switched first: {}", hooks(&protected));
    // Nobody can confirm half of a change.
    let ran = protected.run(&["confirm"]);
    assert!(ran.stderr.contains("was killed before it was finished"), "{}", ran.stderr);
    let answers = || [BOTH, NEW, REFUSED_PORT].map(|port| ask(cable, port));
    assert_eq!(answers(), [Reply::Answered, Reply::Silence, Reply::Silence]);
    wait_for(&Value::Null, || status(&protected).1["deadline"].clone());
    assert_eq!(answers(), [Reply::Answered, Reply::Silence, Reply::Silence]);
    protected.run(&["save"]).expect_code(0);
    let (code, json) = status(&protected);
    assert_eq!((code, &json["policy_hash"], &json["judges"]), (Some(0), &good, &"applied".into()), "{json}");
    assert!(!hooks(&protected).contains("pending_"), "{}", hooks(&protected));
    assert_eq!(answers(), [Reply::Answered, Reply::Silence, Reply::Silence]);
}
