//! Entries of `limit:`: services that the document leaves open, narrowed to those whom the operator names.

use std::collections::BTreeMap;

use super::peers::Peers;
use super::{Limit, RoleUse, rules};
use crate::policy::catalogue::{Catalogue, Exposure};
use crate::text::nearest::did_you_mean;
use crate::text::yaml::{Node, Reader, Value};

/// What there is to look names up in.
pub(in crate::policy) struct Known<'a> {
    pub catalogue: &'a Catalogue,
    pub peers: &'a Peers,
    /// The roles of the site; `None` where something is wrong with them.
    pub roles: Option<&'a Vec<RoleUse>>,
}

/// Reads `limit:`.
pub(in crate::policy) fn limits(reader: &Reader<'_>, node: &Node, known: &Known<'_>) -> BTreeMap<String, Limit> {
    let mut limits: BTreeMap<String, Limit> = BTreeMap::new();
    for node in reader.each(reader.list(node, "a list of services to narrow")) {
        let Some((id, limit)) = limit(reader, node, known) else { continue };
        match limits.get(&id) {
            // Two lists could mean those in both or those in either.
            Some(first) => {
                let message = format!("`{id}` is limited twice");
                let hint = format!("the first entry is on line {}; write one list", first.at.line);
                reader.note(reader.text.error(limit.at, message).with_hint(hint));
            }
            None => drop(limits.insert(id, limit)),
        }
    }
    limits
}

fn limit(reader: &Reader<'_>, node: &Node, known: &Known<'_>) -> Option<(String, Limit)> {
    let mut fields = reader.fields(node, "an entry of `limit`")?;
    let (service, from) = (fields.required("service"), fields.required("from"));
    let reason = fields.optional("reason").and_then(|node| reader.string(node, "a sentence")).map(str::to_owned);
    fields.finish();
    let remotes = from.and_then(|node| {
        if matches!(&node.value, Value::Sequence(items) if items.is_empty()) {
            let hint = "name those who may use the service; for nobody, write a `deny` entry";
            reader
                .note(reader.text.error(node.at, "the list is empty, so nobody could use the service").with_hint(hint));
            return None;
        }
        let remotes = rules::remotes(reader, node, known.peers, known.catalogue);
        if remotes.is_none() {
            let hint = "name those who may use the service, or leave the entry out";
            let message = "`from: any` narrows nothing";
            reader.note(reader.text.error(node.at, message).with_hint(hint));
        }
        remotes
    });
    let service = service?;
    let id = self::service(reader, service, known)?;
    Some((id, Limit { remotes: remotes?, reason, at: service.at }))
}

/// The id of a service that can be narrowed.
fn service(reader: &Reader<'_>, node: &Node, known: &Known<'_>) -> Option<String> {
    let catalogue = known.catalogue;
    let what = "a service such as `remote-management/rdp`";
    let id = reader.string(node, what)?;
    let wrong = |message: String, hint: Option<String>| {
        reader.note(reader.text.error(node.at, message).with_hint_if(hint));
        None
    };
    let Some((role_name, name)) = id.split_once('/') else {
        let with = catalogue.roles.values().filter(|role| role.services.iter().any(|service| service.name == id));
        let hint = with.map(|role| format!("did you mean `{}/{id}`?", role.name)).next();
        return wrong(format!("expected {what}, found {}", node.describe()), hint);
    };
    let Some(role) = catalogue.roles.get(role_name) else {
        let hint = did_you_mean(role_name, catalogue.roles.keys().map(String::as_str));
        let hint = hint.unwrap_or_else(|| "`enforcer roles` lists them".to_owned());
        return wrong(format!("{}: no role is called `{role_name}`", node.describe()), Some(hint));
    };
    let Some(service) = role.services.iter().find(|service| service.name == name) else {
        let all = role.services.iter().map(|service| service.name.as_str());
        let hint = did_you_mean(name, all).unwrap_or_else(|| format!("`enforcer role show {role_name}` lists them"));
        return wrong(format!("{}: the role has no service of this name", node.describe()), Some(hint));
    };
    if let Some(roles) = known.roles
        && !roles.iter().any(|used| catalogue.flatten(&used.role).iter().any(|one| one.name == role_name))
    {
        let others = roles.iter().flat_map(|used| catalogue.flatten(&used.role));
        let same = others.filter(|one| one.services.iter().any(|service| service.name == name));
        let names: Vec<&str> = roles.iter().map(|used| used.role.as_str()).collect();
        let hint = same.map(|one| format!("did you mean `{}/{name}`?", one.name)).next();
        let hint = hint.or_else(|| (!names.is_empty()).then(|| format!("this host has {}", names.join(", "))));
        return wrong(format!("{}: this host does not have the role `{role_name}`", node.describe()), hint);
    }
    let why = match service.exposure {
        Exposure::Open => return Some(id.to_owned()),
        Exposure::Cluster | Exposure::HttpsNetworking => {
            format!("the document keeps it to `{}`", service.exposure.only_peer().unwrap_or_default())
        }
        Exposure::Internal => "the document keeps it to the host itself".to_owned(),
    };
    let hint =
        "`limit` narrows what the document leaves open; bind fewer addresses to the peer, or write a `deny` entry";
    wrong(format!("{}: {why}, so there is nothing to narrow", node.describe()), Some(hint.to_owned()))
}
