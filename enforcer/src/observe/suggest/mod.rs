//! From denied flows to the change of a site that would permit them: an address of a peer, a role, or an entry of `allow`.
//!
//! Pure: a policy and a list of flows go in. Nothing is suggested that was not tried: the site with a suggestion is compiled, the
//! decision function judges every flow that the suggestion explains, and what else would be permitted is read from the difference
//! of both policies. What no document and no few addresses explain is left to a person.

mod additions;
mod answers;
mod input;
mod insert;
mod peers;
mod policy;
mod risk;
mod roles;
mod sift;
mod together;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use enforcer_common::{Direction, Reason, Verdict};
use serde::Serialize;

use crate::policy::ruleset::SourceRow;
use crate::policy::site::protocol_name;
use crate::text::yaml::write;
use additions::{Additions, AllowEntry};
pub use policy::Base;
use policy::Changed;
pub use risk::{AlsoOpens, Level, Risk};
use sift::Sifted;
use together::Together;

/// More addresses than this are no list that a person would check.
const MOST_REMOTES: usize = 64;
/// More entries are no suggestion: the rest is left to a person, who has taken care of these first.
const MOST_ENTRIES: usize = 500;
/// Where an entry comes from; the operator is to replace it.
const SEEN: &str = "from denied flows; state the purpose";

/// A denied flow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denied {
    /// Seen from the protected host.
    pub direction: Direction,
    /// Why it was refused.
    pub reason: Reason,
    /// What was asked for.
    pub tried: Tried,
    /// The other end; `None` where it is not IP.
    pub remote: Option<IpAddr>,
    /// This host's end.
    pub local: Option<IpAddr>,
    /// Packets.
    pub packets: u64,
    /// Of these, packets that were dropped; the others were counted in audit, and passed.
    pub dropped: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a packet asks for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Tried {
    /// A port.
    Port {
        /// TCP, UDP or SCTP.
        protocol: u8,
        /// The destination port.
        port: u16,
    },
    /// An IP protocol without ports.
    Protocol(u8),
    /// An ICMP message.
    Icmp {
        /// ICMP, of IPv4 or IPv6.
        protocol: u8,
        /// Its type.
        kind: u16,
    },
    /// A frame that is not IP.
    Ethertype(u16),
}

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Suggestions {
    /// Hash of the policy that refuses the flows.
    pub policy_hash: String,
    /// The most specific first.
    pub suggestions: Vec<Suggestion>,
    /// What no suggestion permits, the most packets first.
    pub unexplained: Vec<Unexplained>,
    /// What would help with many of them at once.
    pub notes: Vec<String>,
    /// All suggestions together, as part of a site file.
    pub yaml: String,
    /// The whole site with all suggestions: the text of its file, and they in it.
    pub site: String,
    /// The text could not be added to: the site is written anew, without the comments of its file.
    pub is_rewritten: bool,
    /// What all suggestions together would permit beside the flows, which may be more than each by itself.
    pub also_opens: AlsoOpens,
}

/// A change that would permit denied flows.
#[derive(Clone, Debug, Serialize)]
pub struct Suggestion {
    /// What is changed.
    pub kind: Kind,
    /// The peer, the role, or the name of the entry.
    pub name: String,
    /// What to add to the site file.
    pub yaml: String,
    /// Packets that it explains.
    pub packets: u64,
    /// Bytes that it explains.
    pub bytes: u64,
    /// The flows, the most packets first.
    pub flows: Vec<Flow>,
    /// The rules by which they would pass.
    pub rules: Vec<String>,
    /// The rows of the documents behind these rules.
    pub sources: Vec<SourceRow>,
    /// What it would permit beside the flows.
    pub also_opens: AlsoOpens,
    /// What to think of before it is taken.
    pub risk: Risk,
    /// Permits the same flows and nothing else, where the suggestion permits more.
    pub narrower: Option<String>,
}

/// What a suggestion changes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An entry of `allow`.
    Allow,
    /// Addresses of a peer.
    Peer,
    /// A role.
    Role,
}

/// A denied flow in words.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Flow {
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// Protocol by name or number, or the ethertype.
    pub protocol: String,
    /// The port that was tried.
    pub port: Option<u16>,
    /// The other end.
    pub remote: Option<IpAddr>,
    /// Why it is refused.
    pub reason: &'static str,
    /// Packets.
    pub packets: u64,
    /// Of these, packets that were dropped; the others were counted in audit, and passed.
    pub dropped: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A denied flow for which there is no suggestion.
#[derive(Clone, Debug, Serialize)]
pub struct Unexplained {
    /// The flow.
    #[serde(flatten)]
    pub flow: Flow,
    /// What kind of thing it is.
    pub class: Class,
    /// Why there is no suggestion.
    pub why: String,
}

/// Why there is no suggestion for a flow, in a word.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The policy permits it by now.
    Permitted,
    /// Its address tried so many ports that it looks for open ones.
    Scan,
    /// One of many answers to what this host asked a group: a note says what would help.
    Answer,
    /// No policy could permit it.
    Never,
    /// A document or the operator refuses it.
    Refused,
    /// A person has to decide.
    Open,
}

/// How to look for suggestions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Suggest entries of `allow` alone, which permit nothing but what was seen.
    pub narrow: bool,
}

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
            entries.push(Draft { kind: Kind::Allow, name: entry.name, additions, flows });
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
    kind: Kind,
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
        Kind::Allow => AlsoOpens::default(),
        Kind::Peer | Kind::Role => risk::also_opens(base.ruleset, &changed.ruleset, flows),
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

impl Kind {
    /// The word used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Peer => "peer",
            Self::Role => "role",
        }
    }
}

impl Suggestions {
    /// Flows and packets that are explained.
    #[must_use]
    pub fn explained(&self) -> (usize, u64) {
        let flows = self.suggestions.iter().map(|one| one.flows.len()).sum();
        (flows, self.suggestions.iter().map(|one| one.packets).sum())
    }
}

impl From<&Denied> for Flow {
    fn from(denied: &Denied) -> Self {
        let (protocol, port) = match denied.tried {
            Tried::Port { protocol, port } => (protocol_name(protocol), Some(port)),
            Tried::Protocol(protocol) | Tried::Icmp { protocol, .. } => (protocol_name(protocol), None),
            Tried::Ethertype(ethertype) => (format!("ethertype 0x{ethertype:04x}"), None),
        };
        Self {
            direction: denied.direction.name(),
            protocol,
            port,
            remote: denied.remote,
            reason: denied.reason.name(),
            packets: denied.packets,
            dropped: denied.dropped,
            bytes: denied.bytes,
        }
    }
}
