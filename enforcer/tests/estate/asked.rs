//! Questions to an estate: one conversation at both ends, what a change makes possible, a capture from a mirror port.

use std::process::Command;

use enforcer::estate::diff::{Difference, diff};
use enforcer::estate::ends::Ends;
use enforcer::estate::explain::Asked;
use enforcer::policy::catalogue::embedded;
use enforcer::policy::estate::Estate;
use jiff::civil::date;

use super::{estate, reference};

const TODAY: jiff::civil::Date = date(2026, 11, 30);

/// The verdicts at the ends: `host direction verdict reason rule`.
fn asked(estate: &Estate, text: &str) -> Result<Vec<String>, String> {
    let asked = Asked::parse(text, estate).map_err(|error| error.to_string())?;
    let both = asked.judged(estate, embedded().unwrap(), TODAY).unwrap();
    let ends = both.ends.iter().map(|end| {
        let said = &end.explanation;
        let rule = said.rule.as_deref().unwrap_or("-");
        format!("{} {} {} {} {rule}", end.host, end.direction.name(), said.verdict, said.reason)
    });
    Ok(ends.chain([both.verdict.to_string()]).collect())
}

#[test]
fn a_conversation_is_explained_at_both_ends() {
    let estate = estate(&reference());
    let found = asked(&estate, "tcp rtr-a -> rtr-b:41044").unwrap();
    assert_eq!(
        found,
        ["rtr-a outbound pass rule cce-router/mds-private", "rtr-b inbound pass rule cce-router/mds-private", "pass"]
    );
    // Instance 2 listens elsewhere, and is no peer of instance 1.
    let found = asked(&estate, "tcp rtr-a -> rtr2-b:41084").unwrap();
    assert_eq!(found[2], "drop");
    assert!(found[0].starts_with("rtr-a outbound drop") && found[1].starts_with("rtr2-b inbound drop"), "{found:?}");
    // Names of `outside:` and addresses have no policy: one end answers.
    let found = asked(&estate, "tcp client-workstations -> cuc1:8443").unwrap();
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("cuc1 inbound pass rule"), "{found:?}");
    assert_eq!(
        asked(&estate, "tcp 10.10.2.11 -> [10.10.2.12]:41044").unwrap().len(),
        3,
        "hosts are known by their addresses"
    );
    assert_eq!(asked(&estate, "icmp cuc1 -> cuc2").unwrap()[2], "pass");
}

#[test]
fn what_is_wrong_with_a_question_is_shown() {
    let estate = estate(&reference());
    for (text, message) in [
        ("tcp rtr-c -> rtr-b:1", "has no host or name `rtr-c` (did you mean `rtr-a`"),
        ("tcp rtr-a -> rtr-b", "tcp needs the port"),
        ("tcp rtr-a rtr-b:1", "`->` is missing"),
        ("tpc rtr-a -> rtr-b:1", "`tpc` is no IP protocol"),
        ("icmp rtr-a -> rtr-b:1", "icmp has no ports"),
        ("tcp 192.0.2.1 -> 192.0.2.2:1", "neither end is a host"),
        ("tcp rtr-a -> [2001:db8:1::11]:8443", "no addresses of one family"),
        ("tcp rtr-a -> rtr-b:99999", "`99999` is no port"),
    ] {
        let found = asked(&estate, text).unwrap_err();
        assert!(found.contains(message), "{text}: {found}");
    }
}

fn changed(old: &str, new: &str) -> Difference {
    let (old, new) = (estate(old), estate(new));
    let ends = |estate| Ends::new(estate, embedded().unwrap(), TODAY).unwrap();
    diff(&ends(&old), &ends(&new))
}

