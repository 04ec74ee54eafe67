//! The first enforcement: what this host opened and what a rule permits goes on without one retransmission timeout.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use harness::enforcer::Protected;
use harness::netns::Cable;

use super::{Conversation, Datagrams, PERMITTED, UNLISTED, apply, run, timeouts};

/// A download that does not end by itself.
struct Download {
    received: Arc<AtomicU64>,
    host: TcpStream,
    threads: Vec<JoinHandle<()>>,
}

impl Download {
    #[track_caller]
    fn start(cable: &Cable) -> Self {
        let Conversation { host, mut peer, .. } = Conversation::from_host(cable, cable.far.v4);
        let received = Arc::new(AtomicU64::new(0));
        let (mut reader, count) = (host.try_clone().expect("a socket can be shared"), Arc::clone(&received));
        let sending = thread::spawn(move || {
            let block = [7; 16384];
            while peer.write_all(&block).is_ok() {}
        });
        let receiving = thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                count.fetch_add(length as u64, Ordering::Relaxed);
            }
        });
        Self { received, host, threads: vec![sending, receiving] }
    }

    /// Waits until so much more has arrived.
    #[track_caller]
    fn wait_for(&self, more: u64) {
        let until = self.received.load(Ordering::Relaxed) + more;
        let start = std::time::Instant::now();
        while self.received.load(Ordering::Relaxed) < until {
            assert!(start.elapsed() < super::SOON, "the download stands still");
            thread::yield_now();
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // The ends may be closed already where a test has failed.
        let _ = self.host.shutdown(Shutdown::Both);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Everything that is going on when enforcement begins.
struct Drill {
    ssh: Conversation,
    idle: [Conversation; 3],
    download: Download,
    datagrams: [Datagrams; 2],
    intruder: Conversation,
}

impl Drill {
    #[track_caller]
    fn begin(cable: &Cable) -> Self {
        let mut ssh = Conversation::from_peer(cable, PERMITTED);
        let mapped = cable.far.v4.to_ipv6_mapped();
        let idle = [cable.far.v4.into(), cable.far.v6.into(), IpAddr::from(mapped)];
        let idle = idle.map(|to| Conversation::from_host(cable, to));
        let datagrams = [Datagrams::from_host(cable, cable.far.v4), Datagrams::from_host(cable, cable.far.v6)];
        let mut intruder = Conversation::from_peer(cable, UNLISTED);
        let download = Download::start(cable);
        ssh.exchange();
        intruder.exchange();
        download.wait_for(1 << 20);
        Self { ssh, idle, download, datagrams, intruder }
    }

    /// What is permitted goes on, with the peers speaking first; then the intruder tries.
    #[track_caller]
    fn go_on(mut self, cable: &Cable, before: [u64; 2]) {
        self.download.wait_for(1 << 20);
        self.ssh.exchange();
        self.idle.iter_mut().for_each(Conversation::exchange);
        self.datagrams.iter().for_each(Datagrams::exchange);
        drop(self.download);
        assert_eq!(count(cable), before, "retransmission timeouts, host and remote");
        assert!(self.intruder.is_cut(), "no rule permits it");
    }

    /// Fails unless the intruder, and nothing else, is announced.
    #[track_caller]
    fn expect_announced(&self, cable: &Cable, text: &str) {
        assert!(text.contains("1 live connection would be cut"), "{text}");
        let line = text
            .lines()
            .find(|line| line.contains(&self.intruder.remote().to_string()))
            .unwrap_or_else(|| panic!("{text}"));
        for said in [&format!("{}:{UNLISTED}", cable.near.v4), &format!("({})", std::process::id()), "no-rule"] {
            assert!(line.contains(said), "{said}: {text}");
        }
    }
}

fn count(cable: &Cable) -> [u64; 2] {
    [timeouts(&cable.host), timeouts(&cable.remote)]
}

#[test]
fn the_first_enforcement_cuts_nothing_but_the_intruder() {
    let cable = Cable::new();
    let drill = Drill::begin(&cable);
    let before = count(&cable);
    let protected = Protected { cable };
    let cable = &protected.cable;
    let ran = run(cable, &apply(cable, &[])).expect_code(0);
    drill.expect_announced(cable, &ran.stderr);
    drill.go_on(cable, before);
}

#[test]
fn the_switch_from_audit_to_enforce_cuts_nothing_but_the_intruder() {
    let cable = Cable::new();
    let drill = Drill::begin(&cable);
    let before = count(&cable);
    let protected = Protected::apply_on(cable, &["--role", "unity-connection", "--mode", "audit"]);
    let cable = &protected.cable;
    let near = &cable.near.interface;
    drill.download.wait_for(1 << 20);
    let ran = protected.run(&["mode", "enforce", "--interface", near]).expect_code(0);
    drill.expect_announced(cable, &ran.stderr);
    drill.go_on(cable, before);
}

#[test]
fn flows_that_are_gone_when_enforcement_begins_are_made_again() {
    let cable = Cable::new();
    let mut idle = Conversation::from_host(&cable, cable.far.v4);
    let datagrams = Datagrams::from_host(&cable, cable.far.v6);
    // The shortest timeouts a site may have: everything that is idle is forgotten before the switch.
    let site = format!(
        "interfaces: [{}]\nroles: [unity-connection]\nmode: audit\nflows: {{tcp: 1s, udp: 1s}}\n",
        cable.near.interface
    );
    let ran = harness::enforcer::enforcer_with_input(&cable.host, &["apply", "-"], &site);
    let protected = Protected { cable };
    ran.expect_code(0);
    // Time is the input here: idle flows end by themselves.
    thread::sleep(std::time::Duration::from_millis(1500));
    protected.mode("enforce");
    idle.exchange();
    datagrams.exchange();
}
