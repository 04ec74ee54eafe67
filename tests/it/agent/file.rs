//! The site file is followed, whatever way it is written; a broken one changes nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use harness::netns::{another_interface, pins_of};
use harness::packet::Packet;
use harness::program::{Outcome, Program};
use harness::sockets::Reply;

use super::{ENFORCING, Host, SITE, wait_for_value};

const OTHER: &str = "interfaces: [IF]\nroles: [finesse]\n";

#[test]
fn a_new_site_file_is_put_in_force_however_it_is_written() {
    let host = Host::with_site(SITE);
    let agent = host.start(&[]);
    let first = host.status("/policy_hash");
    host.write(OTHER);
    wait_for_value(&true, || host.status("/policy_hash") != first);
    let second = host.status("/policy_hash");
    // As simple editors do: the same file, written over.
    fs::write(host.site(), SITE.replace("IF", &host.cable.near.interface)).expect("the folder is there");
    wait_for_value(&first, || host.status("/policy_hash"));
    // Gone for a moment, which is told, and back as a link to elsewhere.
    fs::remove_file(host.site()).expect("it is there");
    agent.wait_for_log("cannot be used");
    assert_eq!(host.status("/policy_hash"), first);
    let elsewhere = host.folder.join("elsewhere.yaml");
    fs::write(&elsewhere, OTHER.replace("IF", &host.cable.near.interface)).expect("the folder is there");
    symlink(&elsewhere, host.site()).expect("the folder is there");
    wait_for_value(&second, || host.status("/policy_hash"));
    assert!(agent.stop());
}

#[test]
fn a_broken_site_file_keeps_the_old_policy_and_is_told_with_its_place() {
    let host = Host::with_site(ENFORCING);
    let _listener = host.listen();
    let agent = host.start(&["--metrics", "127.0.0.1:0"]);
    let (hash, applied) = (host.status("/policy_hash"), host.status("/applied"));
    let text = metrics(&host, &agent.log());
    assert!(text.contains("\nenforcer_agent_site_in_force 1\n") && text.contains("\nenforcer_build_info{"), "{text}");
    host.write("interfaces: [IF]\nroles: [unity-conection]\n");
    agent.wait_for_log("site.yaml:2:9");
    agent.wait_for_log("did you mean `unity-connection`?");
    assert_eq!((host.status("/policy_hash"), host.status("/applied")), (hash.clone(), applied));
    assert_eq!(host.ask(), Reply::Silence);
    // What is served may be a second old.
    wait_for_value(&true, || metrics(&host, &agent.log()).contains("\nenforcer_agent_site_in_force 0\n"));
    let text = metrics(&host, &agent.log());
    assert!(text.contains("\nenforcer_agent_reload_failures_total 1\n"), "{text}");
    host.write(OTHER);
    wait_for_value(&true, || host.status("/policy_hash") != hash);
    wait_for_value(&true, || metrics(&host, &agent.log()).contains("\nenforcer_agent_site_in_force 1\n"));
}

#[test]
fn with_a_site_file_that_is_broken_from_the_start_the_last_good_policy_is_kept_up() {
    let host = Host::with_site(ENFORCING);
    host.run(&["apply", host.site().to_str().expect("plain")]).expect_code(0);
    let hash = host.status("/policy_hash");
    fs::remove_dir_all(host.pins()).expect("it was protected");
    host.write("interfaces: [");
    let agent = host.start(&[]);
    assert!(agent.log().contains("site.yaml:1:"), "{}", agent.log());
    assert_eq!((host.status("/policy_hash"), host.status("/inbound/mode")), (hash, "enforce".into()));
    host.write(SITE);
    agent.wait_for_log("is active");
    assert_eq!(host.status("/inbound/mode"), "enforce", "the site file says no mode any more: what is in force stays");
}

