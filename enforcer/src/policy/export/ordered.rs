//! What all targets are written from: the rules of a policy in the order in which they decide, and the interfaces.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use enforcer_common::numbers::{SCTP, TCP, UDP};
use enforcer_common::{Direction, Mode, Reason};
use ipnet::IpNet;

use super::Error;
use crate::policy::modes::Protects;
use crate::policy::ruleset::{Action, Match, Rule, Ruleset, Scope};
use crate::policy::site::{Interface, Site};

/// A policy, ready to be written.
pub(super) struct Plan<'a> {
    pub(super) site: &'a Site,
    pub(super) ruleset: &'a Ruleset,
    pub(super) interfaces: Vec<Guarded>,
    /// The mode where no interface is named, by direction.
    pub(super) modes: [Mode; 2],
    /// Lists of prefixes that rules share, by what the rules call them. Names are unique.
    pub(super) lists: Vec<List>,
}

/// A protected interface.
pub(super) struct Guarded {
    /// Its name, or what the names begin with.
    pub(super) name: String,
    /// It stands for every interface whose name begins so, but the loopback.
    pub(super) is_pattern: bool,
    /// The role runs behind it: inbound is what it sends.
    pub(super) guest: bool,
    /// By direction.
    pub(super) modes: [Mode; 2],
    /// Whether what this host forwards is judged.
    pub(super) forwards: bool,
    /// How many protected interfaces it is a VLAN of.
    parents: usize,
}

/// Addresses under a name.
pub(super) struct List {
    pub(super) name: String,
    /// The peers it was made from.
    pub(super) peers: String,
    pub(super) prefixes: Vec<IpNet>,
}

/// The remote side of a rule.
pub(super) enum Remote<'p> {
    Any,
    /// An unbound peer: the rule matches nobody.
    Nobody,
    List(&'p List),
}

/// The two kinds of IP, where a target keeps them apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub(super) fn has(self, net: &IpNet) -> bool {
        (self == Self::V4) == net.addr().is_ipv4()
    }
}

/// Ports that are refused, because no permit of theirs named this source, or because they are internal.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    /// Counted only: every rule that names them is in audit.
    pub(super) audited: bool,
    pub(super) ports: Vec<RangeInclusive<u16>>,
}

/// Protocols with ports, and their names in all targets.
pub(super) const PORT_PROTOCOLS: [(u8, &str); 3] = [(TCP, "tcp"), (UDP, "udp"), (SCTP, "sctp")];

/// Headers that the decision code walks over in IPv6, so that no rule for a protocol ever sees them.
pub(super) const EXTENSIONS: [u8; 6] = [0, 43, 44, 51, 60, 135];

impl<'a> Plan<'a> {
    pub(super) fn new(site: &'a Site, ruleset: &'a Ruleset, mode: Option<Mode>) -> Result<Self, Error> {
        let mut lists = BTreeMap::new();
        for rule in &ruleset.rules {
            if let (Some(peers), Some(prefixes)) = (&rule.peers, &rule.prefixes)
                && !prefixes.is_empty()
            {
                lists.entry(prefixes.to_vec()).or_insert_with(|| peers.join(", "));
            }
        }
        let mut taken = std::collections::BTreeSet::new();
        let lists = lists.into_iter().map(|(prefixes, peers)| {
            let mut name = list_name(&peers);
            let plain = name.clone();
            let mut number = 2;
            while !taken.insert(name.clone()) {
                name = format!("{plain}_{number}");
                number += 1;
            }
            List { name, peers, prefixes }
        });
        let lists = lists.collect();
        let interfaces: Result<Vec<_>, _> =
            site.interfaces.iter().map(|interface| Guarded::new(site, interface, mode)).collect();
        let mut interfaces = interfaces?;
        // What is named is not what a pattern says of it, and what has an entry of its own is not what the entry of the interface
        // below it says of its VLANs. Patterns stay in the order of the file: the first that fits is meant.
        interfaces.sort_by_key(|interface| (std::cmp::Reverse(interface.parents), interface.is_pattern));
        let of = |direction| mode.or_else(|| site.mode.of(direction)).unwrap_or(Mode::Audit);
        Ok(Self { site, ruleset, interfaces, modes: Direction::ALL.map(of), lists })
    }

