//! What `cargo xtask replay` starts as root: a folder of captures through the loaded programs and the plain reading.

#![expect(clippy::print_stdout, reason = "a tool that talks to the person who started it")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use enforcer::dataplane::HookChoice;
use harness::replay::replay;
use harness::results;

/// Replays captures through the loaded programs and through the reference evaluator.
#[derive(Debug, Parser)]
struct Options {
    /// Folder with pcap and pcapng files; folders in it are searched too.
    folder: PathBuf,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut differences = 0;
    for (name, hook) in [("native", HookChoice::Native), ("tc", HookChoice::Tc)] {
        let report = replay(&options.folder, hook);
        println!("\n{name}: {} captures, {} packets compared", report.files, report.compared);
        for (class, packets) in &report.classes {
            println!("  {packets:>9}  {class}");
        }
        println!("  {:>9}  refused by the kernel to a test run", report.refused);
        for (link, packets) in &report.link_types {
            println!("  {packets:>9}  of link type {link}, not judged");
        }
        println!("  {} captures break off, {} files are no captures", report.broken_off, report.no_captures);
        for told in &report.told {
            println!("DIFFERENT {told}");
        }
        results::write(&format!("replay-{name}"), &report.json());
        differences += report.differences;
        if report.compared == 0 {
            println!("no packet was compared");
            differences += 1;
        }
    }
    println!("\n{differences} differences");
    if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
