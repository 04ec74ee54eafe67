//! Every command in the documents is run: those of the README and of `docs/` in their order, and the examples of `--help`.
//!
//! They run as they are written, on a copy of this host that only they see (`tests/packages/copy-of-host.sh`), where `eth0` is a
//! cable, the files that the documents name are there, and somebody asks for ports. Each has to end with the exit code that its
//! comment names, or 0.

mod found;
mod pins;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use found::Shown;
use harness::enforcer::{binary, enforcer_on_host};
use harness::packet::Packet;
use harness::skip::{say, skip};

/// Which documents, in the order of a reader.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "docs/operating.md",
    "docs/estate.md",
    "docs/policy.md",
    "docs/catalogue.md",
    "docs/how-it-works.md",
    "docs/performance.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "contrib/README.md",
];

/// What is not run, by how it begins, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("sudo apt ", "`cargo xtask package-test` installs, upgrades, removes and purges the package"),
    ("sudo systemctl ", "there is no systemd here; `cargo xtask systemd-test` enables and starts the units"),
];

/// What ends only when it is told to.
const ENDLESS: &[&str] = &["enforcer run ", "enforcer events", "enforcer counters --watch"];
/// What needs a terminal, and ends by a key.
const ON_A_SCREEN: &[&str] = &["enforcer top"];

/// Examples of `--help` that end otherwise than with 0 on a host that has audited for no time, and why.
const CODES: &[(&str, i32, &str)] = &[
    ("enforcer readiness", 1, "audit has seen nothing yet"),
    ("enforcer check-health --no-agent", 0, "everything else is well"),
    ("enforcer check-health --expect", 2, "nothing enforces"),
    ("enforcer check-health", 1, "no agent runs"),
];

const SITE: &str = "\
interfaces: [eth0]
mode: audit
roles: [unity-connection]
peers:
  cluster: [10.1.1.10, 10.1.1.11]
  phones: [10.20.0.0/16]
";

/// An estate, of which this host is one.
const ESTATE: &str = "\
estate: contact-centre
outside: {phones: [10.20.0.0/16]}
hosts:
  cuc1: {addresses: [10.1.1.10], cluster: cuc, roles: [unity-connection]}
  cuc2: {addresses: [10.1.1.11], cluster: cuc, roles: [unity-connection]}
  rtr-a: {addresses: [10.5.1.10], roles: [{role: cce-router, instance: 1, side: a}]}
  cuic1: {addresses: [10.6.1.10], roles: [cuic]}
";
/// The same hosts in a table.
const INVENTORY: &str = "\
name,addresses,roles,cluster,instance,side
cuc1,10.1.1.10,unity-connection,cuc,,
cuc2,10.1.1.11,unity-connection,cuc,,
rtr-a,10.5.1.10,cce-router,,1,a
cuic1,10.6.1.10,cuic,,,
";

#[test]
fn commands_in_the_documents_end_as_they_say() {
    let Some(root) = source() else { return };
    for name in DOCUMENTS {
        expect(&root, name, &commands_of(&root, name), false);
    }
}

#[test]
fn examples_of_help_end_well() {
    let Some(root) = source() else { return };
    let mut commands = found::in_help();
    for command in &mut commands {
        if let Some((_, code, _)) = CODES.iter().find(|(start, ..)| command.line.starts_with(start)) {
            command.code = *code;
        }
    }
    for (start, ..) in CODES {
        assert!(commands.iter().any(|command| command.line.starts_with(start)), "no example starts with `{start}`");
    }
    expect(&root, "--help", &commands, true);
}

#[test]
fn the_manual_has_the_examples_of_help_and_no_others() {
    let folder = std::env::temp_dir().join(format!("enforcer-tests-manual-{}", process::id()));
    enforcer_on_host(&["man", &folder.to_string_lossy()]).expect_code(0);
    let manual = found::in_manual(&folder);
    fs::remove_dir_all(&folder).expect("it is ours");
    let help: BTreeSet<String> = found::in_help().into_iter().map(|shown| shown.line).collect();
    assert_eq!(manual, help);
}

