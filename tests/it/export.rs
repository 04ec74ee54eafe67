//! Exports are what their targets read: `nft -c` and `iptables-restore --test` take every role, and the script can be run twice.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use enforcer::fixtures::sites::every_role;
use enforcer::policy::catalogue::embedded;
use enforcer::policy::compile::compile;
use enforcer::policy::export::{Target, export};
use enforcer::policy::site;
use enforcer::text::diagnostic::Text;
use harness::enforcer::enforcer_with_input;
use harness::netns::Cable;
use harness::skip::say;
use harness::sockets::{Reply, Servers, tcp};

use crate::hooks::forward::host_behind;

#[test]
fn nft_takes_every_role() {
    let cable = Cable::quiet();
    for (name, site) in sites(&cable) {
        let text = exported(Target::Nft, &site);
        let output = fed(&mut cable.host.command(program("nft")), &["-c", "-f", "-"], &text);
        assert!(output.status.success(), "{name}: {}\n{text}", String::from_utf8_lossy(&output.stderr));
    }
}

/// One policy after the other, as on a host: what the last one has left goes, and what is the operator's stays where it is.
#[test]
fn iptables_takes_every_role_after_the_one_before() {
    let cable = Cable::quiet();
    for variant in ["nft", "legacy"] {
        if !Path::new(&program(&format!("iptables-{variant}"))).exists() {
            say(&format!("no iptables-{variant} here"));
            continue;
        }
        let path = std::env::temp_dir().join(format!("enforcer-iptables-{variant}-{}", std::process::id()));
        let linked = links_to(&path, variant);
        let run = |text: &str| {
            let mut shell = cable.host.command("/bin/sh");
            let output = fed(shell.env("PATH", format!("{linked}:/usr/bin:/bin")), &["-s"], text);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
        };
        // As an earlier version has left it, between rules of the operator.
        run("for program in iptables ip6tables; do\n\
             $program -N ENFORCER-OUT; $program -N ENFORCER-OUT-old; $program -N EN-OY-old\n\
             $program -A ENFORCER-OUT -j EN-OY-old; $program -A ENFORCER-OUT -g ENFORCER-OUT-old\n\
             $program -A OUTPUT -o eth7 -j ENFORCER-OUT\n\
             $program -N EN-ROUTE; $program -A EN-ROUTE -p 17 -j RETURN; $program -A INPUT -j EN-ROUTE; done\n");
        for (number, (name, site)) in sites(&cable).into_iter().enumerate() {
            let text = exported(Target::Iptables, &site);
            run(&text);
            let listed = listed(&cable, variant);
            if number == 0 {
                run("iptables -A INPUT -p 47 -j ACCEPT\n");
                continue;
            }
            assert!(!listed.contains("old") && !listed.contains("eth7"), "{name}: {listed}");
            let hooks: Vec<&str> = listed.lines().filter(|line| is_of_built_in_chain(line)).collect();
            let hook = |chain| format!("-A {chain} -j ENFORCER-{chain}");
            let mut expected =
                vec!["-A INPUT -j EN-ROUTE".to_owned(), hook("INPUT"), "-A INPUT -p gre -j ACCEPT".to_owned()];
            expected.extend([hook("FORWARD"), hook("FORWARD"), hook("OUTPUT")]);
            assert_eq!(hooks, expected, "{variant}, {name}");
            assert!(listed.contains("-A EN-ROUTE -p udp -j RETURN"), "{listed}");
            let ours = |line: &str| line.split(' ').nth(1).map(str::to_owned);
            let called: BTreeSet<String> =
                text.lines().filter(|line| line.starts_with("-A ENFORCER")).filter_map(ours).collect();
            let there = listed.lines().filter(|line| line.starts_with("-A ENFORCER")).filter_map(ours).collect();
            assert_eq!(called, there, "{name}");
            if number % 8 == 1 {
                run(&text);
                assert_eq!(self::listed(&cable, variant), listed, "{name}");
            }
        }
        run("iptables -F; iptables -X; iptables -t mangle -F; iptables -t mangle -X\n\
             ip6tables -F; ip6tables -X; ip6tables -t mangle -F; ip6tables -t mangle -X\n");
        std::fs::remove_dir_all(path).expect("it was made here");
    }
}

/// A folder with one variant of iptables under the names that a script calls.
fn links_to(path: &Path, variant: &str) -> String {
    std::fs::create_dir_all(path).expect("it can be made");
    for family in ["iptables", "ip6tables"] {
        for what in ["", "-save", "-restore"] {
            let link = path.join(format!("{family}{what}"));
            let _ = std::fs::remove_file(&link);
            let to = format!("/usr/sbin/{family}-{variant}{what}");
            std::os::unix::fs::symlink(to, link).expect("it can be made");
        }
    }
    path.to_str().expect("a path of letters").to_owned()
}

/// All rules of IPv4 in both tables.
fn listed(cable: &Cable, variant: &str) -> String {
    let list = |table| {
        let mut command = cable.host.command(program(&format!("iptables-{variant}")));
        let rules = command.args(["-t", table, "-S"]).output().expect("iptables starts");
        assert!(rules.status.success(), "{}", String::from_utf8_lossy(&rules.stderr));
        String::from_utf8_lossy(&rules.stdout).into_owned()
    };
    list("filter") + &list("mangle")
}

fn is_of_built_in_chain(line: &str) -> bool {
    ["-A INPUT ", "-A FORWARD ", "-A OUTPUT "].iter().any(|chain| line.starts_with(chain))
}

/// What passes between two protected interfaces is judged at each, whoever judges.
#[test]
fn what_is_routed_is_judged_on_both_interfaces() {
    const SITE: &str = "\
interfaces: [IF, behind]
mode: enforce
outbound: role
scope: all
roles: []
allow:
  - {name: in, protocol: tcp, ports: [443, 4444]}
  - {name: out, direction: out, protocol: tcp, ports: [443, 5555]}
";
    for by in [None, Some(Target::Nft), Some(Target::Iptables)] {
        let cable = Cable::new();
        let behind = host_behind(&cable);
        let site = SITE.replace("IF", &cable.near.interface);
        match by {
            None => drop(enforcer_with_input(&cable.host, &["apply", "-", "--hook", "tc"], &site).expect_code(0)),
            Some(target) => {
                let (mut command, arguments) = match target {
                    Target::Nft => (cable.host.command(program("nft")), ["-f", "-"].as_slice()),
                    Target::Iptables | Target::Windows | Target::IosAcl => {
                        (cable.host.command("/bin/sh"), ["-s"].as_slice())
                    }
                };
                let output = fed(&mut command, arguments, &exported(target, &site));
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
        }
        let _servers = Servers::start(&behind, &[443, 4444, 5555], &[]);
        let ask = |port| tcp(&cable.remote, cable.far.v4.into(), (IpAddr::from([203, 0, 113, 9]), port).into());
        assert_eq!(ask(443), Reply::Answered, "{by:?}: both permit it");
        assert_eq!(ask(4444), Reply::Silence, "{by:?}: nothing permits it to leave");
        assert_eq!(ask(5555), Reply::Silence, "{by:?}: nothing permits it to come in");
        if by.is_none() {
            enforcer_with_input(&cable.host, &["detach"], "").expect_code(0);
        }
    }
}

#[test]
fn warnings_are_said_and_the_file_is_written() {
    let cable = Cable::quiet();
    let (_, site) = sites(&cable).pop().expect("there are sites");
    let path = std::env::temp_dir().join(format!("enforcer-exported-{}.ps1", std::process::id()));
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
