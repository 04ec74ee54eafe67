//! Captures that nobody here made, through the loaded program by test run and through the plain reading of the design
//! (`enforcer::judge::reference`): the same verdict and the same reason for each packet.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::BufReader;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use aya::maps::MapData;
use enforcer::dataplane::{self, BpfLog, Caller, Ending, HookChoice, Plan, PlannedInterface, Protects, Said};
use enforcer::fixtures::sites::every_role;
use enforcer::judge::capture::{self, End, LinkType};
use enforcer::judge::host::Host;
use enforcer::judge::reference::Reference;
use enforcer::policy::catalogue::embedded;
use enforcer::policy::claims::Claims;
use enforcer::policy::compile::compile;
use enforcer::policy::ruleset::{FlowSettings, Ruleset};
use enforcer::policy::site;
use enforcer::policy::source::Source;
use enforcer::state::FOLDER_VARIABLE;
use enforcer::text::diagnostic::Text;
use enforcer_common::frame::Bytes;
use enforcer_common::layout::{Direct, LAYOUT_VERSION, map, reason_index};
use enforcer_common::{Direction, Mode, Reason, Verdict};
use serde_json::{Value, json};

use crate::enforcer::state_folder;
use crate::netns::Cable;
use crate::program::{About, Program};
use crate::remembered::{Tables, words};

/// A longer frame does not fit into the first buffer of a test run at XDP.
const ONE_BUFFER: usize = 3400;
/// Differences that are told one by one.
const MOST: usize = 20;

/// What became of all the files.
#[derive(Debug, Default)]
pub struct Report {
    /// Files that are captures.
    pub files: usize,
    /// Files that are none, or of which the kernel would not say anything.
    pub no_captures: usize,
    /// Captures that end within a packet, or contradict themselves.
    pub broken_off: usize,
    /// Packets whose verdict and reason were compared.
    pub compared: usize,
    /// Packets that the kernel refuses to a test run: too short for an Ethernet header, or too long for one buffer.
    pub refused: usize,
    /// Packets of other link types than Ethernet and plain IP, by their number in captures.
    pub link_types: BTreeMap<String, usize>,
    /// Packets by direction, verdict and reason.
    pub classes: BTreeMap<String, usize>,
    /// What does not agree.
    pub differences: usize,
    /// The first of it, in words.
    pub told: Vec<String>,
}

impl Report {
    /// For `docs/assurance.md`.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "files": self.files, "no_captures": self.no_captures, "broken_off": self.broken_off,
            "packets": self.compared, "refused_by_test_run": self.refused, "other_link_types": self.link_types,
            "classes": self.classes, "differences": self.differences,
        })
    }

    fn differs(&mut self, what: String) {
        self.differences += 1;
        if self.told.len() < MOST {
            self.told.push(what);
        }
    }
}