#[test]
fn with_a_broken_site_file_interfaces_that_come_and_go_are_kept_up_by_the_last_good_policy() {
    let host = Host::new();
    let late = another_interface();
    let add = || host.cable.host.batch(&format!("link add {late} type veth peer name p{}\n", &late[2..]));
    add();
    host.write(&format!("interfaces: [IF, {late}]\nroles: [unity-connection]\nmode: enforce\n"));
    host.run(&["apply", host.site().to_str().expect("plain")]).expect_code(0);
    host.write("interfaces: [");
    let agent = host.start(&["--metrics", "127.0.0.1:0", "--check", "1s"]);
    host.cable.host.batch(&format!("link del {late}\n"));
    agent.wait_for_log("is gone");
    add();
    wait_for_value(&Some(0), || host.run(&["status", "--interface", &late]).code);
    assert!(host.interfaces().iter().all(|one| one["inbound"]["mode"] == "enforce"));
    // What nobody can compile any more protects nobody, and is counted.
    let kept = host.folder.join(format!("{late}.json"));
    let text = fs::read_to_string(&kept).expect("it is kept").replace("unity-connection", "no-such-role");
    fs::write(&kept, text).expect("it is there");
    agent.wait_for_checks(2);
    fs::remove_dir_all(Path::new("/sys/fs/bpf/enforcer").join(&late)).expect("it is protected");
    wait_for_value(&true, || metrics(&host, &agent.log()).contains("\nenforcer_agent_interfaces_unprotected 1\n"));
    assert!(agent.stop());
}

#[test]
fn a_policy_that_is_refused_at_the_start_leaves_the_last_good_one_and_an_agent() {
    let scoped = format!("{ENFORCING}scope: host\n");
    let host = Host::with_site(&scoped);
    host.run(&["apply", host.site().to_str().expect("plain")]).expect_code(0);
    let first = host.status("/policy_hash");
    host.cable.host.run(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("root may"));
    // Whose packets are judged on a host that forwards has to be said.
    host.write(OTHER);
    let agent = host.start(&["--metrics", "127.0.0.1:0", "--check", "1s"]);
    assert!(agent.log().contains("the last confirmed policy stays active"), "{}", agent.log());
    assert_eq!((host.status("/policy_hash"), host.status("/inbound/mode")), (first.clone(), "enforce".into()));
    let text = metrics(&host, &agent.log());
    assert!(text.contains("\nenforcer_agent_site_in_force 0\n"), "{text}");
    host.write(&format!("{OTHER}scope: host\n"));
    wait_for_value(&true, || metrics(&host, &agent.log()).contains("\nenforcer_agent_site_in_force 1\n"));
    assert_ne!(host.status("/policy_hash"), first);
    assert!(agent.stop());
}

#[test]
fn an_interface_that_appears_while_a_change_waits_gets_it_when_it_is_confirmed() {
    let host = Host::new();
    let late = another_interface();
    let site = |role: &str| format!("interfaces: [IF, {late}]\nroles: [{role}]\nmode: enforce\n");
    host.write(&site("unity-connection"));
    let agent = host.start(&["--confirm-within", "1h", "--check", "1s"]);
    let first = host.status("/policy_hash");
    host.write(&site("finesse"));
    wait_for_value(&true, || host.status("/policy_hash") != first);
    host.cable.host.batch(&format!("link add {late} type veth peer name p{}\n", &late[2..]));
    wait_for_value(&2, || host.interfaces().len());
    let hashes = || host.interfaces().iter().map(|one| one["policy_hash"].clone()).collect::<Vec<_>>();
    assert!(hashes().contains(&first), "what nobody has confirmed is not for good");
    host.run(&["confirm"]).expect_code(0);
    wait_for_value(&false, || hashes().contains(&first));
    assert!(agent.stop());
}

#[test]
fn with_nothing_to_fall_back_on_a_broken_site_file_is_bad_input() {
    let host = Host::with_site("interfaces: [");
    let mut agent = host.spawn(&[]);
    assert_eq!(agent.child.wait().expect("it is our child").code(), Some(2));
    assert!(agent.log().contains("site.yaml:1:"), "{}", agent.log());
}

