//! `cargo xtask assurance`: writes `docs/assurance.md` from what the long runs have left below the target folder. Nobody writes
//! that page by hand.
//!
//! What a run has left nothing for, the page keeps: long runs are made one at a time, and not all on one machine.
//!
//! Every run leaves one JSON object, `target/assurance/NAME.json`: under `figures` the figures by name, objects of figures where there
//! are several, and beside it the `kernel` it ran under and the `revision` that was run.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use crate::workspace;

const PAGE: &str = "docs/assurance.md";
/// What a section begins with.
const HEADING: &str = "\n## ";

/// Results in the order of the page: name, title, and what was done. Others follow under their own names.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "oracle-native",
        "nftables against native XDP",
        "`cargo xtask oracle`: the same random packets to a host with the exported nftables policy and to one with our programs, under \
         every role; what arrives is compared packet by packet. The named differences and their reasons are in \
         `tests/it/against_nft/differences.rs`.",
    ),
    ("oracle-tc", "nftables against tc", "The same with the programs at tc."),
    (
        "replay-native",
        "Captures of others, native XDP",
        "`cargo xtask replay`: every packet through the loaded program by test run and through the reference evaluator; verdict and \
         reason are compared.",
    ),
    ("replay-tc", "Captures of others, tc", "The same with the programs at tc."),
    (
        "mutants",
        "Mutants",
        "`cargo xtask mutants`: small breakages of the code that decides (`tests/mutants.txt`), one at a time; each must make a test of \
         the host fail.",
    ),
    (
        "fuzz",
        "Fuzzing",
        "`cargo xtask fuzz`: cargo-fuzz on the targets of `tests/fuzz`. What breaks something joins the corpora, which `cargo test` replays.",
    ),
    (
        "vmtest",
        "Kernels",
        "`cargo xtask vmtest`: tests of the kernel suite under other kernels, booted in QEMU: those whose names contain one of these words, \
         and none of those after `--skip`.",
    ),
    (
        "load",
        "Load",
        "`cargo xtask load`: a flood over two cables while policies, modes, addresses and flows change and everything is read. Frames are \
         counted by the generator, by the drivers, by nftables and by us, and all have to agree; what was loaded has to be gone afterwards.",
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
        fs::read_dir(folder()).with_context(|| format!("no run has left anything in {}", folder().display()))?;
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "json") {
            results.push(read(&path)?);
        }
    }
    if results.is_empty() {
        bail!("no run has left anything in {}", folder().display());
    }
    let path = workspace::root().join(PAGE);
    let text = page(&results, &fs::read_to_string(&path).unwrap_or_default());
    if options.print {
        print!("{text}");
        return Ok(());
    }
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    let names: Vec<&str> = results.iter().map(|run| run.name.as_str()).collect();
    println!("{PAGE} has the figures of these runs now, and those of others as it had them: {}", names.join(", "));
    Ok(())
}

/// Where runs leave their results.
pub(crate) fn folder() -> PathBuf {
    workspace::target_dir().join("assurance")
}

/// Leaves a result of this kernel and this revision.
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

/// The page with these runs in the place of older ones.
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
    let mut text =
        "# Assurance\n\nThe figures of the last long runs, written by `cargo xtask assurance` and not by hand.\n"
            .to_owned();
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
        // Once more: the runs that are new, and what there was of others.
        assert_eq!(page(&runs[1..], &text), text);
        let newer = Run { name: "another".into(), when: "2026-11-23".into(), figures: figures(r#"{"kernels": []}"#) };
        let text = page(std::slice::from_ref(&newer), &text);
        assert!(text.contains("| killed | 3 |") && text.matches("## another").count() == 1, "{text}");
        assert!(text.contains("2026-11-23") && !text.contains("6.12"), "{text}");
    }
}
