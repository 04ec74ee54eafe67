//! Rendered site files: they say what the estate says, and change only where it does.

use std::collections::{BTreeMap, BTreeSet};

use enforcer::policy::catalogue::embedded;
use enforcer::policy::estate::{Estate, render};
use enforcer::policy::ruleset::Match;
use enforcer::text::diagnostic::Text;
use expect_test::expect;
use ipnet::IpNet;
use proptest::prelude::*;

use super::{compiled, estate, reference, site_of};

#[test]
fn a_site_file_says_where_each_binding_comes_from() {
    let estate = estate(
        "estate: small\nrelease: \"11.5(1)\"\ndefaults: {mode: audit, outbound: role}\n\
         outside: {phones: [10.20.0.0/16], dns-servers: [domain-controllers], domain-controllers: [10.9.0.53]}\nhosts:\n  \
         hv1: {addresses: [10.0.0.250]}\n  \
         hv2: {addresses: [10.0.0.251]}\n  \
         rtr-a: {addresses: [10.0.0.1], \
         behind: [{host: hv1, interface: vnet3, mac: \"52:54:00:0A:00:01\"}, {host: hv2, interface: vnet5}], roles: [{role: cce-router, instance: 1, side: a}]}\n  \
         rtr-b: {addresses: [10.0.0.2, \"2001:db8::2\"], roles: [{role: cce-router, instance: 1, side: b}]}\n\
         limit:\n  - {service: windows-authentication/rpc, from: [rtr-b, 10.9.0.0/24], reason: only these}\n",
    );
    expect![[r##"
        # The host `rtr-a` of the estate `small`, as `enforcer render` writes it.
        # Change the estate and render it again: what is changed here is lost, and nobody else learns of it.
        estate: small
        host: rtr-a
        release: "11.5(1)"
        interfaces: [{name: vnet3, protects: guest, addresses: [10.0.0.1], mac: "52:54:00:0a:00:01"}, {name: vnet5, protects: guest, addresses: [10.0.0.1]}]  # behind hv1, hv2
        mode: audit
        outbound: role
        roles:
          - {role: cce-router, instance: 1, side: a}
        peers:
          cce-administration-data-servers: none  # no host that belongs to this one has such a role
          cce-pgs: none                     # no host that belongs to this one has such a role
          cce-router-mds-clients:
            - 10.0.0.2                      # rtr-b
            - "2001:db8::2"                 # rtr-b
          cuic: none                        # no host that belongs to this one has such a role
          live-data: none                   # no host that belongs to this one has such a role
          rtr-b:
            - 10.0.0.2                      # rtr-b
            - "2001:db8::2"                 # rtr-b
        # Where connections lead, with what decides on the ports there.
        remote:
          - role: cce-router
            instance: 1
            side: b
            addresses:
              - 10.0.0.2                    # rtr-b
              - "2001:db8::2"               # rtr-b
        limit:
          - {service: windows-authentication/rpc, from: [rtr-b, 10.9.0.0/24], reason: "only these"}
    "##]]
    .assert_eq(&render(&estate, embedded().unwrap(), &estate.hosts["rtr-a"]));
    // Both ports are the same guest's.
    let text = render(&estate, embedded().unwrap(), &estate.hosts["rtr-a"]);
    enforcer::policy::site::read(Text::new("rendered", text), embedded().unwrap()).expect("it can be read");
}

#[test]
fn a_rendered_file_is_the_policy_that_the_estate_derives() {
    let estate = estate(&reference());
    for (name, host) in estate.hosts.iter().filter(|(_, host)| estate.has_policy(host)) {
        let text = render(&estate, embedded().unwrap(), host);
        let read = enforcer::policy::site::read(Text::new("rendered", text.clone()), embedded().unwrap())
            .unwrap_or_else(|findings| panic!("{name}: {findings}\n{text}"));
        let derived = site_of(&estate, name);
        assert_eq!(read.estate, derived.estate);
        assert_eq!(read.interfaces, derived.interfaces, "{name}");
        assert_eq!(read.peers, derived.peers, "{name}");
        assert_eq!(read.nobody, derived.nobody, "{name}");
        assert_eq!((read.mode, read.flows, read.scope), (derived.mode, derived.flows, derived.scope), "{name}");
        let (read, derived) = (compiled(&read).ruleset, compiled(&derived).ruleset);
        assert_eq!(read.hash, derived.hash, "{name}\n{text}");
    }
}

/// Every file by the name of its host.
fn files(estate: &Estate) -> BTreeMap<String, String> {
    let catalogue = embedded().unwrap();
    let hosts = estate.hosts.iter().filter(|(_, host)| estate.has_policy(host));
    hosts.map(|(name, host)| (name.clone(), render(estate, catalogue, host))).collect()
}

/// The hosts whose rules name an address of this one.
fn talk_to(estate: &Estate, host: &str) -> BTreeSet<String> {
    let own: Vec<IpNet> = estate.hosts[host].addresses.iter().map(|address| IpNet::from(*address)).collect();
    let names = |prefixes: &[IpNet]| {
        own.iter().any(|own| prefixes.iter().any(|net| net.contains(own) && net.prefix_len() >= 28))
    };
    let others = estate.hosts.iter().filter(|(name, other)| *name != host && estate.has_policy(other));
    let found = others.filter(|(name, _)| {
        let ruleset = compiled(&site_of(estate, name)).ruleset;
        ruleset
            .rules
            .iter()
            .any(|rule| !matches!(rule.matches, Match::Echo) && rule.prefixes.as_deref().is_some_and(names))
    });
    found.map(|(name, _)| name.clone()).collect()
}

/// The reference estate with another address of a host.
fn moved(text: &str, host: &str) -> String {
    let marker = format!("\n  {host}:");
    let (before, after) = text.split_once(&marker).unwrap();
    let begin = after.find("addresses: [").unwrap() + "addresses: [".len();
    let end = begin + after[begin..].find([',', ']']).unwrap();
    format!("{before}{marker}{}192.0.2.77{}", &after[..begin], &after[end..])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_change_of_one_address_changes_exactly_the_hosts_that_talk_to_it(number in 0usize..1000) {
        let text = reference();
        let old = estate(&text);
        let names: Vec<&String> = old.hosts.keys().filter(|name| !old.hosts[*name].roles.is_empty()).collect();
        let host = names[number % names.len()];
        let new = estate(&moved(&text, host));
        let (before, after) = (files(&old), files(&new));
        let changed: BTreeSet<String> =
            before.iter().filter(|(name, text)| after[*name] != **text).map(|(name, _)| name.clone()).collect();
        let mut expected = talk_to(&old, host);
        if !old.hosts[host].behind.is_empty() {
            // What is in front of a guest checks that it claims these addresses.
            expected.insert(host.clone());
        }
        prop_assert_eq!(changed, expected, "{}", host);
    }
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    let text = reference();
    assert_eq!(files(&estate(&text)), files(&estate(&text)));
}
