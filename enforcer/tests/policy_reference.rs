//! docs/policy.md has every key of a site file, each with an example that is good and a mistake whose error it quotes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::{BTreeMap, BTreeSet};

use enforcer::cli::help::markdown::{Block, Span, plain};
use enforcer::cli::help::topics::site_file;
use enforcer::policy::catalogue::embedded;
use enforcer::policy::{schema, site};
use enforcer::text::diagnostic::Text;
use serde_json::Value;

/// What the page says of a key.
#[derive(Debug)]
struct Entry {
    section: String,
    key: String,
    words: String,
    example: String,
    mistake: String,
    message: String,
}

#[test]
fn every_key_is_there_and_says_what_it_may_be() {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Entry { section, key, words, .. } in entries() {
        assert!(
            words.contains("Default: ") || words.contains("Required"),
            "{section}, {key}: neither default nor required"
        );
        found.entry(section).or_default().insert(key);
    }
    let schema: Value = serde_json::from_str(&schema::site()).unwrap();
    let keys = |pointer: &str| schema.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect();
    let of = |definition: &str| keys(&format!("/definitions/{definition}/properties"));
    let wanted = [
        ("Site", keys("/properties")),
        ("Interfaces", of("InterfaceSettings")),
        ("Mode", of("ModeByDirection")),
        ("Roles", of("RoleSettings")),
        ("Remote", of("RemoteHost")),
        ("Limit", of("Limit")),
        ("Flows", of("Flows")),
        ("Rules", of("Rule")),
    ];
    assert_eq!(found, wanted.map(|(section, keys)| (section.to_owned(), keys)).into());
}

#[test]
fn defaults_of_the_flow_table_are_those_of_the_schema() {
    let schema: Value = serde_json::from_str(&schema::site()).unwrap();
    for Entry { key, words, .. } in entries().into_iter().filter(|entry| entry.section == "Flows") {
        let property = schema.pointer(&format!("/definitions/Flows/properties/{key}")).unwrap();
        let said =
            property["description"].as_str().unwrap().split(['.', ',']).find_map(|part| part.split_once("Left out: "));
        let default = property.get("default").map_or_else(|| said.unwrap().1, |value| value.as_str().unwrap());
        assert!(words.contains(&format!("Default: {default}")), "{key}: {words}");
    }
}

#[test]
fn every_example_is_good_and_every_mistake_has_its_error() {
    let mut wrong = String::new();
    for Entry { section, key, example, mistake, message, .. } in entries() {
        if let Err(errors) = check(&example) {
            wrong.push_str(&format!("{section}, {key}: {errors}\n"));
        }
        match check(&mistake) {
            Ok(()) => wrong.push_str(&format!("{section}, {key}: `{mistake}` is no mistake\n")),
            // Marks are lost where code stands inside of a sentence.
            Err(errors) if errors.replace('`', "").contains(&message) => {}
            Err(errors) => wrong.push_str(&format!("{section}, {key}: not {message:?}: {errors}\n")),
        }
    }
    assert_eq!(wrong, "");
}

/// Reads a line as part of a site file that has nothing else but what every site needs.
fn check(line: &str) -> Result<(), String> {
    let key = line.split(':').next().unwrap();
    // The names of an estate and of its host stand together.
    let of_estate =
        [("estate", "reference"), ("host", "cuc1")].into_iter().filter(|_| ["estate", "host"].contains(&key));
    let rest = [("interfaces", "[eth0]"), ("roles", "[finesse]")].into_iter().chain(of_estate);
    let rest = rest.filter(|(known, _)| *known != key);
    let text = rest.map(|(key, value)| format!("{key}: {value}\n")).collect::<String>() + line + "\n";
    let site = site::read(Text::new("site.yaml", &text), embedded().unwrap());
    site.map(|_| ()).map_err(|errors| errors.0.iter().map(|error| error.render(false)).collect())
}

fn entries() -> Vec<Entry> {
    let mut section = String::new();
    let mut entries = Vec::new();
    for block in site_file() {
        match block {
            Block::Heading { text, .. } => section = plain(&text),
            Block::List { items, .. } => entries.extend(items.iter().map(|item| entry(&section, item))),
            Block::Paragraph(_) | Block::Code { .. } | Block::Table { .. } => {}
        }
    }
    entries
}

fn entry(section: &str, item: &[Block]) -> Entry {
    let [Block::Paragraph(spans)] = item else { panic!("{section}: {item:?}") };
    let Some(Span::Code(key)) = spans.first() else { panic!("{section}: {spans:?}") };
    let behind = |word: &str| {
        let at = spans.iter().position(|span| span.words().ends_with(word));
        at.and_then(|at| spans.get(at + 1)).unwrap_or_else(|| panic!("{section}, {key}: nothing behind `{word}`"))
    };
    let words = plain(spans);
    let (_, error) = words.split_once("Error: ").unwrap();
    let mistake = behind("Error: ").words();
    let message = error[mistake.len()..].trim_start_matches(", \"").trim_end_matches("\".");
    Entry {
        section: section.to_owned(),
        key: key.clone(),
        example: behind("Example: ").words().to_owned(),
        mistake: mistake.to_owned(),
        message: message.to_owned(),
        words,
    }
}
