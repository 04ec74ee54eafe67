//! The house has floors: each wing of `enforcer/src` uses only those below it, and no files import each other in a circle.
//!
//! [`WINGS`] is the table. ARCHITECTURE.md draws the same one; a wing that needs more changes both.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod imports;
mod used;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use imports::{Import, Source};

/// From the ground up: a wing, and what it may use besides itself.
const WINGS: [(&str, &[&str]); 13] = [
    ("text", &[]),
    ("failure", &["text"]),
    ("host", &["failure", "text"]),
    ("policy", &["host", "failure", "text"]),
    ("judge", &["policy", "host", "failure", "text"]),
    ("estate", &["judge", "policy", "host", "failure", "text"]),
    ("state", &["policy", "host", "failure", "text"]),
    ("dataplane", &["state", "judge", "policy", "host", "failure", "text"]),
    ("observe", &["dataplane", "state", "judge", "policy", "host", "failure", "text"]),
    ("protect", &["dataplane", "state", "judge", "policy", "host", "failure", "text"]),
    ("agent", &["protect", "observe", "dataplane", "state", "judge", "policy", "host", "failure", "text"]),
    (
        "cli",
        &["agent", "protect", "observe", "dataplane", "state", "estate", "judge", "policy", "host", "failure", "text"],
    ),
    // Inputs that unit tests and fuzz targets share; nothing uses it but them.
    ("fixtures", &["state", "judge", "policy", "text"]),
];

/// Where no files may import each other in a circle. The whole of `enforcer-common` is one.
const WITHOUT_CIRCLES: [&str; 5] = ["agent", "cli", "dataplane", "policy/catalogue", "policy/site"];

#[test]
fn no_wing_uses_one_above_it() {
    let sources = sources("enforcer/src");
    let mut wrong = Vec::new();
    for source in &sources {
        let Some(wing) = source.module.first() else { continue };
        let Some((_, below)) = WINGS.iter().find(|(name, _)| name == wing) else {
            wrong.push(format!("{}: `{wing}` is no wing of the table in enforcer/tests/order", source.path));
            continue;
        };
        for Import { line, path, .. } in source.imports(&sources) {
            let used = path.first().map_or("", String::as_str);
            if used != wing && !below.contains(&used) {
                wrong.push(format!("{}:{line}: `{wing}` may not use `{}`", source.path, path.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point upward:\n{}", wrong.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut wrong = Vec::new();
    for (root, folders) in [("enforcer/src", &WITHOUT_CIRCLES[..]), ("enforcer-common/src", &[""][..])] {
        let sources = sources(root);
        for folder in folders {
            let inside = sources.iter().filter(|source| source.is_below(folder)).map(|source| &source.module).collect();
            wrong.extend(circles(&graph(&sources, &inside)));
        }
        // Between wings, whatever is inside of them.
        let wings = wing_graph(&sources);
        wrong.extend(circles(&wings).into_iter().filter(|_| root == "enforcer/src"));
    }
    assert!(wrong.is_empty(), "files that import each other in a circle:\n{}", wrong.join("\n\n"));
}

#[test]
fn the_picture_in_the_architecture_is_the_same_table() {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `enforcer/src/")).filter_map(|line| {
        let mut cells = line.split('|').map(str::trim);
        let name = cells.next()?.trim_end_matches('`').trim_end_matches('/').trim_end_matches(".rs").to_owned();
        let uses: BTreeSet<String> = cells.nth(1)?.split(", ").map(|word| word.trim_matches('`').to_owned()).collect();
        Some((name, uses))
    });
    let drawn: BTreeMap<String, BTreeSet<String>> = rows.collect();
    for (wing, below) in WINGS.iter().filter(|(wing, _)| *wing != "fixtures") {
        let below: BTreeSet<String> = match below.len() {
            0 => ["nothing of ours".to_owned()].into(),
            _ if *wing == "cli" => ["everything".to_owned()].into(),
            _ => below.iter().map(|&word| word.to_owned()).collect(),
        };
        assert_eq!(drawn.get(*wing), Some(&below), "the row of `{wing}` in ARCHITECTURE.md");
    }
}

#[test]
fn hand_written_files_are_about_one_thing() {
    /// Tables: long, and about one thing all the same.
    const TABLES: [&str; 1] = ["enforcer/src/fixtures/ugly.rs"];
    const LONGEST: usize = 400;
    let mut long = Vec::new();
    for root in ["enforcer/src", "enforcer-common/src", "enforcer-ebpf/src", "xtask/src"] {
        for source in sources(root) {
            let lines = source.text.lines().count();
            if lines > LONGEST && !TABLES.contains(&source.path.as_str()) {
                long.push(format!(
                    "{}: {lines} lines, at most {LONGEST}: which subject could be a file of its own?",
                    source.path
                ));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

type Graph = BTreeMap<String, BTreeMap<String, String>>;

/// Who imports whom, by file, with a line that does.
fn graph(sources: &[Source], inside: &BTreeSet<&Vec<String>>) -> Graph {
    let mut graph = Graph::new();
    for source in sources.iter().filter(|source| inside.contains(&source.module)) {
        let edges = graph.entry(source.path.clone()).or_default();
        for import in source.imports(sources) {
            if let Some(target) = sources.iter().find(|other| other.module == import.module)
                && target.module != source.module
                && inside.contains(&target.module)
            {
                edges.entry(target.path.clone()).or_insert_with(|| format!("{}:{}", source.path, import.line));
            }
        }
    }
    graph
}

fn wing_graph(sources: &[Source]) -> Graph {
    let mut graph = Graph::new();
    for source in sources {
        let Some(wing) = source.module.first() else { continue };
        for import in source.imports(sources) {
            if let Some(used) = import.path.first().filter(|used| *used != wing) {
                let edges = graph.entry(wing.clone()).or_default();
                edges.entry(used.clone()).or_insert_with(|| format!("{}:{}", source.path, import.line));
            }
        }
    }
    graph
}

/// Circles, as the lines that make them; each file is in one at most.
fn circles(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for start in graph.keys() {
        let mut way = Vec::new();
        if !known.contains(start.as_str()) && leads_back(graph, start, start, &mut BTreeSet::new(), &mut way) {
            known.extend(way.iter().map(|(file, _): &(&str, &str)| *file));
            found.push(way.iter().map(|(file, line)| format!("{line} imports {file}")).collect::<Vec<_>>().join("\n"));
        }
    }
    found
}

fn leads_back<'a>(
    graph: &'a Graph,
    from: &str,
    start: &str,
    seen: &mut BTreeSet<&'a str>,
    way: &mut Vec<(&'a str, &'a str)>,
) -> bool {
    for (to, line) in graph.get(from).into_iter().flatten() {
        way.push((to, line));
        if to == start || (seen.insert(to) && leads_back(graph, to, start, seen, way)) {
            return true;
        }
        way.pop();
    }
    false
}

fn sources(root: &str) -> Vec<Source> {
    let root = repository().join(root);
    let mut files = Vec::new();
    list(&root, &mut files);
    assert!(!files.is_empty(), "there is nothing in {}", root.display());
    files.iter().map(|file| Source::read(&repository(), &root, file)).collect()
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            list(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
