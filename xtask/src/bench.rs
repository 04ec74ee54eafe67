//! `cargo xtask bench`: builds what an operator would run, and measures it as root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::kernel::{self, Profile};
use crate::shell::{CommandLine, cargo};
use crate::{setup, workspace};

const PAGE: &str = "docs/performance.md";

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench --quick                  see that everything runs\n  \
    cargo xtask bench --publish                measure everything, and write it into docs/performance.md\n  \
    cargo xtask bench --only packets,floods    only these parts\n  \
    cargo xtask bench --against HEAD~5         this tree and a revision in turns")]
pub(crate) struct Options {
    /// Only these parts, by name: packets, floods, streams, apply, growth, guests, estate.
    #[arg(long, value_name = "PART[,PART]")]
    only: Option<String>,
    /// Do not install what is missing for the comparison with other firewalls, and do not measure it.
    #[arg(long)]
    without_peers: bool,
    /// Fewer and shorter rounds: to see that everything runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// Where to write the figures as JSON; else `target/bench.json` or, of a comparison, `target/against.json`.
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
    /// Compare with this revision: it is built too, and both take turns.
    #[arg(long, value_name = "REV", conflicts_with_all = ["only", "publish"])]
    against: Option<String>,
    /// Write tables and plots of the figures into docs/.
    #[arg(long)]
    publish: bool,
    /// Measure nothing: take the figures of an earlier run, with `--publish` or to see its targets again.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["only", "quick", "json", "against"])]
    figures: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let figures = match &options.figures {
        Some(figures) => absolute(figures)?,
        None => measure(options)?,
    };
    if options.publish || options.figures.is_some() {
        // Not as root: what it writes belongs to whoever asked for it.
        let line = kernel::build_plain(Profile::Release, "enforcer-tests", "enforcer-bench")?;
        let line = line.arg("--figures").arg(figures.to_string_lossy());
        return match options.publish {
            true => line.arg("--publish").arg(workspace::root().join(PAGE).to_string_lossy()),
            false => line,
        }
        .run();
    }
    Ok(())
}

/// Returns where the figures are.
fn measure(options: &Options) -> anyhow::Result<PathBuf> {
    setup::run(&setup::Options::default())?;
    if !options.without_peers {
        setup::programs(setup::Run::Bench).context("`--without-peers` measures without them")?;
    }
    let name = if options.against.is_some() { "against.json" } else { "bench.json" };
    let json = absolute(&options.json.clone().unwrap_or_else(|| workspace::target_dir().join(name)))?;
    // Before this tree is built: both go through the same target folder, so that what they share is built once.
    let other = options.against.as_deref().map(other_build).transpose()?;
    let mut line = kernel::build_program(Profile::Release, "enforcer-bench")?
        .variable("ENFORCER_REVISION", workspace::revision())
        .arg("--json")
        .arg(json.to_string_lossy());
    if let Some(only) = &options.only {
        line = line.arg("--only").arg(only);
    }
    if options.quick {
        line = line.arg("--quick");
    }
    if let Some(other) = other {
        line = line.arg("--against").arg(other.to_string_lossy());
    }
    line.run()?;
    Ok(json)
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot tell where {} is", path.display()))
}

/// The release binary of a revision, built in a worktree of its own and kept for the next time.
fn other_build(revision: &str) -> anyhow::Result<PathBuf> {
    let commit = git(&["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")])
        .with_context(|| format!("git knows no revision `{revision}`"))?;
    let folder = workspace::target_dir().join("against");
    let binary = folder.join(format!("enforcer-{commit}"));
    if binary.is_file() {
        return Ok(binary);
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let tree = folder.join(&commit);
    let worktree = tree.to_string_lossy().into_owned();
    // What an interrupted run has left.
    let _ = git(&["worktree", "remove", "--force", &worktree]);
    git(&["worktree", "add", "--force", "--detach", &worktree, &commit])?;
    let build = CommandLine::new(&[])
        .arg(cargo())
        .arg("build")
        .arg("--release")
        .arg("--manifest-path")
        .arg(tree.join("Cargo.toml").to_string_lossy())
        .arg("--package")
        .arg("enforcer")
        .arg("--bin")
        .arg("enforcer")
        // Not where ours is built: cargo tells packages apart by where they stand in their workspace, so both have the same folder for
        // what their build scripts make, and ours would come to hold the programs of the other.
        .variable("CARGO_TARGET_DIR", folder.join("target").to_string_lossy());
    let built = build.run().and_then(|()| {
        let from = folder.join("target/release/enforcer");
        fs::copy(&from, &binary).with_context(|| format!("cannot copy {}", from.display()))
    });
    git(&["worktree", "remove", "--force", &worktree])?;
    built.map(|_| binary)
}

/// What git prints; an error with what it says.
fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").args(arguments).current_dir(workspace::root()).output().context("git")?;
    if !output.status.success() {
        bail!("`git {}`: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
