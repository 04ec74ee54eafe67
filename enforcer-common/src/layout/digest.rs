//! A digest of everything that programs and user space both read, computed from its source text.
//!
//! The text says more than sizes do: names, types, the order of fields, numbers, and the functions that compute a position
//! ([`own_slot`](super::own_slot)). No list can forget anything: every file in `layout/` is read.

extern crate std;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

use super::{LAYOUT_DIGEST, LAYOUT_VERSION};

#[test]
fn a_changed_layout_has_another_version() {
    let digest = digest(&items(&files()));
    let [a, b, c, d] = [48, 32, 16, 0].map(|shift| digest >> shift & 0xffff);
    assert!(
        digest == LAYOUT_DIGEST,
        "the layout has changed since LAYOUT_VERSION {LAYOUT_VERSION}: raise LAYOUT_VERSION and put this digest beside it: \
         0x{a:04x}_{b:04x}_{c:04x}_{d:04x}. Change the digest alone only if no released version has pinned maps of version \
         {LAYOUT_VERSION}, or if every byte of every map still means the same."
    );
}

#[test]
fn a_digest_follows_fields_and_nothing_else() {
    let digest = |text: &str| digest(&items_of(text));
    let of = digest("/// A.\n#[repr(C)]\npub struct A {\n    /// B.\n    pub b: u32,\n    pub c: u32,\n}\n");
    for same in [
        "// Said otherwise.\n#[derive(Clone)]\n#[repr(C)]\npub struct A {\n    pub b: u32, // B.\n\n    pub c: u32,\n}\n",
        "use x::Y;\n\n#[repr(C)]\npub struct A { pub b: u32, pub c: u32 }\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n",
    ] {
        assert_eq!(digest(same), of, "{same}");
    }
    for other in [
        "#[repr(C)]\npub struct A {\n    pub c: u32,\n    pub b: u32,\n}\n",
        "#[repr(C)]\npub struct A {\n    pub b: u32,\n    pub d: u32,\n}\n",
        "#[repr(C)]\npub struct A {\n    pub b: u32,\n    pub c: i32,\n}\n",
        "#[repr(C, packed)]\npub struct A {\n    pub b: u32,\n    pub c: u32,\n}\n",
    ] {
        assert_ne!(digest(other), of, "{other}");
    }
}

#[test]
fn the_layout_is_made_of_nothing_that_the_digest_does_not_see() {
    // Numbers of directions and reasons may grow without another layout; `verdict` sees to it that none changes. Those of `numbers`
    // are others' to change, and they will not.
    let seen = ["crate::entry", "crate::ranges", "crate::verdict", "crate::layout", "crate::numbers"];
    for (path, text) in files() {
        let code = code(&text);
        for line in code.filter(|line| line.contains("crate::")) {
            for used in line.split("crate::").skip(1) {
                let used = std::format!("crate::{}", used.split([':', ';']).next().unwrap());
                assert!(seen.contains(&used.as_str()), "{}: {used} is not in the digest: {line}", path.display());
            }
        }
    }
}

/// The files whose text is the layout.
fn files() -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let folder = fs::read_dir(src.join("layout")).unwrap().map(|entry| entry.unwrap().path());
    let paths =
        folder.filter(|path| !path.ends_with("digest.rs")).chain(["entry.rs", "ranges.rs"].map(|name| src.join(name)));
    let files: Vec<_> = paths.map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect();
    assert!(files.len() > 2);
    files
}

fn items(files: &[(PathBuf, String)]) -> BTreeSet<String> {
    files.iter().flat_map(|(_, text)| items_of(text)).collect()
}

/// The items of a file without what does not matter: comments, sentences, attributes other than `repr`, what they are imported
/// from, white space, tests. A set, so that an item may move to another file.
fn items_of(text: &str) -> BTreeSet<String> {
    let mut items = BTreeSet::new();
    let mut item = String::new();
    for code in code(text) {
        if code.trim_start().starts_with("#[") && !code.contains("repr(") {
            continue;
        }
        // Every other piece is text between quotation marks, which is for people.
        item.extend(code.split('"').step_by(2).flat_map(str::chars).filter(|c| !c.is_whitespace()));
        if !code.starts_with([' ', '#']) && code.trim_end().ends_with(['}', ';']) {
            let whole = item.replace(",}", "}").replace(",)", ")");
            let is_place = ["use", "pubuse", "mod", "pubconstLAYOUT_", "constLAYOUT_"]
                .iter()
                .any(|start| whole.starts_with(start));
            if !is_place || whole.starts_with("pubmod") {
                items.insert(whole);
            }
            item.clear();
        }
    }
    items
}

/// The lines of a file, without comments and tests.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| *line != "mod tests {").map(|line| line.split("//").next().unwrap_or_default())
}

/// FNV-1a (Fowler, Noll and Vo), 64 bits.
fn digest(items: &BTreeSet<String>) -> u64 {
    let bytes = items.iter().flat_map(|item| item.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
