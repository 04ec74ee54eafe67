//! Two cables between the same two namespaces, both protected by one agent.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use harness::enforcer::{Ran, command, enforcer_with_environment};
use harness::netns::{self, Cable, Namespace, another_interface, host_pins, remove_pins};
use harness::objects::Objects;

/// Where the agent serves its metrics, in its own namespace.
pub(crate) const METRICS: &str = "127.0.0.1:9464";

/// A cable: the protected end, the other, and how many bits of `10.0.0.0/8` are behind it.
pub(crate) struct Pair {
    pub(crate) near: String,
    pub(crate) far: String,
    pub(crate) near_mac: [u8; 6],
    pub(crate) far_mac: [u8; 6],
    /// Third byte of its network, `198.18.N.0/24`, and likewise `2001:db8:N::/64`.
    pub(crate) network: u8,
}

impl Pair {
    pub(crate) fn host(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.network, 1)
    }

    pub(crate) fn stranger(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.network, 2)
    }
}

/// The protected host, and the namespace with everybody else. Dropping it ends the agent and detaches.
pub(crate) struct World {
    pub(crate) host: Namespace,
    pub(crate) remote: Namespace,
    pub(crate) pairs: [Pair; 2],
    folder: PathBuf,
    agent: Child,
}

impl World {
    pub(crate) fn new(hook: &str) -> Self {
        // The other ends have no addresses: what comes from there is the flood alone.
        let Cable { host, remote, near, far } = Cable::quiet();
        let pair = |number: u8, near, far| Pair {
            near,
            far,
            near_mac: [2, 0, 0, 0, number, 1],
            far_mac: [2, 0, 0, 0, number, 2],
            network: number,
        };
        let pairs =
            [pair(0, near.interface, far.interface), pair(1, another_interface(), format!("{}p", another_interface()))];
        second_cable(&host, &remote, &pairs[1]);
        for pair in &pairs {
            prepare(&host, pair);
        }
        let folder = std::env::temp_dir().join(format!("enforcer-load-{}", pairs[0].near));
        fs::create_dir_all(&folder).expect("the folder can be made");
        write(&folder, &pairs, FIRST);
        let agent = start(&host, &folder, hook);
        let world = Self { host, remote, pairs, folder, agent };
        world.wait_for("ready", || world.log().lines().any(|line| line.ends_with("ready")));
        world
    }

    /// Puts another site file in the place of the last one. The agent sees that by itself. `false`: it was the same.
    pub(crate) fn write(&self, policy: &str) -> bool {
        let read = || fs::read_to_string(self.folder.join("site.yaml")).expect("it is there");
        let before = read();
        write(&self.folder, &self.pairs, policy);
        read() != before
    }

    /// Runs the binary on the protected host.
    pub(crate) fn run(&self, line: &[&str]) -> Ran {
        enforcer_with_environment(&self.host, line, &[(STATE, self.folder.to_str().expect("plain"))])
    }

    /// The same, to be started in another way.
    pub(crate) fn command(&self, line: &[&str]) -> std::process::Command {
        let mut command = command(&self.host, line);
        command.env(STATE, &self.folder);
        command
    }

    /// The agent's process.
    pub(crate) fn agent(&self) -> u32 {
        self.agent.id()
    }

    /// What the agent has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).expect("it is there")
    }

    /// What is pinned for these interfaces and this host, and what the agent has open.
    pub(crate) fn objects(&self) -> Objects {
        let mut objects = Objects::default();
        for folder in pins(&self.pairs, &self.host) {
            objects.add_pinned(&folder);
        }
        objects.add_open(self.agent());
        objects
    }

    /// Waits for what comes with time, however long a busy machine takes.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, is: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(120);
        while !is() {
            assert!(Instant::now() < end, "waited in vain for {what}; the agent said:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
        self.run(&["detach"]);
        for folder in pins(&self.pairs, &self.host) {
            remove_pins(&folder);
        }
        let _ = fs::remove_file(format!("/run/enforcer/agent-{}.lock", self.host.inode()));
        let _ = fs::remove_dir_all(&self.folder);
    }
}

const STATE: &str = "ENFORCER_STATE_DIR";
/// What is in force at the beginning, and at the end again.
pub(crate) const FIRST: &str = "allow:\n  - {name: flood, protocol: udp, ports: [7000]}\n";

fn second_cable(host: &Namespace, remote: &Namespace, pair: &Pair) {
    let Pair { near, far, network, .. } = pair;
    host.batch(&format!("link add {near} type veth peer name {far} netns {}\n", remote.name()));
    for (namespace, interface, mac) in [(host, near, pair.near_mac), (remote, far, pair.far_mac)] {
        namespace.run(|| netns::silence(interface));
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        namespace.batch(&format!("link set {interface} address {mac} addrgenmode none up\n"));
    }
    for (namespace, interface) in [(host, near), (remote, far)] {
        netns::wait_for_carrier(namespace, interface);
    }
    host.batch(&format!(
        "addr add 198.18.{network}.1/24 brd + dev {near}\naddr add 2001:db8:{network}::1/64 dev {near} nodad\n"
    ));
}

/// Half of `10.0.0.0/8` is behind each cable. What leaves is counted by nftables, before our programs see it.
fn prepare(host: &Namespace, pair: &Pair) {
    let Pair { near, network, .. } = pair;
    let half = Ipv4Addr::new(10, network * 128, 0, 0);
    let stranger = pair.stranger();
    let mac = pair.far_mac.map(|byte| format!("{byte:02x}")).join(":");
    host.batch(&format!(
        "neigh replace {stranger} lladdr {mac} dev {near} nud permanent\nroute add {half}/9 via {stranger} dev {near}\n"
    ));
    host.run(|| {
        for name in ["all", near] {
            fs::write(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), "0").expect("root may");
        }
    });
    // Live frames arrive only where the receiver polls: with a native XDP program, or with receive offload.
    let ethtool = host.command("ethtool").args(["-K", near, "gro", "on"]).status();
    assert!(ethtool.is_ok_and(|status| status.success()), "ethtool is there");
    let table = format!(
        "add table netdev load\nadd chain netdev load {near} {{ type filter hook egress device {near} priority 0; }}\n\
         add rule netdev load {near} counter\n"
    );
    let nft = host.command("nft").arg(table).output().expect("nft is there");
    assert!(nft.status.success(), "nft: {}", String::from_utf8_lossy(&nft.stderr));
}

/// Another file, renamed, as careful tools do.
fn write(folder: &Path, pairs: &[Pair; 2], policy: &str) {
    let text =
        format!("interfaces: [{}, {}]\nflows: {{entries: 4096, udp: 60}}\n{policy}", pairs[0].near, pairs[1].near);
    let new = folder.join("site.yaml.new");
    fs::write(&new, text).expect("the folder is there");
    fs::rename(new, folder.join("site.yaml")).expect("the folder is there");
}

fn start(host: &Namespace, folder: &Path, hook: &str) -> Child {
    let site = folder.join("site.yaml");
    let line = ["run", site.to_str().expect("plain"), "--hook", hook, "--metrics", METRICS, "--check", "5s"];
    let log = File::create(folder.join("log")).expect("the folder is there");
    let mut command = command(host, &line);
    command.env(STATE, folder).env_remove("JOURNAL_STREAM");
    command.stdout(Stdio::null()).stderr(log).spawn().expect("the binary starts")
}

fn pins(pairs: &[Pair; 2], host: &Namespace) -> [PathBuf; 3] {
    let root = Path::new("/sys/fs/bpf/enforcer");
    [root.join(&pairs[0].near), root.join(&pairs[1].near), host_pins(host.inode())]
}
