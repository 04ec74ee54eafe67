//! Which interface an exported rule is for.

use enforcer::policy::export::{Error, Target, export};

use super::{compiled, exported};

/// A packet of a VLAN is judged on the interface below, too: the stricter mode holds, and the entry of its own comes first.
#[test]
fn a_vlan_with_an_entry_of_its_own_is_met_before_the_interface_below() {
    for (below, vlan) in [("audit", "enforce"), ("enforce", "audit")] {
        let site =
            format!("interfaces: [{{name: eth0, mode: {below}}}, {{name: eth0.7, mode: {vlan}}}]\nroles: [finesse]\n");
        let text = exported(Target::Nft, &site).text;
        let at = |line: &str| text.find(line).unwrap_or_else(|| panic!("{line} in {text}"));
        assert!(at("iifname \"eth0.7\" counter drop") < at("iifname \"eth0.*\" counter"), "{text}");
    }
}

/// A guest's port and an interface of the host may meet in one packet; each is judged in a table of its own.
#[test]
fn hosts_and_guests_are_judged_apart() {
    let site =
        "interfaces: [eth0, {name: 'tap*', protects: guest, mode: enforce}, tap9]\noutbound: role\nroles: [finesse]\n";
    let text = exported(Target::Nft, site).text;
    let (hosts, guests) = text.split_once("table inet enforcer_guests {").unwrap();
    assert!(!hosts.contains("\"tap*\"") && !guests.contains("\"eth0\" jump"), "{text}");
    assert!(hosts.contains("iifname \"tap9\" jump inbound"), "{text}");
    // What is named is a host, though the pattern fits.
    for side in ["iifname", "oifname"] {
        let at = |line: String| guests.find(&line).unwrap_or_else(|| panic!("{line} in {text}"));
        let named = at(format!("{side} \"tap9\" accept comment \"not judged here\""));
        assert!(named < at(format!("{side} \"tap*\" jump")), "{text}");
    }
    let iptables = exported(Target::Iptables, site).text;
    let at = |line: &str| iptables.find(line).unwrap_or_else(|| panic!("{line} in {iptables}"));
    assert!(
        at("-A ENFORCER-FORWARD -o tap9 -m comment --comment \"not judged here\" -j RETURN")
            < at("-A ENFORCER-FORWARD -o tap+ -m comment --comment \"inbound\" -j ENFORCER-IN"),
        "{iptables}"
    );
}

#[test]
fn an_interface_that_would_need_quotes_is_refused() {
    for name in ["et\"h0", "e*0", "eth?"] {
        let (site, compiled) = compiled(&format!("interfaces: ['{name}']\nroles: [finesse]\n"));
        for target in Target::ALL {
            let error = export(target, &site, &compiled, None).unwrap_err();
            assert!(matches!(error, Error::Interface(_)), "{error}");
        }
    }
}

/// What is named keeps its own mode, also where a pattern covers it.
#[test]
fn a_pattern_is_for_the_rest() {
    let (site, compiled) =
        compiled("interfaces: [{name: 'tap*', mode: audit}, {name: tap3, mode: enforce}]\nroles: [finesse]\n");
    let nft = export(Target::Nft, &site, &compiled, None).unwrap().text;
    let (named, any) =
        (nft.find("iifname \"tap3\" counter drop").unwrap(), nft.find("iifname \"tap*\" counter accept").unwrap());
    assert!(named < any, "{nft}");
    assert!(!nft.contains("device \"tap*\""), "{nft}");
    let iptables = export(Target::Iptables, &site, &compiled, None).unwrap().text;
    assert!(iptables.contains("-A ENFORCER-NOT-IN -i tap+ -m comment"), "{iptables}");
}
