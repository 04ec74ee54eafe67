//! One file of the catalogue, from its tree to a [`Role`], [`Peer`]s or [`Document`]s.

use std::collections::BTreeMap;

use super::parameter::{Parameter, ParameterKind};
use super::port::{Port, PortExpression, Protocol};
use super::{Condition, Document, Exposure, Peer, Printed, Role, Service};
use crate::policy::ruleset::SourceRow;
use crate::text::yaml::{Node, Reader, Value};

const PORTS: std::ops::RangeInclusive<i64> = 1..=65535;

/// Reads `documents.yaml`.
pub(super) fn documents(reader: &Reader<'_>, root: &Node) -> BTreeMap<String, Document> {
    let mut documents = BTreeMap::new();
    for (key, _, value) in entries(reader, root, "a mapping of documents") {
        let Some(mut fields) = reader.fields(value, "a document") else { continue };
        let mut text = |key| fields.required(key).and_then(|node| reader.string(node, "a text")).map(str::to_owned);
        let (title, product, release) = (text("title"), text("product"), text("release"));
        for key in ["published", "updated", "retrieved", "note"] {
            fields.optional(key);
        }
        fields.finish();
        if let (Some(title), Some(product), Some(release)) = (title, product, release) {
            documents.insert(key.to_owned(), Document { title, product, release });
        }
    }
    documents
}

/// Reads `peers.yaml`.
pub(super) fn peers(reader: &Reader<'_>, root: &Node) -> BTreeMap<String, Peer> {
    let mut peers = BTreeMap::new();
    for (key, node, value) in entries(reader, root, "a mapping of peers") {
        kebab(reader, node);
        let Some(mut fields) = reader.fields(value, "a peer") else { continue };
        let summary = fields.required("summary").and_then(|node| reader.string(node, "a sentence"));
        let mut roles =
            |key| fields.optional(key).map(|node| strings(reader, node, "a list of roles")).unwrap_or_default();
        let (roles, servers) = (roles("roles"), roles("servers"));
        fields.finish();
        if let Some(summary) = summary {
            peers.insert(key.to_owned(), Peer { summary: summary.to_owned(), roles, servers });
        }
    }
    peers
}

