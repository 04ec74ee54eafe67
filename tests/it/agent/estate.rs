//! The agent and the policy of another host of an estate.

use super::Host;

fn of(host: &str) -> String {
    format!("estate: reference\nhost: {host}\ninterfaces: [IF]\nroles: [unity-connection]\nmode: audit\n")
}

#[test]
fn the_policy_of_another_host_is_followed_only_on_request() {
    let host = Host::with_site(&of("cuc1"));
    let agent = host.start(&[]);
    let hash = host.status("/policy_hash");
    host.write(&of("cuc2").replace("mode:", "icmp_echo: none\nmode:"));
    agent.wait_for_log("the active policy is that of the host `cuc1`");
    assert_eq!((host.status("/host"), host.status("/policy_hash")), ("cuc1".into(), hash.clone()));
    assert!(agent.stop());
    // From the start: the last confirmed policy stays, and it is said why.
    let agent = host.start(&[]);
    let log = agent.log();
    assert!(log.contains("this one is for the host `cuc2`") && log.contains("`--replace`"), "{log}");
    assert_eq!((host.status("/host"), host.status("/policy_hash")), ("cuc1".into(), hash));
    assert!(agent.stop());
    let agent = host.start(&["--replace"]);
    assert_eq!(host.status("/host"), "cuc2");
    assert!(agent.stop());
}
