//! Checks whether a driver still runs a program that was detached, by its counters, which are kept open.

use std::thread;
use std::time::{Duration, Instant};

use aya::maps::MapData;
use enforcer_common::Direction;
use enforcer_common::layout::{RuleCounter, map};

use super::counted::reasons;
use crate::dataplane::hook::programs::program_id;
use crate::dataplane::kinds::AttachMode;
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::sys::batch::per_cpu_elements;
use crate::dataplane::sys::open::open_map;
use crate::host::links::links;

/// The native program of an interface and its counters, held open while their pins go.
pub(in crate::dataplane) struct Running {
    index: u32,
    program: Option<u32>,
    reasons: MapData,
    rules: MapData,
}

/// After this time, packets that were in progress during the detach have been counted.
const ON_THEIR_WAY: Duration = Duration::from_millis(30);
/// How long to wait for one more.
const WAIT: Duration = Duration::from_millis(150);

impl Running {
    /// Opens the counters of an interface that is about to be detached; `None`: it is not attached at native XDP.
    pub(in crate::dataplane) fn open(pins: &InterfacePins, record: &InterfaceRecord) -> Option<Self> {
        if record.inbound.attach_mode != AttachMode::Native {
            return None;
        }
        Some(Self {
            index: record.index,
            program: program_id(&pins.program(Direction::Inbound)),
            reasons: open_map(&pins.map(map::REASONS)).ok()?,
            rules: open_map(&pins.map(map::RULES)).ok()?,
        })
    }

    /// A sentence for the operator if the driver still runs the program; `None`: no sign of that.
    pub(in crate::dataplane) fn still(&self) -> Option<String> {
        let links = links().unwrap_or_default();
        let is_shown = self.program.is_some()
            && links.iter().any(|link| link.index == self.index && link.xdp_program == self.program);
        let how = if is_shown {
            "the kernel still shows it on the interface"
        } else if self.counts() {
            "it still counts packets"
        } else {
            return None;
        };
        Some(format!(
            "PROBLEM: the driver still runs the native program that was detached ({how}): set the interface down and up; if that does not help, \
             lower its MTU, then run `enforcer apply --hook native` and `enforcer detach` again, or reboot"
        ))
    }

    fn counts(&self) -> bool {
        thread::sleep(ON_THEIR_WAY);
        let (begin, at_first) = (Instant::now(), self.sum());
        while begin.elapsed() < WAIT {
            if self.sum() != at_first {
                return true;
            }
            thread::sleep(ON_THEIR_WAY);
        }
        false
    }

    /// Packets counted in total; `None`: the counters cannot be read.
    fn sum(&self) -> Option<u64> {
        let mut sum = reasons(&self.reasons).ok()?.iter().map(|count| count.packets).sum();
        per_cpu_elements::<RuleCounter>(&self.rules, |_, values| {
            sum += values.iter().map(|one| one.counter.packets).sum::<u64>();
        })
        .ok()?;
        Some(sum)
    }
}
