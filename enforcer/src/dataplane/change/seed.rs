//! Seeding: makes flows for the conversations that this host opened before the programs were attached, so that the first enforcement
//! cuts none of them. Conversations that peers opened need a rule, and later packets of the host must not revive them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};

use aya::Pod;
use aya::maps::{HashMap, Map, MapData, MapError};
use enforcer_common::layout::{
    DenialKey4, DenialKey6, DenialState, FlowKey4, FlowKey6, FlowState, FlowState6, Ports, map,
};
use enforcer_common::numbers::{DHCP_CLIENT, DHCP_SERVER, DHCPV6_CLIENT, DHCPV6_SERVER};
use enforcer_common::tables::port_bit;
use enforcer_common::{Direction, Entry, EntryKind, ServiceIndex};

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::load::own::write_listeners;
use crate::dataplane::mode::active;
use crate::dataplane::pin::pins::HostPins;
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::read::readback::loaded;
use crate::dataplane::sys::clock::Clock;
use crate::dataplane::sys::mapped::with_memory;
use crate::dataplane::sys::words::{address_word, words};
use crate::host::snapshot::Snapshot;
use crate::host::sockets::{Socket, State, TCP, UDP};
use crate::policy::modes::Protects;
use crate::policy::ruleset::{FlowSettings, Lookup};

/// Makes the missing flows of this machine under the active policies of these interfaces, and returns their number. Also updates the
/// table of listeners, which decides which conversations may be revived. The conversations of guests are not known here.
///
/// # Errors
/// When sockets or maps cannot be read or written.
pub fn seed_protected(interfaces: &[Protected], snapshot: &Snapshot) -> Result<usize, DataplaneError> {
    let of_this_machine = interfaces.iter().filter(|one| one.record.protects == Protects::Host);
    let generations: BTreeMap<u64, &Protected> = of_this_machine.map(|one| (one.record.generation, one)).collect();
    let mut made = 0;
    for one in generations.into_values() {
        let (_reading, one) = &active::now(one)?;
        let loaded = loaded(&one.record)?;
        let host = HostPins::of(one.record.netns);
        let listeners = MapData::from_pin(host.map(map::LISTENERS)).with_context(|| context(map::LISTENERS))?;
        write_listeners(&listeners, &snapshot.sockets)?;
        made += seed(&host, snapshot, loaded.lookup(), &loaded.record.settings.flows, &one.record.clock)?;
    }
    Ok(made)
}

/// Makes the missing flows under a policy, and returns their number. Existing flows are not changed.
pub(in crate::dataplane) fn seed(
    host: &HostPins,
    snapshot: &Snapshot,
    policy: Lookup<'_>,
    settings: &FlowSettings,
    clock: &Clock,
) -> Result<usize, DataplaneError> {
    let mut v4 = FlowTable::<FlowKey4, FlowState, DenialKey4>::open(host, map::FLOWS4, map::DENIALS4)?;
    let mut v6 = FlowTable::<FlowKey6, FlowState6, DenialKey6>::open(host, map::FLOWS6, map::DENIALS6)?;
    let ports = MapData::from_pin(host.map(map::FLOW_PORTS)).with_context(|| context(map::FLOW_PORTS))?;
    let mut made = Vec::new();
    for socket in snapshot.on_the_wire() {
        let Some(seed) = Seed::of(socket, policy, settings) else { continue };
        // Two ticks back: a timestamp ahead of the kernel's would underflow and look expired.
        let now = clock.jiffies_now().saturating_sub(2);
        let ticks = |seconds: u32| seconds.saturating_mul(clock.hz);
        if !snapshot.sockets.opened_here(socket) {
            if socket.protocol == TCP && socket.is_live() {
                match seed.key {
                    Key::V4(key) => v4.refuse(denial4(&key), now)?,
                    Key::V6(key, _) => v6.refuse(denial6(&key), now)?,
                }
            }
            continue;
        }
        let state = FlowState::new(now, ticks(seed.timeout), seed.flags);
        // A recently refused conversation that audit let through was opened by a peer. Only a connection that this host is opening
        // right now is certainly its own.
        let memory = if seed.is_question { None } else { Some(ticks(seed.memory)) };
        let is_new = match seed.key {
            Key::V4(key) => v4.plant(key, denial4(&key), state, state, memory)?,
            Key::V6(key, local) => v6.plant(key, denial6(&key), state, FlowState6 { state, local }, memory)?,
        };
        if is_new {
            made.push(seed.port_bit);
        }
    }
    with_memory(&ports, |bytes: &[AtomicU8]| {
        for port in &made {
            bytes[*port as usize].store(1, Ordering::Relaxed);
        }
    })?;
    Ok(made.len())
}

