//! The built-in catalogue against a second, independent transcription of both documents.

use std::collections::BTreeSet;

use enforcer::policy::catalogue::{Origin, Side, embedded, export, lint, stale_decisions};
use expect_test::expect_file;

const SECOND_READING: &str = include_str!("../../tests/catalogue/second-reading.tsv");

/// Records on which both readings differ, with what the catalogue has, what the other has, and why it stays so.
const EXCEPTIONS: [[&str; 3]; 1] = [[
    "cce 1 10 listener tcp 1501 both internal",
    "cce 1 10 listener tcp 1501 both open",
    "The remark limits the port to local traffic, which is what `internal` means, although the direction is not local.",
]];

#[test]
fn the_export_equals_the_second_reading() {
    let mut first: BTreeSet<String> = export(embedded().unwrap())
        .into_iter()
        .map(|record| {
            let side = match record.side {
                Side::Listener => "listener",
                Side::Remote => "remote",
            };
            format!(
                "{} {} {} {side} {} {} {} {}",
                record.document,
                record.table,
                record.row,
                record.protocol,
                record.ports,
                record.direction,
                record.exposure
            )
        })
        .collect();
    let mut second: BTreeSet<String> =
        SECOND_READING.lines().skip(1).map(|line| line.replace('\t', " ").trim_end().to_owned()).collect();
    assert_eq!(second.len(), 638);
    for [ours, theirs, why] in EXCEPTIONS {
        assert!(first.remove(ours), "this exception is not needed any more: {why}");
        assert!(second.remove(theirs), "this exception is not needed any more: {why}");
    }
    let only_first: Vec<_> = first.difference(&second).collect();
    let only_second: Vec<_> = second.difference(&first).collect();
    assert_eq!((only_first, only_second), (vec![], vec![]));
}

#[test]
fn the_documents_have_382_rows_and_638_ports() {
    let records = export(embedded().unwrap());
    let rows: BTreeSet<_> = records.iter().map(|r| (&r.document, &r.table, r.row)).collect();
    assert_eq!((rows.len(), records.len()), (382, 638));
}

/// A record for each row, side, protocol and port: none twice, each reachable from a role.
#[test]
fn every_record_is_printed_once_and_has_a_role() {
    let records = export(embedded().unwrap());
    let mut keys = BTreeSet::new();
    for record in &records {
        assert!(!record.roles.is_empty(), "{record:?}");
        let key = (&record.document, &record.table, record.row, record.side, record.protocol, &record.ports);
        assert!(keys.insert(key), "{record:?}");
    }
}

#[test]
fn the_export_is_what_it_was() {
    let mut text = String::new();
    for r in export(embedded().unwrap()) {
        let peer = r.peer.unwrap_or_default();
        let doubt = r.doubt.unwrap_or_default();
        let fields = [&*r.document, &r.table, &r.row.to_string(), &format!("{:?}", r.side), r.protocol, &r.ports];
        let more = [r.direction, r.exposure, &peer, &r.roles.join(" "), &r.service, &doubt];
        text += &(fields.join("\t") + "\t" + &more.join("\t") + "\n");
    }
    expect_file!["../../tests/catalogue/export.tsv"].assert_eq(&text);
}

#[test]
fn every_contradiction_and_overlap_has_a_decision_and_every_missing_protocol_a_doubt() {
    let catalogue = embedded().unwrap();
    let findings = lint(catalogue);
    let new: Vec<String> = findings
        .iter()
        .filter(|finding| finding.decision.is_none())
        .map(|finding| format!("{} {:?} {:?} {}", finding.kind, finding.services, finding.ports, finding.message))
        .collect();
    assert!(new.is_empty(), "decide about these in policies/decisions.yaml:\n{}", new.join("\n"));
    let stale: Vec<_> = stale_decisions(catalogue, &findings).into_iter().collect();
    assert!(stale.is_empty(), "these are about nothing: {stale:#?}");
}

/// Peers that neither a row names nor a role stands for would be a vocabulary that nobody speaks.
#[test]
fn every_peer_is_of_use() {
    let catalogue = embedded().unwrap();
    let named: BTreeSet<&str> = catalogue
        .roles
        .values()
        .flat_map(|role| role.entries())
        .flat_map(|service| service.peers.iter().map(String::as_str))
        .collect();
    let unused: Vec<_> = catalogue
        .peers
        .iter()
        .filter(|(name, peer)| !named.contains(name.as_str()) && peer.roles.is_empty())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(unused, Vec::<&String>::new());
}

/// Where a role had two peers for its servers, or one that also means others, connections to it went to the wrong hosts.
#[test]
fn each_role_that_others_connect_to_has_one_peer_that_means_its_servers() {
    let catalogue = embedded().unwrap();
    let mut reached = BTreeSet::new();
    for role in catalogue.roles.keys() {
        for derived in catalogue.derived(role).into_iter().filter(|derived| derived.origin == Origin::Inverse) {
            reached.insert(derived.role.name.as_str());
        }
    }
    assert!(reached.len() > 15, "{reached:?}");
    for role in reached {
        let peers: Vec<_> =
            catalogue.peers.iter().filter(|(_, peer)| peer.servers.iter().any(|server| server == role)).collect();
        assert_eq!(peers.len(), 1, "{role}: {peers:?}");
        assert_eq!(catalogue.servers_of(role), Some(peers[0].0.as_str()));
    }
    let servers = |role| catalogue.servers_of(role).unwrap();
    assert_eq!(servers("cce-pg"), "cce-pgs");
    assert_eq!(servers("cce-router"), "cce-routers");
    assert_eq!(servers("cce-cti-server"), "cce-cti-servers");
    assert_eq!(servers("cvp-operations-console"), "cvp-operations-consoles");
}
