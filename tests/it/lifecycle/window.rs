//! A change window: audit, and enforcement again by itself.

use std::net::IpAddr;

use harness::enforcer::Protected;
use harness::machine::patience;
use harness::sockets::{Reply, Servers, tcp};

use super::{ENFORCE, REFUSED_PORT, status, wait_for};

#[test]
fn enforcement_is_back_when_the_window_has_closed() {
    let protected = Protected::apply(ENFORCE);
    let cable = &protected.cable;
    let _servers = Servers::start(&cable.host, &[REFUSED_PORT], &[]);
    let ask = || tcp(&cable.remote, IpAddr::from(cable.far.v4), (cable.near.v4, REFUSED_PORT).into());
    assert_eq!(ask(), Reply::Silence);
    protected.run(&["mode", "audit", "--for", &format!("{}s", 8 * patience())]).expect_code(0);
    assert_eq!(ask(), Reply::Answered);
    let (code, json) = status(&protected);
    assert_eq!(
        (code, &json["inbound"]["mode"], json["deadline"].is_string()),
        (Some(0), &"audit".into(), true),
        "{json}"
    );
    // Another policy does not close it, and needs no confirmation in it.
    protected.apply_again(&["--role", "unity-connection", "--peer", "cluster=198.18.0.9", "--hook", "native"]);
    assert_eq!(status(&protected).1["inbound"]["mode"], "audit");
    protected.run(&["confirm"]).expect_code(0);
    wait_for(&Reply::Silence, ask);
    let (code, json) = status(&protected);
    assert_eq!(
        (code, &json["inbound"]["mode"], json["deadline"].is_null()),
        (Some(0), &"enforce".into(), true),
        "{json}"
    );
}

#[test]
fn a_window_is_closed_by_a_mode_and_needs_something_to_return_to() {
    let protected = Protected::apply(ENFORCE);
    protected.run(&["mode", "audit", "--for", "1h"]).expect_code(0);
    protected.run(&["mode", "enforce", "--confirm-within", "60s"]).expect_code(4);
    protected.run(&["mode", "enforce", "--inbound"]).expect_code(0);
    let (_, json) = status(&protected);
    assert_eq!((&json["inbound"]["mode"], &json["outbound"]["mode"]), (&"enforce".into(), &"audit".into()), "{json}");
    assert!(json["deadline"].is_string(), "outbound still returns: {json}");
    protected.mode("audit");
    assert!(status(&protected).1["deadline"].is_null());
    protected.run(&["mode", "audit", "--for", "1h"]).expect_code(1);
}
