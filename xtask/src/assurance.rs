//! `cargo xtask assurance`: writes `docs/assurance.md` from the results of the long runs below the target folder. Nobody edits that
//! page by hand.
//!
//! The page keeps the sections of runs without new results, because the runs take place at different times and on different machines.
//!
//! Every run writes one JSON object, `target/assurance/NAME.json`. `figures` maps names to figures or to further objects of figures,
//! `kernel` is the kernel release, and `revision` is the revision that was tested.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use crate::workspace;

const PAGE: &str = "docs/assurance.md";
const INTRODUCTION: &str = "# Assurance\n\nThe figures of the last long test runs. `cargo xtask assurance` writes this page; nobody edits it by hand.\n";
/// The start of a section.
const HEADING: &str = "\n## ";

/// The known runs in the order of the page: name, title, and description. Other runs follow under their own names.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "oracle-native",
        "nftables against native XDP",
        "`cargo xtask oracle` sends the same random packets to two hosts, under every role: one host has the policy exported to nftables, the \
         other has the enforcer programs. It compares packet by packet what arrives. `tests/it/against_nft/differences.rs` explains the \
         named differences.",
    ),
    ("oracle-tc", "nftables against tc", "The same comparison, with the programs attached at tc."),
    (
        "replay-native",
        "Public captures, native XDP",
        "`cargo xtask replay` judges every packet of public captures twice, with the loaded program by test run and with the reference \
         evaluator. It compares verdict and reason.",
    ),
    ("replay-tc", "Public captures, tc", "The same comparison, with the programs attached at tc."),
    (
        "mutants",
        "Mutants",
        "`cargo xtask mutants` makes one small error after the other in the decision code (`tests/mutants.txt`). Each error must make a host \
         test fail.",
    ),
    (
        "fuzz",
        "Fuzzing",
        "`cargo xtask fuzz` runs cargo-fuzz on the targets of `tests/fuzz`. An input that causes a failure is added to the corpora, which \
         `cargo test` replays.",
    ),
    (
        "vmtest",
        "Kernels",
        "`cargo xtask vmtest` boots other kernels in QEMU and runs kernel tests there. The row `tests` lists the words that select tests by \
         name; tests whose names contain a word after `--skip` are left out.",
    ),
    (
        "vmtest-cards",
        "Network cards",
        "`cargo xtask vmtest --card` gives the machines emulated network cards. Under each card, its row `told` says how `--hook auto` attached, what          was changed (before and after each change, permitted and refused packets by TCP and UDP, over IPv4 and IPv6), and how large frames fared.",
    ),
    (
        "vmtest-arm64",
        "64-bit ARM",
        "`cargo xtask vmtest --processor arm64` runs kernel tests on an emulated 64-bit ARM processor.",
    ),
    (
        "load",
        "Load",
        "`cargo xtask load` sends a flood over two cables while policies, modes, addresses and flows change and while commands read everything. \
         The generator, the drivers, nftables and enforcer each count the frames, and all counts must agree. Afterwards nothing that was \
         loaded may remain.",
    ),
];

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask oracle && cargo xtask replay captures/ && cargo xtask mutants && cargo xtask assurance"
)]
pub(crate) struct Options {
    /// Print the page instead of writing it.
    #[arg(long)]
    print: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut results = Vec::new();
    let entries =
        fs::read_dir(folder()).with_context(|| format!("there are no results of any run in {}", folder().display()))?;
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "json") {
            results.push(read(&path)?);
        }
    }
    if results.is_empty() {
        bail!("there are no results of any run in {}", folder().display());
    }
    let path = workspace::root().join(PAGE);
    let text = page(&results, &fs::read_to_string(&path).unwrap_or_default());
    if options.print {
        print!("{text}");
        return Ok(());
    }
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    let names: Vec<&str> = results.iter().map(|run| run.name.as_str()).collect();
    println!("{PAGE}: renewed the figures of {}; the figures of other runs are unchanged", names.join(", "));
    Ok(())
}

/// The folder in which runs write their results.
pub(crate) fn folder() -> PathBuf {
    workspace::target_dir().join("assurance")
}

/// Writes a result, with the running kernel and the current revision.
pub(crate) fn write(name: &str, figures: &Value) -> anyhow::Result<()> {
    let path = folder().join(format!("{name}.json"));
    let kernel = said(Command::new("uname").arg("-r"));
    let run = json!({"kernel": kernel, "revision": workspace::revision(), "figures": figures});
    let text = format!("{run:#}\n");
    fs::create_dir_all(folder()).and_then(|()| fs::write(&path, text)).with_context(|| path.display().to_string())
}

struct Run {
    name: String,
    /// The day, the kernel and the revision.
    when: String,
    figures: Map<String, Value>,
}

