//! `cargo xtask mutants`: breaks the code that decides in small ways, one at a time, and sees that a test fails each time.
//!
//! The breakages are data (`tests/mutants.txt`). They are made in a copy below the target folder, and only tests of the host are
//! asked, so the object for the kernel is an empty file there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::json;

use crate::shell::cargo;
use crate::{assurance, workspace};

const LIST: &str = "tests/mutants.txt";
/// Asked in this order until one fails; the quickest first.
const TESTS: [&[&str]; 8] = [
    &["test", "--quiet", "--package", "enforcer-common"],
    &["test", "--quiet", "--package", "enforcer", "--test", "agreement"],
    &["test", "--quiet", "--package", "enforcer", "--test", "compile"],
    &["test", "--quiet", "--package", "enforcer", "--test", "remote", "--test", "limit"],
    &["test", "--quiet", "--package", "enforcer", "--lib", "host::sockets::"],
    // Of the data plane, what needs neither the object nor the kernel.
    &["test", "--quiet", "--package", "enforcer", "--lib", "dataplane::pin::"],
    &["test", "--quiet", "--package", "enforcer", "--lib", "dataplane::read::"],
    &["test", "--quiet", "--package", "enforcer", "--lib", "dataplane::sys::native::"],
];
/// What stands in for `enforcer/build.rs`.
const NO_OBJECT: &str = r#"fn main() {
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    std::fs::write(format!("{out}/enforcer.bpf.o"), "").expect("it is writable");
    println!("cargo::rerun-if-changed=build.rs");
}
"#;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask mutants\n  cargo xtask mutants --only fragment\n  cargo xtask mutants --list"
)]
pub(crate) struct Options {
    /// Only those whose sentence contains this.
    #[arg(long, value_name = "WORDS")]
    only: Option<String>,
    /// Start with the mutant of this number, to continue a run that was stopped.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "only")]
    from: usize,
    /// Only say what there is, and that each still fits the code.
    #[arg(long)]
    list: bool,
}

/// A breakage.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Mutant {
    sentence: String,
    file: PathBuf,
    before: String,
    after: String,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let root = workspace::root();
    let text = fs::read_to_string(root.join(LIST)).with_context(|| format!("cannot read {LIST}"))?;
    let mut mutants = parsed(&text)?;
    for mutant in &mutants {
        mutant.broken(root)?;
    }
    if let Some(only) = &options.only {
        mutants.retain(|mutant| mutant.sentence.contains(only.as_str()));
        if mutants.is_empty() {
            bail!("no mutant of {LIST} has `{only}` in its sentence");
        }
    }
    if options.list {
        for (number, mutant) in mutants.iter().enumerate() {
            println!("{:3} {} ({})", number + 1, mutant.sentence, mutant.file.display());
        }
        return Ok(());
    }
    if !(1..=mutants.len()).contains(&options.from) {
        bail!("there are {} mutants, and none has the number {}", mutants.len(), options.from);
    }
    let copy = workspace::target_dir().join("mutants");
    copied(root, &copy)?;
    if let Some(test) = failing(&copy)? {
        bail!("`cargo {}` fails without any mutant", test.join(" "));
    }
    let mut survivors = Vec::new();
    for (number, mutant) in mutants.iter().enumerate().skip(options.from - 1) {
        let begin = Instant::now();
        let path = copy.join(&mutant.file);
        let whole = fs::read_to_string(&path)?;
        fs::write(&path, mutant.broken(&copy)?)?;
        let killer = failing(&copy);
        fs::write(&path, whole)?;
        let told = match killer {
            Ok(Some(test)) => format!("killed by {}", test[test.len() - 1]),
            Err(error) => {
                // One that no compiler takes says nothing about the tests. The others are asked all the same.
                eprintln!("{error:#}");
                survivors.push(mutant.sentence.clone());
                "COULD NOT BE ASKED".to_owned()
            }
            Ok(None) => {
                survivors.push(mutant.sentence.clone());
                "SURVIVED".to_owned()
            }
        };
        println!("{}/{} {told} in {}s: {}", number + 1, mutants.len(), begin.elapsed().as_secs(), mutant.sentence);
    }
    let (all, left) = (mutants.len() + 1 - options.from, survivors.len());
    println!("\n{all} mutants, {} killed, {left} survived", all - left);
    if options.only.is_none() && options.from == 1 {
        let figures = json!({"mutants": all, "killed": all - left, "survived": left, "survivors": survivors});
        assurance::write("mutants", &figures)?;
    }
    if survivors.is_empty() { Ok(()) } else { bail!("no test noticed: {}", survivors.join(" ")) }
}

