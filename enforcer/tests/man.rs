//! The manual pages: one for each command, without errors, and with everything that there is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use enforcer::policy::schema;
use serde_json::Value;
use skip::skip;

#[path = "../../tests/harness/skip.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is the kernel suite's too, which says more")]
mod skip;

#[test]
fn every_command_has_a_page_with_all_of_its_options() {
    let pages = Pages::written();
    let mut expected = BTreeSet::from(
        ["enforcer-site.5", "enforcer-estate.5", "enforcer-catalogue.5", "enforcer-topics.7"].map(str::to_owned),
    );
    let mut open = vec![Vec::new()];
    while let Some(words) = open.pop() {
        let name: Vec<&str> = std::iter::once("enforcer").chain(words.iter().map(String::as_str)).collect();
        let name = name.join("-") + ".8";
        let help = help(&words);
        let page = pages.text(&name);
        for option in help.split_whitespace().filter_map(long_option) {
            assert!(page.contains(&option.replace('-', r"\-")), "{name} lacks {option}");
        }
        open.extend(commands(&help).map(|command| words.iter().cloned().chain([command]).collect()));
        expected.insert(name);
    }
    assert!(expected.len() > 25, "the help is not read as it is printed: {expected:?}");
    assert_eq!(pages.names(), expected);
}

#[test]
fn the_pages_are_typeset_without_a_warning() {
    let pages = Pages::written();
    let formatters: [&[&str]; 2] = [&["mandoc", "-Tlint", "-Wwarning"], &["groff", "-man", "-Tutf8", "-ww", "-z"]];
    let there = |arguments: &&&[&str]| Command::new(arguments[0]).stdin(Stdio::null()).output().is_ok();
    let Some(formatter) = formatters.iter().find(there) else {
        skip("neither mandoc nor groff is installed");
        return;
    };
    for name in pages.names() {
        let output = Command::new(formatter[0]).args(&formatter[1..]).arg(pages.path(&name)).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        // mandoc wants a date in the title; pages that are built again must be the same.
        let said: Vec<_> = String::from_utf8_lossy(&said).lines().map(str::to_owned).collect();
        let said: Vec<_> = said.iter().filter(|line| !line.contains("missing date")).collect();
        assert!(said.is_empty(), "{name}: {said:#?}");
    }
}

