//! What was sent, what arrived and what was counted, each told by somebody else.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use enforcer_common::layout::Statistic;
use harness::enforcer::Counters;
use harness::netns::Namespace;
use harness::remembered::Tables;
use serde_json::{Map, Value, json};

use crate::world::{Pair, World};

/// Both interfaces at one moment in which no packet is on its way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Account {
    pairs: [Interface; 2],
    flows: [u64; 2],
}

#[derive(Clone, Debug, PartialEq)]
struct Interface {
    name: String,
    /// Frames of the generator that went onto the cable, and for which there was no room: what the driver of the far end says.
    sent: u64,
    refused: u64,
    /// Frames that the driver of the near end has taken off the cable.
    arrived: u64,
    /// Packets that nftables saw on their way out, in front of our program.
    left: u64,
    counted: Counters,
}

impl Account {
    /// Reads until nothing changes any more.
    pub(crate) fn settled(world: &World) -> Self {
        let mut last = Self::read(world);
        loop {
            thread::sleep(Duration::from_millis(300));
            let now = Self::read(world);
            if now == last {
                return now;
            }
            last = now;
        }
    }

    fn read(world: &World) -> Self {
        let json = world.run(&["counters", "--format", "json"]).expect_code(0).json();
        let pairs = world.pairs.each_ref().map(|pair| Interface {
            name: pair.near.clone(),
            sent: statistic(&world.remote, &pair.far, "tx_queue_", "_xdp_xmit"),
            refused: statistic(&world.remote, &pair.far, "tx_queue_", "_xdp_xmit_errors"),
            arrived: statistic(&world.host, &pair.near, "rx_queue_", "_xdp_packets"),
            left: left(&world.host, pair),
            counted: Counters::of(&json, &pair.near),
        });
        let tables = Tables::of(&world.host);
        let flows = [Statistic::FlowsMade, Statistic::FlowsRevived].map(|one| tables.statistic(one));
        Self { pairs, flows }
    }

    /// Compares everything with everything.
    ///
    /// # Panics
    /// When a frame was lost between two of those who count, or one was counted twice.
    pub(crate) fn figures_since(&self, before: &Self, told: [u64; 2]) -> Map<String, Value> {
        let mut sums = [0; 4];
        let mut by_reason: BTreeMap<String, u64> = BTreeMap::new();
        for ((now, before), told) in self.pairs.iter().zip(&before.pairs).zip(told) {
            let name = &now.name;
            let (sent, refused) = (now.sent - before.sent, now.refused - before.refused);
            assert_eq!(sent + refused, told, "{name}: frames that the generator was told to send");
            let arrived = now.arrived - before.arrived;
            assert_eq!(arrived, sent, "{name}: frames on the cable and frames off it");
            let counted = now.counted.since(&before.counted);
            for direction in ["inbound", "outbound"] {
                let verdicts = sum(&counted, &format!("{direction} verdict "));
                let reasons = sum(&counted, &format!("{direction} reason "));
                assert_eq!(verdicts, reasons, "{name}: {direction} by verdict and by reason: {counted:#?}");
            }
            let inbound = sum(&counted, "inbound verdict ");
            assert_eq!(inbound, arrived, "{name}: frames counted and frames that arrived: {counted:#?}");
            let outbound = sum(&counted, "outbound verdict ");
            let left = now.left - before.left;
            assert_eq!(
                outbound, left,
                "{name}: packets counted on their way out, and those nftables saw: {counted:#?}"
            );
            for (name, number) in &counted.packets {
                if name.contains(" reason ") {
                    *by_reason.entry(name.replace(" reason", "")).or_default() += number;
                }
            }
            for (sum, number) in sums.iter_mut().zip([told, arrived, inbound, outbound]) {
                *sum += number;
            }
        }
        for reason in [
            "inbound rule pass",
            "inbound denied drop",
            "inbound no-rule drop",
            "inbound no-rule would_drop",
            "inbound flow pass",
        ] {
            assert!(by_reason.contains_key(reason), "no packet was counted as {reason}: {by_reason:#?}");
        }
        let flows = [0, 1].map(|one| self.flows[one] - before.flows[one]);
        assert!(flows[0] > 2 * 4096, "flows pushed each other out: {} were made", flows[0]);
        let [sent, arrived, inbound, outbound] = sums;
        let figures = json!({
            "frames_sent": sent,
            "frames_that_arrived": arrived,
            "frames_counted": inbound,
            "packets_counted_on_their_way_out": outbound,
            "packets": by_reason,
            "flows_made": flows[0],
            "flows_revived": flows[1],
        });
        figures.as_object().cloned().unwrap_or_default()
    }
}

fn sum(counted: &Counters, prefix: &str) -> u64 {
    counted.packets.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, number)| number).sum()
}

/// A number of the driver, over all queues.
fn statistic(namespace: &Namespace, interface: &str, prefix: &str, suffix: &str) -> u64 {
    let output = namespace.command("ethtool").args(["--statistics", interface]).output().expect("ethtool is there");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers = text.lines().filter_map(|line| line.trim().split_once(": "));
    let numbers = numbers.filter(|(name, _)| name.starts_with(prefix) && name.ends_with(suffix));
    numbers.map(|(_, number)| number.trim().parse::<u64>().expect("a number")).sum()
}

/// What nftables has counted at the egress of an interface.
fn left(host: &Namespace, pair: &Pair) -> u64 {
    let line = ["--json", "list", "chain", "netdev", "load", &pair.near];
    let output = host.command("nft").args(line).output().expect("nft is there");
    let json: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let rules = json["nftables"].as_array().into_iter().flatten();
    let mut counters = rules.filter_map(|one| one["rule"]["expr"][0]["counter"]["packets"].as_u64());
    counters.next_back().unwrap_or_else(|| panic!("no counter: {json}"))
}