/// The flow of a conversation that was open before the programs were attached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seed {
    /// Its place in the flow table.
    pub key: Key,
    /// Seconds for which it lives without a packet.
    pub timeout: u32,
    /// As in [`FlowState`].
    pub flags: u32,
    port_bit: u32,
    is_question: bool,
    /// Seconds for which a refusal is remembered.
    memory: u32,
}

/// The place of a flow in the table of its family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Key {
    /// IPv4.
    V4(FlowKey4),
    /// IPv6, with the local address.
    V6(FlowKey6, [u32; 4]),
}

impl Seed {
    /// The flow that `decide/flows.rs` makes for the packets of this conversation; `None` where its answers need none. The test
    /// `agreement/seed.rs` compares the two.
    #[must_use]
    pub fn of(socket: &Socket, policy: Lookup<'_>, settings: &FlowSettings) -> Option<Self> {
        let Socket { protocol, local, remote, state, .. } = *socket;
        let bit = port_bit(protocol, local.port())?;
        let is_permit = |entry: Entry| entry.kind() == EntryKind::Permit;
        let look_up = |direction, port| Some(policy.entry(direction, ServiceIndex::port(protocol, port)?, remote.ip()));
        let answer = look_up(Direction::Inbound, local.port())?;
        let needs_no_rule = answer.kind() != EntryKind::Deny && is_dhcp(protocol, local, remote);
        // Nobody answers from port 0, and in a key it stands for any.
        if remote.port() == 0 || remote.ip().is_multicast() || is_permit(answer) || needs_no_rule {
            return None;
        }
        let to = look_up(Direction::Outbound, remote.port())?;
        let any_port = protocol == UDP && is_permit(to) && to.has(Entry::ANSWER_ANY);
        let (timeout, flags) = match (protocol, state) {
            (TCP, State::Closing) => (settings.tcp_closing, FlowState::FIN_IN | FlowState::FIN_OUT),
            (TCP, State::ClosedHere) => (settings.tcp, FlowState::FIN_OUT),
            (TCP, State::ClosedThere) => (settings.tcp, FlowState::FIN_IN),
            (TCP, State::Asking | State::Open) => (settings.tcp, 0),
            (UDP, State::Open) => (settings.udp, 0),
            _ => return None,
        };
        let remote_port = if any_port { 0 } else { remote.port() };
        let memory = if protocol == TCP { settings.tcp } else { settings.udp };
        let is_question = state == State::Asking;
        let key = key(protocol, local, remote, remote_port)?;
        Some(Self { key, timeout, flags, port_bit: bit, is_question, memory })
    }
}

/// Whether these are the ports of a DHCP client and its server.
const fn is_dhcp(protocol: u8, local: SocketAddr, remote: SocketAddr) -> bool {
    let (server, client) = if remote.is_ipv4() { (DHCP_SERVER, DHCP_CLIENT) } else { (DHCPV6_SERVER, DHCPV6_CLIENT) };
    protocol == UDP && remote.port() == server && local.port() == client
}

fn key(protocol: u8, local: SocketAddr, remote: SocketAddr, remote_port: u16) -> Option<Key> {
    let ports = Ports::new(remote_port, local.port());
    match (local.ip(), remote.ip()) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            let (local, remote) = (address_word(local), address_word(remote));
            Some(Key::V4(FlowKey4 { remote, local, ports, protocol: u32::from(protocol) }))
        }
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            let (local, remote) = (words(local), words(remote));
            Some(Key::V6(FlowKey6::new(remote, local, ports, protocol), local))
        }
        _ => None,
    }
}

/// The key of a remembered denial of the same conversation.
fn denial4(key: &FlowKey4) -> DenialKey4 {
    DenialKey4 { remote: key.remote, ports: key.ports, protocol: key.protocol }
}

fn denial6(key: &FlowKey6) -> DenialKey6 {
    DenialKey6 { remote: key.remote, ports: key.ports, protocol: u32::from(key.protocol()) }
}

/// The flow table and the remembered denials of one IP version.
struct FlowTable<K: Pod, V: Pod, D: Pod> {
    flows: HashMap<MapData, K, V>,
    denials: HashMap<MapData, D, DenialState>,
}

impl<K: Pod, V: Pod + Into<FlowState>, D: Pod> FlowTable<K, V, D> {
    fn open(host: &HostPins, flows: &str, denials: &str) -> Result<Self, DataplaneError> {
        Ok(Self { flows: table(host, flows)?, denials: table(host, denials)? })
    }