fn read(path: &Path) -> anyhow::Result<Run> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let run: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    let figures = run["figures"].as_object().or(run.as_object()).cloned();
    let figures = figures.with_context(|| format!("{} is no object of figures", path.display()))?;
    let [kernel, revision] = ["kernel", "revision"].map(|field| run[field].as_str().unwrap_or("unknown"));
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let day = said(Command::new("date").args(["-u", "+%F", "-r"]).arg(path));
    Ok(Run { name, when: format!("{day}, Linux {kernel}, revision {revision}"), figures })
}

/// Returns the page with the sections of these runs replaced.
fn page(runs: &[Run], page: &str) -> String {
    let place = |title: &str| KNOWN.iter().position(|(_, known, _)| *known == title).unwrap_or(KNOWN.len());
    let mut sections: Vec<String> = page
        .split(HEADING)
        .skip(1)
        .map(|section| section.trim_end().to_owned())
        .chain(runs.iter().map(section))
        .collect();
    let title = |section: &String| section.lines().next().unwrap_or_default().to_owned();
    // Stable: of two with one title the newer one is the second.
    sections.sort_by_key(|section| (place(&title(section)), title(section)));
    let newest = sections.chunk_by(|a, b| title(a) == title(b)).filter_map(|same| same.last());
    let mut text = INTRODUCTION.to_owned();
    for section in newest {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{HEADING}{section}");
    }
    text
}

/// A run as a section of the page, without the signs of its heading.
fn section(run: &Run) -> String {
    let known = KNOWN.iter().find(|(known, ..)| *known == run.name);
    let (title, what) = known.map_or((run.name.as_str(), ""), |(_, title, what)| (*title, *what));
    let mut text = format!("{title}\n\n");
    if !what.is_empty() {
        let _ = write!(text, "{what}\n\n");
    }
    let _ = writeln!(text, "| figure | {} |\n|---|---|", run.when);
    for (name, value) in &run.figures {
        rows(&mut text, &name.replace('_', " "), value);
    }
    text.trim_end().to_owned()
}

fn rows(text: &mut String, name: &str, value: &Value) {
    match value {
        Value::Object(inner) if inner.is_empty() => {
            let _ = writeln!(text, "| {name} | none |");
        }
        Value::Object(inner) => inner.iter().for_each(|(key, value)| rows(text, &format!("{name}: {key}"), value)),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            let _ = writeln!(text, "| {name} | {} |", items.join(", "));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let _ = writeln!(text, "| {name} | {} |", plain(value));
        }
    }
}

fn plain(value: &Value) -> String {
    // A bar would begin another column.
    value.as_str().map_or_else(|| value.to_string(), str::to_owned).replace('|', "\\|")
}

fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    output.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_rows_and_known_runs_come_first() {
        let figures = |text| serde_json::from_str(text).unwrap();
        let runs = [
            Run {
                name: "another".into(),
                when: "2026-11-22".into(),
                figures: figures(r#"{"kernels": ["6.1", "6.12"]}"#),
            },
            Run {
                name: "mutants".into(),
                when: "2026-11-22".into(),
                figures: figures(r#"{"killed": 3, "by": {"unit tests": 2}, "none": {}}"#),
            },
        ];
        let text = page(&runs, "");
        assert!(text.contains("| killed | 3 |") && text.contains("| by: unit tests | 2 |"), "{text}");
        assert!(text.contains("| none | none |") && text.contains("| kernels | 6.1, 6.12 |"), "{text}");
        assert!(text.find("## Mutants") < text.find("## another"), "{text}");
        // A second time with one new run: the sections of other runs stay.
        assert_eq!(page(&runs[1..], &text), text);
        let newer = Run { name: "another".into(), when: "2026-11-23".into(), figures: figures(r#"{"kernels": []}"#) };
        let text = page(std::slice::from_ref(&newer), &text);
        assert!(text.contains("| killed | 3 |") && text.matches("## another").count() == 1, "{text}");
        assert!(text.contains("2026-11-23") && !text.contains("6.12"), "{text}");
    }

    #[test]
    fn the_page_has_the_descriptions_of_this_program() {
        let text = fs::read_to_string(workspace::root().join(PAGE)).unwrap();
        assert!(text.starts_with(INTRODUCTION), "{text}");
        for section in text.split(HEADING).skip(1) {
            let title = section.lines().next().unwrap();
            let (_, _, description) = KNOWN.iter().find(|(_, known, _)| *known == title).unwrap_or_else(|| {
                panic!("no known run has the title `{title}`; rename the section with the title in KNOWN")
            });
            assert!(section.contains(&format!("\n\n{description}\n\n")), "the page describes `{title}` differently");
        }
    }
}
