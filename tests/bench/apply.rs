//! What putting a policy in force takes: time from file to hook, time between the first and the last hook, memory of the maps.
//!
//! The command is timed from outside. When a hook changes is seen by frames: they are sent through every hook again and again,
//! until the kernel has counted a run of the new program. So the figures hold for the real binary, with everything that it does
//! besides, and are what packets see of it.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::bpf;
use harness::enforcer::{Protected, enforcer_with_input};
use harness::netns::Cable;
use harness::packet::Packet;
use harness::raw::RawSocket;
use serde_json::json;

use crate::Effort;
use crate::report::{Row, Section, Target};
use crate::site::{PREFIX_PORT, Site};

/// Milliseconds from compiled ruleset to in force, with 10,000 prefixes and two interfaces.
const IN_FORCE: f64 = 150.0;
/// Of which between the first and the last hook.
const BETWEEN_HOOKS: f64 = 20.0;
/// Mebibytes of the maps of the default configuration.
const MEMORY: f64 = 64.0;
/// IEEE 802: for experiments of one's own.
const LOCAL_EXPERIMENTAL: u16 = 0x88b5;

pub(crate) fn section(effort: Effort) -> Section {
    let mut rows = Vec::new();
    effort.say("time to apply, memory of maps");
    let mut counts = vec![0, 10_000];
    if !effort.quick {
        counts.push(100_000);
    }
    for count in counts {
        let (site, policy) = match count {
            0 => (Site::one_role(), "one role".to_owned()),
            _ => (Site::one_role().with_prefixes(PREFIX_PORT, count).0, format!("{count} prefixes")),
        };
        if let Err(why) = times(effort, &site, &policy, count == 10_000, &mut rows) {
            rows.push(Row::not_measured(policy, "all", why));
        }
    }
    Section::new("apply", "(d) Time to put a policy in force on two interfaces, and memory of the maps", rows)
}

fn times(effort: Effort, site: &Site, policy: &str, has_targets: bool, rows: &mut Vec<Row>) -> Result<(), String> {
    let cable = Cable::quiet();
    // A second interface, in the same namespace. Detaching names no interface, and so finds both.
    let (second, peer) = (format!("{}x", cable.near.interface), format!("{}y", cable.near.interface));
    cable
        .host
        .batch(&format!("link add {second} type veth peer name {peer}\nlink set {second} up\nlink set {peer} up\n"));
    let text = site.text(&[&cable.near.interface, &second]);
    let both = Both { protected: Protected { cable }, second, peer };
    let run = |arguments: &[&str]| -> Result<f64, String> {
        let start = Instant::now();
        let ran = enforcer_with_input(&both.protected.cable.host, arguments, &text);
        let elapsed = start.elapsed();
        if ran.code != Some(0) {
            return Err(format!("`{}`: {}", ran.line, ran.stderr.lines().next().unwrap_or("no message")));
        }
        Ok(milliseconds(elapsed))
    };
    let first = run(&["apply", "-", "--hook", "native", "--mode", "enforce"])?;
    let mut compile = Vec::new();
    let mut dry = Vec::new();
    let mut whole = Vec::new();
    let mut again: Vec<Swap> = Vec::new();
    let rounds = effort.applies();
    let hooks = Hook::all(&both)?;
    for round in 0..rounds {
        effort.progress(round + 1, rounds);
        compile.push(run(&["compile", "-", "--format", "json"])?);
        dry.push(run(&["apply", "-", "--hook", "native", "--mode", "enforce", "--dry-run"])?);
        whole.push(run(&["apply", "-", "--hook", "native", "--mode", "enforce"])?);
        again.push(swap(&hooks, || run(&["apply", "-", "--hook", "native", "--mode", "enforce"]))?);
    }
    let row = |name: &str, value: f64| Row::new(policy, name, value, "ms").how(format!("least of {rounds}"));
    rows.push(row("enforcer compile, all of the command", least(&compile)));
    let dry = least(&dry);
    rows.push(row("enforcer apply --dry-run: read, check, compile", dry));
    rows.push(
        Row::new(policy, "enforcer apply, the first time, all of the command", first, "ms").how("once".to_owned()),
    );
    rows.push(row("enforcer apply, over a policy in force, all of the command", least(&whole)));
    let in_force = least(&again.iter().map(|swap| swap.last).collect::<Vec<_>>());
    rows.push(
        Row::new(policy, "from compiled to in force on every hook", in_force - dry, "ms")
            .target(has_targets.then_some(Target::AtMost(IN_FORCE)))
            .how(format!("{in_force:.1} until the last hook - {dry:.1} of --dry-run")),
    );
    let between: Vec<_> = again.iter().map(|swap| swap.last - swap.first).collect();
    rows.push(
        row("between the first and the last hook", least(&between))
            .target(has_targets.then_some(Target::AtMost(BETWEEN_HOOKS)))
            .raw(json!({"rounds": between})),
    );
    // What of it is the kernel's: after each update of an XDP link comes a grace period; of a tcx link it does not.
    let at_tc = ["apply", "-", "--hook", "tc", "--mode", "enforce"];
    run(&at_tc)?;
    let mut between = Vec::new();
    for _ in 0..rounds {
        let Swap { first, last } = swap(&hooks, || run(&at_tc))?;
        between.push(last - first);
    }
    rows.push(row("between the first and the last hook, all at tc", least(&between)).raw(json!({"rounds": between})));
    memory(&both.protected, policy, rows)
}

