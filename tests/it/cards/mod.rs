//! Emulated network cards: a program that is attached must judge, and go on judging when the link goes down and up, and when rings, channels
//! or the MTU change. `cargo xtask vmtest --card NAME` has the cards; elsewhere the tests are skipped.

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::cards::{cable, set_up};
use harness::enforcer::{Protected, command, state_folder};
use harness::machine::patience;
use harness::netns::Cable;
use harness::skip::{say, skip};
use harness::sockets::{Reply, Servers, tcp, udp};

const SITE: &str = "interfaces: [IF]\nmode: enforce\nroles: []\nallow:\n  \
                    - {name: tcp, protocol: tcp, ports: [8080]}\n  - {name: udp, protocol: udp, ports: [8081]}\n";
const PERMITTED: [u16; 2] = [8080, 8081];
const REFUSED: [u16; 2] = [8082, 8083];
/// Addresses behind a VLAN tag.
const TAGGED: [[u8; 4]; 2] = [[198, 18, 5, 1], [198, 18, 5, 2]];

macro_rules! cards {
    ($($card:ident),* $(,)?) => {
        $(mod $card {
            #[test]
            fn judges_whatever_happens_to_the_link() {
                super::try_card(stringify!($card), false);
            }

            #[test]
            fn judges_whatever_happens_to_the_link_beside_the_agent() {
                super::try_card(stringify!($card), true);
            }
        })*
    };
}

// The names are those of `xtask/src/vmtest/cards.rs`. A card's tests use the same interface, so they run one after the other.
cards!(virtio, virtio_unmerged, vmxnet3, igb, e1000e, e1000, rtl8139, e100, tulip);

#[track_caller]
fn try_card(name: &str, by_agent: bool) {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(cable) = cable(name) else {
        skip("this machine has no such card (`cargo xtask vmtest --card` makes one)");
        return;
    };
    set_up(&cable);
    let takes_jumbo = takes_jumbo(&cable);
    let bench = Bench::new(cable, by_agent);
    bench.check("at first");
    let near = bench.near();
    let mut tried = Vec::new();
    bench.host(&["ip", "link", "set", &near, "down"]);
    tried.push("down and up");
    bench.check("after down and up");
    let changes: [(&str, &[&str]); 3] = [
        ("rings", &["ethtool", "-G", &near, "rx", "256"]),
        ("channels", &["ethtool", "-L", &near, "combined", "1"]),
        ("MTU", &["ip", "link", "set", &near, "mtu", "1400"]),
    ];
    for (what, line) in changes {
        // Not every card has each, and some refuse it while XDP is on: then nothing has changed.
        if bench.host(line) {
            tried.push(what);
            bench.check(&format!("after a change of {what}"));
        }
    }
    bench.host(&["ip", "link", "set", &near, "mtu", "1500"]);
    if bench.tags() {
        tried.push("VLAN");
        bench.check_tagged();
    }
    let mode = bench.attach_mode();
    let jumbo = if takes_jumbo { bench.jumbo() } else { "not with this card" };
    say(&format!("{name}: {mode}; {}; jumbo frames: {jumbo}", tried.join(", ")));
}

struct Bench {
    protected: Protected,
    agent: Option<std::process::Child>,
    _servers: Servers,
}

impl Bench {
    #[track_caller]
    fn new(cable: Cable, by_agent: bool) -> Self {
        let servers = Servers::start(&cable.host, &[PERMITTED[0], REFUSED[0]], &[PERMITTED[1], REFUSED[1]]);
        let protected = Protected::apply_site(cable, SITE, &[]);
        let host = &protected.cable.host;
        let agent = by_agent.then(|| {
            let site = state_folder().join(format!("card-{}.yaml", protected.cable.near.interface));
            fs::write(&site, SITE.replace("IF", &protected.cable.near.interface)).expect("the folder is there");
            let mut run = command(host, &["run", site.to_str().expect("plain"), "--check", "1s"]);
            run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts")
        });
        Self { protected, agent, _servers: servers }
    }

    fn near(&self) -> String {
        self.protected.cable.near.interface.clone()
    }

