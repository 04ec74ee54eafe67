//! What is told of denied packets, as far as a token bucket lets it.

use core::ptr::write_volatile;

use enforcer_common::Direction;
use enforcer_common::layout::{Counter, DeniedKey, DeniedState, Event, load};
use enforcer_common::outcome::Outcome;
use enforcer_common::seen::Seen;

use super::clock::now;
use super::count::add;
use super::statics::{BUCKET, CONFIG, DENIED, EVENTS};

/// Whether this packet may be told: takes a token of this CPU.
#[inline(always)]
pub(super) fn may_report() -> bool {
    // SAFETY: the only entry of this CPU; a program is not interrupted by itself on its CPU.
    let bucket = unsafe { &mut *BUCKET.at(0) };
    let now = now();
    if now.wrapping_sub(bucket.last) >= u64::from(load(&CONFIG.hz)) {
        bucket.last = now;
        bucket.tokens = u64::from(load(&CONFIG.events_per_second));
    }
    if bucket.tokens == 0 {
        bucket.suppressed += 1;
        return false;
    }
    bucket.tokens -= 1;
    true
}

/// Tells of a denied packet, in the table of denied flows and in the stream of events.
#[inline(always)]
pub(super) fn report(direction: Direction, enforced: bool, outcome: Outcome, seen: &Seen, size: Counter) {
    // SAFETY: the only entry of this CPU; a program is not interrupted by itself on its CPU.
    let bucket = unsafe { &mut *BUCKET.at(0) };
    let now = now();
    let denied = DeniedKey {
        remote: seen.remote,
        interface: load(&CONFIG.interface),
        port: seen.asked,
        protocol: seen.protocol,
        reason: outcome.reason_number(),
        direction: direction as u8,
        enforced: u8::from(enforced),
        family: seen.family,
        zero: 0,
    };
    if let Some(state) = DENIED.get_ptr_mut(&denied) {
        // SAFETY: a map value that was found is valid as long as the program runs. Two CPUs may add at once and lose one
        // of the packets: this table is a sample within the token bucket, the counters are exact.
        unsafe { add(&raw mut (*state).counter, size) };
        // SAFETY: as above.
        unsafe { write_volatile(&raw mut (*state).last, now) };
    } else {
        let state = DeniedState { counter: size, first: now, last: now, local: seen.local };
        let _ = DENIED.insert(&denied, &state, 0);
    }
    let event = Event {
        at: now,
        denied,
        bytes: size.bytes as u32,
        local: seen.local,
        remote_port: seen.remote_port,
        local_port: seen.local_port,
        suppressed: bucket.suppressed as u32,
    };
    if EVENTS.output::<Event>(&event, 0).is_err() {
        bucket.lost += 1;
    }
}
