//! What is undone, and what goes on, when something fails half-way.

use std::path::Path;

use aya::maps::{Array, Map, MapData};
use enforcer_common::layout::{Control, LAYOUT_VERSION};
use harness::calls::{CHANGING, Then, watch};
use harness::enforcer::{command, enforcer, state_folder};

use super::failure::{LINK_UPDATE, NATIVE, OTHER, Two, is_bpf, links_of_two};

const MAP_UPDATE: u64 = 2;

/// The modes of a generation until a deadline, as its programs read them: 0 is audit.
fn modes(interface: &str, generation: u32) -> u64 {
    let path = format!("{interface}/v{LAYOUT_VERSION}/g{generation}/CONTROL");
    let path = Path::new("/sys/fs/bpf/enforcer").join(path);
    let map = Map::from_map_data(MapData::from_pin(path).expect("it is pinned")).expect("a map");
    let control: Array<MapData, Control> = map.try_into().expect("an array");
    control.get(&0, 0).expect("it has one entry").modes
}

#[test]
fn the_old_policy_comes_back_under_no_mode_but_its_own() {
    let two = Two::new();
    two.apply(OTHER);
    let before = two.picture();
    let (mut switched, mut failed, mut seen) = (0, false, Vec::new());
    let ran = two.try_apply(NATIVE, |call| {
        if is_bpf(call, &[LINK_UPDATE]) {
            switched += 1;
            if failed {
                seen.extend(two.names.iter().map(|name| modes(name, 1)));
            }
        }
        // The first record that is written when all hooks are switched, and the modes of the new policy are stored.
        if switched == links_of_two() && !failed && call.is_rename() {
            failed = true;
            assert_ne!(modes(&two.names[0], 2), 0, "the new policy enforces");
            return Then::Fail(libc::ENOMEM);
        }
        Then::GoOn
    });
    assert_eq!((ran.code, failed), (Some(1), true), "{}", ran.stderr);
    assert_eq!(seen[..2], [0, 0], "an old policy that was in audit drops nothing while it comes back");
    two.picture().expect(&before, &ran.stderr);
}

#[test]
fn a_mode_that_cannot_be_set_everywhere_is_set_nowhere_not_even_for_the_next_boot() {
    let two = Two::new();
    two.apply(NATIVE);
    let before = two.picture();
    let mut stores = 0;
    let ran = watch(&mut command(two.host(), &["mode", "audit"]), CHANGING, |call| {
        stores += usize::from(is_bpf(call, &[MAP_UPDATE]));
        // Two for the first interface, and the first of the second.
        if stores == 3 && is_bpf(call, &[MAP_UPDATE]) { Then::Fail(libc::ENOMEM) } else { Then::GoOn }
    });
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    two.picture().expect(&before, &ran.stderr);
}

#[test]
fn what_cannot_be_kept_for_the_next_boot_does_not_keep_the_rest_from_being_confirmed() {
    let two = Two::new();
    let mut policy = NATIVE.to_vec();
    policy.extend(["--confirm-within", "1h"]);
    two.apply(&policy);
    let mut renames = 0;
    let ran = watch(&mut command(two.host(), &["confirm"]), CHANGING, |call| {
        renames += usize::from(call.is_rename());
        if renames == 1 && call.is_rename() { Then::Fail(libc::EIO) } else { Then::GoOn }
    });
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("it could not be saved for the next boot"), "{}", ran.stderr);
    let json = enforcer(two.host(), &["status", "--format", "json"]).expect_code(0).json();
    let deadlines: Vec<_> = json["interfaces"].as_array().expect("a list").iter().map(|one| &one["deadline"]).collect();
    assert_eq!((deadlines.len(), deadlines.iter().all(|one| one.is_null())), (2, true), "{json}");
    let kept = two.names.each_ref().map(|name| state_folder().join(format!("{name}.json")).exists());
    assert_eq!(kept.iter().filter(|kept| **kept).count(), 1, "{}", ran.stderr);
}
