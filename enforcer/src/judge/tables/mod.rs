//! The tables of the shared decision code, in memory: what the kernel keeps in BPF maps, for `explain`, `simulate` and tests.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::net::Ipv4Addr;

use enforcer_common::decide::{self, Judgement};
use enforcer_common::frame::Frame;
use enforcer_common::layout::{
    Config, Counter, DenialKey4, DenialKey6, DenialState, FlowKey4, FlowKey6, FlowState, FlowState6, FragmentKey4,
    FragmentKey6, FragmentState, STATISTICS, Statistic,
};
use enforcer_common::outcome::Outcome;
use enforcer_common::seen::Seen;
use enforcer_common::tables::{Flow, Tables};
use enforcer_common::{Direction, Entry, Mode, Reason, ServiceIndex, SourceClass};
use ipnet::{IpNet, Ipv6Net};

use crate::judge::host::Host;
use crate::policy::ruleset::{Action, Match, Ruleset, Scope};
use least_recent::Recent;
use words::{address6, canonical, longest, mac_word};

/// Jiffies a second: the clock of these tables counts milliseconds.
const HZ: u32 = 1000;
/// Refused conversations that are remembered at most, as in the kernel.
const DENIALS: usize = 65_536;
/// Datagrams in fragments that are remembered at most.
const FRAGMENTS: usize = 65_536;

/// Tables of one host, over a [`Ruleset`].
pub struct HostTables<'a> {
    ruleset: &'a Ruleset,
    host: &'a Host,
    config: Config,
    claims: BTreeMap<IpNet, u32>,
    /// Lengths of IPv6 prefixes that occur, longest first: a lookup need not try the others.
    lengths: Vec<u8>,
    now: Cell<u64>,
    modes: [Cell<Mode>; 2],
    flow_ports: RefCell<HashSet<u32>>,
    flows: RefCell<Recent<FlowKey, FlowState6>>,
    denials: RefCell<Recent<DenialKey, DenialState>>,
    memory_until: Cell<u64>,
    ended_until: Cell<u64>,
    fragments: RefCell<Recent<FragmentKey, FragmentState>>,
    reasons: RefCell<BTreeMap<(Direction, bool, Reason), Counter>>,
    rules: RefCell<BTreeMap<u16, Counter>>,
    statistics: [Cell<u64>; STATISTICS as usize],
}

impl<'a> HostTables<'a> {
    /// Tables with nothing remembered, at time 0, in `audit`.
    #[must_use]
    pub fn new(ruleset: &'a Ruleset, host: &'a Host) -> Self {
        let flows = &ruleset.settings.flows;
        let of_ipv6 = ruleset.prefixes.keys().filter(|net| net.addr().is_ipv6());
        let mut lengths: Vec<u8> = of_ipv6.map(IpNet::prefix_len).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        let mut config = Config {
            features: ruleset.features() & if host.guest { !Config::DECRYPTS } else { u32::MAX }
                | if ruleset.settings.scope == Some(Scope::Host) && !host.guest { Config::SCOPE_HOST } else { 0 }
                | if host.bridge_port { Config::BRIDGE_PORT } else { 0 }
                | if host.guest { Config::GUEST } else { 0 },
            interface: 1,
            columns_in: ruleset.table(Direction::Inbound).columns,
            columns_out: ruleset.table(Direction::Outbound).columns,
            hz: HZ,
            timeout_tcp: flows.tcp.saturating_mul(HZ),
            timeout_tcp_closing: flows.tcp_closing.saturating_mul(HZ),
            timeout_udp: flows.udp.saturating_mul(HZ),
            timeout_icmp: flows.icmp.saturating_mul(HZ),
            ephemeral_first: u32::from(*host.ephemeral.start()),
            ephemeral_last: u32::from(*host.ephemeral.end()),
            events_per_second: 0,
            one_way: flows.one_way.saturating_mul(HZ),
            slot: if host.guest { Host::SLOT_OF_GUEST } else { 0 },
            ..Config::default()
        };
        if host.guest {
            host.claims.tell(&mut config);
        }
        Self {
            ruleset,
            host,
            config,
            claims: host.claims.table(),
            lengths,
            now: Cell::new(0),
            modes: [Cell::new(Mode::Audit), Cell::new(Mode::Audit)],
            flow_ports: RefCell::default(),
            flows: RefCell::new(Recent::new(flows.entries4(host.guest) as usize)),
            denials: RefCell::new(Recent::new(DENIALS)),
            memory_until: Cell::new(0),
            ended_until: Cell::new(0),
            fragments: RefCell::new(Recent::new(FRAGMENTS)),
            reasons: RefCell::default(),
            rules: RefCell::default(),
            statistics: Default::default(),
        }
    }

    /// Judges a frame as the program on the hook would.
    #[must_use]
    pub fn judge(&self, direction: Direction, frame: &impl Frame) -> Judgement {
        match direction {
            Direction::Inbound => decide::inbound(frame, &self, 1),
            Direction::Outbound => decide::outbound(frame, &self, 1),
        }
    }