/// Replays every file below a folder at a hook.
///
/// # Panics
/// When the folder cannot be read, or the policy cannot be put in force.
#[must_use]
pub fn replay(folder: &Path, hook: HookChoice) -> Report {
    // SAFETY: the standard library guards its own uses of the environment, and nothing here reads it by other means.
    unsafe { std::env::set_var(FOLDER_VARIABLE, state_folder()) };
    let ruleset = ruleset();
    let cable = Cable::quiet();
    let near = &cable.near;
    let host = Host {
        macs: vec![near.mac],
        ..Host::with_addresses(near.addresses().into_iter().chain([IpAddr::from([198, 18, 0, 255])]))
    };
    let mut report = Report::default();
    cable.host.run(|| {
        let planned = PlannedInterface {
            name: near.interface.clone(),
            protects: Protects::Host,
            scope: None,
            claims: Claims::default(),
            said: Said { asked: enforcer::policy::modes::SaidModes::both(Some(Mode::Enforce)), ..Said::default() },
        };
        let plan = Plan {
            ruleset: &ruleset,
            origin: "replay".to_owned(),
            interfaces: vec![planned],
            hook,
            ending: Ending::Allowed,
            confirm_within: None,
            source: Source::default(),
            bpf_log: BpfLog::Off,
            caller: Caller::Operator,
        };
        let applied = dataplane::apply(&plan).unwrap_or_else(|error| panic!("apply: {error:?}"));
        let programs =
            Direction::ALL.map(|direction| Program::pinned(&applied[0].pin.with_file_name(direction.name())));
        let protected = dataplane::protected(&[]).expect("it is protected").remove(0);
        let path = protected.pins.dir().join(format!("v{LAYOUT_VERSION}")).join(map::REASONS);
        let reasons = MapData::from_pin(path).expect("it is pinned");
        let kernel = Kernel { programs, protected, reasons };
        let mut paths = files(folder);
        paths.sort();
        for path in paths {
            Tables::of(&cable.host).forget();
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            let mut reference = Reference::new(&ruleset, &host);
            reference.set_time(1_000_000);
            for direction in Direction::ALL {
                reference.set_mode(direction, Mode::Enforce);
            }
            kernel.file(&path, &name, &mut reference, &mut report);
        }
    });
    crate::enforcer::enforcer(&cable.host, &["detach"]).expect_code(0);
    report
}

struct Kernel {
    programs: [Program; 2],
    protected: dataplane::Protected,
    reasons: MapData,
}

impl Kernel {
    fn file(&self, path: &Path, name: &str, reference: &mut Reference<'_>, report: &mut Report) {
        let mut packets: Vec<(u64, LinkType, Vec<u8>)> = Vec::new();
        let open = || File::open(path).map(BufReader::new);
        let Ok(file) = open() else {
            report.no_captures += 1;
            return;
        };
        match capture::read(file, |packet| packets.push((packet.number, packet.link, packet.data.to_vec()))) {
            Ok((End::Complete, _)) => {}
            Ok((End::Truncated { .. } | End::Corrupt { .. }, _)) => report.broken_off += 1,
            Err(_) => {
                report.no_captures += 1;
                return;
            }
        }
        report.files += 1;
        let local = busiest(&packets);
        let before = self.counted();
        let mut expected: HashMap<(Direction, Reason), u64> = HashMap::new();
        for (number, link, data) in &packets {
            let frame = match link {
                LinkType::Ethernet => data.clone(),
                LinkType::Raw => with_link(data),
                LinkType::Cooked | LinkType::Cooked2 | LinkType::Other(_) => {
                    *report.link_types.entry(format!("{link:?}")).or_default() += 1;
                    continue;
                }
            };
            let direction = match addresses(&frame) {
                Some((source, _)) if Some(source) == local => Direction::Outbound,
                _ => Direction::Inbound,
            };
            if frame.len() > ONE_BUFFER {
                report.refused += 1;
                continue;
            }
            let Some(answer) = self.programs[direction as usize].ask(&frame, About::default()) else {
                report.refused += 1;
                continue;
            };
            let read = reference.judge(direction, Bytes::new(&frame));
            *expected.entry((direction, read.reason)).or_default() += 1;
            report.compared += 1;
            let class = format!("{} {} {}", direction.name(), read.reason.verdict().name(), read.reason.name());
            *report.classes.entry(class).or_default() += 1;
            let goes_on = answer == crate::program::Outcome::Passed;
            let same_reason = self.has_counted(direction, &read, &before, &expected);
            if goes_on != read.goes_on || !same_reason {
                report.differs(format!(
                    "{name}, packet {number}, {}: the kernel lets it {}, the reading says {:?} ({}): {frame:02x?}",
                    direction.name(),
                    if goes_on { "pass" } else { "go no further" },
                    read.reason,
                    if same_reason { "as the counter" } else { "but its counter says otherwise" },
                ));
            }
        }
        // What a rule permits is counted under the rule alone: here the sum over all of them is compared, and all the rest again.
        let after = self.counted();
        for direction in Direction::ALL {
            for reason in Reason::ALL {
                let key = (direction, *reason);
                let counted = after.get(&key).copied().unwrap_or(0) - before.get(&key).copied().unwrap_or(0);
                let read = expected.get(&key).copied().unwrap_or(0);
                if counted != read {
                    report.differs(format!(
                        "{name}: {} {reason:?} was counted {counted} times, the reading says {read}",
                        direction.name()
                    ));
                }
            }
        }
    }

