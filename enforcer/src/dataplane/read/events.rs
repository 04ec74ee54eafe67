//! The live stream of refused packets. The programs write it into a ring buffer and never wait: what finds the ring full is
//! counted as lost. A ring has one consumer, so a second reader is refused.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::{fs, io};

use aya::maps::{Map, MapData, RingBuf};
use enforcer_common::layout::{Event, map};
use nix::fcntl::{Flock, FlockArg};

use super::denied::{flow, suppressed};
use crate::dataplane::error::{Context as _, DataplaneError, at};
use crate::dataplane::pin::host_slot::HostSlot;
use crate::dataplane::pin::pins::HostPins;
use crate::dataplane::pin::protected::{Protected, all_protected};
use crate::dataplane::read::denied::{Asked, DeniedEvent};
use crate::dataplane::sys::clock::Clock;
use crate::host::netns;

/// The one reader of the events of a network namespace.
pub struct EventStream {
    ring: RingBuf<MapData>,
    host: HostPins,
    map: u32,
    clock: Clock,
    /// Known interfaces, by index.
    interfaces: Vec<(u32, String)>,
    _reader: Flock<fs::File>,
}

impl EventStream {
    /// Opens the events of this network namespace, as their only reader.
    ///
    /// # Errors
    /// When another process reads them, or no interface is protected.
    pub fn open(protected: &[Protected]) -> Result<Self, DataplaneError> {
        let Some(first) = protected.first() else {
            return Err(DataplaneError::NotProtected("no interface in this network namespace is protected".to_owned()));
        };
        let host = HostPins::of(first.record.netns);
        let reader = become_reader(&host)?;
        let context = || "cannot open the stream of events".to_owned();
        let data = MapData::from_pin(host.map(map::EVENTS)).with_context(context)?;
        let map = data.info().with_context(context)?.id();
        Ok(Self {
            ring: Map::from_map_data(data).and_then(TryInto::try_into).with_context(context)?,
            host,
            map,
            clock: first.record.clock,
            interfaces: protected.iter().map(|one| (one.record.index, one.interface.clone())).collect(),
            _reader: reader,
        })
    }

    /// The next event that waits; `None` when there is none. Its descriptor becomes readable when one comes.
    pub fn next_event(&mut self) -> Option<DeniedEvent> {
        loop {
            let item = self.ring.next()?;
            if item.len() != size_of::<Event>() {
                continue;
            }
            // SAFETY: as many bytes as the type has; any bits are a valid value of this structure of integers.
            let event = unsafe { item.as_ptr().cast::<Event>().read_unaligned() };
            drop(item);
            if let Some(event) = self.event(&event) {
                return Some(event);
            }
        }
    }

    /// Refused packets that no event tells of, and events that found the ring full, since each slot was first protected.
    ///
    /// # Errors
    /// When the pins cannot be read.
    pub fn suppressed(&self) -> Result<(u64, u64), DataplaneError> {
        let protected = all_protected()?;
        // A port that is detached in this moment takes its numbers with it.
        let sums = HostSlot::each(&protected).into_iter().filter_map(|(slot, _)| suppressed(&slot).ok());
        Ok(sums.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)))
    }

    /// Whether the programs still write to this ring: it is gone after the last interface was detached, and another one comes
    /// when one is protected again.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let id = MapData::from_pin(self.host.map(map::EVENTS)).and_then(|data| data.info()).map(|info| info.id());
        id.is_ok_and(|id| id == self.map)
    }

    fn event(&mut self, event: &Event) -> Option<DeniedEvent> {
        let interface = self.interface(event.denied.interface);
        let time = self.clock.time(event.at)?;
        let mut flow = flow(&interface, &event.denied, event.local)?;
        (flow.packets, flow.bytes, flow.first, flow.last) = (1, u64::from(event.bytes), time, time);
        let has_ports = matches!(flow.asked, Asked::Port(_));
        Some(DeniedEvent {
            remote_port: has_ports.then_some(event.remote_port),
            local_port: has_ports.then_some(event.local_port),
            flow,
        })
    }

    /// The name of an interface; one that was protected after the stream began is asked of the kernel.
    fn interface(&mut self, index: u32) -> String {
        if let Some((_, name)) = self.interfaces.iter().find(|(known, _)| *known == index) {
            return name.clone();
        }
        let name = nix::net::if_::if_indextoname(index).ok().and_then(|name| name.into_string().ok());
        let name = name.unwrap_or_else(|| format!("#{index}"));
        self.interfaces.push((index, name.clone()));
        name
    }
}

impl AsFd for EventStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is the ring's, which lives as long as the borrow.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}

/// Locks the folder of the ring. The kernel releases the lock when the process exits.
fn become_reader(host: &HostPins) -> Result<Flock<fs::File>, DataplaneError> {
    let path = host.state();
    let folder = fs::File::open(&path).map_err(at(path.clone()))?;
    let inode = folder.metadata().map_or(0, |meta| meta.ino());
    Flock::lock(folder, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
        if errno != nix::errno::Errno::EWOULDBLOCK {
            return DataplaneError::system(format!("cannot lock {}", path.display()), io::Error::from(errno));
        }
        let who = holder(inode).map_or_else(|| "another process".to_owned(), |id| format!("process {id}"));
        DataplaneError::Taken(format!(
            "{who} reads the events of network namespace {} already, and each event goes to one reader alone; `enforcer denied` \
             shows what was refused without taking it from anybody",
            netns::own().unwrap_or_default()
        ))
    })
}

/// The process that has locked a file, from `/proc/locks` (proc_locks(5)).
fn holder(inode: u64) -> Option<u32> {
    let text = fs::read_to_string("/proc/locks").ok()?;
    let of_file = format!(":{inode}");
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            [_, "FLOCK", _, "WRITE", process, file, ..] if file.ends_with(&of_file) => process.parse().ok(),
            _ => None,
        }
    })
}