#[test]
fn what_is_not_run_is_still_there() {
    let Some(root) = source() else { return };
    let all: Vec<Shown> = DOCUMENTS.iter().flat_map(|name| commands_of(&root, name)).collect();
    for (start, why) in NOT_RUN {
        assert!(all.iter().any(|shown| shown.line.starts_with(start)), "no document has `{start}` ({why})");
    }
    assert!(all.len() > 60, "the documents have only {} commands", all.len());
    let help = found::in_help();
    let all: Vec<&str> = all.iter().chain(&help).map(|shown| without_sudo(&shown.line)).collect();
    for start in ENDLESS.iter().chain(ON_A_SCREEN) {
        assert!(all.iter().any(|line| line.starts_with(start)), "nothing starts with `{start}`");
    }
}

/// The clone, whose documents are read as they are now.
fn source() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if root.join("policies").is_dir() {
        return Some(root);
    }
    skip("the source is not here");
    None
}

#[track_caller]
fn commands_of(root: &Path, name: &str) -> Vec<Shown> {
    let text = fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    found::in_document(name, &text)
}

fn without_sudo(line: &str) -> &str {
    line.strip_prefix("sudo ").unwrap_or(line)
}

/// Runs the commands, in one world, and fails when one ends otherwise than it should.
#[track_caller]
fn expect(root: &Path, name: &str, commands: &[Shown], with_audit: bool) {
    let run: Vec<&Shown> =
        commands.iter().filter(|shown| NOT_RUN.iter().all(|(start, _)| !shown.line.starts_with(start))).collect();
    let missing: Vec<&str> = ["bash", "unshare", "mount", "chroot", "timeout", "script", "jq", "nft", "iptables"]
        .into_iter()
        .filter(|tool| is_missing(tool))
        .collect();
    if let Some(tool) = missing.iter().find(|tool| !["nft", "iptables"].contains(tool)) {
        return skip(&format!("there is no {tool}"));
    }
    let needs_missing =
        |shown: &&&Shown| missing.iter().any(|tool| shown.line.split_whitespace().any(|word| word == *tool));
    let without: Vec<&str> = run.iter().filter(needs_missing).map(|shown| shown.line.as_str()).collect();
    if !without.is_empty() {
        say(&format!("not run, because {} is missing: {}", missing.join(" and "), without.join("; ")));
    }
    let run: Vec<&Shown> = run.into_iter().filter(|shown| !needs_missing(&shown)).collect();
    if run.is_empty() {
        return;
    }
    let ended = World::new(name).run(root, &script(root, &run, with_audit));
    let Some(ended) = ended else { return skip("this kernel has no overlay over this root") };
    let mut wrong = String::new();
    for (number, Shown { place, line, code }) in run.iter().enumerate() {
        match ended.get(&number) {
            Some((found, _)) if found == code => {}
            // A pipe that is interrupted ends as its parts do.
            Some((130, _)) if kind(line) == "endless" => {}
            Some((found, printed)) => {
                let _ = writeln!(wrong, "{place}: `{line}` ends with {found}, not {code}:\n{printed}");
            }
            None => {
                let _ = writeln!(wrong, "{place}: `{line}` was not run");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    say(&format!("{} commands of {name} have been run", run.len()));
}

fn is_missing(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    !std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).any(|folder| folder.join(tool).exists())
}

/// How a command has to be run.
fn kind(line: &str) -> &'static str {
    let line = without_sudo(line);
    let is = |starts: &[&str]| starts.iter().any(|start| line.starts_with(start));
    if is(ON_A_SCREEN) {
        "screen"
    } else if is(ENDLESS) && !line.contains("--count") {
        "endless"
    } else {
        "run"
    }
}

/// The world, then the commands.
fn script(root: &Path, commands: &[&Shown], with_audit: bool) -> String {
    let world = fs::read_to_string(root.join("tests/it/documents/world.sh")).expect("it is beside this file");
    let mut script = world + "\nbegin\n";
    for (number, Shown { line, .. }) in commands.iter().enumerate() {
        if with_audit {
            script.push_str("audit\n");
        }
        if with_audit && line.starts_with("enforcer mode audit") {
            // A window in which audit is for a while needs something to return to.
            script.push_str("enforce\n");
        }
        let _ = writeln!(script, "{} {number} '{}'", kind(line), line.replace('\'', r"'\''"));
    }
    script + "enforcer detach > /dev/null 2>&1\nkill %1\n"
}

/// A capture in which somebody asks the host, which the documents do not name, for ports. Its form is told by its bytes, not by its name.
fn capture() -> Vec<u8> {
    let asked = [("10.1.1.77", 443), ("10.1.1.78", 4444), ("10.20.0.5", 143)];
    let frames = asked.map(|(who, port)| Packet::new().ipv4(who, "10.1.1.10").tcp(40_000, port).build());
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, 1] {
        bytes.extend(word.to_le_bytes());
    }
    for frame in frames {
        let length = u32::try_from(frame.len()).expect("a short frame");
        for word in [1_700_000_000, 0, length, length] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(frame);
    }
    bytes
}

