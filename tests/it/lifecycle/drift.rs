//! What somebody changes behind our back is seen.

use std::process::Command;

use enforcer_common::layout::LAYOUT_VERSION;
use harness::enforcer::Protected;

use super::{ENFORCE, sentences, status};

#[test]
fn an_entry_that_was_changed_in_the_kernel_is_drift() {
    let protected = Protected::apply(ENFORCE);
    let (code, json) = status(&protected);
    assert_eq!((code, &json["drift"]), (Some(0), &false.into()), "{json}");
    let host = format!("/sys/fs/bpf/enforcer/host:{}/v{LAYOUT_VERSION}", protected.cable.host.inode());
    let table = format!("{host}/g1/SERVICES_IN");
    // An index that the policy gives no meaning, and an entry that permits.
    let words = ["map", "update", "pinned", &table, "key", "0x5c", "0x11", "0", "0", "value", "1", "0", "0", "0"];
    let output = Command::new("bpftool").args(words).output().expect("bpftool is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (code, json) = status(&protected);
    assert_eq!((code, &json["drift"]), (Some(1), &true.into()), "{json}");
    assert!(sentences(&json, "problems").contains("tables"), "{json}");
    protected.apply_again(ENFORCE);
    assert_eq!(status(&protected).0, Some(0));
}
