//! The schemas are those of the types, and the types are those of the files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};

use enforcer::policy::catalogue::embedded;
use enforcer::policy::compile::compile;
use enforcer::policy::schema::{self, EstateFile, RoleFile, SiteFile};
use enforcer::policy::site;
use expect_test::{Expect, expect, expect_file};
use jiff::civil::date;

/// `UPDATE_EXPECT=1 cargo test -p enforcer --test schema` writes them anew.
#[test]
fn the_schemas_are_current() {
    expect_file!["../../schema/role.schema.json"].assert_eq(&schema::role());
    expect_file!["../../schema/site.schema.json"].assert_eq(&schema::site());
    expect_file!["../../schema/estate.schema.json"].assert_eq(&schema::estate());
}

#[test]
fn every_role_file_has_the_shape_of_the_schema() {
    for path in yaml_files("../policies") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        if !["documents", "peers", "decisions"].contains(&name) {
            let text = fs::read_to_string(&path).unwrap();
            let role: RoleFile = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(role.role, name);
            assert!(text.starts_with("# yaml-language-server: $schema=../schema/role.schema.json\n"), "{name}");
        }
    }
}

/// Keys that only one of them knows would be refused by the program or underlined by the editor.
#[test]
fn reader_and_schema_know_the_same_keys() {
    let value: serde_json::Value = serde_json::from_str(&schema::site()).unwrap();
    let keys = |pointer: &str| {
        let mut keys: Vec<String> = value.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys("/properties"), known("qqq: 1\n", "a site has no key"));
    assert_eq!(keys("/definitions/Rule/properties"), known("allow: [{qqq: 1}]\n", "an entry of `allow` has no key"));
    assert_eq!(keys("/definitions/Limit/properties"), known("limit: [{qqq: 1}]\n", "an entry of `limit` has no key"));
    assert_eq!(keys("/definitions/Flows/properties"), known("flows: {qqq: 1}\n", "`flows` has no key"));
    assert_eq!(
        keys("/definitions/InterfaceSettings/properties"),
        known("interfaces: [{qqq: 1}]\n", "an interface has no key")
    );
    assert_eq!(keys("/definitions/ModeByDirection/properties"), known("mode: {qqq: 1}\n", "`mode` has no key"));
}

#[test]
fn reader_and_schema_know_the_same_keys_of_an_estate() {
    let value: serde_json::Value = serde_json::from_str(&schema::estate()).unwrap();
    let keys = |pointer: &str| {
        let mut keys: Vec<String> = value.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let known = |text: &str, message: &str| {
        let text = format!("estate: e\n{text}");
        let text = enforcer::text::diagnostic::Text::new("estate.yaml", text);
        let findings = enforcer::policy::estate::read(text, embedded().unwrap()).unwrap_err().0;
        keys_in(&findings, message)
    };
    let hosts = "hosts: {h: {addresses: [10.0.0.1]}}\n";
    assert_eq!(keys("/properties"), known("qqq: 1\n", "an estate has no key"));
    assert_eq!(keys("/definitions/Host/properties"), known("hosts: {h: {qqq: 1}}\n", "a host has no key"));
    assert_eq!(keys("/definitions/Defaults/properties"), known("defaults: {qqq: 1}\n", "`defaults` has no key"));
    let behind = "hosts: {h: {behind: [{qqq: 1}]}}\n";
    assert_eq!(keys("/definitions/BehindPort/properties"), known(behind, "an entry of `behind` has no key"));
    let test = format!("{hosts}tests: [{{qqq: 1}}]\n");
    assert_eq!(keys("/definitions/Test/properties"), known(&test, "a test has no key"));
    let rule = format!("{hosts}allow: [{{qqq: 1}}]\n");
    let mut of_rules = known(&rule, "an entry of `allow` has no key");
    of_rules.push("hosts".to_owned());
    of_rules.sort();
    assert_eq!(keys("/definitions/Rule/properties"), of_rules);
}

#[test]
fn the_reference_estate_has_the_shape_of_the_schema() {
    let text = fs::read_to_string("../examples/estate/estate.yaml").unwrap();
    assert!(text.starts_with("# yaml-language-server: $schema=../../schema/estate.schema.json\n"));
    serde_yaml::from_str::<EstateFile>(&text).unwrap();
}

#[test]
fn the_example_of_a_unity_connection_pair() {
    check(
        "unity-connection-pair",
        &expect![[r#"
            79 rules
            26: `ipsec` permits ESP, and packets inside ESP are not judged
        "#]],
    );
}

#[test]
fn the_example_of_a_cce_router() {
    check(
        "cce-router-a",
        &expect![[r#"
            69 rules
            10: `cce-router`: any source may reach the management ports of `windows-authentication/rpc` (tcp 135, udp 135), `windows-authentication/smb` (tcp 445, udp 445) and `windows-authentication/sql-server` (tcp 1433, udp 1434)
            10: no address is bound for hosts to which this one connects: `cce-cicm` (ports for instance 2; side a and b are permitted, which is a guess)
            11: `cce-logger`: any source may reach the management ports of `windows-authentication/rpc` (tcp 135, udp 135), `windows-authentication/smb` (tcp 445, udp 445) and `windows-authentication/sql-server` (tcp 1433, udp 1434)
        "#]],
    );
}

#[test]
fn the_example_of_a_mixed_vos_host() {
    check(
        "mixed-vos-host",
        &expect![[r#"
            103 rules
            13: `live-data`: any source may reach the management ports of `vos-system-services/ssh` (tcp 22)
        "#]],
    );
}

#[test]
fn every_example_has_a_test() {
    let names: Vec<_> = yaml_files("../examples").iter().map(|path| path.file_stem().unwrap().to_owned()).collect();
    assert_eq!(names, ["cce-router-a", "mixed-vos-host", "unity-connection-pair"]);
}

/// What `enforcer check` says of an example, in short, and that it has the shape of the schema.
fn check(name: &str, expected: &Expect) {
    let path = format!("../examples/{name}.yaml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# yaml-language-server: $schema=../schema/site.schema.json\n"));
    serde_yaml::from_str::<SiteFile>(&text).unwrap();
    let site = site::load(&path, embedded().unwrap(), enforcer::host::trusted::Pipes::Refused)
        .unwrap_or_else(|error| panic!("{error}"));
    let compiled = compile(&site, embedded().unwrap(), date(2026, 11, 22)).unwrap();
    let warnings: String = compiled
        .warnings
        .iter()
        .map(|warning| format!("{}: {}\n", warning.line.unwrap_or_default(), warning.message))
        .collect();
    expected.assert_eq(&format!("{} rules\n{warnings}", compiled.ruleset.rules.len()));
}

/// The keys that the reader names when it meets one that it does not know.
fn known(text: &str, message: &str) -> Vec<String> {
    let text = enforcer::text::diagnostic::Text::new("site.yaml", text);
    keys_in(&site::read(text, embedded().unwrap()).unwrap_err().0, message)
}

/// The keys that a finding lists.
fn keys_in(findings: &[enforcer::text::diagnostic::Diagnostic], message: &str) -> Vec<String> {
    let finding = findings.iter().find(|finding| finding.message.starts_with(message)).unwrap();
    let hint = finding.hint.as_deref().unwrap();
    let mut keys: Vec<String> = hint.split(" has ").nth(1).unwrap().split(", ").map(str::to_owned).collect();
    keys.sort();
    keys
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}
