//! Peers and ports that nobody has to write.

use super::{compiled, estate, permits, reference, site_of};

const PAIR: &str = "\
estate: pair
defaults: {outbound: role}
hosts:
  rtr-a: {addresses: [10.0.0.1], roles: [{role: cce-router, instance: 1, side: a}, {role: cce-logger, instance: 1, side: a}]}
  rtr-b: {addresses: [10.0.0.2], roles: [{role: cce-router, instance: 1, side: b}, {role: cce-logger, instance: 1, side: b}]}
  rtr2-a: {addresses: [10.0.0.3], roles: [{role: cce-router, instance: 2, side: a}]}
  rtr2-b: {addresses: [10.0.0.4], roles: [{role: cce-router, instance: 2, side: b}]}
";

#[test]
fn a_connection_has_the_ports_of_the_host_that_it_leads_to() {
    let estate = estate(PAIR);
    // Side A connects to the port of side B, of the same instance, and to nothing else.
    let tcp = |host: &str| permits(&estate, host, "cce-router/mds-private").remove(0);
    assert_eq!(tcp("rtr-a"), "outbound 41044-41045,41056,41060-41062,41072-41073 -> 10.0.0.2/32");
    assert_eq!(tcp("rtr2-a"), "outbound 41084-41085,41096,41100-41102,41112-41113 -> 10.0.0.4/32");
    // Side B listens, and does not connect to a side that does not listen.
    assert_eq!(tcp("rtr-b"), "inbound 41044-41045,41056,41060-41062,41072-41073 -> 10.0.0.1/32");
    assert!(permits(&estate, "rtr-b", "cce-router/mds-private").iter().all(|one| one.starts_with("inbound")));
}

#[test]
fn a_host_is_no_peer_of_itself() {
    let estate = estate(PAIR);
    for (name, host) in &estate.hosts {
        let site = site_of(&estate, name);
        for (peer, nets) in &site.peers {
            for address in &host.addresses {
                assert!(!nets.iter().any(|net| net.contains(address)), "{name} is its own {peer}");
            }
        }
    }
}

#[test]
fn a_role_without_an_instance_is_of_the_instance_of_its_host() {
    let estate = estate(&format!(
        "{PAIR}  pg-a: {{addresses: [10.0.0.5], roles: [{{role: cce-pg, instance: 1, side: a}}, cce-peripherals]}}\n  \
         pg2-a: {{addresses: [10.0.0.6], roles: [{{role: cce-pg, instance: 2, side: a}}, cce-tdm-peripherals]}}\n"
    ));
    let site = site_of(&estate, "rtr-a");
    let nets: Vec<String> = site.peers["cce-pgs"].iter().map(ToString::to_string).collect();
    assert_eq!(nets, ["10.0.0.5/32"]);
}

#[test]
fn a_service_for_roles_that_nobody_has_is_for_nobody() {
    let estate = estate(PAIR);
    let site = site_of(&estate, "rtr-b");
    assert!(site.nobody.contains("cce-pgs") && site.nobody.contains("live-data"), "{:?}", site.nobody);
    // In a site file alone these services would accept any source.
    for rule in compiled(&site).ruleset.rules.iter().filter(|rule| rule.id.starts_with("cce-router/")) {
        assert!(rule.prefixes.is_some(), "{} is open to anybody", rule.id);
    }
}

#[test]
fn a_cluster_and_a_network_are_the_hosts_of_the_same_name() {
    let estate = estate(
        "estate: e\nhosts:\n  c1: {addresses: [10.0.0.1], cluster: one, network: n, roles: [unity-connection]}\n  \
         c2: {addresses: [10.0.0.2], cluster: one, roles: [unity-connection]}\n  \
         c3: {addresses: [10.0.0.3], cluster: two, network: n, roles: [unity-connection]}\n",
    );
    let site = site_of(&estate, "c1");
    let of = |peer: &str| site.peers[peer].iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(of("cluster"), ["10.0.0.2/32"]);
    assert_eq!(of("https-networking"), ["10.0.0.3/32"]);
}

#[test]
fn moved_ports_hold_at_both_ends() {
    let estate = estate(
        "estate: e\ndefaults: {outbound: role}\nhosts:\n  \
         a: {addresses: [10.0.0.1], roles: [{role: cce-pg, side: a, moved: {cce-pg/mds-private-1: [44004, 44005]}}]}\n  \
         b: {addresses: [10.0.0.2], roles: [{role: cce-pg, side: b}]}\n",
    );
    // The row's range for measurements follows no parameter, and stays.
    let expected = ["inbound 44004-44005 -> 10.0.0.2/32", "inbound 39500-39999 -> 10.0.0.2/32"];
    let found = permits(&estate, "a", "cce-pg/mds-private-1");
    assert_eq!(
        found.iter().filter(|one| one.starts_with("inbound")).collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
    let found = permits(&estate, "b", "cce-pg/mds-private-1");
    assert!(found.contains(&"outbound 44004-44005 -> 10.0.0.1/32".to_owned()), "{found:?}");
    assert!(found.contains(&"inbound 43004-43005,43016,43023 -> 10.0.0.1/32".to_owned()), "{found:?}");
}

#[test]
fn rules_and_limits_are_for_the_hosts_that_they_select() {
    let estate = estate(&reference());
    let names = |host: &str| site_of(&estate, host).rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        names("rtr-a"),
        ["domain", "domain-udp", "traps", "syslog"],
        "its roles include `windows-authentication`"
    );
    assert_eq!(names("cuc1"), ["traps", "syslog"]);
    assert!(site_of(&estate, "rtr-a").limits.contains_key("remote-management/rdp"));
    assert!(site_of(&estate, "cuc1").limits.is_empty());
}

#[test]
fn names_of_hosts_stand_where_addresses_may() {
    let estate = estate(
        "estate: e\noutside: {monitoring: [m1]}\nhosts:\n  m1: {addresses: [10.0.0.9, \"2001:db8::9\"], roles: [cuic]}\n  \
         c1: {addresses: [10.0.0.1], roles: [unity-connection]}\nallow:\n  \
         - {name: probe, hosts: [c1], protocol: tcp, ports: [9100], from: [m1]}\n",
    );
    assert_eq!(permits(&estate, "c1", "site/probe"), ["inbound 9100 -> 10.0.0.9/32 2001:db8::9/128"]);
    assert_eq!(estate.outside["monitoring"].nets.len(), 2);
}

#[test]
fn every_role_of_the_catalogue_is_in_the_reference_estate() {
    let catalogue = enforcer::policy::catalogue::embedded().unwrap();
    let estate = estate(&reference());
    let used: std::collections::BTreeSet<&str> = estate
        .hosts
        .values()
        .flat_map(|host| &host.roles)
        .flat_map(|used| catalogue.flatten(&used.role))
        .map(|role| role.name.as_str())
        .collect();
    let missing: Vec<&String> = catalogue.roles.keys().filter(|role| !used.contains(role.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