/// Two protected interfaces of one namespace. Dropping it detaches the second; `Protected` does the first.
struct Both {
    protected: Protected,
    second: String,
    /// The other end of its cable.
    peer: String,
}

impl Drop for Both {
    fn drop(&mut self) {
        self.protected.run(&["detach", "--interface", &self.second]);
    }
}

/// Milliseconds since the command was started.
struct Swap {
    /// When the first hook gave a frame to the new program.
    first: f64,
    /// When the last did.
    last: f64,
}

/// A hook, and frames that pass it.
struct Hook {
    /// State folder of the interface.
    state: PathBuf,
    direction: &'static str,
    sender: RawSocket,
}

impl Hook {
    /// Those of both interfaces.
    fn all(both: &Both) -> Result<Vec<Self>, String> {
        let Cable { host, remote, near, far } = &both.protected.cable;
        let ends = [
            (&near.interface, host, &near.interface, remote, &far.interface),
            (&both.second, host, &both.second, host, &both.peer),
        ];
        let mut hooks = Vec::new();
        for (interface, here, near, there, far) in ends {
            for (direction, namespace, end) in [("inbound", there, far), ("outbound", here, near)] {
                let sender = RawSocket::open(namespace, end);
                hooks.push(Self { state: state_folder(interface)?, direction, sender });
            }
        }
        Ok(hooks)
    }

    /// Where the program of the generation after the one in force will be pinned.
    fn next_program(&self) -> Result<PathBuf, String> {
        let generations =
            entries(&self.state).into_iter().filter_map(|path| name_of(&path).strip_prefix('g')?.parse().ok());
        let last: u64 = generations.max().ok_or_else(|| format!("no programs in {}", self.state.display()))?;
        Ok(self.state.join(format!("g{}", last + 1)).join(self.direction))
    }
}

