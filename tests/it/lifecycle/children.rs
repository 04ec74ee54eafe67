//! Interfaces of containers that stand on a protected one: their packets are not this host's.

use std::net::TcpListener;

use harness::enforcer::{Protected, enforcer_with_input};
use harness::netns::{Cable, Namespace};
use harness::sockets::{Reply, tcp};
use serde_json::Value;

use super::{REFUSED_PORT, wait_for};

const SITE: &str = "interfaces: [IF]\nroles: [unity-connection]\nmode: enforce\n";
const CHILD: [u8; 4] = [198, 18, 0, 9];

/// A container with a macvlan device on the near end.
fn container(cable: &Cable) -> Namespace {
    let container = Namespace::new();
    cable.host.batch(&format!(
        "link add link {} name inside netns {} type macvlan mode bridge\n",
        cable.near.interface,
        container.name()
    ));
    container.batch("address add 198.18.0.9/24 dev inside\nlink set inside up\n");
    container
}

#[test]
fn a_macvlan_child_in_a_container_is_named_and_apply_asks_for_a_choice() {
    let protected = Protected { cable: Cable::new() };
    let cable = &protected.cable;
    let container = container(cable);
    let findings = |site: &str| {
        let line = ["preflight", "-", "--format", "json"];
        let json = enforcer_with_input(&cable.host, &line, &site.replace("IF", &cable.near.interface)).json();
        let all = json["findings"].as_array().cloned().expect("a list");
        all.into_iter().filter(|one| one["topic"] == "children").collect::<Vec<Value>>()
    };
    let named = format!("the macvlan device inside in the network namespace {}", container.name());
    let found = findings(SITE);
    assert_eq!((found.len(), &found[0]["level"]), (1, &"fix".into()), "{found:?}");
    assert!(found[0]["message"].as_str().is_some_and(|text| text.contains(&named)), "{found:?}");
    let ran = protected.try_site(SITE, &[]).expect_code(4);
    assert!(ran.stderr.contains(&named) && ran.stderr.contains("scope: host"), "{}", ran.stderr);

    let _inside = container.run(|| TcpListener::bind(("198.18.0.9", REFUSED_PORT)).expect("the port is free"));
    let own = cable.host.run(|| TcpListener::bind((cable.near.v4, REFUSED_PORT)).expect("the port is free"));
    let ask = |address: std::net::IpAddr| tcp(&cable.remote, cable.far.v4.into(), (address, REFUSED_PORT).into());
    wait_for(&Reply::Answered, || ask(CHILD.into()));
    // As whoever runs containers: only then the kernel tells whose an address is.
    cable.host.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("root may"));
    for (scope, reply) in [("host", Reply::Answered), ("all", Reply::Silence)] {
        let site = format!("{SITE}scope: {scope}\n");
        protected.try_site(&site, &[]).expect_code(0);
        let found = findings(&site);
        assert_eq!((found.len(), &found[0]["level"]), (1, &"warning".into()), "{found:?}");
        assert_eq!(ask(CHILD.into()), reply, "scope: {scope}");
        assert_eq!(ask(cable.near.v4.into()), Reply::Silence, "scope: {scope}");
    }
    drop(own);
}

#[test]
fn a_container_that_stands_on_something_else_is_nobody_s_concern() {
    let protected = Protected { cable: Cable::new() };
    let host = &protected.cable.host;
    let container = Namespace::new();
    // The same index and another namespace: devices are told apart by both.
    container.batch("link add below type veth peer name beside\n");
    let inner = Namespace::new();
    container.batch(&format!("link add link below name inside netns {} type macvlan mode bridge\n", inner.name()));
    host.batch(&format!("link add vp0 type veth peer name vp1 netns {}\n", container.name()));
    protected.try_site(SITE, &[]).expect_code(0);
}
