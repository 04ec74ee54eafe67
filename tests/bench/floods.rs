//! Floods over a cable, in the same run: an empty program, this firewall, and others with the same policy.
//!
//! A program that sends frames runs on live frames in the sender's namespace. On a cable the receiver works on the CPU of
//! the sender, in turns with it, so a rate is what both can do together on one CPU: it is lower than a receiver's own, and
//! differences between fast receivers look smaller than they are. The time of a frame is that of both sides of the cable together,
//! without the time of other processes; what never arrived, as the receiver counts, is taken off.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use harness::bpf::{self, Kind};
use harness::netns::Cable;
use harness::packet::Packet;
use serde_json::json;

use crate::Effort;
use crate::peers::{self, Chain, Ports, XdpFilter, output, run_with_input};
use crate::programs::{self, XDP_DROP, XDP_PASS};
use crate::report::{Row, Section, Target};
use crate::site::{Guarded, HOST, STRANGER, Site};

/// Frames that are sent at a time.
const BATCH: u32 = 64;
/// How long a round should take.
const ROUND: Duration = Duration::from_millis(60);

const REFUSED_PORT: u16 = 4444;
const PERMITTED_PORT: u16 = 161;

/// What is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flood {
    OneSource,
    RandomSources,
    Permitted,
}

impl Flood {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneSource => "refused, one source",
            Self::RandomSources => "refused, random sources",
            Self::Permitted => "permitted, to the stack",
        }
    }
}

/// Who receives: a cable, and what holds its filter there.
struct Receiver {
    name: &'static str,
    cable: Cable,
    floods: &'static [Flood],
    /// What has to live as long as the measurement.
    _hold: Vec<OwnedFd>,
}

const REFUSED: &[Flood] = &[Flood::OneSource, Flood::RandomSources];
const ALL: &[Flood] = &[Flood::OneSource, Flood::RandomSources, Flood::Permitted];

const EMPTY: &str = "empty XDP program that drops";
const PASSING: &str = "empty XDP program that passes, then the stack";
const OURS: &str = "enforcer, XDP";
const OURS_TC: &str = "enforcer, tc ingress";
const AUDIT: &str = "enforcer, XDP, audit";
const XDP_FILTER: &str = "xdp-filter, TCP and UDP ports";
const XDP_FILTER_UDP: &str = "xdp-filter, UDP ports alone";
const NFT_NETDEV: &str = "nftables netdev ingress";
const NFT_RAW: &str = "nftables prerouting raw";
const NFT_INPUT: &str = "nftables inet input, conntrack";
const IPTABLES: &str = "iptables INPUT, conntrack";

pub(crate) fn section(effort: Effort) -> Section {
    let mut rows = Vec::new();
    if let Err(why) = measure(effort, &mut rows) {
        rows.push(Row::not_measured("floods", "all", why));
    }
    Section::new("floods", "(b) Floods of 60-byte UDP frames over a cable, sender and receiver on one CPU", rows)
}

