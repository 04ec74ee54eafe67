//! The bench: how fast the loaded programs are, beside an empty program and beside other firewalls.
//!
//! Everything runs on namespaces and cables of its own, with the real binary. A figure is only as good as the machine is
//! quiet: minima and medians of interleaved rounds are taken, and nothing here is a test that could fail for being slow.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool that talks to the person who started it")]

mod apply;
mod floods;
mod packets;
mod peers;
mod programs;
mod report;
mod site;
mod streams;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use harness::interrupt;
use serde_json::{Value, json};

use crate::report::Section;

/// How fast the loaded programs are. Needs root.
#[derive(Debug, Parser)]
struct Options {
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Fewer and shorter rounds: to see that everything runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// Where to write the figures as JSON.
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    /// Nanoseconds a packet, by test run.
    #[value(alias = "a")]
    Packets,
    /// Floods over a cable, beside other firewalls.
    #[value(alias = "b")]
    Floods,
    /// TCP between two namespaces.
    #[value(alias = "c")]
    Streams,
    /// Time to put a policy in force, memory of the maps.
    #[value(alias = "d")]
    Apply,
}

/// How much time may be spent.
#[derive(Clone, Copy)]
struct Effort {
    quick: bool,
}

impl Effort {
    /// Rounds, and runs in each.
    fn test_runs(self) -> (u32, u32) {
        if self.quick { (3, 100_000) } else { (7, 1_000_000) }
    }

    /// Rounds of floods, which are short.
    fn rounds(self) -> u32 {
        if self.quick { 3 } else { 21 }
    }

    /// Rounds of streams, a second and a half each for every host.
    fn streams(self) -> u32 {
        if self.quick { 2 } else { 11 }
    }

    /// Rounds of applying.
    fn applies(self) -> u32 {
        if self.quick { 2 } else { 7 }
    }

    /// Says what is measured next.
    fn say(self, what: &str) {
        eprintln!("measuring {what}");
    }

    /// Says how far a measurement is, where somebody watches; ends it, where somebody has had enough.
    fn progress(self, done: u32, of: u32) {
        interrupt::check();
        let mut err = io::stderr();
        if err.is_terminal() {
            let end = if done == of { "\r              \r" } else { "" };
            let _ = write!(err, "\r  round {done} of {of}{end}");
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    interrupt::listen();
    match std::panic::catch_unwind(|| run(&options)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
        // The cables, the pins and the namespaces went with the stack that was unwound.
        Err(panic) if panic.is::<interrupt::Interrupted>() => {
            eprintln!("\ninterrupted; nothing is left behind");
            ExitCode::from(130)
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    // Without it nothing can be measured, and it is better said before a cable is laid than in the middle.
    let _ = harness::enforcer::binary();
    let effort = Effort { quick: options.quick };
    let machine = machine(options.quick);
    let mut sections = Vec::new();
    for part in Part::value_variants() {
        if !options.only.is_empty() && !options.only.contains(part) {
            continue;
        }
        let section = match part {
            Part::Packets => packets::section(effort),
            Part::Floods => floods::section(effort),
            Part::Streams => streams::section(effort),
            Part::Apply => apply::section(effort),
        };
        println!("\n{}", section.text());
        sections.push(section);
    }
    let (met, all) = sections.iter().map(Section::tally).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    println!("{met} of {all} targets met; machine: {}", machine["text"].as_str().unwrap_or_default());
    if let Some(path) = &options.json {
        let json = json!({"machine": machine, "sections": sections.iter().map(Section::json).collect::<Vec<_>>()});
        fs::write(path, format!("{json:#}\n")).with_context(|| format!("cannot write {}", path.display()))?;
        println!("figures: {}", path.display());
    }
    Ok(())
}

/// What a reader has to know about where and when the figures were taken.
fn machine(quick: bool) -> Value {
    let output = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let virtual_machine = information.lines().any(|line| line.starts_with("flags") && line.contains(" hypervisor"));
    let kernel = output("uname", &["-r"]);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let revision = std::env::var("ENFORCER_REVISION").unwrap_or_default();
    let kind = if virtual_machine { "virtual machine" } else { "machine" };
    let text = format!("{kind} with {cpus} CPUs ({model}), Linux {kernel}, load {load} at the start");
    json!({
        "text": text, "kernel": kernel, "cpu": model, "cpus": cpus, "virtual_machine": virtual_machine,
        "load": load, "date": output("date", &["-u", "+%FT%TZ"]), "revision": revision, "quick": quick,
    })
}
