//! What a shell may expect of every command: help with examples, JSON, quiet, stable order, `-`, and no crash when a reader leaves.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const SITE: &str = "interfaces: [eth0]\nroles: [finesse]\npeers: {client-workstations: [10.30.0.0/16]}\n";

/// What a command is for, as far as a shell is concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// It lists something, as a table or as JSON; these words are a whole command that needs no kernel.
    Lists(&'static str),
    /// It lists something of what is in force.
    ListsInForce,
    /// It prints a text that has one form only; these words are a whole command.
    Prints(&'static str),
    /// It changes something, and says on standard error what.
    Does,
    /// It has commands of its own.
    Group,
}
use Kind::{Does, Group, Lists, ListsInForce, Prints};

/// Every command. `SITE` stands for a site file.
const COMMANDS: &[(&str, Kind)] = &[
    ("apply", Does),
    ("boot", Does),
    ("catalogue", Group),
    ("catalogue export", Lists("catalogue export --format json")),
    ("catalogue lint", Lists("catalogue lint")),
    ("check", Lists("check SITE")),
    ("check-health", Does),
    ("compile", Lists("compile SITE")),
    ("completions", Prints("completions bash")),
    ("confirm", Does),
    ("counters", ListsInForce),
    ("denied", ListsInForce),
    ("detach", Does),
    ("diff", Lists("diff SITE SITE")),
    ("events", ListsInForce),
    ("explain", Lists("explain SITE in~tcp~10.30.0.5:40000~->~:8443")),
    ("export", Prints("export nft SITE")),
    ("flows", ListsInForce),
    ("help", Prints("help policy")),
    ("map", Prints("map ESTATE")),
    ("mode", Does),
    ("preflight", ListsInForce),
    ("readiness", ListsInForce),
    ("render", Prints("render ESTATE --host rtr-a")),
    ("report", ListsInForce),
    ("role", Group),
    ("role show", Lists("role show finesse")),
    ("roles", Lists("roles")),
    ("run", Does),
    ("save", Does),
    ("refresh", Does),
    ("simulate", Lists("simulate SITE CAPTURE --local 10.1.1.10")),
    ("status", ListsInForce),
    ("suggest", ListsInForce),
    ("top", Does),
];

#[test]
fn every_command_is_in_the_table() {
    let mut found = BTreeSet::new();
    let mut open = vec![String::new()];
    while let Some(words) = open.pop() {
        for name in commands(&help(&words)) {
            let words = format!("{words} {name}").trim().to_owned();
            open.push(words.clone());
            found.insert(words);
        }
    }
    let known: BTreeSet<String> = COMMANDS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, known);
}

#[test]
fn every_help_has_examples_and_what_all_commands_have() {
    for (name, kind) in COMMANDS {
        let help = help(name);
        for option in ["--quiet", "--verbose", "--help"] {
            assert!(help.contains(option), "{name} has no {option}");
        }
        if *kind != Group {
            assert!(help.contains("Examples:\n  enforcer ") || help.contains("Examples:\n  source "), "{name}: {help}");
        }
        let has_json = help.contains("--format") && help.contains("json");
        assert_eq!(has_json, matches!(kind, Lists(_) | ListsInForce), "{name}: whether there is `--format json`");
    }
}

#[test]
fn listings_are_json_on_request_and_nothing_but_that_when_quiet() {
    let files = Files::new("json");
    for line in listings() {
        let mut words = files.words(line);
        if !line.contains("--format") {
            words.extend(["--format", "json"].map(str::to_owned));
        }
        words.push("--quiet".to_owned());
        let output = run(&words, "");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
        let json: Result<Value, _> = serde_json::from_slice(&output.stdout);
        assert!(json.is_ok(), "{line}: {json:?}");
    }
}

#[test]
fn two_runs_print_the_same() {
    let files = Files::new("same");
    for line in whole() {
        let words = files.words(line);
        let [one, two] = [run(&words, ""), run(&words, "")];
        assert!(!one.stdout.is_empty() && one.status.code() == two.status.code(), "{line}: {one:?}");
        assert!(one.stdout == two.stdout && one.stderr == two.stderr, "{line} prints something else each time");
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let files = Files::new("pipe");
    for line in whole() {
        let (reader, writer) = std::io::pipe().unwrap();
        // Before anything is written: every write fails.
        drop(reader);
        let mut command = enforcer(&files.words(line));
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked") && !said.contains("error"), "{line}: {said}");
        assert_eq!(output.status.code(), Some(0), "{line}: {said}");
    }
}

#[test]
fn a_site_may_come_from_standard_input() {
    let files = Files::new("stdin");
    let lines: Vec<&str> = whole().into_iter().filter(|line| line.contains("SITE")).collect();
    assert!(lines.len() > 5, "{lines:?}");
    for line in lines {
        let from_file = run(&files.words(line), "");
        let from_input = run(&files.words(&line.replacen("SITE", "-", 1)), SITE);
        assert_eq!(from_file.status.code(), from_input.status.code(), "{line}: {from_input:?}");
        let text = |output: &Output| {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            // `diff` calls it as it was called on the command line.
            text.replace(&files.path("site.yaml"), "<stdin>").replace("- and ", "<stdin> and ")
        };
        assert_eq!(text(&from_file), text(&from_input), "{line}");
    }
}

#[test]
fn errors_are_said_even_when_quiet_and_with_their_causes_when_verbose() {
    for words in [&["check", "--role", "nothing", "--quiet"][..], &["help", "nothing", "--quiet"]] {
        let output = run(words, "");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("nothing"), "{output:?}");
    }
    let output = run(&["simulate", "--role", "finesse", "/nowhere.pcap", "--verbose"], "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in [concat!("enforcer ", env!("CARGO_PKG_VERSION"), ", Linux "), "/nowhere.pcap", "exit code 2 after "] {
        assert!(said.contains(part), "{said}");
    }
    let output = run(&["roles", "--quiet", "--verbose"], "");
    assert_eq!(output.status.code(), Some(2), "both make no sense");
}