fn measure(effort: Effort, rows: &mut Vec<Row>) -> Result<(), String> {
    effort.say("floods");
    let site = Site::one_role();
    let ports = Ports::of(&site, &receiving_cable()?)?;
    let ours = |hook, mode| site.apply(Cable::quiet(), hook, mode);
    let [enforcing, at_tc, auditing] = [ours("native", "enforce")?, ours("tc", "enforce")?, ours("native", "audit")?];
    take_live_frames(&at_tc.protected.cable)?;

    let mut others = Vec::new();
    let mut add = |name, floods, prepared: Result<(Cable, Vec<OwnedFd>), String>| match prepared {
        Ok((cable, hold)) => others.push(Receiver { name, cable, floods, _hold: hold }),
        Err(why) => rows.push(Row::not_measured("floods", name, why)),
    };
    add(EMPTY, REFUSED, with_program(XDP_DROP));
    add(PASSING, ALL, with_program(XDP_PASS));
    for (name, chain) in [(NFT_NETDEV, Chain::NetdevIngress), (NFT_RAW, Chain::Raw), (NFT_INPUT, Chain::Input)] {
        add(name, ALL, with_filter(|cable| peers::nft(&cable.host, &cable.near.interface, chain, &ports)));
    }
    add(IPTABLES, ALL, with_filter(|cable| peers::iptables(&cable.host, &ports)));
    let cables = [(XDP_FILTER, "tcp,udp", Cable::quiet()), (XDP_FILTER_UDP, "udp", Cable::quiet())];
    let mut filters = Vec::new();
    for (name, features, cable) in &cables {
        match XdpFilter::load(cable, &ports, features) {
            Ok(filter) => filters.push((*name, cable, filter)),
            Err(why) => rows.push(Row::not_measured("floods", *name, why)),
        }
    }

    let senders = Senders::new().map_err(|error| error.to_string())?;
    let mut contests: Vec<Contest<'_>> = Vec::new();
    let of_guarded = |guarded: &'static str, cable| ALL.iter().map(move |flood| Contest::new(guarded, cable, *flood));
    for (name, Guarded { protected, .. }) in [(OURS, &enforcing), (OURS_TC, &at_tc), (AUDIT, &auditing)] {
        contests.extend(of_guarded(name, &protected.cable));
    }
    for other in &others {
        contests.extend(other.floods.iter().map(|flood| Contest::new(other.name, &other.cable, *flood)));
    }
    for (name, cable, _) in &filters {
        contests.extend(of_guarded(name, cable));
    }
    for contest in &contests {
        relax_reverse_path(contest.cable);
    }
    let rounds = effort.rounds();
    for round in 0..rounds {
        effort.progress(round + 1, rounds);
        for contest in &mut contests {
            contest.round(&senders);
        }
    }
    contests.sort_by_key(|contest| contest.flood as u8);
    rows.extend(contests.iter().map(Contest::row));
    rows.extend(ratios(&contests));
    for (name, cable, _) in &filters {
        let target = (*name == XDP_FILTER).then_some(Target::AtMost(1.0 / 3.0));
        rows.extend(by_test_run(effort, &enforcing, name, cable, target));
    }
    Ok(())
}

fn receiving_cable() -> Result<Cable, String> {
    let cable = Cable::quiet();
    take_live_frames(&cable)?;
    Ok(cable)
}

/// Live frames arrive only where the receiver polls: with a native XDP program, or with receive offload.
fn take_live_frames(cable: &Cable) -> Result<(), String> {
    run_with_input(&cable.host, &["ethtool", "-K", &cable.near.interface, "gro", "on"], "")
}

fn with_program(answer: i32) -> Result<(Cable, Vec<OwnedFd>), String> {
    let cable = Cable::quiet();
    let attach = || -> io::Result<Vec<OwnedFd>> {
        let program = programs::empty(Kind::Xdp, answer)?;
        let link = bpf::attach_xdp(&program, &cable.near.interface)?;
        Ok(vec![program, link])
    };
    let hold = cable.host.run(attach).map_err(|error| error.to_string())?;
    Ok((cable, hold))
}

fn with_filter(filter: impl FnOnce(&Cable) -> Result<(), String>) -> Result<(Cable, Vec<OwnedFd>), String> {
    let cable = receiving_cable()?;
    filter(&cable)?;
    Ok((cable, Vec::new()))
}

/// Spoofed sources have no way back, and the stack must not drop them for that before a filter does.
pub(crate) fn relax_reverse_path(cable: &Cable) {
    cable.host.run(|| {
        for name in ["all", &cable.near.interface] {
            // Where it cannot be set, the stack drops earlier, which makes the others faster and not us.
            let _ = fs::write(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), "0");
        }
    });
}

pub(crate) struct Senders {
    plain: OwnedFd,
    spoofing: OwnedFd,
}

