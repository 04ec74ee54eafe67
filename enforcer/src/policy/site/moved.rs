//! `moved:`: services that an installer has put on other ports than the document's.

use super::Moved;
use crate::policy::catalogue::{Catalogue, Exposure, parse_ranges};
use crate::text::nearest::did_you_mean;
use crate::text::yaml::{Node, Reader};

/// Reads `moved:` of a role.
pub(super) fn moved(reader: &Reader<'_>, node: &Node, role: &str, catalogue: &Catalogue) -> Moved {
    let mut moved = Moved::new();
    let Some(fields) = reader.fields(node, "a mapping of services and their ports") else { return moved };
    let services: Vec<String> = catalogue
        .flatten(role)
        .into_iter()
        .flat_map(|role| role.services.iter().map(move |service| (role, service)))
        .filter(|(_, service)| service.exposure != Exposure::Internal)
        .map(|(role, service)| format!("{}/{}", role.name, service.name))
        .collect();
    for (id, key, value) in fields.rest() {
        if !services.iter().any(|service| service == id) {
            let hint = did_you_mean(id, services.iter().map(String::as_str));
            let hint = hint.unwrap_or_else(|| format!("`enforcer role show {role}` lists its services"));
            let message = format!("the role `{role}` has no service {}", key.describe());
            reader.note(reader.text.error(key.at, message).with_hint(hint));
            continue;
        }
        let what = "ports such as `44004` or `44004-44005`";
        let mut texts = Vec::new();
        for item in reader.each(reader.one_or_more(value, "a list of ports")) {
            match reader.string(item, what) {
                Some(text) if is_placed(text) => texts.push(text),
                Some(_) => reader.expected_number(item, what),
                None => {}
            }
        }
        if let Some(ports) = parse_ranges(&texts.join(",")) {
            moved.insert(id.to_owned(), ports);
        }
    }
    moved
}

fn is_placed(text: &str) -> bool {
    parse_ranges(text).is_some_and(|ranges| ranges.iter().all(|range| *range.start() > 0))
}