/// Runs `apply` and sends frames through all hooks meanwhile, to see when each of them gives the first one to its new program.
fn swap(hooks: &[Hook], apply: impl FnOnce() -> Result<f64, String>) -> Result<Swap, String> {
    // The kernel counts runs as long as this is open.
    let _counting = aya::sys::enable_stats(aya::sys::Stats::RunTime).map_err(|error| error.to_string())?;
    let paths = hooks.iter().map(Hook::next_program).collect::<Result<Vec<_>, _>>()?;
    let frame = Packet::new().ethertype(LOCAL_EXPERIMENTAL).payload(&[0; 46]).build();
    let over = AtomicBool::new(false);
    let start = Instant::now();
    let watch = || {
        let mut programs = Vec::new();
        // Until all are there nothing is switched, and whoever verifies them is left alone.
        while programs.len() < paths.len() && !over.load(Ordering::Relaxed) {
            match bpf::pinned(&paths[programs.len()]) {
                Ok(program) => programs.push(program),
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
        let mut changes: Vec<Option<Duration>> = hooks.iter().map(|_| None).collect();
        while !over.load(Ordering::Relaxed) && changes.contains(&None) {
            for ((program, change), hook) in programs.iter().zip(&mut changes).zip(hooks) {
                hook.sender.send(&frame);
                if change.is_none() && number_in_fdinfo(program, "run_cnt:").is_ok_and(|runs| runs != 0) {
                    *change = Some(start.elapsed());
                }
            }
            thread::sleep(Duration::from_micros(200));
        }
        changes
    };
    let (whole, changes) = thread::scope(|scope| {
        let watcher = scope.spawn(watch);
        let whole = apply();
        over.store(true, Ordering::Relaxed);
        (whole, watcher.join())
    });
    let changes: Option<Vec<_>> = changes.map_err(|_| "the watcher failed")?.into_iter().collect();
    let changes = changes.ok_or("not every hook gave a frame to a new program")?;
    let [first, last] = [changes.iter().min(), changes.iter().max()].map(|one| one.copied().map_or(0.0, milliseconds));
    whole?;
    Ok(Swap { first, last })
}

fn number_in_fdinfo(fd: &OwnedFd, name: &str) -> Result<u64, String> {
    let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.ok_or_else(|| format!("{path} has no {name}"))
}

/// Where links and maps of an interface are pinned.
fn state_folder(interface: &str) -> Result<PathBuf, String> {
    let dir = Path::new("/sys/fs/bpf/enforcer").join(interface);
    let is_layout = |path: &PathBuf| path.is_dir() && name_of(path).starts_with('v');
    entries(&dir).into_iter().find(is_layout).ok_or_else(|| format!("nothing is pinned in {}", dir.display()))
}

/// Memory of the maps, by what belongs to whom.
fn memory(protected: &Protected, policy: &str, rows: &mut Vec<Row>) -> Result<(), String> {
    let host = Path::new("/sys/fs/bpf/enforcer").join(format!("host:{}", protected.cable.host.inode()));
    let mut maps = Vec::new();
    collect(&state_folder(&protected.cable.near.interface)?, "one interface", &mut maps);
    collect(&host, "host", &mut maps);
    let mut total = 0;
    let mut kinds: Vec<(String, u64, Vec<String>)> = Vec::new();
    for (owner, name, bytes) in &maps {
        total += bytes;
        let kind = match name.trim_end_matches(['4', '6']) {
            "FLOWS" => "flows",
            "DENIALS" => "refused conversations, remembered in audit",
            "FRAGMENTS" => "fragments",
            "DENIED" | "EVENTS" => "denied flows and events",
            "SERVICES_IN" | "SERVICES_OUT" | "MATRIX_IN" | "MATRIX_OUT" | "RANGES" | "RANGE_INDEX" | "PREFIXES" => {
                "policy"
            }
            "RULES" | "REASONS" => "counters",
            _ => "the rest",
        };
        let kind = format!("{kind}, {owner}");
        match kinds.iter_mut().find(|(of, ..)| *of == kind) {
            Some((_, sum, names)) => {
                *sum += bytes;
                names.push(name.clone());
            }
            None => kinds.push((kind, *bytes, vec![name.clone()])),
        }
    }
    if maps.is_empty() {
        return Err(format!("no maps in {}", host.display()));
    }
    kinds.sort_by_key(|(_, bytes, _)| std::cmp::Reverse(*bytes));
    for (kind, bytes, names) in kinds {
        rows.push(Row::new(policy, format!("memory: {kind}"), mebibytes(bytes), "MiB").how(names.join(" ")));
    }
    rows.push(
        Row::new(policy, "memory: all maps, one interface", mebibytes(total), "MiB")
            .target(Some(Target::AtMost(MEMORY)))
            .raw(json!({"bytes": total})),
    );
    Ok(())
}

/// Maps that are pinned below a folder, with the memory that the kernel accounts for them.
fn collect(folder: &Path, owner: &'static str, maps: &mut Vec<(&'static str, String, u64)>) {
    for path in entries(folder) {
        if path.is_dir() {
            collect(&path, owner, maps);
        } else if let Ok(fd) = bpf::pinned(&path)
            // Programs have it, too; only maps have a type of map.
            && number_in_fdinfo(&fd, "map_type:").is_ok()
            && let Ok(bytes) = number_in_fdinfo(&fd, "memlock:")
        {
            maps.push((owner, name_of(&path), bytes));
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).map(|all| all.flatten().map(|entry| entry.path()).collect());
    let mut entries: Vec<PathBuf> = entries.unwrap_or_default();
    entries.sort();
    entries
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}
