//! Lists the flows, and ends some of them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use aya::Pod;
use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use enforcer_common::layout::{
    DenialKey4, DenialKey6, DenialState, FlowKey4, FlowKey6, FlowState, FlowState6, HotFlow4, HotFlow6, map,
};
use enforcer_common::packet::{SCTP, TCP, UDP};
use jiff::Timestamp;

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::mode::control;
use crate::dataplane::pin::host_slot::HostSlot;
use crate::dataplane::pin::lock::lock;
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::sys::batch::hash_entries;
use crate::dataplane::sys::clock::Clock;
use crate::dataplane::sys::open::open_map;
use crate::dataplane::sys::words::address6;

/// How long a program may still work with a flow that it has found: it is not interrupted for more than microseconds.
const IN_FLIGHT: Duration = Duration::from_millis(20);

/// A conversation that the protected host opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    key: Key,
    slot: HostSlot,
    /// The port of the guest that opened it; `None`: this machine did.
    pub guest: Option<String>,
    /// IP protocol.
    pub protocol: u8,
    /// The peer.
    pub remote: IpAddr,
    /// Port of the peer; `None` for ping, and if the peer may answer from any port.
    pub remote_port: Option<u16>,
    /// The protected host.
    pub local: IpAddr,
    /// Port of the protected host; for ping, the identifier.
    pub local_port: u16,
    /// When the first packet left.
    pub opened: Timestamp,
    /// When the last packet left, rounded to a second.
    pub last_out: Timestamp,
    /// When the flow expires without another packet.
    pub expires: Timestamp,
    /// The state of the flow.
    pub state: FlowPhase,
}

/// The state of a flow.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowPhase {
    /// Packets leave.
    Open,
    /// Nothing has left for its timeout; what comes in keeps it alive, for `one_way` at most.
    OneWay,
    /// The peer has closed its side.
    ClosedThere,
    /// This host has closed its side.
    ClosedHere,
    /// Both have, or this host has reset the connection.
    Closing,
    /// A packet of it was refused in audit before: only what comes right behind a packet that left answers it.
    InDoubt,
}

