//! The real binary, and an interface that it protects.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::Value;

use crate::netns::{self, Cable, Namespace};
use crate::packet::Packet;
use crate::program::{Outcome, Program};

/// A site that enforces and permits TCP 443 alone. `IF` stands for the interface.
pub const HTTPS_ONLY: &str =
    "interfaces: [IF]\nmode: enforce\nroles: []\nallow:\n  - {name: https, protocol: tcp, ports: [443]}\n";

/// What a command printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The command line, for messages.
    pub line: String,
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Fails unless the command ended with this exit code.
    ///
    /// # Panics
    /// With everything that the command printed.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        let Self { line, stdout, stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "exit code of `{line}`\n--- stdout\n{stdout}--- stderr\n{stderr}");
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("`{}`: {error}: {}", self.line, self.stdout))
    }
}

/// Where the binary is: `ENFORCER_BIN`, or where cargo puts it beside the tests.
///
/// # Panics
/// When there is none.
#[must_use]
#[track_caller]
pub fn binary() -> PathBuf {
    let beside = || {
        let own = env::current_exe().expect("a process has an executable");
        own.ancestors().skip(1).take(2).map(|dir| dir.join("enforcer")).find(|path| path.is_file())
    };
    env::var_os("ENFORCER_BIN")
        .map(PathBuf::from)
        .or_else(beside)
        .expect("build it first: `cargo build -p enforcer`, or let `cargo xtask test` do all of it")
}

/// A copy of the binary where anybody may run it: the one that is tested may lie where only root can go. It is removed when dropped.
#[derive(Debug)]
pub struct ForAnybody(PathBuf);