/// A folder with what the world is made of. Dropping it removes it.
struct World(PathBuf);

impl World {
    fn new(name: &str) -> Self {
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let folder = std::env::temp_dir().join(format!("enforcer-tests-documents-{}-{name}", process::id()));
        fs::create_dir_all(folder.join("files")).expect("a folder can be made");
        Self(folder)
    }

    /// Runs the script there, and returns the exit code and the output of each command; `None` where that cannot be.
    fn run(&self, root: &Path, script: &str) -> Option<BTreeMap<usize, (i32, String)>> {
        let Self(folder) = self;
        let files = folder.join("files");
        let write = |path: PathBuf, text: &str| fs::write(path, text).expect("it can be written");
        write(folder.join("script.sh"), script);
        for name in ["site.yaml", "running.yaml", "a.yaml"] {
            write(files.join(name), SITE);
        }
        for name in ["planned.yaml", "b.yaml"] {
            write(files.join(name), &SITE.replace("unity-connection", "finesse"));
        }
        for folder in ["old", "new"] {
            fs::create_dir(files.join(folder)).expect("a folder can be made");
        }
        for name in ["estate.yaml", "old/estate.yaml"] {
            write(files.join(name), ESTATE);
        }
        write(files.join("new/estate.yaml"), &ESTATE.replace("10.1.1.11", "10.1.1.12"));
        write(files.join("hosts.csv"), INVENTORY);
        for name in ["monday.pcapng", "span.pcap", "mirror.pcapng"] {
            fs::write(files.join(name), capture()).expect("it can be written");
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "bash"]);
        command.arg(root.join("tests/packages/copy-of-host.sh")).arg(folder.join("script.sh"));
        command.args([binary(), root.join("policies"), files]);
        let output = command.output().expect("unshare runs");
        let text = String::from_utf8_lossy(&output.stdout);
        // There can be no copy of this host.
        if output.status.code() == Some(77) {
            return None;
        }
        let ended = text.split("=== ").skip(1).filter_map(|part| {
            let (head, printed) = part.split_once('\n')?;
            let (number, code) = head.split_once(' ')?;
            Some((number.parse().ok()?, (code.parse().ok()?, printed.to_owned())))
        });
        let ended: BTreeMap<usize, (i32, String)> = ended.collect();
        assert!(!ended.is_empty(), "nothing was run: {text}\n{}", String::from_utf8_lossy(&output.stderr));
        Some(ended)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What cannot be removed stays in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