    /// Sets the clock, in milliseconds. It must not go back.
    pub fn set_time(&self, milliseconds: u64) {
        self.now.set(milliseconds);
    }

    /// Sets the mode of a direction.
    pub fn set_mode(&self, direction: Direction, mode: Mode) {
        let before = self.modes[direction as usize].replace(mode);
        if direction == Direction::Inbound && (before, mode) == (Mode::Audit, Mode::Enforce) {
            self.memory_until.set(self.now.get() + u64::from(HZ / DenialState::ON_THE_WAY));
        }
    }

    /// Forgets flows, refusals and fragments.
    pub fn forget(&self) {
        self.flows.replace(Recent::new(self.ruleset.settings.flows.entries4(self.host.guest) as usize));
        self.denials.replace(Recent::new(DENIALS));
        self.fragments.replace(Recent::new(FRAGMENTS));
    }

    /// Says that the policy has come into force now: for a while, conversations end that the one before it let pass and this one does
    /// not.
    pub fn policy_has_changed(&self) {
        self.ended_until.set(self.now.get() + u64::from(self.config.timeout_udp));
    }

    /// What has been counted: direction, whether it is `would_drop`, reason.
    #[must_use]
    pub fn reasons(&self) -> BTreeMap<(Direction, bool, Reason), Counter> {
        let mut reasons = self.reasons.borrow().clone();
        // What a rule permits is counted under the rule alone.
        for (index, counter) in self.rules.borrow().iter() {
            let rule = &self.ruleset.rules[usize::from(*index)];
            if rule.action == Action::Permit && rule.matches != Match::Echo {
                add(reasons.entry((rule.direction, false, Reason::Rule)).or_default(), *counter);
            }
        }
        reasons
    }

    /// What has been counted by rule.
    #[must_use]
    pub fn rules(&self) -> BTreeMap<u16, Counter> {
        self.rules.borrow().clone()
    }

    /// A number about the tables themselves.
    #[must_use]
    pub fn statistic(&self, statistic: Statistic) -> u64 {
        self.statistics[statistic as usize].get()
    }

    /// Conversations in the flow table, those included that have timed out and were not looked at since.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.flows.borrow().len()
    }
}

/// A flow in these tables.
#[derive(Clone, Copy)]
pub struct HostFlow<'t> {
    flows: &'t RefCell<Recent<FlowKey, FlowState6>>,
    key: FlowKey,
    found: FlowState6,
}

impl HostFlow<'_> {
    fn write(&self, state: FlowState) {
        self.flows.borrow_mut().insert(self.key, FlowState6 { state, ..self.found });
    }
}

impl Flow for HostFlow<'_> {
    fn state(&self) -> FlowState {
        self.flows.borrow().get(&self.key).unwrap_or(self.found).state
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is kept")]
    fn refresh(&self, now: u64) {
        self.write(FlowState { last: now, last_out: now as u32, ..self.state() });
    }

    fn hear(&self, now: u64) {
        self.write(FlowState { last: now, ..self.state() });
    }

    fn close(&self, timeout: u32, flags: u32) {
        self.write(FlowState { timeout, flags, ..self.state() });
    }
}