impl Senders {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { plain: programs::sender()?, spoofing: programs::spoofing_sender()? })
    }
}

/// One receiver under one flood.
pub(crate) struct Contest<'a> {
    name: &'static str,
    pub(crate) cable: &'a Cable,
    flood: Flood,
    /// Frames of the next round: as many as fill its time.
    frames: u32,
    /// The best round, in million packets a second, as the receiver counted them.
    pub(crate) best: f64,
    sent: u64,
    received: u64,
    pub(crate) failed: Option<String>,
}

impl<'a> Contest<'a> {
    pub(crate) fn new(name: &'static str, cable: &'a Cable, flood: Flood) -> Self {
        Self { name, cable, flood, frames: 50_000, best: 0.0, sent: 0, received: 0, failed: None }
    }

    pub(crate) fn round(&mut self, senders: &Senders) {
        if self.failed.is_none()
            && let Err(why) = self.try_round(senders)
        {
            self.failed = Some(why);
        }
    }

    fn try_round(&mut self, senders: &Senders) -> Result<(), String> {
        let (sender, source, port) = match self.flood {
            Flood::OneSource => (&senders.plain, STRANGER[0], REFUSED_PORT),
            Flood::RandomSources => (&senders.spoofing, "0.0.0.0", REFUSED_PORT),
            Flood::Permitted => (&senders.plain, STRANGER[0], PERMITTED_PORT),
        };
        let mut frame = Packet::new().ipv4(source, HOST[0]).udp(40_000, port).payload(&[0; 18]).build();
        // RFC 768: no checksum. The sources vary, and it covers them.
        frame[40..42].fill(0);
        let interface = &self.cable.far.interface;
        let before = self.received_so_far()?;
        let sent = self.cable.remote.run(|| bpf::send_live(sender, interface, &frame, self.frames, BATCH));
        let nanoseconds = sent.map_err(|error| format!("the sender: {error}"))?.max(1.0);
        let received = self.received_since(before)?;
        self.sent += u64::from(self.frames);
        self.received += received;
        let share = received as f64 / f64::from(self.frames);
        self.best = self.best.max(1000.0 / nanoseconds * share);
        let fitting = ROUND.as_secs_f64() * 1e9 / nanoseconds;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
        let frames = fitting.clamp(20_000.0, 4_000_000.0) as u32;
        self.frames = frames;
        Ok(())
    }

    /// Frames that the receiver has taken off the cable, once it is done with them.
    fn received_since(&self, before: u64) -> Result<u64, String> {
        let mut last = self.received_so_far()?;
        for _ in 0..20 {
            if last - before >= u64::from(self.frames) {
                break;
            }
            thread::sleep(Duration::from_millis(2));
            let now = self.received_so_far()?;
            if now == last {
                break;
            }
            last = now;
        }
        Ok(last - before)
    }

    fn received_so_far(&self) -> Result<u64, String> {
        let mut command = self.cable.host.command("ethtool");
        let output = output(command.args(["--statistics", &self.cable.near.interface]), "")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let queues = text.lines().filter_map(|line| line.trim().strip_prefix("rx_queue_")?.split_once(": "));
        let taken = queues.filter(|(name, _)| name.ends_with("_xdp_packets"));
        Ok(taken.filter_map(|(_, number)| number.trim().parse::<u64>().ok()).sum())
    }

    fn row(&self) -> Row {
        if let Some(why) = &self.failed {
            return Row::not_measured(self.flood.name(), self.name, why.as_str());
        }
        let lost = self.sent.saturating_sub(self.received) as f64 / self.sent as f64 * 100.0;
        let how = if lost < 0.01 { String::new() } else { format!("{lost:.2}% never arrived") };
        Row::new(self.flood.name(), self.name, self.best, "Mpps")
            .how(how)
            .raw(json!({"sent": self.sent, "received": self.received}))
    }
}

