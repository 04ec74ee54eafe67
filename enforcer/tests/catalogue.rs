//! The built-in catalogue against a second, independent transcription of both documents.

use std::collections::BTreeSet;

use enforcer::catalogue::{Side, embedded, export};

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