    fn counted(&self) -> HashMap<(Direction, Reason), u64> {
        let counters = dataplane::counters(&self.protected).expect("counters can be read");
        let mut counted = HashMap::new();
        for one in counters.reasons {
            *counted.entry((one.direction, one.reason)).or_default() += one.count.packets;
        }
        counted
    }

    /// Whether the counter of the reason that was read stands where it should.
    fn has_counted(
        &self,
        direction: Direction,
        read: &enforcer::judge::reference::Judged,
        before: &HashMap<(Direction, Reason), u64>,
        expected: &HashMap<(Direction, Reason), u64>,
    ) -> bool {
        if read.reason == Reason::Rule {
            // Under its rule, and compared with the others at the end of the file.
            return true;
        }
        let would_drop = read.reason.verdict() == Verdict::Drop && read.goes_on;
        // Where rules of a role are in audit, the two counters of a reason are one sum here.
        let indices = [would_drop, !would_drop].map(|would_drop| reason_index(direction, would_drop, read.reason));
        let words = words(&self.reasons);
        let of_cpus = words.chunks(Direct::Reasons.size() as usize / 8);
        // As in `Counter`: packets, bytes.
        let sum: u64 = of_cpus.flat_map(|of_cpu| indices.map(|index| of_cpu[index as usize * 2])).sum();
        let key = (direction, read.reason);
        sum == before.get(&key).copied().unwrap_or(0) + expected.get(&key).copied().unwrap_or(0)
    }
}

/// A policy that has everything in it, and whose flows live longer than a replay.
fn ruleset() -> Ruleset {
    let catalogue = embedded().expect("the catalogue");
    let (_, text) = every_role(catalogue, "eth0").pop().expect("there are sites");
    let site = site::read(Text::new("site.yaml", &text), catalogue).unwrap_or_else(|error| panic!("{error}"));
    let mut ruleset = compile(&site, catalogue, jiff::civil::date(2026, 8, 1)).expect("it compiles").ruleset;
    ruleset.settings.flows =
        FlowSettings { entries: None, tcp: 7500, tcp_closing: 7500, udp: 7500, one_way: 7500, icmp: 7500 };
    ruleset
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The address that most packets come from or go to stands for the host.
fn busiest(packets: &[(u64, LinkType, Vec<u8>)]) -> Option<IpAddr> {
    let mut seen: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for (_, link, data) in packets {
        let frame = if *link == LinkType::Raw { with_link(data) } else { data.clone() };
        if let Some((source, destination)) = addresses(&frame) {
            for address in [source, destination] {
                *seen.entry(address).or_default() += 1;
            }
        }
    }
    seen.into_iter().max_by_key(|(_, times)| *times).map(|(address, _)| address)
}

fn addresses(frame: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let v4 = |at: usize| <[u8; 4]>::try_from(frame.get(at..at + 4)?).ok().map(IpAddr::from);
    let v6 = |at: usize| <[u8; 16]>::try_from(frame.get(at..at + 16)?).ok().map(IpAddr::from);
    match frame.get(12..14)? {
        [0x08, 0x00] => Some((v4(26)?, v4(30)?)),
        [0x86, 0xdd] => Some((v6(22)?, v6(38)?)),
        _ => None,
    }
}

/// Plain IP as it would stand in an Ethernet frame.
fn with_link(packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet.first().is_some_and(|first| first >> 4 == 6) { [0x86, 0xdd] } else { [8, 0] };
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &ethertype[..], packet].concat()
}