impl ForAnybody {
    /// Makes the copy.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    #[track_caller]
    pub fn copy() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let copy = Self(env::temp_dir().join(format!("enforcer-test-{}-binary-{number}", process::id())));
        // By another process: a file that is open for writing cannot be executed (ETXTBSY), and what another thread starts while
        // this one writes has the file open, too, until it is itself executed.
        let status = Command::new("install").args(["--mode", "755"]).args([&binary(), &copy.0]).status();
        assert!(status.as_ref().is_ok_and(ExitStatus::success), "install {}: {status:?}", copy.0.display());
        copy
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ForAnybody {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// Runs the binary in a namespace.
///
/// # Panics
/// When it cannot be started.
#[track_caller]
pub fn enforcer(namespace: &Namespace, arguments: &[&str]) -> Ran {
    finish(&mut command(namespace, arguments), "")
}

/// Runs the binary in a namespace, with this on its standard input.
///
/// # Panics
/// When it cannot be started.
#[track_caller]
pub fn enforcer_with_input(namespace: &Namespace, arguments: &[&str], input: &str) -> Ran {
    finish(&mut command(namespace, arguments), input)
}

/// Runs the binary in a namespace, with these variables in its environment.
///
/// # Panics
/// When it cannot be started.
#[track_caller]
pub fn enforcer_with_environment(namespace: &Namespace, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    enforcer_with(namespace, arguments, "", variables)
}

/// Runs the binary in a namespace, with this on its standard input and these variables in its environment.
///
/// # Panics
/// When it cannot be started.
#[track_caller]
pub fn enforcer_with(namespace: &Namespace, arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> Ran {
    finish(command(namespace, arguments).envs(variables.iter().copied()), input)
}

/// Runs the binary outside of any namespace of ours, for what looks at no interface.
///
/// # Panics
/// When it cannot be started.
#[track_caller]
pub fn enforcer_on_host(arguments: &[&str]) -> Ran {
    let mut command = Command::new(binary());
    finish(command.args(arguments).env("ENFORCER_STATE_DIR", state_folder()), "")
}

/// Namespaces, by name, in which another build is run.
static BUILDS: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());

/// From now on whatever runs the binary in this namespace runs this build of it.
pub fn use_build(namespace: &Namespace, build: &Path) {
    let mut builds = BUILDS.lock().unwrap_or_else(PoisonError::into_inner);
    builds.insert(namespace.name().to_owned(), build.to_owned());
}

/// The command that [`enforcer`] runs, to be started in another way.
#[must_use]
#[track_caller]
pub fn command(namespace: &Namespace, arguments: &[&str]) -> Command {
    let build = BUILDS.lock().unwrap_or_else(PoisonError::into_inner).get(namespace.name()).cloned();
    let mut command = namespace.command(build.unwrap_or_else(binary));
    // The session of whoever runs the tests does not end in a namespace of ours.
    command.args(arguments).env_remove("SSH_CONNECTION").env_remove("SSH_CLIENT");
    command
}

/// Where the tests keep the last good policies, whose names are those of their interfaces: not where the host does.
#[must_use]
pub fn state_folder() -> PathBuf {
    env::temp_dir().join("enforcer-tests-state")
}

#[track_caller]
fn finish(command: &mut Command, input: &str) -> Ran {
    let line = line_of(command);
    let mut child = spawn(command, &line);
    let mut pipe = child.stdin.take().expect("piped");
    let output = thread::scope(|scope| {
        // A command that does not read its input closes it; that is no failure of ours.
        scope.spawn(move || pipe.write_all(input.as_bytes()));
        child.wait_with_output().expect("it ends")
    });
    ran(line, &output)
}

/// What a process left when it ended.
pub(crate) fn ran(line: String, output: &Output) -> Ran {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { line, code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Starts a command with pipes at all its ends.
#[track_caller]
pub(crate) fn spawn(command: &mut Command, line: &str) -> Child {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.env("NO_COLOR", "1").spawn().unwrap_or_else(|error| panic!("`{line}`: {error}"))
}

/// The command line, for messages.
pub(crate) fn line_of(command: &Command) -> String {
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    ["enforcer".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

/// A cable whose near end is protected. Dropping it detaches.
#[derive(Debug)]
pub struct Protected {
    /// The namespaces and the interfaces.
    pub cable: Cable,
}

impl Protected {
    /// Applies a policy to the near end of a new cable; the interface is added to the arguments.
    ///
    /// # Panics
    /// When `apply` fails.
    #[must_use]
    #[track_caller]
    pub fn apply(arguments: &[&str]) -> Self {
        Self::apply_on(Cable::new(), arguments)
    }

    /// Applies a policy to the near end of this cable; the interface is added to the arguments.
    ///
    /// # Panics
    /// When `apply` fails.
    #[must_use]
    #[track_caller]
    pub fn apply_on(cable: Cable, arguments: &[&str]) -> Self {
        let protected = Self { cable };
        protected.apply_again(arguments);
        protected
    }

    /// Applies a site file to the near end of this cable; `IF` in it stands for the interface.
    ///
    /// # Panics
    /// When `apply` fails.
    #[must_use]
    #[track_caller]
    pub fn apply_site(cable: Cable, site: &str, arguments: &[&str]) -> Self {
        let protected = Self { cable };
        protected.try_site(site, arguments).expect_code(0);
        protected
    }

    /// Applies a site file, whatever comes of it; `IF` in it stands for the interface.
    #[track_caller]
    pub fn try_site(&self, site: &str, arguments: &[&str]) -> Ran {
        let site = site.replace("IF", &self.cable.near.interface);
        let line: Vec<&str> = ["apply", "-"].iter().chain(arguments).copied().collect();
        enforcer_with_input(&self.cable.host, &line, &site)
    }

    /// Applies another policy to the same interface.
    ///
    /// # Panics
    /// When `apply` fails.
    #[track_caller]
    pub fn apply_again(&self, arguments: &[&str]) -> Ran {
        let mut line = vec!["apply"];
        line.extend(arguments);
        line.extend(["--interface", &self.cable.near.interface]);
        self.run(&line).expect_code(0)
    }

    /// Runs the binary where the protected interface is.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        enforcer(&self.cable.host, arguments)
    }

    /// Switches the mode of the interface.
    ///
    /// # Panics
    /// When `mode` fails.
    #[track_caller]
    pub fn mode(&self, mode: &str) {
        self.run(&["mode", mode, "--interface", &self.cable.near.interface]).expect_code(0);
    }

    /// What is counted so far for the interface.
    ///
    /// # Panics
    /// When `counters` fails or does not print what is documented.
    #[must_use]
    #[track_caller]
    pub fn counters(&self) -> Counters {
        let interface = &self.cable.near.interface;
        let json = self.run(&["counters", "--format", "json", "--interface", interface]).expect_code(0).json();
        Counters::of(&json, interface)
    }

    /// What is counted by a piece of work, and its result.
    #[track_caller]
    pub fn counted<T>(&self, work: impl FnOnce() -> T) -> (T, Counters) {
        let before = self.counters();
        let result = work();
        (result, self.counters().since(&before))
    }

    /// Where the program that judges what comes in is pinned: what `status` says.
    ///
    /// # Panics
    /// When `status` fails or does not know the interface.
    #[must_use]
    #[track_caller]
    pub fn pin(&self) -> PathBuf {
        let interface = &self.cable.near.interface;
        // It exits with 1 where something is not as it should be, such as a port of a bridge that is protected still.
        let json = self.run(&["status", "--format", "json", "--interface", interface]).json();
        PathBuf::from(json["interfaces"][0]["pin"].as_str().unwrap_or_else(|| panic!("no pin in {json}")))
    }

    /// The program that judges what leaves.
    #[must_use]
    #[track_caller]
    pub fn outbound(&self) -> Program {
        Program::pinned(&self.pin().with_file_name("outbound"))
    }

    /// The program that judges what comes in.
    #[must_use]
    #[track_caller]
    pub fn inbound(&self) -> Program {
        Program::pinned(&self.pin())
    }

    /// Judges frames, and fails unless each is dropped, or passes, and is counted once, under this reason.
    ///
    /// # Panics
    /// When a frame fares differently.
    #[track_caller]
    pub fn expect(&self, outcome: Outcome, reason: &str, frames: &[Packet]) {
        let verdict = match outcome {
            Outcome::Passed => "pass",
            Outcome::Dropped => "drop",
        };
        self.expect_counted(outcome, verdict, reason, frames);
    }

    /// Like [`expect`](Self::expect), with the verdict under which the packets are counted (`would_drop` in audit).
    ///
    /// # Panics
    /// When a frame fares differently.
    #[track_caller]
    pub fn expect_counted(&self, outcome: Outcome, verdict: &str, reason: &str, frames: &[Packet]) {
        let program = self.inbound();
        let (outcomes, counted) =
            self.counted(|| frames.iter().map(|frame| program.judge(&frame.build())).collect::<Vec<_>>());
        for (frame, found) in frames.iter().zip(outcomes) {
            assert_eq!(found, outcome, "expected {reason} for {frame:?}; counted: {counted:#?}");
        }
        let number = u64::try_from(frames.len()).expect("few frames");
        let wanted = BTreeMap::from([
            (format!("inbound reason {reason} {verdict}"), number),
            (format!("inbound verdict {verdict}"), number),
        ]);
        let mut found = counted.packets;
        // What the host itself sends meanwhile, and the rules, are not the question here.
        found.retain(|name, _| name.starts_with("inbound reason") || name.starts_with("inbound verdict"));
        assert_eq!(found, wanted, "{frames:#?}");
    }
}

impl Drop for Protected {
    fn drop(&mut self) {
        let interface = &self.cable.near.interface;
        let ran = self.run(&["detach", "--interface", interface]);
        // Pins outlive the namespace; its interface and its number are this test's own, so what still has them may go.
        for pins in [Path::new("/sys/fs/bpf/enforcer").join(interface), netns::host_pins(self.cable.host.inode())] {
            let left = pins.exists();
            netns::remove_pins(&pins);
            if left && !thread::panicking() {
                panic!("detach left {}: {}", pins.display(), ran.stderr);
            }
        }
        // Totals stay for whoever protects the interface next, which nobody will.
        let of_interface = |path: &PathBuf| path.file_stem().is_some_and(|name| name == interface.as_str());
        for path in netns::entries(&state_folder()).into_iter().filter(of_interface) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Packets counted, by what they are counted as: `inbound reason no-rule drop`, `inbound verdict would_drop`,
/// `inbound rule unity-connection/https`. What is zero is left out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Packets.
    pub packets: BTreeMap<String, u64>,
}

impl Counters {
    /// Reads the documented JSON of one interface.
    ///
    /// # Panics
    /// When it is not as documented.
    #[must_use]
    #[track_caller]
    pub fn of(json: &Value, interface: &str) -> Self {
        let all = array(&json["interfaces"]);
        let one = all.iter().find(|one| one["interface"] == interface).unwrap_or_else(|| panic!("{interface}: {json}"));
        let mut packets = BTreeMap::new();
        for direction in ["inbound", "outbound"] {
            for verdict in ["pass", "drop", "would_drop"] {
                if let Some(number) = one["verdicts"][direction][verdict]["packets"].as_u64() {
                    packets.insert(format!("{direction} verdict {verdict}"), number);
                }
            }
        }
        for rule in array(&one["rules"]) {
            // A service of two protocols is two rules with one id.
            *packets.entry(format!("{} rule {}", text(&rule["direction"]), text(&rule["id"]))).or_default() +=
                count(rule);
        }
        for reason in array(&one["reasons"]) {
            let [direction, name, verdict] = ["direction", "reason", "verdict"].map(|field| text(&reason[field]));
            packets.insert(format!("{direction} reason {name} {verdict}"), count(reason));
        }
        packets.retain(|_, number| *number > 0);
        Self { packets }
    }

    /// How many more packets were counted than before.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut packets = self.packets.clone();
        for (name, number) in &mut packets {
            *number -= before.packets.get(name).copied().unwrap_or(0);
        }
        packets.retain(|_, number| *number > 0);
        Self { packets }
    }

    /// How many packets are counted under this name.
    #[must_use]
    pub fn of_name(&self, name: &str) -> u64 {
        self.packets.get(name).copied().unwrap_or(0)
    }
}

#[track_caller]
fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not an array: {value}"))
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}"))
}

#[track_caller]
fn count(value: &Value) -> u64 {
    value["packets"].as_u64().unwrap_or_else(|| panic!("no packets: {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_as_documented_and_told_apart_in_time() {
        let json = |drops: u64| {
            serde_json::json!({"interfaces": [{
                "interface": "eth0",
                "verdicts": {"inbound": {"pass": {"packets": 0}, "drop": {"packets": drops}, "would_drop": {"packets": 0}}},
                "rules": [{"id": "unity-connection/imap", "direction": "inbound", "packets": 2}],
                "reasons": [{"reason": "no-rule", "verdict": "drop", "direction": "inbound", "packets": drops}],
            }]})
        };
        let (before, after) = (Counters::of(&json(1), "eth0"), Counters::of(&json(4), "eth0"));
        assert_eq!(after.of_name("inbound rule unity-connection/imap"), 2);
        let expected = [("inbound reason no-rule drop".to_owned(), 3), ("inbound verdict drop".to_owned(), 3)];
        assert_eq!(after.since(&before).packets, BTreeMap::from(expected));
    }
}
