//! Development tasks: `cargo xtask setup`, `test` and so on. One file a subcommand, each with `Options` and `run`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool that talks to the person who started it")]

mod ansible_test;
mod assurance;
mod bench;
mod build_ebpf;
mod cross;
mod demo;
mod dist;
mod fuzz;
mod kernel;
mod load;
mod mutants;
mod oracle;
mod package_test;
mod pictures;
mod replay;
mod setup;
mod shell;
mod systemd_test;
mod test;
mod vmtest;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find what building and testing takes, and install what is not there.
    Setup(setup::Options),
    /// Build the BPF object alone, and print where it is.
    BuildEbpf(build_ebpf::Options),
    /// Run every test: of the host, then of the kernel as root.
    Test(test::Options),
    /// Boot a Debian with the units twice, and try what must hold under systemd.
    SystemdTest(systemd_test::Options),
    /// Make packages for dpkg and rpm, an archive, their checksums and a list of what they are made of.
    Dist(dist::Options),
    /// Install, upgrade and remove the packages for dpkg and rpm, with traffic flowing.
    PackageTest(package_test::Options),
    /// Install, audit and enforce by the Ansible collection, on a private copy of this host.
    AnsibleTest(ansible_test::Options),
    /// Protect a namespace, and try from another what the policy permits and what it does not.
    Demo(demo::Options),
    /// Make the pictures of the README again: the report page and `enforcer top`, from real traffic.
    Pictures(pictures::Options),
    /// Measure how fast the programs are, beside an empty program and beside other firewalls.
    Bench(bench::Options),
    /// Compare with nftables, packet by packet, at length.
    Oracle(oracle::Options),
    /// Replay captures through the loaded programs and the reference evaluator.
    Replay(replay::Options),
    /// Break the code that decides in small ways, and see that a test fails each time.
    Mutants(mutants::Options),
    /// Flood two interfaces for ten minutes while everything changes and is read.
    Load(load::Options),
    /// Give hostile bytes to what reads files and packets, by cargo-fuzz.
    Fuzz(fuzz::Options),
    /// Run tests of the kernel suite under other kernels, in QEMU.
    Vmtest(vmtest::Options),
    /// Write docs/assurance.md from what the long runs have left.
    Assurance(assurance::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Setup(options) => setup::run(&options),
        Command::BuildEbpf(options) => build_ebpf::run(&options),
        Command::Test(options) => test::run(&options),
        Command::SystemdTest(options) => systemd_test::run(&options),
        Command::Dist(options) => dist::run(&options),
        Command::PackageTest(options) => package_test::run(&options),
        Command::AnsibleTest(options) => ansible_test::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Pictures(options) => pictures::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Oracle(options) => oracle::run(&options),
        Command::Replay(options) => replay::run(&options),
        Command::Mutants(options) => mutants::run(&options),
        Command::Load(options) => load::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Vmtest(options) => vmtest::run(&options),
        Command::Assurance(options) => assurance::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
