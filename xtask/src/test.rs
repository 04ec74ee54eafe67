//! `cargo xtask test`: every test there is, and at the end one line that says how many.

mod tally;

use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{ChildStderr, ChildStdout, ExitStatus, Stdio};
use std::thread;

use anyhow::{Context, bail};

pub(crate) use self::tally::Tally;
use crate::kernel::{self, Profile};
use crate::setup;
use crate::shell::{CommandLine, cargo};
use crate::vmtest;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only the tests that need neither root nor the kernel's help.
    #[arg(long)]
    host_only: bool,
    /// Only tests whose name contains this.
    filter: Option<String>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    setup::run(&setup::Options::default())?;
    let mut tally = Tally::default();
    let result = run_all(options, &mut tally);
    if let Err(error) = &result {
        // What could not even be started is a failure too, and the closing line has to say so.
        tally.failed = tally.failed.max(1);
        eprintln!("error: {error:#}");
    }
    if let Some(filter) = options.filter.as_deref().filter(|_| result.is_ok() && tally.is_empty()) {
        bail!("no test has `{filter}` in its name");
    }
    println!("\n{tally}");
    tally.verdict()
}

fn run_all(options: &Options, tally: &mut Tally) -> anyhow::Result<()> {
    eprintln!("\n== tests of the host: no privileges, no kernel");
    let filter = options.filter.as_deref();
    run_tests(&with_filter(cargo_line(&["test", "--no-fail-fast"]), filter), tally)?;
    run_tests(
        &with_filter(cargo_line(&["test", "--no-fail-fast", "--package", "enforcer-tests", "--doc"]), filter),
        tally,
    )?;
    if options.host_only {
        return Ok(());
    }
    eprintln!("\n== tests of the kernel: as root, in namespaces of their own");
    kernel::build_binary(Profile::Debug)?;
    for program in kernel_suite()? {
        run_tests(&with_filter(kernel::as_root(&program, Profile::Debug), filter), tally)?;
    }
    if filter.is_none() {
        eprintln!("\n== a part of them under other kernels, in virtual machines");
        tally.add(vmtest::in_short()?);
    }
    Ok(())
}

fn cargo_line(words: &[&str]) -> CommandLine {
    words.iter().fold(CommandLine::new(&[]).arg(cargo()), |line, word| line.arg(*word))
}

fn with_filter(line: CommandLine, filter: Option<&str>) -> CommandLine {
    filter.into_iter().fold(line, |line, filter| line.arg(filter))
}

/// Builds the kernel suite and returns its executables.
pub(crate) fn kernel_suite() -> anyhow::Result<Vec<PathBuf>> {
    executables_of(&[
        "--package",
        "enforcer-tests",
        "--lib",
        "--bin",
        "enforcer-bench",
        "--bin",
        "enforcer-load",
        "--test",
        "it",
    ])
}

/// Builds tests, those that cargo selects by these words, and returns their executables.
pub(crate) fn executables_of(selection: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let line = cargo_line(&["test", "--no-run", "--message-format=json-render-diagnostics"]);
    executables_by(&selection.iter().fold(line, |line, word| line.arg(*word)))
}

/// Builds tests by this command line, whose messages are JSON, and returns their executables.
pub(crate) fn executables_by(line: &CommandLine) -> anyhow::Result<Vec<PathBuf>> {
    eprintln!("$ {line}");
    let output = line.command().stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("the kernel suite does not build");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let executables: Vec<_> = messages.lines().filter_map(executable).collect();
    if executables.is_empty() {
        bail!("cargo named no test executable");
    }
    Ok(executables)
}

/// The path in a message of cargo about a test executable (its messages have one line each). The programs that the tests start
/// are built beside them, and are no tests.
fn executable(message: &str) -> Option<PathBuf> {
    let (_, profile) = message.split_once("\"profile\":{")?;
    if !profile.split('}').next()?.contains("\"test\":true") {
        return None;
    }
    let (_, rest) = message.split_once("\"executable\":\"")?;
    rest.split('"').next().map(PathBuf::from)
}

/// Runs tests, passes everything on that they print, and counts.
pub(crate) fn run_tests(line: &CommandLine, tally: &mut Tally) -> anyhow::Result<()> {
    if !line.can_run() {
        bail!("these tests take root, and there is no sudo; run as root: {line}");
    }
    eprintln!("$ {line}");
    let mut command = line.command();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut found = thread::scope(|scope| {
        let errors = scope.spawn(move || pass_on(stderr.map(BufReader::<ChildStderr>::new), io::stderr()));
        let mut found = pass_on(stdout.map(BufReader::<ChildStdout>::new), io::stdout());
        found.add(errors.join().unwrap_or_default());
        found
    });
    found.settle();
    let status: ExitStatus = child.wait().with_context(|| format!("waiting for `{line}`"))?;
    if !status.success() && found.failed == 0 {
        // It did not build, or it crashed.
        eprintln!("`{line}` failed ({status})");
        found.failed = 1;
    }
    tally.add(found);
    Ok(())
}

fn pass_on(from: Option<impl BufRead>, mut to: impl Write) -> Tally {
    let mut tally = Tally::default();
    for line in from.into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
        tally.read(&line);
        // If nobody listens any more, the tests are still worth running.
        let _ = writeln!(to, "{line}");
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_is_read_from_cargos_message() {
        let message = |test: bool, path: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"test":true}},"profile":{{"opt_level":"0","test":{test}}},"executable":{path},"fresh":true}}"#
            )
        };
        assert_eq!(executable(&message(true, r#""/t/debug/deps/it-1""#)), Some(PathBuf::from("/t/debug/deps/it-1")));
        assert_eq!(executable(&message(true, "null")), None);
        assert_eq!(executable(&message(false, r#""/t/debug/demo""#)), None, "a program that the tests start");
    }
}