fn ratios(contests: &[Contest<'_>]) -> Vec<Row> {
    let rate = |name: &str, flood: Flood| {
        let found = contests.iter().find(|one| one.name == name && one.flood == flood)?;
        (found.failed.is_none() && found.best > 0.0).then_some(found.best)
    };
    let cases = [
        (OURS, EMPTY, Flood::OneSource, Some(0.9)),
        (OURS, EMPTY, Flood::RandomSources, Some(0.75)),
        (OURS, XDP_FILTER, Flood::OneSource, Some(1.2)),
        (OURS, XDP_FILTER, Flood::RandomSources, Some(1.2)),
        // It knows no TCP ports, so it is not the same policy: a lower bound.
        (OURS, XDP_FILTER_UDP, Flood::OneSource, None),
        (OURS, NFT_INPUT, Flood::OneSource, Some(5.0)),
        (OURS, NFT_INPUT, Flood::RandomSources, Some(5.0)),
        (OURS, NFT_NETDEV, Flood::OneSource, None),
        (OURS, IPTABLES, Flood::OneSource, None),
        (OURS_TC, NFT_NETDEV, Flood::OneSource, None),
        (OURS, PASSING, Flood::Permitted, None),
        (AUDIT, PASSING, Flood::OneSource, None),
    ];
    let row = |(one, other, flood, target): (&str, &str, Flood, Option<f64>)| {
        let name = format!("{one} / {other}");
        match (rate(one, flood), rate(other, flood)) {
            (Some(a), Some(b)) => Row::new(flood.name(), name, a / b, "times")
                .target(target.map(Target::AtLeast))
                .how(format!("{a:.2} / {b:.2}")),
            _ => Row::not_measured(flood.name(), name, "one of the two was not measured"),
        }
    };
    cases.into_iter().map(row).collect()
}

/// What the same refusal costs this firewall and xdp-filter by test run, net of the empty program.
fn by_test_run(effort: Effort, ours: &Guarded, name: &str, filtered: &Cable, target: Option<Target>) -> Vec<Row> {
    const GROUP: &str = "refused, by test run";
    let measured = || -> Result<[f64; 2], String> {
        let of_io = |error: io::Error| error.to_string();
        let mut show = filtered.host.command("ip");
        let shown = output(show.args(["-json", "link", "show", "dev", &filtered.near.interface]), "")?;
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).map_err(|error| error.to_string())?;
        let id = shown[0]["xdp"]["prog"]["id"].as_u64().and_then(|id| u32::try_from(id).ok());
        let theirs = bpf::program_by_id(id.ok_or("no program is on the interface")?).map_err(of_io)?;
        let ours = bpf::pinned(&ours.inbound).map_err(of_io)?;
        let empty = programs::empty(Kind::Xdp, XDP_DROP).map_err(of_io)?;
        let _attached = programs::attached(&empty).map_err(of_io)?;
        let frame = Packet::new().ipv4(STRANGER[0], HOST[0]).udp(40_000, REFUSED_PORT).payload(&[0; 18]).build();
        let (rounds, repeat) = effort.test_runs();
        let mut least = [f64::INFINITY; 3];
        for _ in 0..rounds {
            for (least, program) in least.iter_mut().zip([&empty, &ours, &theirs]) {
                let run = bpf::test_run(program, &frame, repeat).map_err(of_io)?;
                if run.answer != 1 {
                    return Err(format!("a program answered {}, not 1", run.answer));
                }
                *least = run.nanoseconds.min(*least);
            }
        }
        let [empty, ours, theirs] = least;
        Ok([ours - empty, theirs - empty])
    };
    match measured() {
        Ok([ours, theirs]) => vec![
            Row::new(GROUP, name, theirs, "ns"),
            Row::new(GROUP, format!("{OURS} / {name}"), ours / theirs, "times")
                .target(target)
                .how(format!("{ours:.1} / {theirs:.1}")),
        ],
        Err(why) => vec![Row::not_measured(GROUP, name, why)],
    }
}