impl FlowPhase {
    /// The word used in listings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::OneWay => "one-way",
            Self::ClosedThere => "closed-there",
            Self::ClosedHere => "closed-here",
            Self::Closing => "closing",
            Self::InDoubt => "in-doubt",
        }
    }

    const fn of(state: &FlowState, now: u64) -> Self {
        match (state.flags & FlowState::FIN_IN != 0, state.flags & FlowState::FIN_OUT != 0) {
            (true, true) => Self::Closing,
            (true, false) => Self::ClosedThere,
            (false, true) => Self::ClosedHere,
            (false, false) if state.flags & FlowState::IN_DOUBT != 0 => Self::InDoubt,
            (false, false) if state.silence(now) > state.timeout => Self::OneWay,
            (false, false) => Self::Open,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Key {
    V4(FlowKey4),
    /// With the local address.
    V6(FlowKey6),
}

/// Reads the flows that have not expired, in no order: those of this machine, whose interfaces share one table, and those of each guest.
///
/// # Errors
/// When the maps cannot be read.
pub fn flows(protected: &[Protected]) -> Result<Vec<Flow>, DataplaneError> {
    let mut found = Vec::new();
    for (slot, one) in HostSlot::each(protected) {
        found.extend(flows_of(&slot, one)?);
    }
    Ok(found)
}

/// Reads the flows of a slot; `first` is one of its interfaces.
fn flows_of(slot: &HostSlot, first: &Protected) -> Result<Vec<Flow>, DataplaneError> {
    let clock = &first.record.clock;
    let one_way = first.record.config.one_way;
    let context = || "cannot read the flow table".to_owned();
    let v4: Vec<(FlowKey4, FlowState)> = hash_entries(&open_map(&slot.map(map::FLOWS4))?).with_context(context)?;
    let v6: Vec<(FlowKey6, FlowState6)> = hash_entries(&open_map(&slot.map(map::FLOWS6))?).with_context(context)?;
    let guest = slot.is_guest().then(|| first.interface.clone());
    let now = clock.jiffies_now();
    let v4 = v4.into_iter().map(|(key, state)| {
        let [remote, local] = [key.remote, key.local].map(|word| Ipv4Addr::from(word.to_ne_bytes()).into());
        #[expect(clippy::cast_possible_truncation, reason = "the protocol is the low byte")]
        let protocol = key.protocol as u8;
        (Key::V4(key), state, protocol, key.ports, remote, local)
    });
    let v6 = v6.into_iter().map(|(key, value)| {
        let [remote, local] = [key.remote, value.local].map(|words| IpAddr::from(address6(words)));
        (Key::V6(key), value.state, key.protocol(), key.ports, remote, local)
    });
    let found = v4.chain(v6).filter(|(_, state, ..)| state.is_alive(now.max(state.last), one_way));
    let found = found.map(|(key, state, protocol, ports, remote, local)| {
        let has_ports = matches!(protocol, TCP | UDP | SCTP);
        let ago = |ticks: u64| clock.time(now.saturating_sub(ticks)).unwrap_or(Timestamp::UNIX_EPOCH);
        let silence = u64::from(state.silence(now.max(state.last)));
        Flow {
            key,
            slot: slot.clone(),
            guest: guest.clone(),
            protocol,
            remote,
            remote_port: Some(ports.remote()).filter(|port| has_ports && *port != 0),
            local,
            local_port: ports.local(),
            opened: clock.time(u64::from(state.made) * FlowState::MADE_UNIT).unwrap_or(Timestamp::UNIX_EPOCH),
            last_out: ago(silence),
            expires: expiry(&state, now, silence, one_way, clock),
            state: FlowPhase::of(&state, now),
        }
    });
    Ok(found.collect())
}

fn expiry(state: &FlowState, now: u64, silence: u64, one_way: u32, clock: &Clock) -> Timestamp {
    let left = now.saturating_sub(silence);
    let by_packets_that_left = left + u64::from(state.timeout);
    let by_packets_that_came = (state.last + u64::from(state.timeout)).min(left + u64::from(one_way));
    clock.time(by_packets_that_left.max(by_packets_that_came)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Ends flows: what comes in no longer answers them, and what leaves makes them anew only as a new conversation. Gives back how many
/// there still were.
///
/// # Errors
/// When a map cannot be read or written.
pub fn end_flows(protected: &[Protected], flows: &[Flow]) -> Result<usize, DataplaneError> {
    let _lock = lock()?;
    let mut ended = 0;
    for (slot, first) in HostSlot::each(protected) {
        let its: Vec<&Flow> = flows.iter().filter(|flow| flow.slot == slot).collect();
        if its.is_empty() {
            continue;
        }
        let Clock { hz, .. } = first.record.clock;
        // A packet that is just being judged must not recreate the flow.
        for one in protected.iter().filter(|one| HostSlot::of(one) == slot) {
            let seconds = one.record.config.timeout_udp / hz.max(1);
            control::look_at_memory_for(&one.pins, one.record.generation, &one.record.clock, seconds)?;
        }
        ended += end_flows_of(&slot, &its, &first.record.clock)?;
    }
    Ok(ended)
}

/// Ends flows of a slot.
fn end_flows_of(slot: &HostSlot, flows: &[&Flow], clock: &Clock) -> Result<usize, DataplaneError> {
    let refused = DenialState { last: clock.jiffies_now().saturating_sub(2), flags: DenialState::ENDED };
    let mut v4 =
        Table::<FlowKey4, FlowState, DenialKey4, HotFlow4>::open(slot, [map::FLOWS4, map::DENIALS4, map::HOT_FLOWS4])?;
    let mut v6 =
        Table::<FlowKey6, FlowState6, DenialKey6, HotFlow6>::open(slot, [map::FLOWS6, map::DENIALS6, map::HOT_FLOWS6])?;
    let mut ended = 0;
    let (mut hot4, mut hot6) = (BTreeSet::new(), BTreeSet::new());
    for flow in flows {
        let has_ports = flow.remote_port.is_some();
        let was_there = match flow.key {
            Key::V4(key) => {
                hot4.insert(HotFlow4::index(&key));
                let FlowKey4 { remote, ports, protocol, .. } = key;
                v4.end(key, has_ports.then_some(DenialKey4 { remote, ports, protocol }), refused)?
            }
            Key::V6(key) => {
                hot6.insert(HotFlow6::index(&key));
                let (remote, protocol) = (key.remote, u32::from(key.protocol()));
                v6.end(key, has_ports.then_some(DenialKey6 { remote, ports: key.ports, protocol }), refused)?
            }
        };
        ended += usize::from(was_there);
    }
    // A CPU that has just found the flow may still write to its memory; clear it again after that.
    thread::sleep(IN_FLIGHT);
    v4.cool(hot4)?;
    v6.cool(hot6)?;
    Ok(ended)
}

/// The maps of one family.
struct Table<K: Pod, V: Pod, D: Pod, H: Pod + Default> {
    flows: HashMap<MapData, K, V>,
    denials: HashMap<MapData, D, DenialState>,
    hot: PerCpuArray<MapData, H>,
}

impl<K: Pod, V: Pod, D: Pod, H: Pod + Default> Table<K, V, D, H> {
    fn open(slot: &HostSlot, [flows, denials, hot]: [&str; 3]) -> Result<Self, DataplaneError> {
        let open = |name: &str| -> Result<Map, DataplaneError> {
            Map::from_map_data(open_map(&slot.map(name))?).with_context(|| context(name))
        };
        Ok(Self {
            flows: open(flows)?.try_into().with_context(|| context(flows))?,
            denials: open(denials)?.try_into().with_context(|| context(denials))?,
            hot: open(hot)?.try_into().with_context(|| context(hot))?,
        })
    }

    fn end(&mut self, key: K, denial: Option<D>, refused: DenialState) -> Result<bool, DataplaneError> {
        let context = || "cannot end a flow".to_owned();
        if let Some(denial) = denial {
            self.denials.insert(denial, refused, 0).with_context(context)?;
        }
        match self.flows.remove(&key) {
            Ok(()) => Ok(true),
            Err(MapError::KeyNotFound) => Ok(false),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(error).with_context(context),
        }
    }

    /// Clears entries in the memories of all CPUs. Another flow in the same place is found in the flow table again.
    fn cool(&mut self, places: BTreeSet<u32>) -> Result<(), DataplaneError> {
        let context = || "cannot clear what a CPU remembers of a flow".to_owned();
        let cpus = nr_cpus().map_err(|(_, error)| error).with_context(context)?;
        for place in places {
            let nothing = PerCpuValues::try_from(vec![H::default(); cpus]).with_context(context)?;
            self.hot.set(place, nothing, 0).with_context(context)?;
        }
        Ok(())
    }
}

fn is_missing(error: &MapError) -> bool {
    crate::dataplane::error::error_number(error) == Some(libc::ENOENT)
}

fn context(name: &str) -> String {
    format!("cannot open the table {name}")
}

#[cfg(test)]
impl Flow {
    /// A flow that is in no table, for tests of what is done with flows.
    pub(crate) fn example(
        protocol: u8,
        remote: &str,
        remote_port: u16,
        local: &str,
        opened: i64,
        last_out: i64,
    ) -> Self {
        let at = |second| Timestamp::from_second(second).unwrap();
        Self {
            key: Key::V4(FlowKey4 {
                ports: enforcer_common::layout::Ports::new(remote_port, 40_000),
                ..FlowKey4::default()
            }),
            slot: HostSlot::of_this_machine(&crate::dataplane::pin::pins::HostPins::of(1)),
            guest: None,
            protocol,
            remote: remote.parse().unwrap(),
            remote_port: Some(remote_port),
            local: local.parse().unwrap(),
            local_port: 40_000,
            opened: at(opened),
            last_out: at(last_out),
            expires: at(last_out + 180),
            state: FlowPhase::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_that_only_the_peer_keeps_alive_is_one_way() {
        let state = FlowState::new(1000, 100, 0);
        assert_eq!(FlowPhase::of(&state, 1100), FlowPhase::Open);
        assert_eq!(FlowPhase::of(&FlowState { last: 1090, ..state }, 1101), FlowPhase::OneWay);
        let closed = |flags| FlowPhase::of(&FlowState { flags, ..state }, 1000);
        assert_eq!(closed(FlowState::FIN_IN), FlowPhase::ClosedThere);
        assert_eq!(closed(FlowState::FIN_IN | FlowState::FIN_OUT), FlowPhase::Closing);
        assert_eq!(closed(FlowState::IN_DOUBT), FlowPhase::InDoubt);
    }
}