#[test]
fn a_mode_set_at_run_time_stays_until_the_site_file_says_another() {
    let host = Host::with_site("interfaces: [IF]\nroles: [unity-connection]\nmode: audit\n");
    let agent = host.start(&["--check", "1s"]);
    host.run(&["mode", "enforce"]).expect_code(0);
    let hash = host.status("/policy_hash");
    host.write("interfaces: [IF]\nroles: [unity-connection]\nmode: audit\nicmp_echo: none\n");
    wait_for_value(&true, || host.status("/policy_hash") != hash);
    assert_eq!(host.status("/inbound/mode"), "enforce");
    assert!(agent.stop());
    // Neither does a new agent undo it.
    let agent = host.start(&["--check", "1s"]);
    assert_eq!(host.status("/inbound/mode"), "enforce");
    host.write("interfaces: [IF]\nroles: [unity-connection]\nmode: {inbound: audit, outbound: enforce}\n");
    wait_for_value(&"enforce".into(), || host.status("/outbound/mode"));
    assert_eq!(host.status("/inbound/mode"), "enforce", "about inbound it says what it said");
    assert!(agent.stop());
}

#[test]
fn a_site_file_that_says_audit_does_not_end_enforcement_by_itself() {
    let audit = "interfaces: [IF]\nroles: [unity-connection]\nmode: audit\n";
    let host = Host::with_site(ENFORCING);
    let _listener = host.listen();
    let agent = host.start(&["--metrics", "127.0.0.1:0", "--check", "1s"]);
    let held = |number: u8| metrics(&host, &agent.log()).contains(&format!("\nenforcer_agent_mode_held {number}\n"));
    assert!(held(0));
    host.write(&format!("{audit}icmp_echo: none\n"));
    agent.wait_for_log("mode held: the site file says audit");
    wait_for_value(&true, || held(1));
    assert_eq!((host.status("/inbound/mode"), host.ask()), ("enforce".into(), Reply::Silence));
    let notes = || host.status("/notes").to_string();
    assert!(notes().contains("mode held"), "{}", notes());
    assert_eq!(host.status("/held"), serde_json::json!(["inbound", "outbound"]));
    let history = fs::read_to_string(host.folder.join("history.jsonl")).expect("it is kept");
    assert_eq!(history.matches("\"held\"").count(), 1, "{history}");
    // It is still held after a restart, and told once.
    agent.wait_for_checks(2);
    assert_eq!(agent.log().matches("mode held").count(), 1, "{}", agent.log());
    host.run(&["mode", "enforce"]).expect_code(0);
    wait_for_value(&true, || held(0));
    assert!(!notes().contains("mode held"), "somebody has settled it: {}", notes());
    // Another file that says the same does not bring it up again.
    host.write(&format!("{audit}icmp_echo: any\n"));
    wait_for_value(&true, || agent.log().matches("is active").count() == 2);
    assert_eq!((host.status("/inbound/mode"), held(0)), ("enforce".into(), true));
    // Asked for by name, it ends.
    host.run(&["apply", host.site().to_str().expect("plain"), "--mode", "audit"]).expect_code(0);
    assert_eq!(host.ask(), Reply::Answered);
    assert!(agent.stop());
}

#[test]
fn a_change_that_nobody_confirms_is_undone_and_not_tried_again() {
    let host = Host::with_site(ENFORCING);
    // Longer than a busy machine takes for the steps below.
    let agent = host.start(&["--confirm-within", "8s", "--check", "1s"]);
    assert!(host.status("/deadline").is_null(), "what is there at the start needs no confirmation");
    let first = host.status("/policy_hash");
    host.write(OTHER);
    agent.wait_for_log("is active");
    agent.wait_for_log("was not confirmed");
    wait_for_value(&first, || host.status("/policy_hash"));
    // One that may be going on, and two that know of it.
    agent.wait_for_checks(3);
    assert_eq!((host.status("/policy_hash"), host.status("/inbound/mode")), (first.clone(), "enforce".into()));
    assert_eq!(agent.log().matches("is active").count(), 1, "it is not tried again");
    host.write(&OTHER.replace("finesse", "cuic"));
    wait_for_value(&2, || agent.log().matches("is active").count());
    host.run(&["confirm"]).expect_code(0);
    agent.wait_for_checks(2);
    assert_ne!(host.status("/policy_hash"), first, "another change is another matter");
}

#[test]
fn a_change_that_is_found_at_the_start_has_to_be_confirmed_too() {
    let host = Host::with_site(ENFORCING);
    let agent = host.start(&[]);
    let first = host.status("/policy_hash");
    assert!(agent.stop());
    host.write(OTHER);
    let agent = host.start(&["--confirm-within", "3s", "--check", "1s"]);
    agent.wait_for_log("was not confirmed");
    agent.wait_for_checks(3);
    assert_eq!((host.status("/policy_hash"), host.status("/inbound/mode")), (first, "enforce".into()));
    assert!(agent.stop());
}

