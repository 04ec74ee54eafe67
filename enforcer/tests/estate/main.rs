//! The estate: what is derived from it, what is rendered, and what is wrong with one that is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod asked;
mod both_ends;
mod derived;
mod errors;
mod hostile;
mod rendered;

use std::path::Path;

use enforcer::policy::catalogue::{embedded, format_ranges};
use enforcer::policy::compile::{Compiled, compile};
use enforcer::policy::estate::{Estate, read, site};
use enforcer::policy::ruleset::Match;
use enforcer::policy::site::Site;
use enforcer::text::diagnostic::Text;
use jiff::civil::date;

/// Reads an estate that is right.
fn estate(text: &str) -> Estate {
    read(Text::new("estate.yaml", text), embedded().unwrap()).unwrap_or_else(|findings| panic!("{findings}"))
}

/// The reference estate.
fn reference() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/estate/estate.yaml");
    std::fs::read_to_string(path).unwrap()
}

/// The site of a host.
fn site_of(estate: &Estate, host: &str) -> Site {
    site(estate, embedded().unwrap(), &estate.hosts[host])
}

fn compiled(site: &Site) -> Compiled {
    compile(site, embedded().unwrap(), date(2026, 11, 30)).unwrap_or_else(|error| panic!("{error}"))
}

/// The permits of a rule, each as `direction ports -> addresses`, in the order of the rules.
fn permits(estate: &Estate, host: &str, id: &str) -> Vec<String> {
    let ruleset = compiled(&site_of(estate, host)).ruleset;
    let rules = ruleset.rules.iter().filter(|rule| rule.id == id);
    let text = rules.map(|rule| {
        let ports = match &rule.matches {
            Match::Ports { ports, .. } => format_ranges(ports),
            other @ (Match::Protocol(_) | Match::Ethertype(_) | Match::Echo) => format!("{other:?}"),
        };
        let remote = match &rule.prefixes {
            None => "any".to_owned(),
            Some(prefixes) => prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        };
        format!("{} {ports} -> {remote}", rule.direction.name())
    });
    text.collect()
}