#[test]
fn a_page_reads_like_one() {
    if Command::new("groff").arg("--version").output().is_err() {
        skip("groff is not installed");
        return;
    }
    let pages = Pages::written();
    let text = pages.read("enforcer-role-show.8");
    let title: Vec<&str> = text.split_whitespace().take(4).collect();
    assert_eq!(title, ["enforcer-role-show(8)", "enforcer", "manual", "enforcer-role-show(8)"]);
    for part in [
        "enforcer-role-show - Show what a role listens on",
        "SYNOPSIS",
        "EXAMPLES\n       enforcer role show finesse\n",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let text = pages.read("enforcer.8");
    for part in ["enforcer-apply(8)", "EXIT STATUS", "Refused for safety"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn the_page_of_site_files_has_every_key() {
    let sections = tagged(&Pages::written().text("enforcer-site.5"));
    let schema: Value = serde_json::from_str(&schema::site()).unwrap();
    assert_eq!(sections["SITE"], keys(&schema, "/properties"));
    assert_eq!(sections["INTERFACES"], keys(&schema, "/definitions/InterfaceSettings/properties"));
    assert_eq!(sections["MODE"], keys(&schema, "/definitions/ModeByDirection/properties"));
    assert_eq!(sections["ROLES"], keys(&schema, "/definitions/RoleSettings/properties"));
    assert_eq!(sections["FLOWS"], keys(&schema, "/definitions/Flows/properties"));
    assert_eq!(sections["RULES"], keys(&schema, "/definitions/Rule/properties"));
}

#[test]
fn the_page_of_estates_has_every_key() {
    let sections = tagged(&Pages::written().text("enforcer-estate.5"));
    let schema: Value = serde_json::from_str(&schema::estate()).unwrap();
    assert_eq!(sections["ESTATE"], keys(&schema, "/properties"));
    // What a host may say as `defaults` does is described there.
    let all = keys(&schema, "/definitions/Defaults/properties");
    let own: BTreeSet<String> = keys(&schema, "/definitions/Host/properties")
        .into_iter()
        .filter(|key| key == "interfaces" || !all.contains(key))
        .collect();
    assert_eq!(sections["HOSTS"], own);
}

#[test]
fn the_page_of_the_catalogue_has_every_key() {
    let sections = tagged(&Pages::written().text("enforcer-catalogue.5"));
    let schema: Value = serde_json::from_str(&schema::role()).unwrap();
    assert_eq!(sections["ROLE"], keys(&schema, "/properties"));
    assert_eq!(sections["PARAMETERS"], keys(&schema, "/definitions/Parameter/properties"));
    let mut entries = keys(&schema, "/definitions/Service/properties");
    entries.extend(keys(&schema, "/definitions/Connection/properties"));
    assert_eq!(sections["SERVICES AND CONNECTIONS"], entries);
    assert_eq!(sections["PORTS"], keys(&schema, "/definitions/Port/properties"));
    assert_eq!(sections["SOURCES"], keys(&schema, "/definitions/Source/properties"));
}

#[test]
fn the_examples_are_good_files() {
    let pages = Pages::written();
    let mut check = enforcer(&["check", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    check.stdin.take().unwrap().write_all(example(&pages.text("enforcer-site.5")).as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let catalogue = pages.0.join("catalogue");
    fs::create_dir(&catalogue).unwrap();
    let files = [
        ("documents", "example: {title: Example, product: Example Server, release: \"1.0\"}\n".to_owned()),
        (
            "peers",
            "client-workstations: {summary: Browsers., roles: []}\nexample-databases: {summary: Databases., roles: []}\n"
                .to_owned(),
        ),
        ("decisions", "hosts: []\ndecisions: []\n".to_owned()),
        ("example-server", example(&pages.text("enforcer-catalogue.5"))),
    ];
    for (name, text) in files {
        fs::write(catalogue.join(name).with_extension("yaml"), text).unwrap();
    }
    let mut show = enforcer(&["role", "show", "example-server", "--set", "instance=3", "--catalogue"]);
    let output = show.arg(&catalogue).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("tcp 8030"), "{output:?}");
}

/// The pages in a directory that goes with this.
struct Pages(PathBuf);

impl Pages {
    fn written() -> Self {
        let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "-");
        let directory = std::env::temp_dir().join(format!("enforcer-man-{}-{thread}", std::process::id()));
        let output = enforcer(&["man"]).arg(&directory).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Self(directory)
    }

    fn names(&self) -> BTreeSet<String> {
        let files = ["man5", "man7", "man8"].into_iter().flat_map(|folder| fs::read_dir(self.0.join(folder)).unwrap());
        files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        let (_, section) = name.rsplit_once('.').unwrap();
        self.0.join(format!("man{section}")).join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn read(&self, name: &str) -> String {
        let arguments = ["-man", "-Tascii", "-P-c", "-P-b", "-P-u", "-rLL=100n"];
        let output = Command::new("groff").args(arguments).arg(self.path(name)).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // What cannot be removed stays in the folder for temporary files.
        let _ = fs::remove_dir_all(Path::new(&self.0));
    }
}

/// Keys with a paragraph of their own (`.TP`, then the key in bold), by section.
fn tagged(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut sections: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut section = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix(".SH ") {
            heading.replace('"', "").clone_into(&mut section);
        } else if line == ".TP" {
            let tag = lines.next().unwrap();
            if let Some(key) = tag.strip_prefix(r"\fB").and_then(|tag| tag.strip_suffix(r"\fR")) {
                sections.entry(section.clone()).or_default().insert(key.replace(r"\-", "-"));
            }
        }
    }
    sections
}

fn keys(schema: &Value, pointer: &str) -> BTreeSet<String> {
    schema.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect()
}

/// The example of a page, as a reader copies it.
fn example(page: &str) -> String {
    let (_, rest) = page.split_once(".EX\n").unwrap();
    rest.split_once(".EE").unwrap().0.replace(r"\-", "-")
}

fn help(words: &[String]) -> String {
    let output = enforcer(&[]).args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that a help text lists.
fn commands(help: &str) -> impl Iterator<Item = String> {
    let list = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty());
    // A name stands two columns in; what stands further in continues the line above.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned)
}

fn long_option(word: &str) -> Option<String> {
    let name = word.strip_prefix("--")?;
    let name: String = name.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
    (!name.is_empty()).then(|| format!("--{name}"))
}

fn enforcer(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enforcer"));
    command.args(arguments).stdin(Stdio::null());
    command
}
