//! The schemas are those of the types, and the types are those of the files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};

use enforcer::policy::catalogue::embedded;
use enforcer::policy::compile::compile;
use enforcer::policy::schema::{self, EstateFile, RoleFile, SiteFile};
use enforcer::policy::site;
use enforcer::text::diagnostic::Text as Diagnosed;
use expect_test::{Expect, expect, expect_file};
use jiff::civil::date;
use serde_json::Value;

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
    let value: Value = serde_json::from_str(&schema::site()).unwrap();
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
    let value: Value = serde_json::from_str(&schema::estate()).unwrap();
    let keys = |pointer: &str| {
        let mut keys: Vec<String> = value.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let known = |text: &str, message: &str| {
        let text = format!("estate: e\n{text}");
        let text = Diagnosed::new("estate.yaml", text);
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

/// What an editor shows beside each key and each word that it offers.
#[test]
fn every_key_and_every_word_says_what_it_means() {
    let mut lacking = Vec::new();
    let mut seen = 0;
    for (file, text) in [("role", schema::role()), ("site", schema::site()), ("estate", schema::estate())] {
        let schema: Value = serde_json::from_str(&text).unwrap();
        let shapes = schema["definitions"].as_object().unwrap().iter();
        for (name, shape) in shapes.map(|(name, shape)| (name.as_str(), shape)).chain([("", &schema)]) {
            let at = format!("{file} {name}");
            let mut is_said = |what: &str, said: bool| {
                seen += 1;
                if !said {
                    lacking.push(format!("{at}{what}"));
                }
            };
            is_said("", is_sentence(shape));
            is_said(" title", !shape["properties"].is_object() || is_title(shape));
            for (key, property) in shape["properties"].as_object().into_iter().flatten() {
                is_said(&format!(".{key} title"), is_title(property));
                is_said(&format!(".{key}"), is_sentence(property) && property["description"] != shape["description"]);
                let shapes = property["anyOf"].as_array().into_iter().flatten().chain([property]);
                let is_null = |shape: &Value| shape["type"].to_string().contains("\"null\"");
                is_said(&format!(".{key} offers null"), !shapes.into_iter().any(is_null));
            }
            for word in shape["oneOf"].as_array().into_iter().flatten() {
                is_said(&format!(".{}", word["const"]), is_sentence(word));
            }
        }
    }
    assert!(seen > 300, "the schemas are not read as they are written: {seen}");
    assert!(lacking.is_empty(), "{lacking:#?}");
}

/// A default that an editor writes into the file changes nothing.
#[test]
fn a_default_of_a_schema_is_what_holds_when_the_key_is_left_out() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (shape, key, property) in site_keys() {
        let Some(default) = property.get("default").filter(|value| **value != serde_json::json!([])) else { continue };
        seen += 1;
        let [with, without] = [Some((key.as_str(), default)), None].map(|said| hash(&site_with(&shape, said)));
        if with != without {
            wrong.push(format!("{shape} {key}: {default}"));
        }
    }
    assert!(seen >= 10, "{seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_example_of_a_schema_is_a_good_value() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (shape, key, property) in site_keys() {
        for example in property["examples"].as_array().into_iter().flatten() {
            seen += 1;
            let text = site_with(&shape, Some((&key, example)));
            if let Err(error) = site::read(Diagnosed::new("site.yaml", &text), embedded().unwrap()) {
                wrong.push(format!("{text}: {:?}", error.0));
            }
        }
    }
    let schema: Value = serde_json::from_str(&schema::estate()).unwrap();
    let shapes = ["Host", "BehindPort", "Test", "Rule", "Defaults"].map(|name| (name, &schema["definitions"][name]));
    for (shape, value) in shapes.into_iter().chain([("", &schema)]) {
        for (key, property) in value["properties"].as_object().unwrap() {
            for example in property["examples"].as_array().into_iter().flatten() {
                seen += 1;
                let text = estate_with(shape, key, example);
                if let Err(error) =
                    enforcer::policy::estate::read(Diagnosed::new("estate.yaml", &text), embedded().unwrap())
                {
                    wrong.push(format!("{text}: {:?}", error.0));
                }
            }
        }
    }
    assert!(seen > 30, "{seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
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

/// A few words that begin like a heading and are no sentence.
fn is_title(value: &Value) -> bool {
    let title = value["title"].as_str().unwrap_or_default();
    let is_heading = title.starts_with(char::is_uppercase) && !title.ends_with('.') && title.len() <= 40;
    // A name of a type of ours, such as `SiteFile`, is no title.
    is_heading
        && !title
            .split(' ')
            .any(|word| word.chars().skip(1).any(char::is_lowercase) && word[1..].contains(char::is_uppercase))
}

/// At least a sentence that says what it speaks of.
fn is_sentence(value: &Value) -> bool {
    let said = value["description"].as_str().unwrap_or_default();
    said.ends_with('.')
        && said.len() > 8
        && !["Its ", "The same", "Whether it"].iter().any(|word| said.starts_with(word))
}

/// Every key of a site file: the shape that it is of, its name, and what the schema says of it.
fn site_keys() -> Vec<(String, String, Value)> {
    let schema: Value = serde_json::from_str(&schema::site()).unwrap();
    let shapes = schema["definitions"].as_object().unwrap().iter().map(|(name, shape)| (name.as_str(), shape));
    let shapes = shapes.chain([("", &schema)]);
    let keys = |(name, shape): (&str, &Value)| {
        let keys = shape["properties"].as_object().into_iter().flatten();
        keys.map(|(key, value)| (name.to_owned(), key.clone(), value.clone())).collect::<Vec<_>>()
    };
    shapes.flat_map(keys).collect()
}

/// A site file that says this of a key, in a mapping of this shape.
fn site_with(shape: &str, said: Option<(&str, &Value)>) -> String {
    let also = |given: &[(&str, &str)]| mapping(given, said);
    let site = |key: &str, value: String| format!("interfaces: [eth0]\nroles: [finesse]\n{key}: {value}\n");
    match shape {
        "" => also(&[("interfaces", "[eth0]"), ("roles", "[finesse]")]) + "\n",
        "InterfaceSettings" => format!("roles: [finesse]\ninterfaces: [{}]\n", also(&[("name", "eth0")])),
        "ModeByDirection" => site("mode", also(&[])),
        "RoleSettings" => {
            format!("interfaces: [eth0]\nroles: [{}]\n", also(&[("role", "cce-pg"), ("side", "a"), ("instance", "1")]))
        }
        "Flows" => site("flows", also(&[])),
        "Rule" if said.is_some_and(|(key, _)| key == "ethertype") => {
            site("allow", format!("[{}]", also(&[("name", "r")])))
        }
        "Rule" if said.is_some_and(|(key, _)| key == "to") => {
            let rest = [("name", "r"), ("protocol", "tcp"), ("ports", "22"), ("direction", "out")];
            site("allow", format!("[{}]", also(&rest)))
        }
        "Rule" => site("allow", format!("[{}]", also(&[("name", "r"), ("protocol", "tcp"), ("ports", "22")]))),
        "RemoteHost" => {
            let rest = [("role", "cce-pg"), ("side", "b"), ("instance", "1"), ("addresses", "[10.5.1.10]")];
            format!(
                "interfaces: [eth0]\nroles: [{{role: cce-router, side: a, instance: 1}}]\nremote: [{}]\n",
                also(&rest)
            )
        }
        "Limit" => site("limit", format!("[{}]", also(&[("service", "finesse/https"), ("from", "[10.30.0.0/16]")]))),
        other => panic!("no site file for {other}"),
    }
}

/// An estate that says this of a key, in a mapping of this shape.
fn estate_with(shape: &str, key: &str, value: &Value) -> String {
    let said = Some((key, value));
    let host = [("addresses", "[10.0.0.1]"), ("roles", "[finesse]")];
    let rest = |what: &str, value: String| {
        format!(
            "estate: e\nhosts: {{h: {{addresses: [10.0.0.1], roles: [finesse]}}, m: {{addresses: [10.0.0.2]}}}}\n{what}: {value}\n"
        )
    };
    match shape {
        "" => mapping(&[("estate", "e"), ("hosts", "{h: {addresses: [10.0.0.1], roles: [finesse]}}")], said) + "\n",
        "Host" => format!("estate: e\nhosts: {{h: {}}}\n", mapping(&host, said)),
        "BehindPort" => format!(
            "estate: e\nhosts: {{m: {{addresses: [10.0.0.2]}}, h: {{addresses: [10.0.0.1], roles: [finesse], behind: [{}]}}}}\n",
            mapping(&[("host", "m")], said)
        ),
        "Test" => rest("tests", format!("[{}]", mapping(&[("from", "m"), ("to", "h"), ("expect", "pass")], said))),
        "Rule" if key == "ethertype" => rest("allow", format!("[{}]", mapping(&[("name", "r")], said))),
        "Rule" => {
            let entry = [("name", "r"), ("protocol", "tcp"), ("ports", "22")];
            let out = (key == "to").then_some(("direction", "out"));
            rest("allow", format!("[{}]", mapping(&entry.into_iter().chain(out).collect::<Vec<_>>(), said)))
        }
        "Defaults" => rest("defaults", mapping(&[], said)),
        other => panic!("no estate for {other}"),
    }
}

/// A mapping in a line, with a key in the place of the given one of this name.
fn mapping(given: &[(&str, &str)], said: Option<(&str, &Value)>) -> String {
    let given = given.iter().filter(|(key, _)| said.is_none_or(|(said, _)| said != *key));
    let given = given.map(|(key, value)| format!("{key}: {value}"));
    let said = said.map(|(key, value)| format!("{key}: {value}"));
    format!("{{{}}}", given.chain(said).collect::<Vec<_>>().join(", "))
}

/// The hash of the policy of a site file.
fn hash(text: &str) -> String {
    let site = site::read(Diagnosed::new("site.yaml", text), embedded().unwrap())
        .unwrap_or_else(|error| panic!("{text}: {:?}", error.0));
    compile(&site, embedded().unwrap(), date(2026, 11, 22)).unwrap().ruleset.hash
}

/// The keys that the reader names when it meets one that it does not know.
fn known(text: &str, message: &str) -> Vec<String> {
    let text = Diagnosed::new("site.yaml", text);
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
