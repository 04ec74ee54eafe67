//! The bench: how fast the loaded programs are, beside an empty program and beside other firewalls.
//!
//! Everything runs on namespaces and cables of its own, with the real binary. A figure is only as good as the machine is
//! quiet: minima and medians of interleaved rounds are taken, and nothing here is a test that could fail for being slow.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool that talks to the person who started it")]

mod against;
mod apply;
mod classes;
mod estate;
mod floods;
mod growth;
mod guests;
mod packets;
mod peers;
mod pending;
mod plots;
mod programs;
mod projection;
mod publish;
mod report;
mod site;
mod streams;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
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
    /// Compare with this other build of the binary, in turns, and measure nothing else.
    #[arg(long, value_name = "BINARY", conflicts_with = "only")]
    against: Option<PathBuf>,
    /// Measure nothing: take the figures of an earlier run out of this file.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["only", "quick", "json", "against"])]
    figures: Option<PathBuf>,
    /// Write the tables of the figures between the marks of this page, and plots into the folder of its name.
    #[arg(long, value_name = "PAGE", requires = "figures")]
    publish: Option<PathBuf>,
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
    /// What more rules, prefixes, roles and flows cost.
    #[value(alias = "e")]
    Growth,
    /// Guests behind many ports.
    #[value(alias = "f")]
    Guests,
    /// Commands on an estate of 300 hosts.
    #[value(alias = "g")]
    Estate,
}

/// How much time may be spent.
#[derive(Clone, Copy)]
struct Effort {
    quick: bool,
}

impl Effort {
    /// Rounds, and runs in each.
    fn test_runs(self) -> (u32, u32) {
        if self.quick { (3, 100_000) } else { (25, 300_000) }
    }

    /// The same for two builds in turns: more rounds, and shorter.
    fn turns(self) -> (u32, u32) {
        if self.quick { (5, 50_000) } else { (25, 200_000) }
    }

    /// Rounds of floods, which are short.
    fn rounds(self) -> u32 {
        if self.quick { 3 } else { 41 }
    }

    /// Rounds of streams, a second and a half each for every host.
    fn streams(self) -> u32 {
        if self.quick { 2 } else { 11 }
    }

    /// Rounds of applying.
    fn applies(self) -> u32 {
        if self.quick { 2 } else { 7 }
    }

    /// Rounds of applying policies that grow, the largest of which take long.
    fn growing_applies(self) -> u32 {
        if self.quick { 1 } else { 3 }
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
    let (machine, sections) = match &options.figures {
        Some(path) => read(path)?,
        None => measure(options)?,
    };
    let (met, all) = report::tally(&sections);
    if all > 0 {
        println!("\nAll targets\n\n{}\n{met} of {all} targets met", report::targets(&sections));
    }
    println!("machine: {}", machine["text"].as_str().unwrap_or_default());
    if let Some(path) = &options.json {
        let of_sections: Vec<_> = sections.iter().map(Section::json).collect();
        let json = json!({"machine": machine, "targets": {"met": met, "of": all}, "sections": of_sections});
        fs::write(path, format!("{json:#}\n")).with_context(|| format!("cannot write {}", path.display()))?;
        println!("figures: {}", path.display());
    }
    if let Some(page) = &options.publish {
        publish::publish(page, &machine, &sections)?;
    }
    Ok(())
}

fn measure(options: &Options) -> anyhow::Result<(Value, Vec<Section>)> {
    // Without it nothing can be measured, and it is better said before a cable is laid than in the middle.
    let _ = harness::enforcer::binary();
    let effort = Effort { quick: options.quick };
    let machine = machine(options.quick);
    if let Some(other) = &options.against {
        let section = against::section(effort, other);
        println!("\n{}", section.text());
        return Ok((machine, vec![section]));
    }
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
            Part::Growth => growth::section(effort),
            Part::Guests => guests::section(effort),
            Part::Estate => estate::section(effort),
        };
        println!("\n{}", section.text());
        sections.push(section);
    }
    if let Some(section) = projection::section(&sections) {
        println!("\n{}", section.text());
        sections.push(section);
    }
    Ok((machine, sections))
}

/// The figures of an earlier run.
fn read(path: &Path) -> anyhow::Result<(Value, Vec<Section>)> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let json: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    let sections = json["sections"].as_array().with_context(|| format!("{} has no figures", path.display()))?;
    Ok((json["machine"].clone(), sections.iter().map(Section::from_json).collect()))
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
