//! A protected interface, and what its programs say of single packets in both directions, one after the other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use enforcer::dataplane;
use enforcer_common::{Direction, Reason, Verdict};
use harness::enforcer::Protected;
use harness::machine::patience;
use harness::netns::Cable;
use harness::packet::Packet;
use harness::program::{About, Outcome, Program};
use harness::raw::RawSocket;
use harness::remembered::Tables;

/// How packets reach the programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum By {
    /// Test run; a frame that it refuses goes over the cable, if the hook sees the same there.
    TestRun,
    /// The cable.
    Cable,
}

/// A protected interface, its programs, and packet sockets at both of its ends.
pub(crate) struct Stage {
    pub(crate) protected: Protected,
    pub(crate) programs: [Program; 2],
    pub(crate) sockets: [RawSocket; 2],
    pub(crate) tables: Tables,
}

/// Packets counted, by direction, whether it is `would_drop`, and reason.
pub(crate) type Reasons = BTreeMap<(Direction, bool, Reason), u64>;

impl Stage {
    /// Protects the near end of a quiet cable; `IF` in the site stands for it.
    #[track_caller]
    pub(crate) fn new(site: &str, hook: &str) -> Self {
        let cable = Cable::quiet();
        let near = &cable.near.interface;
        cable.host.batch(&format!("addr add 10.0.0.1/24 brd + dev {near}\n"));
        let protected = Protected::apply_site(cable, site, &["--hook", hook]);
        Self::of(protected)
    }

    #[track_caller]
    pub(crate) fn of(protected: Protected) -> Self {
        let programs = [protected.inbound(), protected.outbound()];
        let Cable { host, remote, near, far } = &protected.cable;
        let sockets = [RawSocket::open(remote, &far.interface), RawSocket::open(host, &near.interface)];
        let tables = Tables::of(host);
        Self { protected, programs, sockets, tables }
    }

    /// What is counted so far.
    pub(crate) fn counted(&self) -> Reasons {
        let host = &self.protected.cable.host;
        let counters = host.run(|| {
            let only = [self.protected.cable.near.interface.clone()];
            let protected = dataplane::protected(&only).expect("it is protected");
            dataplane::counters(&protected[0]).expect("counters can be read")
        });
        let reasons = counters.reasons.into_iter();
        reasons.map(|one| ((one.direction, one.would_drop, one.reason), one.count.packets)).collect()
    }

    /// How a frame is judged: what is counted by it in its direction, and what became of it where that can be seen. `None`
    /// where the kernel refuses to let the hook see such a frame.
    pub(crate) fn judge(&self, direction: Direction, frame: &[u8], by: By) -> Option<(Reasons, Option<Outcome>)> {
        let before = self.counted();
        let mut outcome = None;
        if by == By::TestRun {
            // In the namespace: a test run asks the routes of the thread's own.
            let program = &self.programs[direction as usize];
            outcome = self.protected.cable.host.run(|| program.ask(frame, About::default()));
        }
        if outcome.is_none() {
            // packet(7) sends nothing shorter than a link header, a link carries nothing longer than its MTU, and the kernel
            // itself drops a tag with nothing behind it.
            let shortest = if is_tagged(frame) { 20 } else { 14 };
            if !(shortest..=1514).contains(&frame.len()) {
                return None;
            }
            self.sockets[direction as usize].send(frame);
        }
        let end = Instant::now() + Duration::from_secs(5) * patience();
        loop {
            let mut now = self.counted();
            for (key, number) in &mut now {
                *number -= before.get(key).copied().unwrap_or(0);
            }
            now.retain(|(of, ..), number| *of == direction && *number > 0);
            if !now.is_empty() || Instant::now() > end {
                return Some((now, outcome));
            }
        }
    }

    /// A packet towards the host is judged by this reason; refused ones are dropped.
    #[track_caller]
    pub(crate) fn inbound(&self, packet: &Packet, reason: Reason) {
        self.expect(Direction::Inbound, packet, reason, false);
    }

    /// A packet from the host is judged by this reason; refused ones are dropped.
    #[track_caller]
    pub(crate) fn outbound(&self, packet: &Packet, reason: Reason) {
        self.expect(Direction::Outbound, packet, reason, false);
    }

    /// A packet is refused by this reason, and goes on all the same.
    #[track_caller]
    pub(crate) fn would_drop(&self, direction: Direction, packet: &Packet, reason: Reason) {
        self.expect(direction, packet, reason, true);
    }

    #[track_caller]
    fn expect(&self, direction: Direction, packet: &Packet, reason: Reason, would_drop: bool) {
        let frame = packet.build();
        let (counted, outcome) = self.judge(direction, &frame, By::TestRun).expect("a frame that can be asked");
        assert_eq!(counted, [((direction, would_drop, reason), 1)].into(), "{frame:02x?}");
        let dropped = reason.verdict() == Verdict::Drop && !would_drop;
        assert_eq!(outcome, Some(if dropped { Outcome::Dropped } else { Outcome::Passed }), "{frame:02x?}");
    }

    /// Waits until as many packets are counted so.
    #[track_caller]
    pub(crate) fn wait_for(&self, direction: Direction, would_drop: bool, reason: Reason, packets: u64) -> Reasons {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let counted = self.counted();
            if counted.get(&(direction, would_drop, reason)).is_some_and(|number| *number >= packets) {
                return counted;
            }
            assert!(Instant::now() < end, "no {packets} of {reason:?}: {counted:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn is_tagged(frame: &[u8]) -> bool {
    matches!(frame.get(12..14), Some([0x81, 0] | [0x88, 0xa8]))
}
