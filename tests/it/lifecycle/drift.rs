//! What somebody changes behind our back is seen.

use enforcer_common::{Entry, EntryKind, ServiceIndex};
use harness::enforcer::Protected;
use harness::remembered::Tables;

use super::{ENFORCE, sentences, status};

#[test]
fn an_entry_that_was_changed_in_the_kernel_is_drift() {
    let protected = Protected::apply(ENFORCE);
    let (code, json) = status(&protected);
    assert_eq!((code, &json["drift"]), (Some(0), &false.into()), "{json}");
    // A port that the policy gives no meaning, and an entry that permits.
    let entry = Entry::new(EntryKind::Permit, 0);
    Tables::of(&protected.cable.host).change_service(1, ServiceIndex::tcp(4444), entry);
    let (code, json) = status(&protected);
    assert_eq!((code, &json["drift"]), (Some(1), &true.into()), "{json}");
    assert!(sentences(&json, "problems").contains("tables"), "{json}");
    protected.apply_again(ENFORCE);
    assert_eq!(status(&protected).0, Some(0));
}