#[test]
fn a_change_that_waits_to_be_confirmed_is_not_confirmed_by_the_agent() {
    let host = Host::with_site(SITE);
    let agent = host.start(&["--check", "1s"]);
    host.run(&["mode", "enforce", "--confirm-within", "1h"]).expect_code(0);
    let hash = host.status("/policy_hash");
    host.write(OTHER);
    agent.wait_for_log("waits for confirmation until");
    assert_eq!(host.status("/policy_hash"), hash);
    assert!(host.status("/deadline").is_string());
    host.run(&["confirm"]).expect_code(0);
    wait_for_value(&true, || host.status("/policy_hash") != hash);
    assert_eq!(host.status("/inbound/mode"), "enforce");
}

#[test]
fn another_address_of_a_guest_is_a_change_though_the_policy_is_the_same() {
    let guest = |claims: &str| {
        format!("interfaces: [{{name: IF, protects: guest{claims}}}]\nroles: [finesse]\nmode: enforce\n")
    };
    let host = Host::with_site(&guest(""));
    let agent = host.start(&["--check", "1s"]);
    let program = || Program::pinned(&pins_of(&host.cable.near.interface).join("outbound"));
    let stranger = Packet::new().ipv4("198.18.50.1", "198.18.0.9").udp(5060, 40_000).build();
    assert_eq!(program().judge(&stranger), Outcome::Passed);
    let hash = host.status("/policy_hash");
    host.write(&guest(", addresses: [198.18.50.2]"));
    wait_for_value(&Outcome::Dropped, || program().judge(&stranger));
    assert_eq!(host.status("/policy_hash"), hash);
    assert!(agent.stop());
    // Also where it changed while nobody looked.
    host.write(&guest(", addresses: [198.18.50.1]"));
    let agent = host.start(&[]);
    assert_eq!(program().judge(&stranger), Outcome::Passed);
    assert_eq!(host.status("/policy_hash"), hash);
    assert!(agent.stop());
}

#[test]
fn whatever_the_site_file_becomes_the_agent_goes_on_protecting_and_ends_when_it_is_told_to() {
    let host = Host::with_site(ENFORCING);
    let near = host.cable.near.interface.clone();
    let again = || {
        host.cable.host.batch(&format!("link del {near}\n"));
        host.cable.host.batch(&format!("link add {near} type veth peer name p{}\n", &near[2..]));
        wait_for_value(&Some(0), || host.run(&["status", "--interface", &near]).code);
    };
    let agent = host.start(&["--check", "1s"]);
    again();
    let become_pipe = || nix::unistd::mkfifo(&host.site(), nix::sys::stat::Mode::S_IRWXU).expect("the folder is there");
    let become_link = |to: &str| symlink(to, host.site()).expect("the folder is there");
    for (become_it, told) in [
        (&become_pipe as &dyn Fn(), "it is a FIFO"),
        (&|| become_link("/dev/zero"), "it is a device"),
        (&|| become_link("/proc/kmsg"), "the kernel makes it up"),
        (&|| fs::create_dir(host.site()).expect("the folder is there"), "Is a directory"),
    ] {
        fs::remove_file(host.site()).expect("it is there");
        become_it();
        agent.wait_for_log(told);
        again();
        let _ = fs::remove_dir(host.site());
        host.write(ENFORCING);
        wait_for_value(&true, || agent.log().matches("is active").count() >= 1);
    }
    fs::remove_file(host.site()).expect("it is there");
    become_pipe();
    let begun = std::time::Instant::now();
    assert!(agent.stop());
    assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
}

pub(super) fn metrics(host: &Host, log: &str) -> String {
    metrics_at(host, log, "/metrics")
}

pub(super) fn metrics_at(host: &Host, log: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};

    let address = log.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("it says where");
    host.cable.host.run(|| {
        let mut stream = std::net::TcpStream::connect(address).expect("it listens");
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers");
        assert!(text.starts_with("HTTP/1.0 200 OK\r\n"), "{text}");
        text
    })
}