/// The first tests that fail in a copy of the clone; an error that is no failing test (it does not build) is one too, because a
/// breakage that the compiler notices was not worth listing.
fn failing(copy: &Path) -> anyhow::Result<Option<&'static [&'static str]>> {
    for words in TESTS {
        let built = command(copy, words).arg("--no-run").output().context("cannot start cargo")?;
        if !built.status.success() {
            bail!("it does not build:\n{}", String::from_utf8_lossy(&built.stderr));
        }
        let status = command(copy, words).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if !status.success() {
            return Ok(Some(words));
        }
    }
    Ok(None)
}

fn command(copy: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(cargo());
    command.args(words).current_dir(copy).env("CARGO_TARGET_DIR", copy.join("target")).stdin(Stdio::null());
    // A failing test need not be made small.
    command.env("PROPTEST_MAX_SHRINK_ITERS", "0").env_remove("ENFORCER_CASES");
    command
}

/// Copies what git knows, changed or not. What is the same is left alone, so that cargo builds it once; what was copied before and
/// is gone from the clone goes.
fn copied(root: &Path, copy: &Path) -> anyhow::Result<()> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output().context("cannot start git")?;
    if !listed.status.success() {
        bail!("this is no clone: {}", String::from_utf8_lossy(&listed.stderr));
    }
    let names = String::from_utf8(listed.stdout).context("names of files are UTF-8 here")?;
    let names: BTreeSet<&str> = names.split('\0').filter(|name| root.join(name).is_file()).collect();
    fs::create_dir_all(copy)?;
    remove_others(copy, copy, &names)?;
    for name in names {
        let (from, to) = (root.join(name), copy.join(name));
        let Ok(bytes) = fs::read(&from) else { continue };
        let bytes = if name == "enforcer/build.rs" { NO_OBJECT.into() } else { bytes };
        if fs::read(&to).ok().as_ref() != Some(&bytes) {
            fs::create_dir_all(to.parent().unwrap_or(copy))?;
            fs::write(&to, bytes)?;
        }
    }
    Ok(())
}

/// Removes files of a folder in the copy that have none of these names; the folder of what was built is left alone.
fn remove_others(copy: &Path, folder: &Path, names: &BTreeSet<&str>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.strip_prefix(copy).unwrap_or(&path).to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" {
                remove_others(copy, &path, names)?;
            }
        } else if !names.contains(name.as_str()) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn parsed(text: &str) -> anyhow::Result<Vec<Mutant>> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let blocks = lines.split(|line| line.is_empty()).filter(|block| !block.is_empty());
    let mutants = blocks.map(|block| {
        let side = |sign: char| {
            let lines: Vec<&str> = block
                .iter()
                .skip(2)
                .filter_map(|line| line.strip_prefix(sign).map(|line| line.strip_prefix(' ').unwrap_or(line)))
                .collect();
            lines.join("\n")
        };
        match block {
            [sentence, file, ..] if !side('-').is_empty() && !side('+').is_empty() => {
                Ok(Mutant { sentence: (*sentence).to_owned(), file: file.into(), before: side('-'), after: side('+') })
            }
            _ => bail!("{LIST}: `{}` is not a sentence, a file, - and +", block.join(" / ")),
        }
    });
    mutants.collect()
}

impl Mutant {
    /// The file with the breakage in it.
    fn broken(&self, root: &Path) -> anyhow::Result<String> {
        let path = root.join(&self.file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        match text.matches(&self.before).count() {
            1 => Ok(text.replacen(&self.before, &self.after, 1)),
            times => bail!(
                "{LIST}: `{}`: what it breaks stands {times} times in {}, and has to stand there once: `{}`",
                self.sentence,
                self.file.display(),
                self.before
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code that changes takes its mutants with it.
    #[test]
    fn every_mutant_fits_the_code() {
        let root = workspace::root();
        let mutants = parsed(&fs::read_to_string(root.join(LIST)).unwrap()).unwrap();
        assert!(mutants.len() >= 25, "only {}", mutants.len());
        let broken: Vec<String> =
            mutants.iter().filter_map(|mutant| mutant.broken(root).err()).map(|error| format!("{error:#}")).collect();
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }

    #[test]
    fn a_block_is_a_sentence_a_file_and_two_sides() {
        let mutants = parsed("# comment\nIt breaks.\nsrc/lib.rs\n- a\n-     b\n+ c\n\n").unwrap();
        let expected = Mutant {
            sentence: "It breaks.".into(),
            file: "src/lib.rs".into(),
            before: "a\n    b".into(),
            after: "c".into(),
        };
        assert_eq!(mutants, [expected]);
        assert!(parsed("It breaks.\nsrc/lib.rs\n- a\n").is_err());
    }
}
