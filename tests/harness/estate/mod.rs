//! An estate on real packets: every host a namespace on one bridge with its own policy, every port that is served tried from every
//! other host.
//!
//! What should happen is read by the plain reading of the rules (`enforcer::judge::reference`) at both ends. It is compared with what
//! arrives, and with every counter of every host.

pub mod attempts;
pub mod expected;
pub mod lan;
pub mod large;
pub mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use enforcer::judge::host::Host;
use enforcer::policy::catalogue::{Catalogue, embedded};
use enforcer::policy::claims::Claims;
use enforcer::policy::compile::compile;
use enforcer::policy::estate::{self, By, Estate, render, site};
use enforcer::policy::export::{Target, export};
use enforcer::policy::modes::{Protects, SaidModes};
use enforcer::policy::ruleset::Ruleset;
use enforcer::policy::site::Interface;
use enforcer::text::diagnostic::Text;
use enforcer_common::{Direction, Mode};
use jiff::civil::{Date, date};

use self::attempts::{Attempt, Tried, attempts, client_port};
use self::expected::{Counted, Expected, Fate};
use self::lan::{Lan, Station, feed};
use self::wire::{Seen, Wire};
use crate::enforcer::{Counters, enforcer, enforcer_with_input};
use crate::interrupt;

/// No rule of the reference estate expires.
const TODAY: Date = date(2026, 11, 30);
/// Attempts that are on their way at the same time: fewer than the queues between two namespaces hold.
const AT_ONCE: usize = 64;
/// Differences that are told; of more, their number.
const TOLD: usize = 20;

/// An estate, laid out.
pub struct Laid {
    /// The bridge and the hosts.
    pub lan: Lan,
    estate: Estate,
    rulesets: Vec<Option<Ruleset>>,
    hosts: Vec<Host>,
    tried: Vec<Tried>,
}

/// What a round of attempts came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Attempts.
    pub attempts: usize,
    /// Those that both ends permit.
    pub permitted: usize,
    /// Those that the sender's policy refuses.
    pub refused_out: usize,
    /// Those that the sender's policy permits and the receiver's refuses.
    pub refused_in: usize,
    /// Those that arrived.
    pub arrived: usize,
    /// Those that an answer came to.
    pub answered: usize,
    /// Packets counted by all hosts, in both directions, answers included.
    pub packets: u64,
    /// Whatever is not as it should be.
    pub wrong: Vec<String>,
}

impl Laid {
    /// Lays out an estate, or these hosts of it: their policies are those of the whole estate. Nothing is applied yet.
    ///
    /// # Panics
    /// When the estate is wrong, or the network cannot be made.
    #[must_use]
    #[track_caller]
    pub fn out(text: &str, only: &[&str]) -> Self {
        let mut estate =
            estate::read(Text::new("estate.yaml", text), catalogue()).unwrap_or_else(|wrong| panic!("{wrong}"));
        let is_chosen = |name: &str| only.is_empty() || only.contains(&name);
        let chosen = estate.hosts.values().filter(|host| is_chosen(&host.name));
        let lan = Lan::new(chosen.map(|host| (host.name.as_str(), &host.addresses)));
        for station in &lan.stations {
            // Here each host protects itself, on its own interface.
            let Some(host) = estate.hosts.get_mut(&station.name) else { continue };
            (host.by, host.behind) = (By::Enforcer, Vec::new());
            host.own.interfaces = vec![Interface {
                name: station.interface.clone(),
                protects: Protects::Host,
                mode: SaidModes::default(),
                scope: None,
                claims: Claims::default(),
            }];
        }
        let ruleset = |station: &Station| {
            let host = &estate.hosts[&station.name];
            let compiled = || compile(&site(&estate, catalogue(), host), catalogue(), TODAY);
            estate.has_policy(host).then(|| compiled().unwrap_or_else(|error| panic!("{}: {error}", host.name)).ruleset)
        };
        let rulesets: Vec<_> = lan.stations.iter().map(ruleset).collect();
        let hosts =
            lan.stations.iter().map(|station| Host::with_addresses(station.addresses.iter().copied())).collect();
        let tried = rulesets.iter().map(|ruleset| Tried::of(ruleset.as_ref())).collect();
        Self { lan, estate, rulesets, hosts, tried }
    }

