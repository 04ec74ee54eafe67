//! Network cards of a virtual machine, as cables: `cargo xtask vmtest --card NAME` gives each a cable of its own to another card.

use std::env;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::machine::patience;
use crate::netns::{Cable, End, Namespace, silence};

/// The cable of the card of this name, with both ends in namespaces of their own and no addresses yet; `None` where this machine has no
/// such card (`ENFORCER_TESTS_CARDS` names those it has, in the order of their hardware addresses).
///
/// # Panics
/// When there is such a card, and no interface for it.
#[must_use]
#[track_caller]
pub fn cable(name: &str) -> Option<Cable> {
    let cards = env::var("ENFORCER_TESTS_CARDS").unwrap_or_default();
    let number = u8::try_from(cards.split(' ').position(|card| card == name)? + 1).ok()?;
    let end = |last: u8| {
        let mac = [0x52, 0x54, 0, 0, number, last];
        let interface =
            wait_for_interface(mac).unwrap_or_else(|| panic!("{name}: no interface has the address {mac:x?}"));
        let (v4, v6) = (format!("198.18.0.{last}"), format!("2001:db8::{last}"));
        End { interface, mac, v4: v4.parse().expect("an address"), v6: v6.parse().expect("an address") }
    };
    let cable = Cable { near: end(1), far: end(2), host: Namespace::new(), remote: Namespace::new() };
    for (namespace, end) in [(&cable.host, &cable.near), (&cable.remote, &cable.far)] {
        Namespace::first(&format!("link set {} netns {}\n", end.interface, namespace.name()));
        namespace.run(|| silence(&end.interface));
        namespace.batch(&format!("link set {} addrgenmode none\n", end.interface));
    }
    Some(cable)
}

/// Sets both ends up, and gives them their addresses, which a link loses when it goes down.
///
/// # Panics
/// When the link does not come up.
#[track_caller]
pub fn set_up(cable: &Cable) {
    let Cable { host, remote, near, far } = cable;
    for (namespace, own, other) in [(host, near, far), (remote, far, near)] {
        let End { interface, v4, v6, .. } = own;
        let mac = other.mac.map(|byte| format!("{byte:02x}")).join(":");
        namespace.batch(&format!(
            "link set {interface} up\naddr replace {v4}/24 brd + dev {interface}\naddr replace {v6}/64 dev {interface} nodad\n\
             neigh replace {} lladdr {mac} dev {interface} nud permanent\n\
             neigh replace {} lladdr {mac} dev {interface} nud permanent\n",
            other.v4, other.v6
        ));
    }
    let end = Instant::now() + Duration::from_secs(5) * patience();
    for (namespace, end_of_cable) in [(host, near), (remote, far)] {
        loop {
            let output =
                namespace.command("ip").args(["-oneline", "link", "show", "dev", &end_of_cable.interface]).output();
            let shown = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            // Not every driver says when it is up.
            if [" state UP ", " state UNKNOWN "].iter().any(|state| shown.contains(state)) {
                break;
            }
            assert!(Instant::now() < end, "{}: no carrier: {shown}", end_of_cable.interface);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Hardware falls back to the first namespace some time after the one that it was in is gone.
fn wait_for_interface(mac: [u8; 6]) -> Option<String> {
    let end = Instant::now() + Duration::from_secs(5) * patience();
    loop {
        let found = interface_of(mac);
        if found.is_some() || Instant::now() > end {
            return found;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn interface_of(mac: [u8; 6]) -> Option<String> {
    let text = mac.map(|byte| format!("{byte:02x}")).join(":");
    let entries = fs::read_dir("/sys/class/net").ok()?.filter_map(Result::ok);
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.find(|name| {
        fs::read_to_string(format!("/sys/class/net/{name}/address")).is_ok_and(|found| found.trim() == text)
    })
}
