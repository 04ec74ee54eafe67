//! What commands on a large estate take: time and memory of the binary, from its start to its end.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use harness::enforcer::binary;
use harness::estate::large::large;
use serde_json::json;

use crate::Effort;
use crate::report::{Row, Section, Target};

/// Hosts of the reference estate, and copies of all of them beside it: 300 hosts.
const COPIES: usize = 5;
/// Prefixes under `outside:`, beside those of the reference estate.
const PREFIXES: usize = 5_000;
const GROUP: &str = "300 hosts, 5,000 prefixes";

pub(crate) fn section(effort: Effort) -> Section {
    effort.say("an estate of 300 hosts");
    let folder = std::env::temp_dir().join(format!("enforcer-bench-estate-{}", process::id()));
    let rows =
        measured(&folder, effort).unwrap_or_else(|error| vec![Row::not_measured(GROUP, "all", error.to_string())]);
    // What is left is in the folder for what is temporary.
    let _ = fs::remove_dir_all(&folder);
    Section::new("estate", "(g) An estate: from the start of a command to its end", rows)
}

/// What one run took.
struct Run {
    wall: Duration,
    processor: Duration,
    megabytes: f64,
}

fn measured(folder: &Path, effort: Effort) -> std::io::Result<Vec<Row>> {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/estate/estate.yaml");
    let text = large(&fs::read_to_string(reference)?, COPIES, PREFIXES);
    fs::create_dir_all(folder)?;
    let [old, new] = ["old.yaml", "new.yaml"].map(|name| folder.join(name));
    fs::write(&old, &text)?;
    // One host has moved.
    fs::write(&new, text.replace("10.10.5.41", "10.10.5.43"))?;
    let file = |path: &PathBuf| path.to_string_lossy().into_owned();
    let commands = [
        ("check", vec![file(&old)], 2.0),
        ("render", vec![file(&old), "-o".to_owned(), file(&folder.join("hosts"))], 3.0),
        ("diff", vec![file(&old), file(&new)], 3.0),
    ];
    let mut rows = Vec::new();
    for (name, words, limit) in commands {
        let mut runs = Vec::new();
        for round in 1..=effort.applies() {
            effort.progress(round, effort.applies());
            // Rendering again writes nothing.
            let _ = fs::remove_dir_all(folder.join("hosts"));
            runs.push(run(name, &words)?);
        }
        let least = |of: fn(&Run) -> f64| runs.iter().map(of).fold(f64::INFINITY, f64::min);
        let most = runs.iter().map(|run| run.megabytes).fold(0.0, f64::max);
        let processor = least(|run| run.processor.as_secs_f64());
        let how = format!("minimum of {} runs; {processor:.2} s of all processors", runs.len());
        let raw = json!(runs.iter().map(|run| run.wall.as_secs_f64()).collect::<Vec<_>>());
        let wall = Row::new(GROUP, name, least(|run| run.wall.as_secs_f64()), "s");
        rows.push(wall.target(Some(Target::AtMost(limit))).how(how).raw(raw));
        let limit = (name == "check").then_some(Target::AtMost(300.0));
        rows.push(Row::new(GROUP, format!("{name}, memory"), most, "MB").target(limit));
    }
    Ok(rows)
}

fn run(name: &str, words: &[String]) -> std::io::Result<Run> {
    let begin = Instant::now();
    let child = Command::new(binary()).arg(name).args(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let id = libc::pid_t::try_from(child.id()).map_err(std::io::Error::other)?;
    let mut status = 0;
    // SAFETY: a structure of integers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the process is our child, which nobody else waits for; both structures are ours.
    let waited = unsafe { libc::wait4(id, &raw mut status, 0, &raw mut usage) };
    let wall = begin.elapsed();
    let ended = ExitStatus::from_raw(status);
    if waited != id || !ended.success() {
        return Err(std::io::Error::other(format!("`enforcer {name}`: {ended}")));
    }
    let time = |time: libc::timeval| {
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or_default())
    };
    let kilobytes = u32::try_from(usage.ru_maxrss).unwrap_or(u32::MAX);
    Ok(Run { wall, processor: time(usage.ru_utime) + time(usage.ru_stime), megabytes: f64::from(kilobytes) / 1024.0 })
}
