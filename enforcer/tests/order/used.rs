//! What is public is used by something besides tests.

use std::collections::BTreeMap;
use std::fs;

use crate::{Source, repository, sources};

/// What tests alone may use, besides `fixtures`: it makes the host's stand-in for the tables do what the data plane does.
const FOR_TESTS: [&str; 1] = ["policy_has_changed"];

#[test]
fn whatever_is_public_is_used_by_more_than_tests() {
    let ours: Vec<Source> = ["enforcer/src", "enforcer-common/src"].iter().flat_map(|root| sources(root)).collect();
    let users = ["enforcer-ebpf/src", "xtask/src"].iter().flat_map(|root| sources(root));
    let mut texts: Vec<String> = users.map(|source| source.text).collect();
    texts.push(fs::read_to_string(repository().join("enforcer/build.rs")).unwrap());
    texts.extend(ours.iter().map(|source| source.text.clone()));
    let mut often: BTreeMap<String, usize> = BTreeMap::new();
    for text in &texts {
        for word in without_tests(text).split(|letter: char| !letter.is_alphanumeric() && letter != '_') {
            *often.entry(word.to_owned()).or_default() += 1;
        }
    }
    let mut unused = Vec::new();
    for source in ours.iter().filter(|source| !source.is_below("fixtures")) {
        for name in without_tests(&source.text).lines().filter_map(public_name) {
            if often[name] < 2 && !FOR_TESTS.contains(&name) {
                unused.push(format!("{}: `{name}`", source.path));
            }
        }
    }
    assert!(unused.is_empty(), "nothing but tests uses these:\n{}", unused.join("\n"));
}

/// The name that a line makes public, within the crate or beyond.
fn public_name(line: &str) -> Option<&str> {
    let line = line.trim_start().strip_prefix("pub")?;
    let line = match line.strip_prefix('(') {
        Some(within) => within.split_once(')')?.1,
        None => line,
    };
    let mut words = line.split_whitespace().peekable();
    while words.next_if(|word| ["unsafe", "async", "extern", "\"C\""].contains(word)).is_some() {}
    let mut kind = words.next()?;
    if kind == "const" && words.peek() == Some(&"fn") {
        kind = words.next()?;
    }
    let name = words.next()?;
    let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(name.len());
    ["fn", "struct", "enum", "union", "const", "static", "type", "trait"].contains(&kind).then_some(&name[..end])
}

/// A file without its comments, and without what only a build for tests has.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if line.trim() == "#[cfg(test)]" {
            // One line, or a block that ends where it began.
            let end = format!("{indent}}}");
            let first = lines.next().unwrap_or_default();
            if first.trim_end().ends_with('{') {
                lines.find(|line| *line == end);
            }
        } else if !line.trim_start().starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}
