//! `cargo xtask setup`: finds what building and testing takes, and installs what is not there.
//!
//! Every part looks first, then says which commands it would run, then runs them. A second run finds everything and does
//! nothing. Outside of the clone, nothing but packages, `~/.cargo/bin` and toolchains of rustup is written.

mod bpffs;
mod debian;
mod linker;
mod rustup;
mod tools;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, anyhow, bail};
use xtask::bpf_toolchain::{self, Rustc, Toolchain};

pub(crate) use self::tools::Run;
use crate::shell::{self, CommandLine};
use crate::workspace;

/// What `fuzz` was tried with.
const CARGO_FUZZ_VERSION: &str = "0.13.2";

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Say what is missing and what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

/// A part of the setup that is not as it should be, with the commands that would mend it.
struct Step {
    /// What is missing: a clause.
    missing: String,
    /// What will be run, for a person to read.
    plan: Vec<String>,
    /// Runs it.
    run: Box<dyn Fn() -> anyhow::Result<()>>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let scratch = workspace::target_dir();
    let (steps, browser) = (steps(&scratch), tools::browser());
    if steps.is_empty() && browser.is_none() {
        eprintln!("setup: nothing to do, everything is there: {}", bpf_toolchain::find(&scratch)?);
        return Ok(());
    }
    eprintln!("setup will do this:");
    for step in steps.iter().chain(&browser) {
        eprintln!("- {}", step.missing);
        for line in &step.plan {
            eprintln!("    {line}");
        }
    }
    if options.dry_run {
        bail!("something is missing, and this was a dry run");
    }
    for step in &steps {
        (step.run)()?;
    }
    if let Some(step) = self::steps(&scratch).first() {
        bail!("everything was run, and still: {}", step.missing);
    }
    if let Some(Err(error)) = browser.map(|step| (step.run)()) {
        eprintln!("setup: {error:#}; tests that open the report page in a browser will be skipped");
    }
    eprintln!("setup: done: {}", bpf_toolchain::find(&scratch)?);
    Ok(())
}

/// Installs the programs that a long run needs, if they are missing.
///
/// # Errors
/// They cannot be installed here; the error names the command that installs them.
pub(crate) fn programs(run: Run) -> anyhow::Result<()> {
    let Some(step) = tools::step_for(run) else { return Ok(()) };
    let plan = step.plan.join("\n    ");
    eprintln!("{}: {}; installing:\n    {plan}", run.name(), step.missing);
    (step.run)().with_context(|| format!("{}: {}, and this did not install it: {plan}", run.name(), step.missing))?;
    match tools::step_for(run) {
        None => Ok(()),
        Some(step) => bail!("{}: {}, although this was run: {plan}", run.name(), step.missing),
    }
}

/// Installs packages of Debian's, where they are not there.
pub(crate) fn packages(packages: &[&str]) -> anyhow::Result<()> {
    debian::install(packages)
}

/// Installs cargo-fuzz, if this version is not there.
pub(crate) fn fuzzing() -> anyhow::Result<()> {
    let there = Command::new(shell::cargo()).args(["fuzz", "--version"]).output();
    let there = there.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(CARGO_FUZZ_VERSION));
    if there {
        return Ok(());
    }
    let words = ["install", "--quiet", "--locked", "--force", "cargo-fuzz", "--version", CARGO_FUZZ_VERSION];
    let line = words.into_iter().fold(CommandLine::new(&[]).arg(shell::cargo()), CommandLine::arg);
    eprintln!("fuzz: no cargo-fuzz {CARGO_FUZZ_VERSION}:");
    line.run()
}

fn steps(scratch: &Path) -> Vec<Step> {
    [tools::step(), bpf_toolchain_step(scratch), bpffs::step()].into_iter().flatten().collect()
}

/// The compiler for the BPF side, by rustup where it can download, else from Debian's packages; then the linker for it.
fn bpf_toolchain_step(scratch: &Path) -> Option<Step> {
    let missing = bpf_toolchain::find(scratch).err()?;
    let mut plan = Vec::new();
    if bpf_toolchain::rustcs().is_empty() {
        match (rustup::command_line(), debian::is_debian()) {
            (Some(command), true) => {
                plan.push(format!("{command}   (where rustup can download; else the next line)"));
                plan.push(debian::install_line(debian::RUSTC_PACKAGES));
            }
            (Some(command), false) => plan.push(command.to_string()),
            (None, _) => plan.push(debian::install_line(debian::RUSTC_PACKAGES)),
        }
    }
    plan.push(linker::plan());
    let scratch = scratch.to_owned();
    let run = move || install_bpf_toolchain(&scratch).map(drop);
    Some(Step { missing: missing.what, plan, run: Box::new(run) })
}

fn install_bpf_toolchain(scratch: &Path) -> anyhow::Result<Toolchain> {
    let rustc = match usable_rustc() {
        Some(rustc) => rustc,
        None => install_rustc()?,
    };
    eprintln!("the BPF side will be compiled by {rustc}");
    linker::install(&rustc, scratch)?;
    Ok(bpf_toolchain::find(scratch)?)
}

fn usable_rustc() -> Option<Rustc> {
    bpf_toolchain::rustcs().into_iter().find(|rustc| linker::LLVMS.contains(&rustc.llvm))
}

fn install_rustc() -> anyhow::Result<Rustc> {
    let by_rustup = match rustup::command_line() {
        Some(command) => command.run(),
        None => Err(anyhow!("there is no rustup")),
    };
    if let Err(error) = by_rustup {
        eprintln!("setup: {error}; trying Debian's packages");
        debian::install(debian::RUSTC_PACKAGES).with_context(|| {
            format!(
                "neither rustup nor Debian's packages gave a compiler; install rustup, then run `{}`",
                rustup::pinned()
            )
        })?;
    }
    usable_rustc().context("a compiler was installed, but none with the source of its library can be found")
}