/// Commands that list something.
fn listings() -> Vec<&'static str> {
    COMMANDS.iter().filter_map(|(_, kind)| if let Lists(line) = kind { Some(*line) } else { None }).collect()
}

/// Commands that can be run here.
fn whole() -> Vec<&'static str> {
    let prints = COMMANDS.iter().filter_map(|(_, kind)| if let Prints(line) = kind { Some(*line) } else { None });
    listings().into_iter().chain(prints).collect()
}

/// The commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let list = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn help(words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().chain(["--help"]).collect();
    let output = run(&words, "");
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn run(words: &[impl AsRef<str>], input: &str) -> Output {
    let mut child = enforcer(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // What does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn enforcer(words: &[impl AsRef<str>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enforcer"));
    command.args(words.iter().map(AsRef::as_ref)).stdin(Stdio::piped());
    command
}

/// A folder with the files that commands name. Dropping it removes it.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("enforcer-shell-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("site.yaml"), SITE).unwrap();
        let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/capture/pcap-little-endian");
        fs::copy(corpus, folder.join("some.pcap")).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// The words of a command; `~` stands for a blank within one.
    fn words(&self, line: &str) -> Vec<String> {
        let word = |word: &str| match word {
            "SITE" => self.path("site.yaml"),
            "ESTATE" => concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/estate/estate.yaml").to_owned(),
            "CAPTURE" => self.path("some.pcap"),
            _ => word.replace('~', " "),
        };
        line.split_whitespace().map(word).collect()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // What cannot be removed stays in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_pipe_of_the_shell_is_a_file_and_a_named_pipe_is_refused_at_once() {
    let folder = std::env::temp_dir().join(format!("enforcer-pipes-{}", std::process::id()));
    let catalogue = folder.join("catalogue");
    fs::create_dir_all(&catalogue).unwrap();
    let (site, fifo) = (folder.join("site.yaml"), folder.join("fifo"));
    fs::write(&site, SITE).unwrap();
    for fifo in [&fifo, &catalogue.join("finesse.yaml")] {
        nix::unistd::mkfifo(fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    let shell = |line: &str| {
        let line = line.replace("ENFORCER", env!("CARGO_BIN_EXE_enforcer")).replace("FOLDER", folder.to_str().unwrap());
        // Nothing that is refused is waited for: a command that has to be killed fails by its exit code, 124.
        let output = Command::new("timeout").args(["20", "bash", "-c", &line]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for line in [
        "check <(cat FOLDER/site.yaml)",
        "compile <(cat FOLDER/site.yaml)",
        "diff <(cat FOLDER/site.yaml) FOLDER/site.yaml",
    ] {
        let (code, stderr) = shell(&format!("ENFORCER {line}"));
        assert_eq!(code, Some(0), "{line}: {stderr}");
    }
    let (code, stderr) = shell("cat FOLDER/site.yaml | ENFORCER check /dev/stdin");
    assert_eq!(code, Some(0), "{stderr}");
    for line in [
        "check FOLDER/fifo",
        "compile FOLDER/fifo",
        "diff FOLDER/fifo FOLDER/site.yaml",
        "explain FOLDER/fifo 'in tcp 10.0.0.5:40000 -> :443'",
        "export nft FOLDER/fifo",
        "simulate FOLDER/site.yaml FOLDER/fifo",
        "simulate FOLDER/site.yaml FOLDER/fifo --local 10.0.0.1",
        "suggest FOLDER/site.yaml --denied FOLDER/fifo",
        "check --role finesse --interface eth0 --catalogue FOLDER/catalogue",
    ] {
        let (code, stderr) = shell(&format!("ENFORCER {line}"));
        assert_eq!(code, Some(2), "{line}: {stderr}");
        assert!(stderr.contains("FIFO"), "{line}: {stderr}");
    }
    // What is written nobody reads.
    let (code, stderr) = shell("ENFORCER export nft FOLDER/site.yaml -o FOLDER/fifo");
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("cannot write"), "{stderr}");
    let (code, stderr) =
        shell("ENFORCER export nft FOLDER/site.yaml -o /dev/stdout > FOLDER/rules && grep -q table FOLDER/rules");
    assert_eq!(code, Some(0), "{stderr}");
    let (code, stderr) = shell("ENFORCER simulate FOLDER/site.yaml <(cat FOLDER/site.yaml)");
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("--local"), "a pipe can be read once only: {stderr}");
    fs::remove_dir_all(folder).unwrap();
}
