//! A host that filters, and what comes through: logged behind all rules inbound, seen at the other end of the cable outbound.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use enforcer::dataplane::{self, BpfLog, Caller, Ending, HookChoice, Plan, PlannedInterface, Protects, Said};
use enforcer::judge::host::Host;
use enforcer::policy::claims::Claims;
use enforcer::policy::ruleset::Ruleset;
use enforcer::policy::source::Source;
use enforcer::state::FOLDER_VARIABLE;
use enforcer_common::{Direction, Mode};
use harness::enforcer::state_folder;
use harness::netns::Cable;
use harness::observer::{Observer, forget_connections};
use harness::raw::{RawIp, RawSocket};
use harness::remembered::Tables;

use super::packets::{Sent, name_of};

const GROUP: u16 = 7;
/// What the test itself sends from the host. What the stack answers by itself has no mark and goes nowhere, so that nothing
/// but the test speaks.
const MARK: u32 = 0x7e57;
/// A busy machine is slow, not wrong.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct World {
    pub(super) cable: Cable,
    observer: Observer,
    far: RawSocket,
    out: RawIp,
}

/// What came through.
#[derive(Default)]
pub(super) struct Arrived {
    ids: BTreeSet<u32>,
    /// Packets that have lost their name on the way (cut or bent), by their bytes, and how often.
    unnamed: BTreeMap<Vec<u8>, usize>,
}

impl Arrived {
    pub(super) fn has(&self, id: u32) -> bool {
        self.ids.contains(&id)
    }

    /// What has arrived here more often than there, and how much more often.
    pub(super) fn without(&self, other: &Self) -> Vec<(Vec<u8>, usize)> {
        let more = self.unnamed.iter().map(|(bytes, times)| {
            let there = other.unnamed.get(bytes).copied().unwrap_or_default();
            (bytes.clone(), times.saturating_sub(there))
        });
        more.filter(|(_, times)| *times > 0).collect()
    }
}

impl World {
    pub(super) fn new(cable: Cable) -> Self {
        let (near, far) = (&cable.near.interface, &cable.far);
        cable.host.run(|| {
            for (name, value) in [
                ("ipv4/conf/all/rp_filter", "0"),
                ("ipv4/conf/default/rp_filter", "0"),
                (&format!("ipv4/conf/{near}/rp_filter"), "0"),
                (&format!("ipv6/conf/{near}/accept_ra"), "0"),
                (&format!("ipv6/conf/{near}/accept_redirects"), "0"),
            ] {
                let path = format!("/proc/sys/net/{name}");
                std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
            }
        });
        let mac = far.mac.map(|byte| format!("{byte:02x}")).join(":");
        let (v4, v6) = (far.v4, far.v6);
        cable.host.batch(&format!(
            "neigh replace {v4} lladdr {mac} dev {near} nud permanent\nneigh replace {v6} lladdr {mac} dev {near} nud permanent\n\
             route add default via {v4} dev {near}\nroute add ::/0 via {v6} dev {near}\n"
        ));
        let far = RawSocket::open(&cable.remote, &cable.far.interface).for_many();
        let out = RawIp::open(&cable.host, near, MARK);
        let observer = Observer::open(&cable.host, GROUP);
        let world = Self { observer, far, out, cable };
        world.load(&watch(&world.cable.near.interface));
        // The name is there once something asks conntrack, and the watching does.
        let path = "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal";
        world.cable.host.run(|| std::fs::write(path, "1").unwrap_or_else(|error| panic!("{path}: {error}")));
        world
    }

    /// Puts a policy in force with our programs.
    pub(super) fn enforce(&self, ruleset: &Ruleset, hook: HookChoice) {
        // SAFETY: the standard library guards its own uses of the environment, and nothing here reads it by other means.
        unsafe { std::env::set_var(FOLDER_VARIABLE, state_folder()) };
        self.cable.host.run(|| {
            let planned = PlannedInterface {
                name: self.cable.near.interface.clone(),
                protects: Protects::Host,
                scope: None,
                claims: Claims::default(),
                said: Said { asked: enforcer::policy::modes::SaidModes::both(Some(Mode::Enforce)), ..Said::default() },
            };
            let plan = Plan {
                ruleset,
                origin: "oracle".to_owned(),
                interfaces: vec![planned],
                hook,
                ending: Ending::Allowed,
                confirm_within: None,
                source: Source::default(),
                bpf_log: BpfLog::Off,
                caller: Caller::Operator,
            };
            dataplane::apply(&plan).unwrap_or_else(|error| panic!("apply: {error:?}"));
        });
        Tables::of(&self.cable.host).forget();
    }

    pub(super) fn detach(&self) {
        harness::enforcer::enforcer(&self.cable.host, &["detach"]).expect_code(0);
    }

    /// Puts a ruleset of nftables in force.
    pub(super) fn load(&self, text: &str) {
        let mut nft = self.cable.host.command("/usr/sbin/nft");
        let mut child = nft.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("nft starts");
        child.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
        forget_connections(&self.cable.host);
    }

    /// What the decision code has to know of this host.
    pub(super) fn host(&self) -> Host {
        let near = &self.cable.near;
        let broadcast = [198, 18, 0, 255];
        let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 255, 255, 255]), IpAddr::V6(1.into())];
        let own = near.addresses().into_iter().chain([IpAddr::from(broadcast)]).chain(loopback);
        Host { macs: vec![near.mac], ..Host::with_addresses(own) }
    }

    /// Sends packets one way and waits until the last of them has arrived, which always does.
    pub(super) fn send(&self, direction: Direction, packets: &[Sent], sentinel: &Sent, arrived: &mut Arrived) {
        let frames: Vec<Vec<u8>> = packets.iter().chain([sentinel]).flat_map(|sent| sent.frames.clone()).collect();
        let seen = std::cell::RefCell::new(arrived);
        let note = |bytes: &[u8]| match name_of(bytes) {
            Some(id) => {
                seen.borrow_mut().ids.insert(id);
            }
            None if direction == Direction::Inbound => {
                *seen.borrow_mut().unnamed.entry(bytes.to_vec()).or_default() += 1;
            }
            // The host's own address resolution, which no rule can silence.
            None => {}
        };
        let done = || seen.borrow().has(sentinel.id);
        let whole = match direction {
            Direction::Inbound => {
                self.far.send_all(&frames);
                self.observer.packets(PATIENCE, note, done)
            }
            Direction::Outbound => {
                for frame in &frames {
                    self.out.send(&frame[14..]);
                }
                self.far.frames(PATIENCE, note, done)
            }
        };
        assert!(whole, "the last {} packet did not arrive", direction.name());
    }
}

/// Logs what has come through, behind everything else; lets nothing out but what the test sends. That it asks for conntrack
/// makes it put datagrams together on both hosts.
fn watch(interface: &str) -> String {
    format!(
        "table inet watch {{
            chain input {{
                type filter hook input priority 300; policy accept;
                ct state invalid counter
                iifname \"{interface}\" log group {GROUP}
            }}
            chain output {{
                type filter hook output priority -450; policy accept;
                meta mark != {MARK} drop
            }}
        }}
        table netdev watch {{
            chain ingress {{
                type filter hook ingress device \"{interface}\" priority 300; policy accept;
                meta protocol != {{ ip, ip6, 8021q, 8021ad }} log group {GROUP}
            }}
        }}"
    )
}