/// Reads a role file; `stem` is its name without `.yaml`.
pub(super) fn role(reader: &Reader<'_>, root: &Node, stem: &str) -> Option<Role> {
    let mut fields = reader.fields(root, "a role")?;
    let name = fields.required("role")?;
    if let Some(name_text) = reader.string(name, "the role's name")
        && name_text != stem
    {
        reader.error(name, format!("the role is called `{name_text}` and its file `{stem}.yaml`"));
    }
    let mut text = |key| fields.required(key).and_then(|node| reader.string(node, "a text")).map(str::to_owned);
    let (product, release, document, summary) = (text("product"), text("release"), text("document"), text("summary"));
    let includes = fields.optional("includes").map(|node| strings(reader, node, "a list of roles"));
    let mut parameters = BTreeMap::new();
    if let Some(node) = fields.optional("parameters") {
        for (key, _, value) in entries(reader, node, "a mapping of parameters") {
            if let Some(parameter) = parameter(reader, value) {
                parameters.insert(key.to_owned(), parameter);
            }
        }
    }
    let document = document.unwrap_or_default();
    let mut list = |key, kind| {
        let items = fields.optional(key).map(|node| reader.list(node, "a list")).unwrap_or_default();
        items.iter().filter_map(|item| service(reader, item, kind, &document)).collect::<Vec<_>>()
    };
    let (services, connections) = (list("services", Entry::Service), list("connections", Entry::Connection));
    fields.finish();
    Some(Role {
        name: stem.to_owned(),
        product: product?,
        release: release?,
        summary: summary?,
        includes: includes.unwrap_or_default(),
        parameters,
        services,
        connections,
    })
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Entry {
    Service,
    Connection,
}

fn parameter(reader: &Reader<'_>, node: &Node) -> Option<Parameter> {
    #[derive(Clone, Copy)]
    enum Type {
        Integer,
        Choice,
        Port,
        Ports,
    }
    let mut fields = reader.fields(node, "a parameter")?;
    let types = [("integer", Type::Integer), ("choice", Type::Choice), ("port", Type::Port), ("ports", Type::Ports)];
    let kind = fields.required("type").and_then(|node| reader.word(node, &types));
    let summary = fields.required("summary").and_then(|node| reader.string(node, "a sentence"));
    let all = i64::MIN..=i64::MAX;
    let minimum = fields.optional("minimum").and_then(|node| reader.integer(node, "a number", &all));
    let maximum = fields.optional("maximum").and_then(|node| reader.integer(node, "a number", &all));
    let values = fields.optional("values").map(|node| strings(reader, node, "a list of words"));
    let required = fields.optional("required").and_then(|node| reader.boolean(node)).unwrap_or(false);
    let default = fields.optional("default");
    fields.finish();
    let kind = match kind? {
        Type::Integer => ParameterKind::Integer(minimum.unwrap_or(0)..=maximum.unwrap_or(i64::from(u16::MAX))),
        Type::Choice => ParameterKind::Choice(values.unwrap_or_default()),
        Type::Port => ParameterKind::Port,
        Type::Ports => ParameterKind::Ports,
    };
    let mut parameter = Parameter { kind, default: None, summary: summary?.to_owned() };
    match (default, required) {
        (Some(node), false) => match reader.string(node, &parameter.kind.to_string()).map(|t| parameter.parse(t)) {
            Some(Ok(setting)) => parameter.default = Some(setting),
            Some(Err(expected)) => reader.expected(node, &expected),
            None => {}
        },
        (None, true) => {}
        (Some(_), true) => reader.error(node, "a required parameter has no default"),
        (None, false) => reader.error(node, "a parameter has a `default`, or is `required: true`"),
    }
    Some(parameter)
}

fn service(reader: &Reader<'_>, node: &Node, kind: Entry, document: &str) -> Option<Service> {
    let what = if kind == Entry::Service { "a service" } else { "a connection" };
    let mut fields = reader.fields(node, what)?;
    let name = fields.required("name");
    let name_text = name.and_then(|node| kebab(reader, node));
    let summary = fields.required("summary").and_then(|node| reader.string(node, "a sentence")).map(str::to_owned);
    let peers = fields.optional("peers").map(|node| strings(reader, node, "a list of peers")).unwrap_or_default();
    let direction = fields.required("direction").and_then(|node| reader.word(node, &Printed::WORDS));
    let exposure = fields.optional("exposure").and_then(|node| reader.word(node, &Exposure::WORDS));
    let source = fields.required("source").and_then(|node| source_row(reader, node, document));
    let when = fields.optional("when").map(|node| condition(reader, node)).unwrap_or_default();
    let mut text = |key| fields.optional(key).and_then(|node| reader.string(node, "a text")).map(str::to_owned);
    let (executable, account) = (text("executable"), text("account"));
    let (doubt, dynamic) = (text("doubt"), text("dynamic"));
    let ephemeral = match kind {
        Entry::Service => fields.optional("ephemeral").and_then(|node| reader.boolean(node)).unwrap_or(false),
        Entry::Connection => false,
    };
    let answer_any = match kind {
        Entry::Connection => fields.optional("answer_port").and_then(|node| reader.word(node, &[("any", true)])),
        Entry::Service => None,
    };
    let ports = fields.required("ports").map(|node| reader.list(node, "a list of ports")).unwrap_or_default();
    let remote = match kind {
        Entry::Service => fields.optional("remote").map(|node| reader.list(node, "a list of ports")),
        Entry::Connection => None,
    };
    fields.finish();
    // Ports are read even where their service is wrong, so that all errors are found at once.
    let read = |nodes: &[Node]| -> Vec<Port> {
        nodes.iter().filter_map(|node| port(reader, node, source.as_ref(), document)).collect()
    };
    let (ports, remote) = (read(ports), read(remote.unwrap_or_default()));
    let (source, direction) = (source?, direction?);
    Some(Service {
        name: name_text?.to_owned(),
        summary: summary?,
        peers,
        exposure: exposure.unwrap_or(if direction == Printed::Local { Exposure::Internal } else { Exposure::Open }),
        direction,
        source,
        when,
        executable,
        account,
        ports,
        remote,
        doubt,
        dynamic,
        ephemeral,
        answer_any: answer_any.unwrap_or(false),
        at: name?.at,
    })
}

fn port(reader: &Reader<'_>, node: &Node, source: Option<&SourceRow>, document: &str) -> Option<Port> {
    let mut fields = reader.fields(node, "a port")?;
    let protocol = fields.required("protocol").and_then(|node| reader.word(node, &Protocol::WORDS));
    let what = "a port such as `443`, `16384-32767`, `41004 + 40 * instance` or `random`";
    let expression = fields.required("port").and_then(|node| {
        let expression = PortExpression::parse(reader.string(node, what)?);
        if expression.is_none() {
            reader.expected_number(node, what);
        }
        expression
    });
    let length = fields.optional("length").and_then(|node| reader.integer(node, "a length", &PORTS));
    let parameter = fields.optional("parameter").and_then(|node| reader.string(node, "a parameter")).map(str::to_owned);
    let source = match fields.optional("source") {
        Some(node) => source_row(reader, node, source.map_or(document, |source| &source.document)),
        None => source.cloned(),
    };
    let when = fields.optional("when").map(|node| condition(reader, node)).unwrap_or_default();
    let doubt_node = fields.optional("doubt");
    let doubt = doubt_node.and_then(|node| reader.string(node, "a sentence")).map(str::to_owned);
    fields.finish();
    Some(Port {
        protocol: protocol?,
        port: expression?,
        length: length.and_then(|length| u16::try_from(length).ok()),
        parameter,
        source: source?,
        when,
        doubt,
    })
}

fn source_row(reader: &Reader<'_>, node: &Node, document: &str) -> Option<SourceRow> {
    let mut fields = reader.fields(node, "a source")?;
    let table = fields.required("table").and_then(|node| reader.string(node, "a table"));
    let row = fields.required("row").and_then(|node| reader.integer(node, "a row", &(1..=9999)));
    let document = match fields.optional("document") {
        Some(node) => reader.string(node, "a document")?,
        None => document,
    };
    fields.finish();
    Some(SourceRow { document: document.to_owned(), table: table?.to_owned(), row: u32::try_from(row?).ok()? })
}

fn condition(reader: &Reader<'_>, node: &Node) -> Condition {
    let mut condition = Condition::new();
    for (key, _, value) in entries(reader, node, "a mapping of parameters and values") {
        if let Some(text) = reader.string(value, "a value") {
            condition.insert(key.to_owned(), text.to_owned());
        }
    }
    condition
}

fn strings(reader: &Reader<'_>, node: &Node, what: &str) -> Vec<String> {
    let items = reader.list(node, what).iter();
    items.filter_map(|item| reader.string(item, "a name")).map(str::to_owned).collect()
}

fn entries<'n>(reader: &Reader<'_>, node: &'n Node, what: &str) -> Vec<(&'n str, &'n Node, &'n Node)> {
    reader.fields(node, what).map(|fields| fields.rest()).unwrap_or_default()
}

/// A name of lower-case letters, digits and single hyphens.
fn kebab<'n>(reader: &Reader<'_>, node: &'n Node) -> Option<&'n str> {
    let name = reader.string(node, "a name")?;
    let ok = name
        .split('-')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    if !ok {
        let message = format!("`{name}` is not a name in kebab-case, such as `mds-private`");
        reader.note(reader.text.error(node.at, message));
    }
    debug_assert!(matches!(node.value, Value::Scalar { .. }));
    ok.then_some(name)
}