    /// Makes a flow, unless there is a live one, or a refusal younger than `memory`.
    fn plant(
        &mut self,
        key: K,
        denial: D,
        state: FlowState,
        value: V,
        memory: Option<u32>,
    ) -> Result<bool, DataplaneError> {
        let age = |last: u64| state.last.saturating_sub(last);
        if let Some(known) = found(self.flows.get(&key, 0))?.map(Into::into)
            && age(known.last) <= u64::from(known.timeout)
        {
            return Ok(false);
        }
        if let Some(memory) = memory
            && let Some(refused) = found(self.denials.get(&denial, 0))?
            && age(refused.last) <= u64::from(memory)
        {
            return Ok(false);
        }
        self.flows.insert(key, value, 0).with_context(|| "cannot make a flow".to_owned())?;
        Ok(true)
    }

    /// Remembers the conversation as denied.
    fn refuse(&mut self, denial: D, now: u64) -> Result<(), DataplaneError> {
        let state = DenialState { last: now, flags: 0 };
        self.denials.insert(denial, state, 0).with_context(|| "cannot remember a conversation as refused".to_owned())
    }
}

fn table<K: Pod, V: Pod>(host: &HostPins, name: &str) -> Result<HashMap<MapData, K, V>, DataplaneError> {
    let data = MapData::from_pin(host.map(name)).with_context(|| context(name))?;
    Map::from_map_data(data).and_then(TryInto::try_into).with_context(|| context(name))
}

fn found<T>(answer: Result<T, MapError>) -> Result<Option<T>, DataplaneError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(error).with_context(|| "cannot look a flow up".to_owned()),
    }
}

fn context(name: &str) -> String {
    format!("cannot open the table {name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ruleset::Table;

    fn seed(socket: Socket, inbound: &[(ServiceIndex, Entry)], outbound: &[(ServiceIndex, Entry)]) -> Option<Seed> {
        let table =
            |services: &[_]| Table { services: services.iter().copied().collect(), matrix: Vec::new(), columns: 1 };
        let tables = [table(inbound), table(outbound)];
        let prefixes = BTreeMap::new();
        let policy = Lookup { tables: &tables, prefixes: &prefixes, outbound_judged: false };
        Seed::of(&socket, policy, &FlowSettings::default())
    }

    fn socket(protocol: u8, local: &str, remote: &str, state: State) -> Socket {
        let [local, remote] = [local, remote].map(|text| text.parse().unwrap());
        Socket { protocol, local, remote, state, uid: 0, inode: 1, only_v6: false, opener: None }
    }

    #[test]
    fn a_key_is_what_the_programs_build_from_the_packet() {
        let found = seed(socket(TCP, "10.0.0.1:40000", "192.0.2.7:443", State::Open), &[], &[]).unwrap();
        let expected = FlowKey4 {
            remote: u32::from_ne_bytes([192, 0, 2, 7]),
            local: u32::from_ne_bytes([10, 0, 0, 1]),
            ports: Ports::new(443, 40000),
            protocol: 6,
        };
        assert_eq!((found.key, found.timeout, found.flags), (Key::V4(expected), 7500, 0));
        assert_eq!(found.port_bit, 40000);
        let found = seed(socket(UDP, "[2001:db8::1]:40000", "[2001:db8::7]:53", State::Open), &[], &[]).unwrap();
        let Key::V6(key, local) = found.key else { panic!("{found:?}") };
        assert_eq!(key.remote, [0x2001_0db8_u32.to_be(), 0, 0, 7_u32.to_be()]);
        assert_eq!((key.protocol(), local), (17, [0x2001_0db8_u32.to_be(), 0, 0, 1_u32.to_be()]));
        assert_eq!((found.timeout, found.port_bit), (180, 65536 + 40000));
    }

    #[test]
    fn a_conversation_whose_answers_a_rule_permits_needs_no_flow() {
        let permit = (ServiceIndex::udp(5060), Entry::new(EntryKind::Permit, 0));
        assert_eq!(seed(socket(UDP, "10.0.0.1:5060", "192.0.2.7:5060", State::Open), &[permit], &[]), None);
    }

    #[test]
    fn a_server_that_answers_from_another_port_is_keyed_without_its_port() {
        let tftp = (ServiceIndex::udp(69), Entry::new(EntryKind::Permit, 0).with(Entry::ANSWER_ANY));
        let found = seed(socket(UDP, "10.0.0.1:40000", "192.0.2.7:69", State::Open), &[], &[tftp]).unwrap();
        let Key::V4(key) = found.key else { panic!("{found:?}") };
        assert_eq!(key.ports, Ports::new(0, 40000));
    }

    #[test]
    fn a_closing_conversation_gets_no_more_than_it_has_left() {
        let found = seed(socket(TCP, "10.0.0.1:40000", "192.0.2.7:443", State::Closing), &[], &[]).unwrap();
        assert_eq!((found.timeout, found.flags), (30, FlowState::FIN_IN | FlowState::FIN_OUT));
    }
}
