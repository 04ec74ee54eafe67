//! Policies of an estate: the host finds itself, and another host's policy is not replaced by mistake.

use harness::enforcer::Protected;
use harness::netns::Cable;

use super::status;

const OF: &str = "estate: reference\nhost: HOST\ninterfaces: [IF]\nroles: [unity-connection]\nmode: audit\n";

fn of(host: &str) -> String {
    OF.replace("HOST", host)
}

#[track_caller]
fn expect_host(protected: &Protected, host: &str) {
    let (_, json) = status(protected);
    assert_eq!((&json["estate"], &json["host"]), (&"reference".into(), &host.into()), "{json}");
}

#[test]
fn the_policy_of_another_host_is_replaced_only_on_request() {
    let protected = Protected::apply_site(Cable::new(), &of("cuc1"), &[]);
    expect_host(&protected, "cuc1");
    // Its own file again, changed or not, is no other host's.
    protected.try_site(&(of("cuc1") + "icmp_echo: none\n"), &[]).expect_code(0);
    let ran = protected.try_site(&of("cuc2"), &[]).expect_code(4);
    assert!(ran.stderr.contains("that of the host `cuc1`") && ran.stderr.contains("`--replace`"), "{}", ran.stderr);
    protected.try_site(&of("cuc2"), &["--dry-run"]).expect_code(4);
    expect_host(&protected, "cuc1");
    protected.try_site(&of("cuc2"), &["--replace"]).expect_code(0);
    expect_host(&protected, "cuc2");
    // A file of no estate is nobody else's.
    protected.try_site("interfaces: [IF]\nroles: [unity-connection]\nmode: audit\n", &[]).expect_code(0);
    let (_, json) = status(&protected);
    assert!(json["host"].is_null(), "{json}");
}

#[test]
fn a_machine_finds_itself_in_an_estate_by_its_addresses() {
    let cable = Cable::new();
    let own = cable.near.v4.to_string();
    let estate = |address: &str| {
        format!(
            "estate: reference\ndefaults: {{mode: audit, interfaces: [IF]}}\nhosts:\n  \
             cuc1: {{addresses: [{address}], roles: [unity-connection]}}\n  \
             cuc2: {{addresses: [192.0.2.2], roles: [unity-connection]}}\n"
        )
    };
    let protected = Protected::apply_site(cable, &estate(&own), &[]);
    expect_host(&protected, "cuc1");
    let ran = protected.try_site(&estate("192.0.2.1"), &[]).expect_code(2);
    assert!(
        ran.stderr.contains("has an address of this machine") && ran.stderr.contains("cuc1, cuc2"),
        "{}",
        ran.stderr
    );
    protected.try_site(&estate("192.0.2.1"), &["--host", "cuc1"]).expect_code(0);
    protected.try_site(&estate("192.0.2.1"), &["--host", "cuc2"]).expect_code(4);
    expect_host(&protected, "cuc1");
}