    /// The rules of a direction with an action: those that enforce before those that are in audit by themselves.
    pub(super) fn rules(&self, direction: Direction, action: Action) -> impl Iterator<Item = &'a Rule> {
        let of = move |audited: bool| {
            let rules = self.ruleset.rules.iter();
            rules
                .filter(move |rule| rule.direction == direction && rule.action == action && is_audited(rule) == audited)
        };
        of(false).chain(of(true))
    }

    /// The interfaces that are judged at some place, and between them those that are not but that a later one would cover: what
    /// is not judged must say so before.
    pub(super) fn met(&self, is_judged: impl Fn(&Guarded) -> bool) -> Vec<(&Guarded, bool)> {
        let with = |(number, interface): (usize, &'_ Guarded)| {
            let later = self.interfaces.iter().skip(number + 1);
            let is_covered = || later.into_iter().any(|later| is_judged(later) && later.covers(interface));
            (is_judged(interface) || is_covered()).then_some(number)
        };
        let numbers: Vec<usize> = self.interfaces.iter().enumerate().filter_map(with).collect();
        numbers.into_iter().map(|number| (&self.interfaces[number], is_judged(&self.interfaces[number]))).collect()
    }

    /// Protocols that are permitted by rules in audit alone: whom they do not name is counted only.
    pub(super) fn audited_protocols(&self, direction: Direction) -> Vec<u8> {
        let mut protocols: BTreeMap<u8, bool> = BTreeMap::new();
        for rule in self.rules(direction, Action::Permit).filter(|rule| !is_never_asked(&rule.matches)) {
            if let Match::Protocol(protocol) = rule.matches {
                *protocols.entry(protocol).or_insert(true) &= is_audited(rule);
            }
        }
        protocols.into_iter().filter(|(_, audited)| *audited).map(|(protocol, _)| protocol).collect()
    }

    pub(super) fn remote(&self, rule: &Rule) -> Remote<'_> {
        match &rule.prefixes {
            None => Remote::Any,
            Some(prefixes) => match self.lists.iter().find(|list| *list.prefixes == **prefixes) {
                Some(list) => Remote::List(list),
                None => Remote::Nobody,
            },
        }
    }

    /// What is refused of a protocol behind the permits, each port once.
    pub(super) fn refusals(&self, direction: Direction, protocol: u8) -> Vec<Refusal> {
        const PERMIT: u8 = 1;
        const INTERNAL: u8 = 2;
        const ENFORCED: u8 = 4;
        let mut named = vec![0_u8; 1 << 16];
        for rule in self.ruleset.rules.iter().filter(|rule| rule.direction == direction) {
            let Match::Ports { protocol: of, ports } = &rule.matches else { continue };
            let action = match rule.action {
                Action::Deny => continue,
                Action::Permit => PERMIT,
                Action::Internal => INTERNAL,
            };
            if *of == protocol {
                for range in ports {
                    for bits in &mut named[usize::from(*range.start())..=usize::from(*range.end())] {
                        *bits |= action | if is_audited(rule) { 0 } else { ENFORCED };
                    }
                }
            }
        }
        let refused = if direction == Direction::Inbound { Reason::Peer } else { Reason::NoConnection };
        let mut refusals: BTreeMap<(bool, bool), Vec<RangeInclusive<u16>>> = BTreeMap::new();
        let mut start = 0_u16;
        for same in named.chunk_by(|one, next| one == next) {
            let end = start.saturating_add(u16::try_from(same.len() - 1).unwrap_or(u16::MAX));
            let bits = same.first().copied().unwrap_or_default();
            if bits != 0 {
                refusals.entry((bits & PERMIT == 0, bits & ENFORCED == 0)).or_default().push(start..=end);
            }
            start = end.saturating_add(1);
        }
        let refusals = refusals.into_iter().map(|((internal, audited), ports)| Refusal {
            reason: if internal { Reason::Internal } else { refused },
            audited,
            ports: crate::policy::catalogue::merge_ranges(ports),
        });
        refusals.collect()
    }

    /// Whether a rule asks what leaves the host: to refuse it, or to know who may answer from another port.
    pub(super) fn has_outbound(&self) -> bool {
        self.ruleset.settings.outbound_judged
            || self
                .ruleset
                .rules
                .iter()
                .any(|rule| rule.direction == Direction::Outbound && (rule.action == Action::Deny || rule.answer_any))
    }

    /// Rules that are in audit by themselves, for targets that know no such thing.
    pub(super) fn audited_rules(&self) -> Option<String> {
        let mut names: Vec<&str> =
            self.ruleset.rules.iter().filter(|rule| is_audited(rule)).map(|rule| rule.id.as_str()).collect();
        names.dedup();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Whether all that a direction refuses is only counted.
    pub(super) fn is_audit(&self, direction: Direction) -> bool {
        let mut modes = self.interfaces.iter().map(|interface| interface.modes[direction as usize]).peekable();
        let unnamed = modes.peek().is_none() && self.modes[direction as usize] == Mode::Audit;
        // Where interfaces differ, the careful reading is the one that drops nothing.
        unnamed || modes.any(|mode| mode == Mode::Audit)
    }

    /// The mode of what is met at none of the interfaces, or of none in particular: drops if one of them does.
    pub(super) fn rest(&self, guests: bool, direction: Direction) -> Mode {
        let mut modes = self.interfaces.iter().filter(|interface| interface.guest == guests);
        if self.interfaces.is_empty() {
            self.modes[direction as usize]
        } else if modes.any(|interface| interface.modes[direction as usize] == Mode::Enforce) {
            Mode::Enforce
        } else {
            Mode::Audit
        }
    }

    /// Whether the interfaces are in different modes.
    pub(super) fn differs(&self, direction: Direction) -> bool {
        let mut modes = self.interfaces.iter().map(|interface| interface.modes[direction as usize]);
        let first = modes.next();
        modes.any(|mode| Some(mode) != first)
    }

    /// What the operator wrote beside a rule of the site.
    pub(super) fn reason(&self, rule: &Rule) -> Option<String> {
        let name = rule.id.strip_prefix("site/")?;
        let written = self.site.rules.iter().find(|written| written.name == name)?;
        written.reason.as_deref().map(one_line)
    }

    /// The first lines of every target, without the sign that makes them comments.
    pub(super) fn header(&self, target: &str, warnings: &[String]) -> Vec<String> {
        let modes = |modes: [Mode; 2]| format!("inbound {}, outbound {}", modes[0].name(), modes[1].name());
        let mut lines = vec![
            format!("{target}, written by `enforcer export` from {}", one_line(&self.site.text.name)),
            format!("policy {}", self.ruleset.hash),
        ];
        lines.extend(
            self.interfaces.iter().map(|interface| format!("{}: {}", interface.written("*"), modes(interface.modes))),
        );
        if self.interfaces.is_empty() {
            lines.push(format!("every interface but the loopback: {}", modes(self.modes)));
        }
        lines.push(String::new());
        lines.push("What is not as it is under `enforcer`:".to_owned());
        for warning in warnings {
            lines.extend(
                wrapped(warning)
                    .into_iter()
                    .enumerate()
                    .map(|(number, line)| if number == 0 { format!("- {line}") } else { format!("  {line}") }),
            );
        }
        lines
    }

    /// Warnings about a rule that a target cannot write.
    pub(super) fn left_out(rule: &Rule, why: &str) -> String {
        format!("`{}` ({}) is left out: {why}", rule.id, rule.direction.name())
    }
}

