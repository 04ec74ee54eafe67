//! `cargo xtask fuzz`: cargo-fuzz on the targets of `tests/fuzz`, each for a while.
//!
//! What is found new is kept below the target folder; the committed corpora are read and never written.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use crate::shell::{CommandLine, cargo};
use crate::{assurance, setup, workspace};

const FOLDER: &str = "tests/fuzz";

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask fuzz\n  cargo xtask fuzz --seconds 3600 packet\n\n\
                  Inputs that break something are left in target/fuzz/artifacts: fix what they broke, and put them into the corpus \
                  (tests/fuzz/corpus), which `cargo test` replays. What grew is in target/fuzz/corpus.")]
pub(crate) struct Options {
    /// How long each target is run.
    #[arg(long, value_name = "N", default_value_t = 120)]
    seconds: u64,
    /// Only these.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let known = targets()?;
    if let Some(unknown) = options.targets.iter().find(|target| !known.contains(target)) {
        bail!("there is no target `{unknown}` in {FOLDER}, only {}", known.join(", "));
    }
    setup::run(&setup::Options::default())?;
    setup::programs(setup::Run::Fuzz)?;
    setup::fuzzing()?;
    let chosen = if options.targets.is_empty() { &known } else { &options.targets };
    let mut figures = Map::new();
    let mut crashed = Vec::new();
    for target in chosen {
        let run = fuzz(target, options.seconds)?;
        if run.crashes > 0 {
            crashed.push(target.as_str());
        }
        figures.insert(target.clone(), run.figures());
    }
    // A choice is no full run, and must not stand for one.
    if options.targets.is_empty() {
        assurance::write("fuzz", &Value::Object(figures.clone()))?;
    }
    println!("{:#}", Value::Object(figures));
    if crashed.is_empty() { Ok(()) } else { bail!("something broke: {}", crashed.join(", ")) }
}

fn targets() -> anyhow::Result<Vec<String>> {
    let folder = workspace::root().join(FOLDER).join("fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut names: Vec<String> =
        paths.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    Ok(names)
}

#[derive(Debug, Default, Eq, PartialEq)]
struct Run {
    runs: u64,
    seconds: u64,
    crashes: usize,
    corpus: usize,
}

impl Run {
    /// Reads a line of libFuzzer.
    fn read(&mut self, line: &str) {
        // Done 1234 runs in 61 second(s)
        let Some(rest) = line.strip_prefix("Done ") else { return };
        let mut words = rest.split(' ');
        let mut number = || words.find_map(|word| word.parse().ok());
        self.runs = number().unwrap_or(0);
        self.seconds = number().unwrap_or(0);
    }

    fn figures(&self) -> Value {
        json!({"inputs": self.runs, "seconds": self.seconds, "crashes": self.crashes, "inputs_kept": self.corpus})
    }
}

fn fuzz(target: &str, seconds: u64) -> anyhow::Result<Run> {
    let root = workspace::root();
    let scratch = workspace::target_dir().join("fuzz");
    let (grown, artifacts) = (scratch.join("corpus").join(target), scratch.join("artifacts").join(target));
    for folder in [&grown, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let before = files(&artifacts)?;
    // Sanitizers are not for stable compilers, which this one is.
    let line = CommandLine::new(&[]).arg(cargo()).variable("RUSTC_BOOTSTRAP", "1");
    let line = ["fuzz", "run", "--release", "--fuzz-dir", FOLDER, "--target-dir"]
        .into_iter()
        .fold(line, CommandLine::arg)
        .arg(scratch.to_string_lossy())
        .arg(target)
        .arg(grown.to_string_lossy())
        .arg(format!("{FOLDER}/corpus/{target}"))
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-timeout=20");
    eprintln!("$ {line}");
    let mut child = line
        .command()
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    let mut run = Run::default();
    let errors = BufReader::new(child.stderr.take().context("it has a standard error")?);
    for text in errors.split(b'\n').map_while(Result::ok) {
        let text = String::from_utf8_lossy(&text);
        run.read(&text);
        eprintln!("{text}");
    }
    let status = child.wait()?;
    run.crashes = files(&artifacts)?.saturating_sub(before);
    run.corpus = files(&grown)?;
    if !status.success() && run.crashes == 0 {
        bail!("`{line}` failed ({status})");
    }
    if status.success() && run.runs == 0 {
        bail!("`{line}` has run nothing");
    }
    Ok(run)
}

fn files(folder: &Path) -> anyhow::Result<usize> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    Ok(entries.filter_map(Result::ok).filter(|entry| entry.path().is_file()).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_seconds_are_read_from_libfuzzer() {
        let mut run = Run::default();
        for line in ["#12\tNEW cov: 5", "Done 48391 runs in 61 second(s)", ""] {
            run.read(line);
        }
        assert_eq!(run, Run { runs: 48_391, seconds: 61, ..Run::default() });
    }

    #[test]
    fn every_target_has_a_corpus() {
        let targets = targets().unwrap();
        assert!(targets.len() >= 4, "{targets:?}");
        for target in targets {
            let corpus = workspace::root().join(FOLDER).join("corpus").join(&target);
            assert!(files(&corpus).unwrap() > 0, "{target}");
        }
    }
}
