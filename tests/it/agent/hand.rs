//! What is done by hand while the agent runs stays.

use harness::netns::another_interface;
use jiff::civil::{Time, time};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use super::{ENFORCING, Host, wait_for, wait_for_value};
use crate::lifecycle::restorers;

/// A time zone in which midnight is near, as the variable `TZ` has it.
fn near_midnight() -> String {
    const DAY: i64 = 86_400;
    let wanted = DAY - 15 * i64::from(harness::machine::patience());
    let now: Time = TimeZone::UTC.to_datetime(Timestamp::now()).time();
    let now = now.duration_since(time(0, 0, 0, 0)).as_secs();
    // In POSIX, what is east of Greenwich has a minus (tzset(3)).
    let (sign, offset) = if wanted >= now { ('-', wanted - now) } else { ('+', now - wanted) };
    format!("<NEAR>{sign}{}:{:02}:{:02}", offset / 3600, offset % 3600 / 60, offset % 60)
}

#[test]
fn a_rule_that_expires_goes_and_what_was_done_by_hand_stays() {
    let host = Host::new();
    let (other, freed) = (another_interface(), another_interface());
    for name in [&other, &freed] {
        host.cable.host.batch(&format!("link add {name} type veth peer name p{}\n", &name[2..]));
    }
    let zone = near_midnight();
    let today = TimeZone::posix(&zone).expect("it is a time zone").to_datetime(Timestamp::now()).date();
    host.write(&format!(
        "interfaces: [IF, {other}, {freed}]\nroles: [unity-connection]\nmode: enforce\nallow:\n  - name: visitor\n    \
         protocol: tcp\n    ports: [9100]\n    expires: {today}\n"
    ));
    let agent = host.spawn_with(&["--check", "1s"], &[("TZ", &zone)]);
    agent.wait_for_log("ready");
    let first = host.status("/policy_hash");
    host.run(&["apply", "--role", "finesse", "--interface", &other]).expect_code(0);
    host.run(&["detach", "--interface", &freed]).expect_code(0);
    let of_other = || host.interfaces().into_iter().find(|one| one["interface"] == other.as_str());
    let by_hand = of_other().expect("it is protected")["policy_hash"].clone();
    wait_for_value(&true, || host.status("/policy_hash") != first);
    agent.wait_for_checks(2);
    let names: Vec<Value> = host.interfaces().iter().map(|one| one["interface"].clone()).collect();
    assert!(!names.contains(&freed.as_str().into()), "{names:?}");
    assert_eq!(of_other().expect("it is protected")["policy_hash"], by_hand);
    assert_eq!(host.status("/inbound/mode"), "enforce");
    // Asked for, it is another matter.
    agent.signal(libc::SIGHUP);
    wait_for("all of them", || {
        let hashes: Vec<Value> = host.interfaces().iter().map(|one| one["policy_hash"].clone()).collect();
        if hashes.len() == 3 && hashes.iter().all(|hash| *hash == hashes[0]) { Ok(()) } else { Err(agent.log()) }
    });
    assert!(agent.stop());
}

#[test]
fn a_change_that_nobody_confirmed_is_undone_by_the_agent_where_its_process_was_killed() {
    let host = Host::with_site(ENFORCING);
    let agent = host.start(&["--check", "1s"]);
    let first = host.status("/policy_hash");
    let within = format!("{}s", 8 * harness::machine::patience());
    let near = &host.cable.near.interface;
    host.run(&["apply", "--role", "finesse", "--interface", near, "--confirm-within", &within]).expect_code(0);
    assert_ne!(host.status("/policy_hash"), first);
    for id in restorers(host.cable.host.inode()) {
        // SAFETY: no pointers. The process is one that our own command has started.
        assert_eq!(unsafe { libc::kill(id, libc::SIGKILL) }, 0);
    }
    wait_for_value(&first, || host.status("/policy_hash"));
    agent.wait_for_log("the change was not confirmed by");
    assert_eq!((host.status("/inbound/mode"), host.run(&["status"]).code), ("enforce".into(), Some(0)));
    assert!(agent.stop());
}
