//! A mode, a direction, a verdict, a reason and whom an interface protects have one type each, whose serde writes the same word in
//! every file and listing. This test reads the sources and names each field that is a text instead, and each second type.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Fields that are texts for a reason: file, field, reason.
const TEXTS: [(&str, &str, &str); 12] = [
    ("enforcer/src/policy/site/mod.rs", "reason", "the operator's own words"),
    ("enforcer/src/policy/schema/site.rs", "reason", "the operator's own words"),
    ("enforcer/src/policy/schema/estate.rs", "reason", "the operator's own words"),
    ("enforcer/src/observe/suggest/additions.rs", "reason", "the operator's own words, proposed"),
    (
        "enforcer/src/observe/suggest/input.rs",
        "reason",
        "two reasons have the name `echo`; the verdict tells them apart",
    ),
    ("enforcer/src/cli/denied.rs", "reason", "an option that names one or two reasons"),
    ("enforcer/src/policy/catalogue/records.rs", "direction", "what a document prints: `both`, `local`, `none`"),
    ("enforcer/src/cli/role.rs", "direction", "what a document prints: `both`, `local`, `none`"),
    ("enforcer/src/cli/counters/listing.rs", "verdict", "`would_drop` is a count, not a verdict"),
    ("enforcer/src/cli/bpf_log.rs", "verdict", "`would_drop` is a count, not a verdict"),
    ("enforcer/src/observe/report/mod.rs", "verdict", "`would_drop` is a count, not a verdict"),
    ("enforcer/src/observe/report/groups.rs", "modes", "a cell of the page: the modes and until when"),
];

/// The types, and where each of them is.
const TYPES: [(&str, &[&str]); 7] = [
    ("Direction", &["enforcer-common/src/verdict.rs", "enforcer/src/policy/schema/role.rs"]),
    ("Mode", &["enforcer-common/src/verdict.rs", "enforcer/src/policy/schema/site.rs"]),
    ("Verdict", &["enforcer-common/src/verdict.rs"]),
    ("Reason", &["enforcer-common/src/verdict.rs"]),
    // `schema/` describes the YAML, in which one word may stand for both directions.
    ("Modes", &["enforcer/src/policy/modes.rs", "enforcer/src/policy/schema/site.rs"]),
    ("SaidModes", &["enforcer/src/policy/modes.rs"]),
    ("Protects", &["enforcer/src/policy/modes.rs"]),
];

#[test]
fn no_field_writes_a_mode_or_a_direction_or_a_reason_as_a_text_of_its_own() {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (file, text) in sources() {
        for (number, line) in (1..).zip(text.lines()) {
            let Some(field) = text_field(line) else { continue };
            match TEXTS.iter().position(|(known, name, _)| (*known, *name) == (file.as_str(), field)) {
                Some(known) => _ = used.insert(known),
                None => wrong.push(format!("{file}:{number}: {}", line.trim())),
            }
        }
    }
    assert!(wrong.is_empty(), "use the type, which writes the word by itself:\n{}", wrong.join("\n"));
    let unused: Vec<_> = (0..TEXTS.len()).filter(|known| !used.contains(known)).map(|known| TEXTS[known]).collect();
    assert!(unused.is_empty(), "exceptions that are not needed any more: {unused:?}");
}

#[test]
fn each_type_is_defined_once() {
    for (name, places) in TYPES {
        let defines = |line: &str| {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            words.windows(2).any(|pair| matches!(pair[0], "enum" | "struct" | "type") && pair[1] == name)
        };
        let found: BTreeSet<String> = sources()
            .into_iter()
            .filter(|(_, text)| text.lines().any(|line| !line.trim_start().starts_with("//") && defines(line)))
            .map(|(file, _)| file)
            .collect();
        assert_eq!(found, places.iter().map(ToString::to_string).collect(), "{name}");
    }
}

/// The name of the field, if this line is a field of one of these names and a text.
fn text_field(line: &str) -> Option<&str> {
    let (name, kind) = line.trim().strip_suffix(',')?.split_once(": ")?;
    let name = name.rsplit(' ').next()?;
    let names = ["mode", "modes", "inbound", "outbound", "direction", "verdict", "reason", "protects"];
    let is_text = kind.split(|c: char| !c.is_alphanumeric()).any(|word| matches!(word, "str" | "String" | "Cow"));
    // A value in an expression is no type.
    let is_type = !kind.contains('(') && !kind.contains('"');
    (names.contains(&name) && is_text && is_type).then_some(name)
}

#[test]
fn a_text_in_the_place_of_a_mode_is_noticed() {
    for line in [
        "    pub mode: String,",
        "    pub(super) inbound: Option<&'static str>,",
        "direction: &'a str,",
        "    pub modes: [String; 2],",
    ] {
        assert!(text_field(line).is_some(), "{line}");
    }
    for line in
        ["    pub mode: Mode,", "    /// mode: a String", "    name: String,", "    mode: String::from(\"audit\"),"]
    {
        assert_eq!(text_field(line), None, "{line}");
    }
}

/// Every source file of both crates, by its path in the repository, without its tests.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.join("enforcer/src"), root.join("enforcer-common/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code =
                    text.split_once("\n#[cfg(test)]\nmod tests {").map_or(text.as_str(), |(code, _)| code).to_owned();
                found.push((path.strip_prefix(&root).unwrap().display().to_string(), code));
            }
        }
    }
    found.sort();
    assert!(found.len() > 200, "{}", found.len());
    found
}

/// The plain reading has its own numbers, because it is independent of the decision code; so have the frames that test both.
const OWN_NUMBERS: [&str; 2] = ["enforcer/src/judge/reference/", "enforcer/src/fixtures/"];

#[test]
fn protocol_and_port_numbers_stand_in_one_file() {
    let of = |line: &str| -> Option<String> {
        let (_, constant) = line.split_once("const ")?;
        let (name, rest) = constant.split_once(": u")?;
        (rest.starts_with("8 = ") || rest.starts_with("16 = ")).then(|| name.to_owned())
    };
    let numbers = "enforcer-common/src/numbers.rs";
    let (home, others): (Vec<_>, Vec<_>) = sources().into_iter().partition(|(file, _)| file == numbers);
    let known: BTreeSet<String> = home.iter().flat_map(|(_, text)| text.lines().filter_map(of)).collect();
    assert!(known.len() > 20, "{known:?}");
    for (file, text) in others.iter().filter(|(file, _)| !OWN_NUMBERS.iter().any(|own| file.starts_with(own))) {
        for (number, line) in (1..).zip(text.lines()) {
            assert!(!of(line).is_some_and(|name| known.contains(&name)), "{file}:{number}: use {numbers}: {line}");
        }
    }
}

#[test]
fn structures_of_the_bpf_system_call_come_from_aya() {
    for (file, text) in sources().iter().filter(|(file, _)| file.starts_with("enforcer/src/dataplane/")) {
        for (number, line) in (1..).zip(text.lines()) {
            assert!(!line.contains("#[repr(C)]"), "{file}:{number}: use aya_obj::generated");
        }
    }
}