    /// Whether a command succeeds where the protected interface is.
    fn host(&self, line: &[&str]) -> bool {
        let mut command = self.protected.cable.host.command(line[0]);
        command
            .args(&line[1..])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn attach_mode(&self) -> String {
        let json = self.protected.run(&["status", "--format", "json"]).json();
        json["interfaces"][0]["inbound"]["attach_mode"].as_str().unwrap_or("not attached").to_owned()
    }

    /// What is permitted arrives, what is not does not, by TCP and UDP, over IPv4 and IPv6; and each refusal is counted.
    #[track_caller]
    fn check(&self, when: &str) {
        let cable = &self.protected.cable;
        set_up(cable);
        let (near, far) = (cable.near.addresses(), cable.far.addresses());
        for (from, to) in far.into_iter().zip(near) {
            self.check_between(from, to, when);
        }
    }

    #[track_caller]
    fn check_between(&self, from: IpAddr, to: IpAddr, when: &str) {
        let remote = &self.protected.cable.remote;
        // With a driver that loses the first frames after a change, or an agent that is about to mend something.
        let end = Instant::now() + Duration::from_secs(4) * patience();
        for (port, ask) in PERMITTED.into_iter().zip([tcp as fn(&_, _, _) -> _, udp]) {
            while ask(remote, from, (to, port).into()) != Reply::Answered {
                assert!(
                    Instant::now() < end,
                    "{when}: {from} -> {to}, port {port}, which is permitted: silence\n{}",
                    self.told()
                );
            }
        }
        loop {
            let before = self.protected.counters();
            let replies = [tcp(remote, from, (to, REFUSED[0]).into()), udp(remote, from, (to, REFUSED[1]).into())];
            let dropped = self.protected.counters().since(&before).of_name("inbound reason no-rule drop");
            if replies == [Reply::Silence; 2] && dropped >= 2 {
                return;
            }
            // Only an agent may need a moment, until it has noticed.
            let message =
                || format!("{when}: {from} -> {to}, which is refused: {replies:?}, {dropped} counted\n{}", self.told());
            assert!(self.agent.is_some() && Instant::now() < end, "{}", message());
        }
    }

    fn told(&self) -> String {
        let ran = self.protected.run(&["status"]);
        format!("{}{}", ran.stdout, ran.stderr)
    }

    /// Whether both ends take VLAN tags; the card takes the tag out by itself where it can.
    fn tags(&self) -> bool {
        let Cable { host, remote, near, far } = &self.protected.cable;
        self.host(&["ethtool", "-K", &near.interface, "rxvlan", "on"]);
        let ends = [(host, near, TAGGED[0]), (remote, far, TAGGED[1])];
        ends.into_iter().all(|(namespace, end, [a, b, c, d])| {
            let lines = [
                format!("link add link {} name tagged type vlan id 5", end.interface),
                "link set tagged up".to_owned(),
                format!("addr add {a}.{b}.{c}.{d}/24 dev tagged"),
            ];
            lines.iter().all(|line| {
                let mut ip = namespace.command("ip");
                ip.args(line.split(' ')).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
            })
        })
    }

    #[track_caller]
    fn check_tagged(&self) {
        set_up(&self.protected.cable);
        let [near, far] = TAGGED.map(IpAddr::from);
        self.check_between(far, near, "behind a VLAN tag");
    }

    /// Frames of 8,000 bytes, permitted and refused, where the card takes them: with what is attached, or else with what `apply` attaches then.
    #[track_caller]
    fn jumbo(&self) -> &'static str {
        let Cable { remote, near, far, .. } = &self.protected.cable;
        let mut far_mtu = remote.command("ip");
        far_mtu.args(["link", "set", &far.interface, "mtu", "9000"]).status().expect("ip runs");
        let mut how = "as it was";
        if !self.host(&["ip", "link", "set", &near.interface, "mtu", "9000"]) {
            self.protected.run(&["detach"]);
            assert!(
                self.host(&["ip", "link", "set", &near.interface, "mtu", "9000"]),
                "nothing is attached, and it was taken before"
            );
            how = "applied again";
            self.protected.try_site(SITE, &[]).expect_code(0);
        }
        self.check("with a large MTU");
        for (from, to) in far.addresses().into_iter().zip(near.addresses()) {
            let passes = || (0..5).any(|_| large(&self.protected.cable, from, to, PERMITTED[1]));
            if !passes() {
                // Whose fault is it? Rings and channels are others by now than when the card took large frames.
                let told = self.told();
                self.protected.run(&["detach"]);
                assert!(
                    !passes(),
                    "a large datagram to a permitted port: silence, and an answer once detached\n{told}"
                );
                self.protected.try_site(SITE, &[]).expect_code(0);
                return "not with this card after these changes";
            }
            assert!(!large(&self.protected.cable, from, to, REFUSED[1]), "a large datagram passes\n{}", self.told());
        }
        how
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        // The card goes back to the first namespace, to be used again.
        self.host(&["ip", "link", "set", &self.near(), "mtu", "1500"]);
    }
}

/// Whether the card takes large frames at all: not every one does, nor every emulation.
fn takes_jumbo(cable: &Cable) -> bool {
    let mtu = |mtu: &str| {
        [(&cable.host, &cable.near), (&cable.remote, &cable.far)].into_iter().all(|(namespace, end)| {
            let mut ip = namespace.command("ip");
            ip.args(["link", "set", &end.interface, "mtu", mtu])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        })
    };
    let _servers = Servers::start(&cable.host, &[], &[PERMITTED[1]]);
    let takes = mtu("9000") && {
        set_up(cable);
        (0..5).any(|_| large(cable, cable.far.v4.into(), cable.near.v4.into(), PERMITTED[1]))
    };
    assert!(mtu("1500"), "the MTU is what it was");
    set_up(cable);
    takes
}

/// Whether a datagram of 8,000 bytes is answered.
fn large(cable: &Cable, from: IpAddr, to: IpAddr, port: u16) -> bool {
    cable.remote.run(|| {
        let exchange = || {
            let socket = UdpSocket::bind((from, 0))?;
            socket.set_read_timeout(Some(Duration::from_millis(500)))?;
            socket.connect((to, port))?;
            socket.send(&[7; 8000])?;
            socket.recv(&mut [0; 64])
        };
        exchange().is_ok()
    })
}
