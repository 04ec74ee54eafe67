//! Roles of a site: names to roles of the catalogue, parameters to complete settings.

use std::collections::BTreeMap;

use super::moved::moved;
use super::{COMMAND_LINE, Moved, RoleUse};
use crate::policy::catalogue::{Catalogue, Parameter, Role, Service, Settings};
use crate::policy::site::values::modes_words;
use crate::text::nearest::did_you_mean;
use crate::text::yaml::{Node, Reader, Value};

/// Reads one entry of `roles:`.
pub(in crate::policy) fn role(reader: &Reader<'_>, node: &Node, catalogue: &Catalogue) -> Option<RoleUse> {
    let mut moves = None;
    let (name_node, entries, mode) = match &node.value {
        Value::Mapping(_) => {
            let mut fields = reader.fields(node, "a role")?;
            let name = fields.required("role")?;
            let mode = fields.optional("mode").and_then(|node| reader.word(node, &modes_words()));
            moves = fields.optional("moved");
            (name, fields.rest(), mode)
        }
        Value::Scalar { .. } | Value::Sequence(_) => (node, Vec::new(), None),
    };
    let role = named(reader, name_node, catalogue)?;
    let name = role.name.as_str();
    let parameters = catalogue.parameters(name);
    let (mut settings, mistyped) = settings(reader, name, &parameters, &["role", "mode", "moved"], entries);
    let mut complete = true;
    for (key, parameter) in &parameters {
        if settings.contains_key(*key) {
            continue;
        }
        match &parameter.default {
            Some(default) => drop(settings.insert((*key).to_owned(), default.clone())),
            // A value that was refused above has been complained about.
            None if node_has(node, key) || mistyped.iter().any(|typed| did_you_mean(typed, [*key]).is_some()) => {
                complete = false;
            }
            None => {
                complete = false;
                let message = format!("the role `{name}` needs `{key}`: {}", parameter.kind);
                let how = match reader.text.name.as_str() {
                    COMMAND_LINE => format!("--set {key}=…"),
                    _ => format!("{{role: {name}, {key}: …}}"),
                };
                let hint = format!("write `{how}`. {}", parameter.summary);
                reader.note(reader.text.error(name_node.at, message).with_hint(hint));
            }
        }
    }
    if complete {
        for role in catalogue.flatten(name) {
            for service in role.entries().filter(|service| service.applies(&settings)) {
                let ports = Service::evaluated(&service.ports, &settings);
                if let Err(error) = ports.and_then(|_| Service::evaluated(&service.remote, &settings)) {
                    reader.error(name_node, format!("`{}/{}`: {error}", role.name, service.name));
                }
            }
        }
    }
    let moved = moves.map_or_else(Moved::new, |node| moved(reader, node, &role.name, catalogue));
    Some(RoleUse { role: role.name.clone(), settings, moved, mode, at: name_node.at })
}

/// The role of the catalogue that a node names.
pub(super) fn named<'c>(reader: &Reader<'_>, node: &Node, catalogue: &'c Catalogue) -> Option<&'c Role> {
    let name = reader.string(node, "the name of a role, or {role: NAME, parameter: value}")?;
    let role = catalogue.roles.get(name);
    if role.is_none() {
        let hint = did_you_mean(name, catalogue.roles.keys().map(String::as_str))
            .unwrap_or_else(|| "`enforcer roles` lists them".to_owned());
        let message = format!("no role is called {}", node.describe());
        reader.note(reader.text.error(node.at, message).with_hint(hint));
    }
    role
}

/// The parameters of a role that entries of a mapping set, and the keys that are none of them. `beside` are the other keys.
pub(super) fn settings<'n>(
    reader: &Reader<'_>,
    role: &str,
    parameters: &BTreeMap<&str, &Parameter>,
    beside: &[&str],
    entries: Vec<(&'n str, &'n Node, &'n Node)>,
) -> (Settings, Vec<&'n str>) {
    let mut settings = Settings::new();
    let mut mistyped = Vec::new();
    for (key, key_node, value) in entries {
        let Some(parameter) = parameters.get(key) else {
            let known = beside.iter().copied().chain(parameters.keys().copied());
            let hint = did_you_mean(key, known).unwrap_or_else(|| match parameters.len() {
                0 => format!("`{role}` has no parameters"),
                _ => format!("`{role}` has {}", parameters.keys().copied().collect::<Vec<_>>().join(", ")),
            });
            mistyped.push(key);
            let message = format!("the role `{role}` has no parameter {}", key_node.describe());
            reader.note(reader.text.error(key_node.at, message).with_hint(hint));
            continue;
        };
        if let Some(text) = text_of(reader, value, &parameter.kind.to_string()) {
            match parameter.parse(&text) {
                Ok(setting) => drop(settings.insert(key.to_owned(), setting)),
                Err(expected) => wrong_value(reader, value, key, parameter, &expected, &text),
            }
        }
    }
    (settings, mistyped)
}

fn wrong_value(reader: &Reader<'_>, node: &Node, key: &str, parameter: &Parameter, expected: &str, text: &str) {
    let hint = match &parameter.kind {
        crate::policy::catalogue::ParameterKind::Choice(values) => {
            did_you_mean(text, values.iter().map(String::as_str))
        }
        crate::policy::catalogue::ParameterKind::Integer(_)
        | crate::policy::catalogue::ParameterKind::Port
        | crate::policy::catalogue::ParameterKind::Ports => crate::text::decimal::leading_zero(text),
    };
    let message = format!("`{key}` is {expected}, found {}", node.describe());
    reader.note(reader.text.error(node.at, message).with_hint_if(hint));
}

/// A value as one text: ports may be written as a list.
fn text_of(reader: &Reader<'_>, node: &Node, what: &str) -> Option<String> {
    let items = reader.one_or_more(node, what);
    let texts: Option<Vec<&str>> = items.iter().map(|item| reader.string(item, what)).collect();
    texts.filter(|texts| !texts.is_empty()).map(|texts| texts.join(","))
}

fn node_has(node: &Node, key: &str) -> bool {
    match &node.value {
        Value::Mapping(entries) => {
            entries.iter().any(|(k, v)| !v.is_null() && matches!(&k.value, Value::Scalar { text, .. } if text == key))
        }
        Value::Scalar { .. } | Value::Sequence(_) => false,
    }
}
