//! What changes under the flood: policies, modes, addresses.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::Over;
use crate::world::{FIRST, World};

/// How many policies there are.
pub(crate) const KINDS: usize = 5;

/// One change after the other, each followed by a change of mode, and one of both a second where the machine is quick enough.
pub(crate) fn policies(world: &World, over: &Over, done: &AtomicUsize) -> Map<String, Value> {
    let policies = kinds();
    let modes: [&[&str]; 4] =
        [&["mode", "enforce"], &["mode", "audit", "--inbound"], &["mode", "enforce"], &["mode", "audit", "--outbound"]];
    // The first of each is in force already.
    for (policy, mode) in policies.iter().cycle().skip(1).zip(modes.iter().cycle()) {
        if over.is() {
            break;
        }
        let begin = Instant::now();
        put_in_force(world, policy);
        world.run(mode).expect_code(0);
        done.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_secs(1).saturating_sub(begin.elapsed()));
    }
    let changes = done.load(Ordering::Relaxed);
    Map::from_iter([
        ("policies_put_in_force".to_owned(), changes.into()),
        ("changes_of_mode".to_owned(), changes.into()),
    ])
}

/// Every policy once, and the first again: what is remembered of rules that are no longer there (their counters go on when they come
/// back) is remembered once, so what is there afterwards can be compared with what is there at the end.
pub(crate) fn each_once(world: &World) {
    for policy in kinds().iter().cycle().skip(1).take(KINDS) {
        put_in_force(world, policy);
    }
}

/// Writes a site file and waits until the agent has put it in force.
fn put_in_force(world: &World, policy: &str) {
    let count = || world.log().matches("is active").count();
    let before = count();
    if world.write(policy) {
        world.wait_for("a policy that was written", || count() > before);
    }
}

fn kinds() -> [String; KINDS] {
    let prefixes: Vec<String> = (0..500).map(|n| format!("10.{}.{}.0/24", n / 4, n % 4 * 64)).collect();
    [
        FIRST.to_owned(),
        "deny:\n  - {name: flood, protocol: udp, ports: [7000]}\n".to_owned(),
        "roles: [unity-connection]\n".to_owned(),
        format!(
            "peers:\n  some: [{}]\nallow:\n  - {{name: flood, protocol: udp, ports: [7000], from: [some]}}\n",
            prefixes.join(", ")
        ),
        "roles: [finesse]\noutbound: role\nallow:\n  - {name: flood, protocol: udp, ports: [7000]}\n".to_owned(),
    ]
}

/// Addresses of both families come and go on both interfaces.
pub(crate) fn addresses(world: &World, over: &Over) -> Map<String, Value> {
    let mut rounds: u64 = 0;
    while !over.is() {
        for verb in ["add", "del"] {
            let line = |pair: &crate::world::Pair, n: u8| {
                let (near, network) = (&pair.near, pair.network);
                format!(
                    "addr {verb} 198.18.{network}.{n}/24 dev {near}\naddr {verb} 2001:db8:{network}::{n:x}/64 dev {near}{}\n",
                    if verb == "add" { " nodad" } else { "" }
                )
            };
            let lines = world.pairs.iter().flat_map(|pair| (100..110).map(move |n| line(pair, n)));
            world.host.batch(&lines.collect::<String>());
            thread::sleep(Duration::from_millis(100));
        }
        rounds += 1;
    }
    Map::from_iter([("addresses_added_and_removed".to_owned(), (rounds * 40).into())])
}
