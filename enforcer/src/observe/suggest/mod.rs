//! From denied flows to the change of a site that would permit them: an address of a peer, a role, or an entry of `allow`.
//!
//! Pure: a policy and a list of flows go in. Nothing is suggested that was not tried: the site with a suggestion is compiled, the
//! decision function judges every flow that the suggestion explains, and what else would be permitted is read from the difference
//! of both policies. What no document and no few addresses explain is left to a person.

mod additions;
mod answers;
mod input;
mod insert;
mod kinds;
mod peers;
mod policy;
mod risk;
mod roles;
mod sift;
mod together;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use additions::{Additions, AllowEntry};
use enforcer_common::{Direction, Verdict};
use policy::Changed;
use sift::Sifted;
use together::Together;

use crate::policy::ruleset::SourceRow;
use crate::policy::site::protocol_name;
use crate::text::yaml::write;

pub use kinds::{Class, Denied, Flow, Options, Suggestion, SuggestionKind, Suggestions, Tried, Unexplained};

pub use policy::Base;
pub use risk::{AlsoOpens, Level, Risk};

/// More addresses than this are no list that a person would check.
const MOST_REMOTES: usize = 64;
/// More entries are no suggestion: the rest is left to a person, who has taken care of these first.
const MOST_ENTRIES: usize = 500;
/// Where an entry comes from; the operator is to replace it.
const SEEN: &str = "from denied flows; state the purpose";

/// Looks for what would permit denied flows.
#[must_use]
pub fn suggest(base: &Base<'_>, denied: &[Denied], options: Options) -> Suggestions {
    let Sifted { mut open, mut unexplained } = sift::sift(base, denied);
    let mut found: Vec<Draft> = Vec::new();
    if !options.narrow {
        found.extend(peers::suggest(base, &mut open));
        found.extend(roles::suggest(base, &mut open));
    }
    let notes = answers::leave(&mut open, &mut unexplained).into_iter().collect();
    let mut leave = |flows: Vec<Denied>, why: &str| {
        let left = |flow| Unexplained { flow: Flow::from(&flow), class: Class::Open, why: why.to_owned() };
        unexplained.extend(flows.into_iter().map(left));
    };
    let mut names: BTreeSet<String> = base.site.rules.iter().map(|rule| rule.name.clone()).collect();
    let mut services: Vec<_> = by_service(open).into_iter().collect();
    services
        .sort_by_cached_key(|(service, flows)| (Reverse(flows.iter().map(|flow| flow.packets).sum::<u64>()), *service));
    let mut entries = Vec::new();
    for ((direction, tried), flows) in services {
        let count = flows.len();
        if count > MOST_REMOTES {
            leave(
                flows,
                &format!("{count} addresses tried it; to permit any address, write an `allow` entry without `from`"),
            );
        } else if entries.len() >= MOST_ENTRIES {
            leave(flows, &format!("{MOST_ENTRIES} other services have more refused packets; handle those first"));
        } else {
            let entry = allow(direction, tried, &flows, &mut names);
            let additions = Additions { allow: vec![entry.clone()], ..Additions::default() };
            entries.push(Draft { kind: SuggestionKind::Allow, name: entry.name, additions, flows });
        }
    }
    let mut finished = Vec::with_capacity(found.len() + entries.len());
    // Entries open nothing beside what they name, so all of them are tried at once.
    let drafts = found.into_iter().map(|one| vec![one]).chain([entries]).filter(|together| !together.is_empty());
    for together in drafts {
        let mut additions = Additions::default();
        together.iter().for_each(|draft| additions.extend(&draft.additions));
        let changed = base.with(&additions);
        for draft in together {
            let done = changed.as_ref().map_err(Clone::clone).and_then(|changed| finish(base, changed, &draft));
            match done {
                Ok(suggestion) => finished.push((draft, suggestion)),
                Err(why) => leave(draft.flows, &why),
            }
        }
    }
    let Together { kept, refused, additions: all, changed } = together::together(base, finished);
    for (draft, why) in refused {
        leave(draft.flows, &why);
    }
    let flows: Vec<Denied> = kept.iter().flat_map(|(draft, _)| draft.flows.iter().cloned()).collect();
    let also_opens = changed
        .as_ref()
        .map_or_else(AlsoOpens::default, |changed| risk::also_opens(base.ruleset, &changed.ruleset, &flows));
    if let Some(changed) = &changed {
        together::note_permitted(base, changed, denied, &mut unexplained);
    }
    let mut suggestions: Vec<Suggestion> = kept.into_iter().map(|(_, suggestion)| suggestion).collect();
    suggestions.sort_by(|a, b| {
        (a.kind, a.also_opens.ports, b.packets, &a.name).cmp(&(b.kind, b.also_opens.ports, a.packets, &b.name))
    });
    unexplained.sort_by(|a, b| (a.class, b.flow.packets, a.flow.remote).cmp(&(b.class, a.flow.packets, b.flow.remote)));
    let inserted = insert::insert(&base.site.text, base.tree, &all);
    Suggestions {
        policy_hash: base.ruleset.hash.clone(),
        yaml: if suggestions.is_empty() { String::new() } else { write(&all.fragment()) },
        is_rewritten: inserted.is_none(),
        site: inserted.unwrap_or_else(|| write(&all.add_to(base.tree))),
        also_opens,
        suggestions,
        unexplained,
        notes,
    }
}

