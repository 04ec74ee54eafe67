//! Every host of the reference estate filtered by its nft export: what the hosts try of each other arrives as the rules say.

use std::collections::BTreeSet;
use std::path::Path;

use enforcer_common::Mode;
use harness::estate::Laid;
use harness::skip::say;

/// Where nobody asks for more: exports of guests, of Windows hosts, of an access list and of nft, and a machine without a policy.
const HOSTS: &[&str] = &["ads1", "cad1", "cadrec", "cuc1", "cuc2", "hv1", "pg-a", "rtr-a", "rtr-b"];

#[test]
fn the_nft_exports_of_an_estate_let_its_own_traffic_arrive() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/estate/estate.yaml");
    let text = std::fs::read_to_string(path).expect("the reference estate");
    let is_long = std::env::var_os("ENFORCER_PACKETS").is_some();
    let laid = Laid::out(&text, if is_long { &[] } else { HOSTS });
    let all: BTreeSet<&str> = laid.protected().map(|(station, _)| station.name.as_str()).collect();
    all.iter().for_each(|host| laid.load_nft(host, Mode::Enforce));
    let mut wire = laid.open();
    let outcome = laid.arrivals(&mut wire, Mode::Enforce, 0, |_, _| {});
    assert!(outcome.wrong.is_empty(), "{}", outcome.wrong.join("\n"));
    assert!(outcome.arrived > 200 && outcome.arrived == outcome.permitted, "{outcome:?}");
    say(&format!("{} exports, {} attempts, {} arrived", all.len(), outcome.attempts, outcome.arrived));
    // An export that only counts is found.
    laid.load_nft("rtr-a", Mode::Audit);
    let other = laid.arrivals(&mut wire, Mode::Enforce, 1, |_, _| {});
    assert!(other.wrong.iter().any(|text| text.contains("rtr-a")), "{other:?}");
}