    /// The stations that have a policy, with its rules.
    pub fn protected(&self) -> impl Iterator<Item = (&Station, &Ruleset)> {
        self.lan.stations.iter().zip(&self.rulesets).filter_map(|(station, rules)| Some((station, rules.as_ref()?)))
    }

    /// Applies the rendered policy of every host that has one; `tell` hears how many have it so far.
    ///
    /// # Panics
    /// When one cannot be applied.
    pub fn apply(&self, tell: impl Fn(usize) + Sync) {
        let done = AtomicUsize::new(0);
        self.lan.for_each(|station| {
            let host = &self.estate.hosts[&station.name];
            if !self.estate.has_policy(host) || interrupt::asked() {
                return;
            }
            let file = render(&self.estate, catalogue(), host);
            enforcer_with_input(&station.namespace, &["apply", "-", "--mode", "audit"], &file).expect_code(0);
            tell(done.fetch_add(1, Ordering::Relaxed) + 1);
        });
        interrupt::check();
    }

    /// Sets the mode of every host but this one.
    ///
    /// # Panics
    /// When it cannot be set.
    pub fn set_mode(&self, mode: Mode, but: Option<&str>) {
        self.lan.for_each(|station| {
            let host = &self.estate.hosts[&station.name];
            if self.estate.has_policy(host) && but != Some(&host.name) {
                let line = ["mode", mode.name(), "--interface", &station.interface];
                enforcer(&station.namespace, &line).expect_code(0);
            }
        });
    }

    /// Opens the sockets of all stations.
    #[must_use]
    pub fn open(&self) -> Wire {
        Wire::open(&self.lan.stations, &self.tried)
    }

    /// Lets nftables filter for a host, by the export of its policy. The programs are not to be attached.
    ///
    /// # Panics
    /// When nft does not take it, or there is no such host.
    #[track_caller]
    pub fn load_nft(&self, name: &str, mode: Mode) {
        let station = self.lan.stations.iter().find(|station| station.name == name).expect("it is one of the hosts");
        let site = site(&self.estate, catalogue(), &self.estate.hosts[name]);
        let compiled = compile(&site, catalogue(), TODAY).expect("it has been compiled before");
        let text = export(Target::Nft, &site, &compiled, Some(mode)).expect("it can be written").text;
        feed(station.namespace.command("nft").args(["-f", "-"]), &text);
    }

    /// Makes every attempt once, in a mode that all hosts are in, and compares what arrives and every counter. Each round has a
    /// number of its own, so that its conversations are new. `tell` hears how many attempts have been made.
    ///
    /// # Panics
    /// When counters cannot be read.
    pub fn round(&self, wire: &mut Wire, mode: Mode, number: u16, tell: impl FnMut(usize, usize)) -> Outcome {
        let before = self.counters();
        let (mut outcome, expected) = self.make(wire, mode, number, tell);
        let after = self.counters();
        for (station, (expected, (before, after))) in
            self.lan.stations.iter().zip(expected.iter().zip(before.iter().zip(after)))
        {
            let found = asked(after.since(before));
            outcome.packets +=
                found.iter().filter(|(name, _)| name.contains(" verdict ")).map(|(_, count)| count).sum::<u64>();
            outcome.wrong.extend(compared(&station.name, expected, &found));
        }
        outcome.shortened()
    }

    /// The same, where another firewall filters: what arrives is compared, and counters are not.
    pub fn arrivals(&self, wire: &mut Wire, mode: Mode, number: u16, tell: impl FnMut(usize, usize)) -> Outcome {
        self.make(wire, mode, number, tell).0.shortened()
    }