impl Guarded {
    fn new(site: &Site, interface: &Interface, mode: Option<Mode>) -> Result<Self, Error> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
        let stem = interface.name.strip_suffix('*');
        let name = stem.unwrap_or(&interface.name);
        if !name.chars().all(is_plain) {
            return Err(Error::Interface(interface.name.clone()));
        }
        let guest = interface.protects == Protects::Guest;
        // A packet of a VLAN is judged twice, as the frame that the interface below receives and as what is in it: the stricter
        // mode holds.
        let below = name.match_indices('.').filter_map(|(at, _)| site.interface(&name[..at]));
        let below: Vec<&Interface> = below.filter(|below| below.protects == interface.protects).collect();
        let modes = Direction::ALL.map(|direction| {
            let of = |one: &Interface| mode.or_else(|| site.modes_of(one).of(direction)).unwrap_or(Mode::Audit);
            let is_enforced = of(interface) == Mode::Enforce || below.iter().any(|one| of(one) == Mode::Enforce);
            if is_enforced { Mode::Enforce } else { Mode::Audit }
        });
        Ok(Self {
            name: name.to_owned(),
            is_pattern: stem.is_some(),
            guest,
            modes,
            forwards: guest || site.scope_of(interface) != Some(Scope::Host),
            parents: below.len(),
        })
    }
    /// Whether packets of a direction are those that the interface receives.
    pub(super) fn receives(&self, direction: Direction) -> bool {
        (direction == Direction::Inbound) != self.guest
    }

    /// Whether what is said of this interface would also be said of the other one.
    fn covers(&self, other: &Self) -> bool {
        other.name.strip_prefix(&self.name).is_some_and(|rest| self.is_pattern || rest.starts_with('.'))
    }

    /// The name, with this sign behind it where any rest of a name may follow.
    pub(super) fn written(&self, any_rest: &str) -> String {
        format!("{}{}", self.name, if self.is_pattern { any_rest } else { "" })
    }
}

/// Whether a rule only counts what it would refuse.
pub(super) fn is_audited(rule: &Rule) -> bool {
    rule.mode == Some(Mode::Audit)
}

/// Rules for a protocol as a whole that no packet ever comes to, because its ports decide.
pub(super) fn is_never_asked(matches: &Match) -> bool {
    matches!(matches, Match::Protocol(protocol) if PORT_PROTOCOLS.iter().any(|(of, _)| of == protocol))
}

/// A range as most targets write it.
pub(super) fn range(ports: &RangeInclusive<u16>, between: &str) -> String {
    if ports.start() == ports.end() {
        ports.start().to_string()
    } else {
        format!("{}{between}{}", ports.start(), ports.end())
    }
}

/// Text of a person as part of a comment: nothing in it may end the line.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A name that every target accepts.
fn list_name(peers: &str) -> String {
    let name: String =
        peers.replace(", ", "_").chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.len() <= 18 && name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { "peers".to_owned() }
}

/// The beginning of a text that has no more bytes than this.
pub(super) fn shortened(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn wrapped(text: &str) -> Vec<String> {
    const WIDTH: usize = 110;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let is_full = lines.last().is_some_and(|line| !line.is_empty() && line.len() + word.len() >= WIDTH);
        if is_full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
