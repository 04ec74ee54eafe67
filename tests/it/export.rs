//! Exports are what their targets read: `nft -c` and `iptables-restore --test` take every role, and the script can be run twice.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use enforcer::catalogue::embedded;
use enforcer::compile::compile;
use enforcer::diagnostic::Text;
use enforcer::export::{Target, export};
use enforcer::fixtures::sites::every_role;
use enforcer::site;
use harness::enforcer::enforcer_with_input;
use harness::netns::Cable;

#[test]
fn nft_takes_every_role() {
    let cable = Cable::quiet();
    for (name, site) in sites(&cable) {
        let text = exported(Target::Nft, &site);
        let output = fed(&mut cable.host.command(program("nft")), &["-c", "-f", "-"], &text);
        assert!(output.status.success(), "{name}: {}\n{text}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn iptables_takes_every_role() {
    let cable = Cable::quiet();
    for (name, site) in sites(&cable) {
        let text = exported(Target::Iptables, &site);
        for restore in ["iptables-restore", "ip6tables-restore"] {
            let begin = format!("\n{restore} --noflush <<'END'\n");
            let rules =
                text.split_once(&begin).and_then(|(_, rest)| rest.split_once("END\n")).expect("both families").0;
            let output = fed(&mut cable.host.command(program(restore)), &["--test", "--noflush"], rules);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{restore} of {name}: {said}\n{rules}");
        }
    }
}

#[test]
fn the_iptables_script_hooks_its_chains_in_once() {
    let cable = Cable::quiet();
    let (_, site) = sites(&cable).pop().expect("there are sites");
    let text = exported(Target::Iptables, &site);
    let mut listed = Vec::new();
    for _ in 0..2 {
        let output = fed(&mut cable.host.command("/bin/sh"), &["-s"], &text);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let rules = cable.host.command(program("iptables")).arg("-S").output().expect("iptables starts");
        listed.push(String::from_utf8_lossy(&rules.stdout).into_owned());
    }
    assert!(listed[0].contains("-A INPUT -i") && listed[0].contains("ENFORCER-IN"), "{}", listed[0]);
    assert_eq!(listed[0], listed[1]);
}

#[test]
fn warnings_are_said_and_the_file_is_written() {
    let cable = Cable::quiet();
    let (_, site) = sites(&cable).pop().expect("there are sites");
    let path = harness::enforcer::state_folder().join("exported.ps1");
    let path = path.to_str().expect("a path of letters");
    let ran = enforcer_with_input(&cable.host, &["export", "windows", "-", "-o", path], &site).expect_code(0);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("warning: `site/profinet` (inbound) is left out"), "{}", ran.stderr);
    let written = std::fs::read_to_string(path).expect("it was written");
    assert!(written.contains("New-NetFirewallRule"), "{written}");
    std::fs::remove_file(path).expect("it is there");
}

fn sites(cable: &Cable) -> Vec<(String, String)> {
    every_role(embedded().expect("the catalogue"), &cable.near.interface)
}

#[track_caller]
fn exported(target: Target, text: &str) -> String {
    let catalogue = embedded().expect("the catalogue");
    let site = site::read(Text::new("site.yaml", text), catalogue).unwrap_or_else(|error| panic!("{error}"));
    let compiled = compile(&site, catalogue, jiff::civil::date(2026, 8, 1)).expect("it compiles");
    export(target, &site, &compiled, None).expect("it can be written").text
}

/// A program of the superuser, which not everybody's path has.
fn program(name: &str) -> String {
    format!("/usr/sbin/{name}")
}

#[track_caller]
fn fed(command: &mut Command, arguments: &[&str], input: &str) -> Output {
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).expect("it reads its input");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}