    /// Makes every attempt once. The outcome, without counters, and what should have been counted.
    fn make(
        &self,
        wire: &mut Wire,
        mode: Mode,
        number: u16,
        mut tell: impl FnMut(usize, usize),
    ) -> (Outcome, Vec<Counted>) {
        let stations = &self.lan.stations;
        let port = client_port(&self.tried) + number;
        wire.send_from(stations, port);
        let all = attempts(stations, &self.tried);
        let mut expected = Expected::new(&self.rulesets, &self.hosts, mode, port);
        let mut fates = Vec::new();
        let mut seen = vec![Seen::default(); all.len()];
        let mut done = 0;
        for of_one in all.chunk_by(|one, other| one.from == other.from) {
            for some in of_one.chunks(AT_ONCE) {
                interrupt::check();
                fates.extend(some.iter().map(|attempt| expected.of(attempt)));
                let now = done..done + some.len();
                wire.make(some, &fates[now.clone()], &mut seen[now]);
                done += some.len();
            }
            tell(done, all.len());
        }
        wire.hear_rest(&all, &fates, &mut seen);
        let mut outcome = Outcome::of(&all, &fates, &seen);
        outcome.wrong = self.differences(&all, &fates, &seen);
        (outcome, expected.counted())
    }

    fn counters(&self) -> Vec<Counters> {
        let all: Mutex<BTreeMap<IpAddr, Counters>> = Mutex::default();
        self.lan.for_each(|station| {
            if !self.estate.has_policy(&self.estate.hosts[&station.name]) {
                return;
            }
            let line = ["counters", "--format", "json", "--interface", &station.interface];
            let json = enforcer(&station.namespace, &line).expect_code(0).json();
            let counters = Counters::of(&json, &station.interface);
            let Some(address) = station.addresses.first() else { return };
            all.lock().unwrap_or_else(PoisonError::into_inner).insert(*address, counters);
        });
        let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        let of = |station: &Station| station.addresses.first().and_then(|address| all.remove(address));
        self.lan.stations.iter().map(of).map(Option::unwrap_or_default).collect()
    }

    fn differences(&self, all: &[Attempt], fates: &[Fate], seen: &[Seen]) -> Vec<String> {
        let mut wrong = Vec::new();
        for ((attempt, fate), seen) in all.iter().zip(fates).zip(seen) {
            let should = Seen { arrived: fate.arrives.into(), answered: fate.answered.into() };
            if *seen != should {
                let [from, to] = [attempt.from, attempt.to].map(|place| &self.lan.stations[place].name);
                let protocol = enforcer::policy::site::protocol_name(attempt.protocol);
                wrong.push(format!("{protocol} {from} -> {to}:{}: should be {should:?}, was {seen:?}", attempt.port));
            }
        }
        wrong
    }
}

impl Outcome {
    fn of(all: &[Attempt], fates: &[Fate], seen: &[Seen]) -> Self {
        let count = |wanted: &dyn Fn(&Fate) -> bool| fates.iter().filter(|fate| wanted(fate)).count();
        Self {
            attempts: all.len(),
            permitted: count(&|fate| fate.permitted),
            refused_out: count(&|fate| fate.refused_by == Some(Direction::Outbound)),
            refused_in: count(&|fate| fate.refused_by == Some(Direction::Inbound)),
            arrived: seen.iter().filter(|seen| seen.arrived > 0).count(),
            answered: seen.iter().filter(|seen| seen.answered > 0).count(),
            packets: 0,
            wrong: Vec::new(),
        }
    }

    fn shortened(mut self) -> Self {
        if self.wrong.len() > TOLD {
            let more = self.wrong.len() - TOLD;
            self.wrong.truncate(TOLD);
            self.wrong.push(format!("and {more} more"));
        }
        self
    }
}

fn catalogue() -> &'static Catalogue {
    embedded().unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// What was counted of TCP and UDP: not what the kernels say to each other by themselves.
fn asked(counters: Counters) -> Counted {
    let mut found = counters.packets;
    for direction in Direction::ALL.map(Direction::name) {
        for reason in ["icmp", "igmp", "link-control"] {
            let Some(packets) = found.remove(&format!("{direction} reason {reason} pass")) else { continue };
            if let Some(all) = found.get_mut(&format!("{direction} verdict pass")) {
                *all -= packets;
            }
        }
    }
    found.retain(|_, packets| *packets > 0);
    found
}

fn compared(station: &str, expected: &Counted, found: &Counted) -> Vec<String> {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let of = |counted: &Counted, name: &String| counted.get(name).copied().unwrap_or(0);
    let differing = names.into_iter().filter(|name| of(expected, name) != of(found, name));
    differing
        .map(|name| format!("{station}: {name}: should be {}, is {}", of(expected, name), of(found, name)))
        .collect()
}
