//! Entries of `remote:`: hosts with another role, with the parameters that decide on which ports they listen.

use ipnet::IpNet;

use super::Moved;
use super::binding::{named, settings};
use super::moved::moved;
use super::values::{Written, written};
use crate::policy::catalogue::{Catalogue, Settings};
use crate::text::diagnostic::Position;
use crate::text::yaml::{Node, Reader};

/// Entries of a site: more hosts than any contact centre has.
const MOST_REMOTES: usize = 4_096;

/// An entry whose peers have not been looked up.
#[derive(Debug)]
pub(super) struct Draft<'n> {
    /// Name of the role.
    pub role: String,
    /// The peer that means its servers.
    pub servers: &'n str,
    /// Parameters that are set.
    pub settings: Settings,
    /// Services on other ports.
    pub moved: Moved,
    /// Addresses that the entry lists.
    pub nets: Vec<IpNet>,
    /// Peers that it lists.
    pub names: Vec<(&'n str, &'n Node)>,
    /// Where the role is named.
    pub at: Position,
}

/// Reads `remote:`.
pub(super) fn remotes<'n>(reader: &Reader<'_>, node: &'n Node, catalogue: &'n Catalogue) -> Vec<Draft<'n>> {
    let nodes = reader.list(node, "a list of hosts with other roles");
    if nodes.len() > MOST_REMOTES {
        reader.error(node, format!("the site has more than {MOST_REMOTES} entries of `remote`"));
        return Vec::new();
    }
    reader.each(nodes).filter_map(|node| remote(reader, node, catalogue)).collect()
}

fn remote<'n>(reader: &Reader<'_>, node: &'n Node, catalogue: &'n Catalogue) -> Option<Draft<'n>> {
    let mut fields = reader.fields(node, "an entry of `remote`")?;
    let (role_node, addresses) = (fields.required("role"), fields.required("addresses"));
    let (mut nets, mut names) = (Vec::new(), Vec::new());
    if let Some(node) = addresses {
        let items = reader.one_or_more(node, "a list of addresses, prefixes or peers");
        if items.is_empty() && matches!(node.value, crate::text::yaml::Value::Sequence(_)) {
            reader.error(node, "the list is empty, so the entry is about no host");
        }
        for item in reader.each(items) {
            match written(reader, item) {
                Some(Written::Net(net)) => nets.push(net),
                Some(Written::Name(name)) => names.push((name, item)),
                None => {}
            }
        }
    }
    let moves = fields.optional("moved");
    let role_node = role_node?;
    let role = named(reader, role_node, catalogue)?;
    let (settings, _) =
        settings(reader, &role.name, &catalogue.parameters(&role.name), &["role", "addresses", "moved"], fields.rest());
    let moved = moves.map_or_else(Moved::new, |node| moved(reader, node, &role.name, catalogue));
    let Some(servers) = catalogue.servers_of(&role.name) else {
        let message = format!("no connection of any role leads to the role `{}`", role.name);
        let hint = "`remote` is for roles that others connect to; name the role that this host has beside it";
        reader.note(reader.text.error(role_node.at, message).with_hint(hint));
        return None;
    };
    addresses?;
    Some(Draft { role: role.name.clone(), servers, settings, moved, nets, names, at: role_node.at })
}
