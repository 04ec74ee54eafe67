//! Classes of packets: one frame each, judged by test run beside an empty program of the same type.

use std::io;
use std::os::fd::OwnedFd;

use harness::bpf::{self, Kind};
use harness::netns::Cable;
use harness::packet::Packet;
use serde_json::json;

use crate::Effort;
use crate::programs::{self, TC_NEXT, Varying, XDP_PASS};
use crate::report::{Row, Target};
use crate::site::{Guarded, Site};

/// Where inbound packets are judged.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Hook {
    Xdp,
    Tc,
}

impl Hook {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Xdp => "inbound, XDP",
            Self::Tc => "inbound, tc ingress",
        }
    }

    pub(crate) fn flag(self) -> &'static str {
        match self {
            Self::Xdp => "native",
            Self::Tc => "tc",
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Xdp => Kind::Xdp,
            Self::Tc => Kind::Tc,
        }
    }

    pub(crate) fn pass(self) -> i32 {
        match self {
            Self::Xdp => XDP_PASS,
            Self::Tc => TC_NEXT,
        }
    }

    pub(crate) fn drop(self) -> i32 {
        match self {
            Self::Xdp => programs::XDP_DROP,
            Self::Tc => programs::TC_DROP,
        }
    }
}

/// The programs of one policy, and what they are compared with.
pub(crate) struct Bench {
    pub(crate) guarded: Guarded,
    pub(crate) hook: Hook,
    pub(crate) inbound: OwnedFd,
    pub(crate) outbound: OwnedFd,
    empty: OwnedFd,
    empty_tc: OwnedFd,
    /// Where the empty XDP program is attached, as ours is: see [`bpf::Run`].
    _attached: Option<(Cable, OwnedFd)>,
}

impl Bench {
    pub(crate) fn new(site: &Site, hook: Hook) -> Result<Self, String> {
        Self::on(Cable::quiet(), site, hook)
    }

    pub(crate) fn on(cable: Cable, site: &Site, hook: Hook) -> Result<Self, String> {
        let guarded = site.apply(cable, hook.flag(), "enforce")?;
        let [inbound, outbound] = [&guarded.inbound, &guarded.outbound].map(|pin| bpf::pinned(pin));
        let open = || -> io::Result<Self> {
            let empty = programs::empty(hook.kind(), hook.pass())?;
            let attached = match hook {
                Hook::Xdp => Some(programs::attached(&empty)?),
                Hook::Tc => None,
            };
            Ok(Self {
                hook,
                inbound: inbound?,
                outbound: outbound?,
                empty,
                empty_tc: programs::empty(Kind::Tc, TC_NEXT)?,
                _attached: attached,
                guarded,
            })
        };
        open().map_err(|error| format!("opening the programs: {error}"))
    }

    pub(crate) fn class<'a>(&'a self, name: &str, frame: &Packet) -> Class<'a> {
        Class {
            name: name.to_owned(),
            group: self.hook.name(),
            varying: None,
            program: &self.inbound,
            empty: &self.empty,
            frame: frame.build(),
            answer: self.hook.pass(),
            before: Vec::new(),
            target: None,
            best: None,
        }
    }

    pub(crate) fn outbound<'a>(&'a self, name: &str, frame: &Packet) -> Class<'a> {
        Class {
            group: "outbound, tc egress",
            program: &self.outbound,
            empty: &self.empty_tc,
            answer: TC_NEXT,
            ..self.class(name, frame)
        }
    }
}

/// One kind of packet.
pub(crate) struct Class<'a> {
    pub(crate) name: String,
    group: &'static str,
    /// What changes the frame before the program sees it.
    varying: Option<&'a Varying>,
    program: &'a OwnedFd,
    empty: &'a OwnedFd,
    frame: Vec<u8>,
    answer: i32,
    /// Frames that the host sends, or gets, before: they make the state that this one finds.
    before: Vec<(&'a OwnedFd, Vec<u8>)>,
    pub(crate) target: Option<f64>,
    /// The least of the rounds: of the program, and of the empty one.
    pub(crate) best: Option<(f64, f64)>,
}

impl<'a> Class<'a> {
    pub(crate) fn named(self, group: &'static str, name: String) -> Self {
        Self { group, name, ..self }
    }

    pub(crate) fn dropped(self, bench: &Bench) -> Self {
        Self { answer: bench.hook.drop(), ..self }
    }

    pub(crate) fn target(self, nanoseconds: f64) -> Self {
        Self { target: Some(nanoseconds), ..self }
    }

    /// By another program than the bench's.
    pub(crate) fn judged_by(self, program: &'a OwnedFd) -> Self {
        Self { program, ..self }
    }

    pub(crate) fn after(mut self, program: &'a OwnedFd, frame: &Packet) -> Self {
        self.before.push((program, frame.build()));
        self
    }

    pub(crate) fn varied(self, varying: &'a Varying) -> Self {
        Self { varying: Some(varying), ..self }
    }

    /// One round: both programs, one after the other.
    fn round(&mut self, repeat: u32) -> io::Result<()> {
        let empty = self.run(self.empty, repeat)?.nanoseconds;
        for (program, frame) in &self.before {
            bpf::test_run(program, frame, 1)?;
        }
        let run = self.run(self.program, repeat)?;
        if run.answer != u32::from_ne_bytes(self.answer.to_ne_bytes()) {
            return Err(io::Error::other(format!("the program answered {}, not {}", run.answer, self.answer)));
        }
        let (best, best_empty) = self.best.unwrap_or((f64::INFINITY, f64::INFINITY));
        self.best = Some((best.min(run.nanoseconds), best_empty.min(empty)));
        Ok(())
    }

    fn run(&self, program: &OwnedFd, repeat: u32) -> io::Result<bpf::Run> {
        match self.varying {
            Some(varying) => bpf::test_run(varying.to(program)?, &self.frame, repeat),
            None => bpf::test_run(program, &self.frame, repeat),
        }
    }

    pub(crate) fn above_empty(&self) -> Option<f64> {
        self.best.map(|(all, empty)| all - empty)
    }

    pub(crate) fn row(&self) -> Row {
        let (Some(above), Some((all, empty))) = (self.above_empty(), self.best) else {
            return Row::not_measured(self.group, &*self.name, "no round");
        };
        Row::new(self.group, &*self.name, above, "ns")
            .target(self.target.map(Target::AtMost))
            .how(format!("{all:.1} - {empty:.1}"))
            .raw(json!({"nanoseconds": all, "empty": empty}))
    }
}

/// All rounds of all classes. Every round goes through every class, so that a bad second spoils one round of each and not all
/// rounds of one.
pub(crate) fn measure(effort: Effort, classes: &mut [Class<'_>]) -> Result<Vec<Row>, String> {
    measure_for(effort, effort.test_runs(), classes)
}

/// The same with so many rounds, and runs in each.
pub(crate) fn measure_for(
    effort: Effort,
    (rounds, repeat): (u32, u32),
    classes: &mut [Class<'_>],
) -> Result<Vec<Row>, String> {
    let mut failed: Vec<Option<String>> = classes.iter().map(|_| None).collect();
    for round in 0..rounds {
        effort.progress(round + 1, rounds);
        for (class, failed) in classes.iter_mut().zip(&mut failed) {
            if failed.is_none()
                && let Err(error) = class.round(repeat)
            {
                *failed = Some(error.to_string());
            }
        }
    }
    let rows = classes.iter().zip(failed).map(|(class, failed)| match failed {
        Some(why) => Row::not_measured(class.group, &*class.name, why),
        None => class.row(),
    });
    Ok(rows.collect())
}