/// Flows that ask for the same, by what they ask for.
fn by_service(flows: Vec<Denied>) -> BTreeMap<(Direction, Tried), Vec<Denied>> {
    let mut services: BTreeMap<(Direction, Tried), Vec<Denied>> = BTreeMap::new();
    for flow in flows {
        services.entry((flow.direction, flow.tried)).or_default().push(flow);
    }
    services
}

/// An entry of `allow` for flows that ask for the same.
fn allow(direction: Direction, tried: Tried, flows: &[Denied], names: &mut BTreeSet<String>) -> AllowEntry {
    let service = match tried {
        Tried::Port { protocol, port } => format!("{}-{port}", protocol_name(protocol)),
        Tried::Protocol(protocol) | Tried::Icmp { protocol, .. } => {
            let name = protocol_name(protocol);
            // A name starts with a letter.
            if name.starts_with(|c: char| c.is_ascii_digit()) { format!("protocol-{name}") } else { name }
        }
        Tried::Ethertype(ethertype) => format!("ethertype-{ethertype:04x}"),
    };
    let name = match direction {
        Direction::Inbound => service,
        Direction::Outbound => format!("out-{service}"),
    };
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let name = std::iter::once(name.clone()).chain(numbered).find(|name| !names.contains(name)).unwrap_or(name);
    names.insert(name.clone());
    let remotes = match tried {
        Tried::Ethertype(_) => BTreeSet::new(),
        Tried::Port { .. } | Tried::Protocol(_) | Tried::Icmp { .. } => {
            flows.iter().filter_map(|flow| flow.remote).collect()
        }
    };
    AllowEntry { name, direction, tried, remotes, reason: SEEN }
}

/// A suggestion that nobody has tried.
struct Draft {
    kind: SuggestionKind,
    name: String,
    additions: Additions,
    flows: Vec<Denied>,
}

/// Tries a suggestion and puts it into words.
fn finish(base: &Base<'_>, changed: &Changed, draft: &Draft) -> Result<Suggestion, String> {
    let Draft { kind, name, additions, flows } = draft;
    let tables = changed.tables();
    let mut rules: BTreeSet<usize> = BTreeSet::new();
    for flow in flows {
        let Some(found) = tables.judge(flow) else { continue };
        if found.reason.verdict() == Verdict::Drop {
            return Err(format!("{name} would not permit it: {}", found.reason.sentence()));
        }
        rules.extend(found.rule);
    }
    let rules: Vec<_> = rules.into_iter().filter_map(|index| changed.ruleset.rules.get(index)).collect();
    let mut sources: Vec<SourceRow> = rules.iter().flat_map(|rule| rule.sources.iter().cloned()).collect();
    sources.sort();
    sources.dedup();
    let mut ids: Vec<String> = rules.iter().map(|rule| rule.id.clone()).collect();
    ids.dedup();
    let also_opens = match kind {
        SuggestionKind::Allow => AlsoOpens::default(),
        SuggestionKind::Peer | SuggestionKind::Role => risk::also_opens(base.ruleset, &changed.ruleset, flows),
    };
    let risk = risk::judge(*kind, name, &also_opens, flows);
    let narrower = (also_opens.ports > 0).then(|| {
        let mut names = base.site.rules.iter().map(|rule| rule.name.clone()).collect();
        let entries = by_service(flows.clone());
        let allow = entries.iter().map(|((direction, tried), flows)| allow(*direction, *tried, flows, &mut names));
        write(&Additions { allow: allow.collect(), ..Additions::default() }.fragment())
    });
    let mut flows: Vec<Flow> = flows.iter().map(Flow::from).collect();
    flows.sort_by(|a, b| (b.packets, a.remote, a.port).cmp(&(a.packets, b.remote, b.port)));
    Ok(Suggestion {
        kind: *kind,
        name: name.clone(),
        yaml: write(&additions.fragment()),
        packets: flows.iter().map(|flow| flow.packets).sum(),
        bytes: flows.iter().map(|flow| flow.bytes).sum(),
        flows,
        rules: ids,
        sources,
        also_opens,
        risk,
        narrower,
    })
}
