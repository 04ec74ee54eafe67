//! The pins, files and maps that the documents name exist on a protected host.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use enforcer::cli::help::markdown::{Block, Span, read};
use harness::enforcer::{Protected, state_folder};

use super::source;

const PINS: &str = "/sys/fs/bpf/enforcer";

#[test]
fn pins_and_files_that_the_documents_name_exist() {
    let Some(root) = source() else { return };
    let protected = Protected::apply(&["--role", "unity-connection"]);
    let near = &protected.cable.near.interface;
    let netns = protected.cable.host.inode().to_string();
    let state = state_folder();
    let mut found = 0;
    for path in paths(&root) {
        let real = path.replace("IF", near).replace("NETNS", &netns);
        let real = real.replace("/var/lib/enforcer", &state.to_string_lossy());
        // The others are made by the package and by whoever configures the agent.
        if real.starts_with(PINS) || Path::new(&real).starts_with(&state) || real.starts_with("/run/") {
            assert!(Path::new(&real).exists(), "docs/how-it-works.md names {path}, but there is no {real}");
            found += 1;
        }
    }
    assert!(found >= 8, "only {found} paths were found below the heading");
}

#[test]
fn maps_that_the_documents_name_are_pinned() {
    let Some(root) = source() else { return };
    let protected = Protected::apply(&["--role", "unity-connection"]);
    let host = format!("host:{}", protected.cable.host.inode());
    let mut pinned = BTreeSet::new();
    for folder in [protected.cable.near.interface.as_str(), &host] {
        names_below(&Path::new(PINS).join(folder), &mut pinned);
    }
    let picture = fs::read_to_string(root.join("docs/data-path.svg")).expect("it is text");
    let in_picture = picture.split("class=\"map\"").skip(1).filter_map(|rest| rest.split(['>', '<']).nth(1));
    let mut named: Vec<String> = in_picture.flat_map(str::split_whitespace).map(str::to_owned).collect();
    for block in blocks(&root) {
        codes(&block, &mut named);
    }
    named.retain(|name| name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(is_of_a_map));
    // These stand for other names, or are variables of the environment.
    named.retain(|name| !["IF", "NETNS"].contains(&name.as_str()) && !name.starts_with("ENFORCER_"));
    assert!(named.len() > 25, "hardly any map is named: {named:?}");
    for name in named {
        assert!(pinned.contains(&name), "no map {name} is pinned: {pinned:?}");
    }
}

const fn is_of_a_map(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'
}

fn blocks(root: &Path) -> Vec<Block> {
    read(&fs::read_to_string(root.join("docs/how-it-works.md")).expect("it is text"))
}

/// The first column of the table below "Pins and files".
fn paths(root: &Path) -> Vec<String> {
    let blocks = blocks(root);
    let mut below = blocks.iter().skip_while(|block| !block.is_heading("Pins and files"));
    let table = below.find_map(|block| if let Block::Table { rows, .. } = block { Some(rows) } else { None });
    let cells = table.expect("there is a table").iter().filter_map(|row| row.first()?.first());
    cells.map(|span| span.words().to_owned()).collect()
}

fn codes(block: &Block, found: &mut Vec<String>) {
    let mut of = |spans: &[Span]| {
        let code = spans.iter().filter(|span| matches!(span, Span::Code(_)));
        found.extend(code.map(|span| span.words().to_owned()));
    };
    match block {
        Block::Heading { text, .. } | Block::Paragraph(text) => of(text),
        Block::Table { rows, .. } => rows.iter().flatten().for_each(|cell| of(cell)),
        Block::List { items, .. } => items.iter().flatten().for_each(|block| codes(block, found)),
        Block::Code { .. } => {}
    }
}

fn names_below(folder: &Path, found: &mut BTreeSet<String>) {
    let entries: Vec<PathBuf> =
        fs::read_dir(folder).expect("it is pinned").filter_map(|entry| Some(entry.ok()?.path())).collect();
    for path in entries {
        if path.is_dir() {
            names_below(&path, found);
        } else if let Some(name) = path.file_name() {
            found.insert(name.to_string_lossy().into_owned());
        }
    }
}