/// IPv4 and IPv6 conversations in one map, never taken for each other.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum FlowKey {
    V4(FlowKey4),
    V6(FlowKey6),
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum DenialKey {
    V4(DenialKey4),
    V6(DenialKey6),
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum FragmentKey {
    V4(FragmentKey4),
    V6(FragmentKey6),
}

impl<'t> HostTables<'_> {
    fn flow(&'t self, key: FlowKey) -> Option<HostFlow<'t>> {
        let found = self.flows.borrow().get(&key)?;
        Some(HostFlow { flows: &self.flows, key, found })
    }
}

impl<'t> Tables for &'t HostTables<'_> {
    type Flow = HostFlow<'t>;

    fn config(&self) -> &Config {
        &self.config
    }

    fn now(&self) -> u64 {
        self.now.get()
    }

    fn service(&self, direction: Direction, index: ServiceIndex) -> Entry {
        self.ruleset.table(direction).services.get(&index).copied().unwrap_or(Entry::NONE)
    }

    fn column4(&self, direction: Direction, remote: u32) -> u32 {
        self.ruleset.ranges.class(Ipv4Addr::from_octets(remote.to_ne_bytes())).column(direction)
    }

    fn column6(&self, direction: Direction, remote: [u32; 4]) -> u32 {
        let remote = address6(remote);
        let nets = self.lengths.iter().filter_map(|length| Ipv6Net::new(remote, *length).ok());
        let class = nets.map(|net| net.trunc().into()).find_map(|net: IpNet| self.ruleset.prefixes.get(&net));
        class.copied().unwrap_or(SourceClass::default()).column(direction)
    }

    fn scoped(&self, direction: Direction, row: u16, column: u32) -> Entry {
        let table = self.ruleset.table(direction);
        let index = usize::from(row) * table.columns as usize + column as usize;
        table.matrix.get(index).copied().unwrap_or(Entry::NONE)
    }

    fn claim(&self, address: [u32; 4]) -> u32 {
        longest(self.claims.iter(), address)
    }

    fn holder(&self, address: [u32; 4]) -> u32 {
        longest(self.host.holders.iter().map(|(net, holder)| (net, holder)), address)
    }

    fn is_own(&self, address: [u32; 4]) -> bool {
        self.host.addresses.contains(&canonical(address))
    }

    fn is_own_hardware(&self, address: u64) -> bool {
        self.host.macs.iter().any(|mac| mac_word(mac) == address)
    }

    fn would_forward(&self, family: u8, source: [u32; 4], destination: [u32; 4]) -> bool {
        if family == 4 {
            return self.host.would_forward(canonical(source), canonical(destination));
        }
        self.host.would_forward(address6(source).into(), address6(destination).into())
    }

    fn flow_uses_port(&self, bit: u32) -> bool {
        self.flow_ports.borrow().contains(&bit)
    }

    fn note_flow_port(&self, bit: u32) {
        self.flow_ports.borrow_mut().insert(bit);
    }

    fn has_listener(&self, bit: u32) -> bool {
        let mut listeners = self.host.listeners.iter();
        listeners.any(|(protocol, port)| ServiceIndex::port(*protocol, *port) == Some(ServiceIndex(bit)))
    }

    fn flow4(&self, key: &FlowKey4) -> Option<HostFlow<'t>> {
        self.flow(FlowKey::V4(*key))
    }

    fn flow6(&self, key: &FlowKey6, local: [u32; 4]) -> Option<HostFlow<'t>> {
        self.flow(FlowKey::V6(*key)).filter(|flow| flow.found.local == local)
    }

    fn make_flow4(&self, key: &FlowKey4, state: &FlowState) {
        self.flows.borrow_mut().insert(FlowKey::V4(*key), FlowState6 { state: *state, local: [0; 4] });
    }

    fn make_flow6(&self, key: &FlowKey6, state: &FlowState6) {
        self.flows.borrow_mut().insert(FlowKey::V6(*key), *state);
    }

    fn denial4(&self, key: &DenialKey4) -> Option<DenialState> {
        self.denials.borrow().get(&DenialKey::V4(*key))
    }

    fn denial6(&self, key: &DenialKey6) -> Option<DenialState> {
        self.denials.borrow().get(&DenialKey::V6(*key))
    }

    fn remember_denial4(&self, key: &DenialKey4, state: &DenialState) {
        self.denials.borrow_mut().insert(DenialKey::V4(*key), *state);
    }

    fn remember_denial6(&self, key: &DenialKey6, state: &DenialState) {
        self.denials.borrow_mut().insert(DenialKey::V6(*key), *state);
    }

    fn memory_until(&self) -> u64 {
        self.memory_until.get()
    }

    fn ended_until(&self) -> u64 {
        self.ended_until.get()
    }

    fn fragment4(&self, key: &FragmentKey4) -> Option<FragmentState> {
        self.fragments.borrow().get(&FragmentKey::V4(*key))
    }

    fn fragment6(&self, key: &FragmentKey6) -> Option<FragmentState> {
        self.fragments.borrow().get(&FragmentKey::V6(*key))
    }

    fn remember_fragment4(&self, key: &FragmentKey4, state: &FragmentState) {
        self.fragments.borrow_mut().insert(FragmentKey::V4(*key), *state);
    }

    fn remember_fragment6(&self, key: &FragmentKey6, state: &FragmentState) {
        self.fragments.borrow_mut().insert(FragmentKey::V6(*key), *state);
    }

    fn enforces(&self, direction: Direction) -> u32 {
        u32::from(self.modes[direction as usize].get() == Mode::Enforce)
    }

    fn count(&self, direction: Direction, would_drop: u32, outcome: Outcome, size: Counter) {
        add(self.reasons.borrow_mut().entry((direction, would_drop != 0, outcome.reason())).or_default(), size);
    }

    fn count_rule(&self, rule: u16, size: Counter) {
        add(self.rules.borrow_mut().entry(rule).or_default(), size);
    }

    fn note(&self, statistic: Statistic) {
        let cell = &self.statistics[statistic as usize];
        cell.set(cell.get() + 1);
    }

    fn may_report(&self) -> bool {
        false
    }

    fn report(&self, _: Direction, _: bool, _: Outcome, _: &Seen, _: Counter) {}
}

const fn add(counter: &mut Counter, size: Counter) {
    counter.packets += size.packets;
    counter.bytes += size.bytes;
}

pub(in crate::judge::tables) mod least_recent;
mod words;