#[test]
fn a_difference_is_in_terms_of_hosts() {
    let old = "estate: e\ndefaults: {outbound: role}\nhosts:\n  fin: {addresses: [10.0.0.1], roles: [finesse]}\n  \
               pg-a: {addresses: [10.0.0.2], roles: [{role: cce-cti-server, instance: 1, side: a}]}\n";
    assert!(changed(old, old).is_empty());
    let found = changed(old, &old.replace("instance: 1", "instance: 2"));
    let of = |changes: &[enforcer::estate::diff::Change]| {
        changes
            .iter()
            .map(|one| format!("{} {} {:?} {:?}", one.protocol, one.ports, one.rules, one.pairs))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&found.removed), [r#"tcp 42067 ["cce-cti-server/ged-188"] [["fin", "pg-a"]]"#]);
    assert_eq!(of(&found.added), [r#"tcp 42107 ["cce-cti-server/ged-188"] [["fin", "pg-a"]]"#]);
    assert_eq!(found.hosts_changed, ["fin", "pg-a"]);
    // A host that leaves takes its conversations along.
    let found = changed(old, old.split_once("  pg-a").unwrap().0);
    assert_eq!(found.hosts_removed, ["pg-a"]);
    assert!(found.added.is_empty() && found.removed.iter().any(|one| one.ports == "42067"), "{found:?}");
    // What one end alone permits is not possible.
    let half =
        format!("{old}allow:\n  - {{name: x, hosts: [fin], direction: out, protocol: tcp, ports: [7], to: [pg-a]}}\n");
    assert!(changed(old, &half).added.is_empty());
    let whole = half + "  - {name: y, hosts: [pg-a], protocol: tcp, ports: [7-9], from: [fin]}\n";
    assert_eq!(of(&changed(old, &whole).added), [r#"tcp 7 ["site/y"] [["fin", "pg-a"]]"#]);
}

/// A capture with the beginnings of TCP conversations, each as raw IPv4.
fn capture(conversations: &[([u8; 4], [u8; 4], u16)]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65535, 101] {
        file.extend(word.to_le_bytes());
    }
    for (source, target, port) in conversations {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
        packet.extend(source);
        packet.extend(target);
        packet.extend(50_000u16.to_be_bytes());
        packet.extend(port.to_be_bytes());
        packet.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
        for word in [0u32, 0, 40, 40] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

#[test]
fn a_capture_is_judged_for_each_host_in_it() {
    let folder = std::env::temp_dir().join(format!("enforcer-estate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let pcap = folder.join("mirror.pcap");
    // Between routers of one instance, between instances, and between strangers.
    let some = [
        ([10, 10, 2, 11], [10, 10, 2, 12], 41044),
        ([10, 10, 2, 11], [10, 10, 3, 12], 41084),
        ([192, 0, 2, 1], [192, 0, 2, 2], 80),
    ];
    std::fs::write(&pcap, capture(&some)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_enforcer"))
        .args(["simulate", "../examples/estate/estate.yaml", pcap.to_str().unwrap(), "--format", "json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let hosts = found["hosts"].as_object().unwrap();
    assert_eq!(hosts.keys().map(String::as_str).collect::<Vec<_>>(), ["rtr-a", "rtr-b", "rtr2-b"]);
    let verdicts = |host: &str| {
        let groups = hosts[host]["groups"].as_array().unwrap();
        groups.iter().map(|group| group["verdict"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(verdicts("rtr-a"), ["drop", "pass"]);
    assert_eq!(verdicts("rtr-b"), ["pass"]);
    assert_eq!(verdicts("rtr2-b"), ["drop"]);
    std::fs::remove_dir_all(folder).unwrap();
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_enforcer")).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn commands_take_an_estate_where_they_take_a_site() {
    let path = "../examples/estate/estate.yaml";
    let (code, out, _) = run(&["check", path]);
    assert_eq!(code, Some(0));
    assert!(out.contains("6 of 6 tests hold"), "{out}");
    let (code, out, _) = run(&["compile", path, "--host", "cuc1"]);
    assert!(code == Some(0) && out.contains("unity-connection/"), "{out}");
    let (code, out, _) = run(&["export", "nft", path, "--host", "cuc1"]);
    assert!(code == Some(0) && out.contains("table inet"), "{out}");
    let (code, _, err) = run(&["compile", path, "--host", "cuc11"]);
    assert!(code == Some(2) && err.contains("did you mean `cuc1`"), "{err}");
    let (code, _, err) = run(&["compile", path, "--host", "hv1"]);
    assert!(code == Some(2) && err.contains("it carries guests; choose one with `--host`: rtr-a"), "{err}");
    let (code, _, err) = run(&["compile", path]);
    assert!(code == Some(2) && err.contains("has an address of this machine") && err.contains("cuc1, cuc2"), "{err}");
    let (code, _, err) = run(&["compile", "../examples/cce-router-a.yaml", "--host", "cuc1"]);
    assert!(code == Some(2) && err.contains("chooses a host of an estate"), "{err}");
    let (code, out, _) = run(&["explain", path, "tcp rtr-a -> rtr-b:41044"]);
    assert!(code == Some(0) && out.starts_with("rtr-a -> rtr-b: pass\n"), "{out}");
    let (code, out, _) = run(&["explain", path, "in tcp 10.10.2.11:5000 -> :41044", "--host", "rtr-b"]);
    assert!(code == Some(0) && out.starts_with("pass: rule\n"), "{out}");
    let between = run(&["explain", path, "--host", "rtr-b", "in tcp 10.10.2.11:5000 -> :41044"]);
    assert_eq!((between.0, between.1), (code, out), "an option may stand anywhere");
    let (code, out, _) = run(&["diff", path, path]);
    assert!(code == Some(0) && out.contains("permit and refuse the same traffic"), "{out}");
}

#[test]
fn rendering_again_writes_nothing_and_names_files_of_hosts_that_are_gone() {
    let folder = std::env::temp_dir().join(format!("enforcer-render-{}", std::process::id()));
    let (path, target) = ("../examples/estate/estate.yaml", folder.to_str().unwrap().to_owned());
    let (code, _, err) = run(&["render", path, "-o", &target]);
    assert!(code == Some(0) && err.contains("files written, 0 unchanged"), "{err}");
    for name in ["cuc1.yaml", "ads1.ps1", "cad1.acl", "cadrec.nft", "crmsap.sh"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(text.lines().take(2).any(|line| line.contains("of the estate `reference`")), "{name}");
    }
    let (_, _, err) = run(&["render", path, "-o", &target]);
    assert!(err.contains("0 files written"), "{err}");
    let smaller: String =
        reference().lines().filter(|line| !line.starts_with("  cuc3:")).map(|line| format!("{line}\n")).collect();
    let other = folder.join("smaller.yaml");
    std::fs::write(&other, smaller).unwrap();
    let (_, _, err) = run(&["render", other.to_str().unwrap(), "-o", &target]);
    assert!(err.contains("cuc3.yaml: no host of the estate has this file any more"), "{err}");
    assert!(folder.join("cuc3.yaml").exists());
    std::fs::remove_dir_all(folder).unwrap();
}
