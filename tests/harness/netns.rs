//! Network namespaces and the cables between them, gone when they are dropped.
//!
//! Names carry the process id and a number, so tests may run side by side, and what a killed run left behind is recognised
//! and removed by the next one. Nothing here touches an interface of the host.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::enforcer::state_folder;
use crate::machine::tc_attach_mode;

const PREFIX: &str = "enforcer-test";

/// A network namespace of its own, with its loopback up.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace.
    ///
    /// # Panics
    /// When it cannot be made: not root, or no iproute2.
    #[must_use]
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "making one has effects outside of the process")]
    pub fn new() -> Self {
        static SWEEP: Once = Once::new();
        SWEEP.call_once(sweep);
        let name = format!("{PREFIX}-{}-{}", process::id(), number());
        ip(&["netns", "add", &name], "");
        let namespace = Self { name };
        namespace.batch("link set lo up\n");
        namespace
    }

    /// Its name below `/run/netns`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number by which the kernel tells namespaces apart.
    ///
    /// # Panics
    /// When the namespace is gone.
    #[must_use]
    #[track_caller]
    pub fn inode(&self) -> u64 {
        self.file().metadata().expect("the namespace is there").ino()
    }

    /// Runs lines of `ip -batch` where the tests were started.
    #[track_caller]
    pub(crate) fn first(lines: &str) {
        ip(&["-batch", "-"], lines);
    }

    /// Runs lines of `ip -batch` in it.
    ///
    /// # Panics
    /// With what `ip` printed, when a line fails.
    #[track_caller]
    pub fn batch(&self, lines: &str) {
        ip(&["-netns", &self.name, "-batch", "-"], lines);
    }

    /// Runs a closure on a thread that is in the namespace. Sockets made there stay there.
    ///
    /// # Panics
    /// When the closure does, or the namespace is gone.
    #[track_caller]
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let file = self.file();
        let run = move || {
            setns(file.as_fd(), CloneFlags::CLONE_NEWNET).expect("entering a namespace takes root");
            f()
        };
        match thread::scope(|scope| scope.spawn(run).join()) {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// A command that will run in it, as by `nsenter --net`: the file systems, and so the pins, are those of the host.
    ///
    /// # Panics
    /// When the namespace is gone.
    #[must_use]
    #[track_caller]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let file = self.file();
        let mut command = Command::new(program.as_ref());
        // Whatever is started may start the binary, which is never to write where the host keeps its policies.
        command.stdin(Stdio::null()).env("ENFORCER_STATE_DIR", state_folder());
        let enter = move || setns(file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
        // SAFETY: between fork and exec only `setns` is called, which is a system call and allocates nothing.
        unsafe { command.pre_exec(enter) };
        command
    }

    #[track_caller]
    fn file(&self) -> File {
        let path = Path::new("/run/netns").join(&self.name);
        File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A test that failed is told by its own panic, not by one of the cleaning.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).stderr(Stdio::null()).status();
    }
}

/// One end of a cable.
#[derive(Clone, Debug)]
pub struct End {
    /// The interface's name, unique on this machine among the tests.
    pub interface: String,
    /// Its address on the link.
    pub mac: [u8; 6],
    /// Its IPv4 address, in a /24.
    pub v4: Ipv4Addr,
    /// Its IPv6 address, in a /64.
    pub v6: Ipv6Addr,
}

impl End {
    /// Its addresses, IPv4 first.
    #[must_use]
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

/// Two namespaces and a veth pair between them: `host` is the one to be protected, `remote` has the clients.
///
/// The addresses come from the blocks for documentation and benchmarks. There is no duplicate address detection, no
/// link-local address and no router solicitation, so the cable is silent until somebody speaks.
#[derive(Debug)]
pub struct Cable {
    /// The namespace to be protected.
    pub host: Namespace,
    /// The namespace with everybody else.
    pub remote: Namespace,
    /// The protected end.
    pub near: End,
    /// The other end.
    pub far: End,
}

impl Cable {
    /// Makes both namespaces and the cable.
    ///
    /// # Panics
    /// When it cannot be made: not root, or no iproute2.
    #[must_use]
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "making one has effects outside of the process")]
    pub fn new() -> Self {
        Self::addressed(Self::unaddressed(None))
    }

    /// The same with a name for the near end, for programs that share no pins with the machine: what a killed run leaves of
    /// this name is recognised by nobody.
    ///
    /// # Panics
    /// When it cannot be made: not root, or no iproute2.
    #[must_use]
    #[track_caller]
    pub fn named(interface: &str) -> Self {
        Self::addressed(Self::unaddressed(Some(interface)))
    }

    #[track_caller]
    fn addressed(cable: Self) -> Self {
        let Self { host, remote, near, far } = &cable;
        for (namespace, own, other) in [(host, near, far), (remote, far, near)] {
            let End { interface, v4, v6, .. } = own;
            namespace.batch(&format!(
                "addr add {v4}/24 brd + dev {interface}\naddr add {v6}/64 dev {interface} nodad\n{}",
                neighbours(own, other)
            ));
        }
        cable
    }

    /// The same, but the remote end has no addresses and never sends anything by itself (a host reports the multicast
    /// groups of its IPv6 addresses): for tests that count every packet.
    ///
    /// # Panics
    /// When it cannot be made: not root, or no iproute2.
    #[must_use]
    #[track_caller]
    pub fn quiet() -> Self {
        let cable = Self::unaddressed(None);
        let End { interface, v4, v6, .. } = &cable.near;
        cable.host.batch(&format!("addr add {v4}/24 brd + dev {interface}\naddr add {v6}/64 dev {interface} nodad\n"));
        cable
    }

    #[track_caller]
    fn unaddressed(near: Option<&str>) -> Self {
        let number = number();
        let end = |letter: char, last: u8| End {
            interface: interface_name(letter, number),
            mac: [0x02, 0, 0, 0, 0, last],
            v4: Ipv4Addr::new(198, 18, 0, last),
            v6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)),
        };
        let mut cable = Self { host: Namespace::new(), remote: Namespace::new(), near: end('h', 1), far: end('r', 2) };
        if let Some(name) = near {
            name.clone_into(&mut cable.near.interface);
        }
        let Self { host, remote, near, far } = &cable;
        let (a, b) = (&near.interface, &far.interface);
        host.batch(&format!("link add {a} type veth peer name {b} netns {}\n", remote.name()));
        for (namespace, end) in [(host, near), (remote, far)] {
            let End { interface, mac, .. } = end;
            namespace.run(|| silence(interface));
            namespace.batch(&format!("link set {interface} address {} addrgenmode none up\n", mac_text(*mac)));
        }
        for (namespace, end) in [(host, near), (remote, far)] {
            wait_for_carrier(namespace, &end.interface);
        }
        cable
    }

    /// Gives the remote end one more address, in the same subnet, that the host can answer to without asking who has it.
    ///
    /// # Panics
    /// When the address cannot be added.
    #[track_caller]
    pub fn add_remote_address(&self, address: IpAddr) {
        let (length, flags) = if address.is_ipv4() { (24, "") } else { (64, " nodad") };
        let End { interface, mac, .. } = &self.far;
        self.remote.batch(&format!("addr add {address}/{length} dev {interface}{flags}\n"));
        let near = &self.near.interface;
        self.host.batch(&format!("neigh replace {address} lladdr {} dev {near} nud permanent\n", mac_text(*mac)));
    }
}

/// What a killed run left behind, by the process id in its name: namespaces, and pins and state of interfaces in them.
fn sweep() {
    for path in entries(Path::new("/run/netns")) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let id = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1)).and_then(|id| id.parse().ok());
        if id.is_some_and(|id: u32| !is_running(id)) {
            if let Ok(metadata) = fs::metadata(&path) {
                remove_pins(&host_pins(metadata.ino()));
            }
            let _ = Command::new("ip").args(["netns", "delete", &name]).stderr(Stdio::null()).status();
        }
    }
    let is_left = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        owner_of_interface(&name).is_some_and(|id| !is_running(id))
    };
    for path in entries(Path::new("/sys/fs/bpf/enforcer")).into_iter().filter(is_left) {
        remove_pins(&path);
    }
    for path in entries(&state_folder()).into_iter().filter(is_left) {
        let _ = fs::remove_file(path);
    }
}

/// Takes our filters off an interface, as a reboot does: without TCX no pin holds them, and so none takes them along.
///
/// # Panics
/// When `tc` cannot be started.
pub fn forget_filters(namespace: &Namespace, interface: &str) {
    if tc_attach_mode() == "clsact" {
        // There may be none.
        let tc = namespace.command("tc").args(["qdisc", "del", "dev", interface, "clsact"]).output();
        tc.expect("iproute2 has tc");
    }
}

/// Where the pins are that all interfaces of a namespace share.
pub fn host_pins(inode: u64) -> PathBuf {
    Path::new("/sys/fs/bpf/enforcer").join(format!("host:{inode}"))
}

/// Where the pins of an interface are.
#[must_use]
pub fn pins_of(interface: &str) -> PathBuf {
    Path::new("/sys/fs/bpf/enforcer").join(interface)
}

/// Removes pins, and with them whatever they still hold.
pub fn remove_pins(dir: &Path) {
    // bpffs takes the usual calls. Nothing can be done about what cannot be removed; the next run tries again.
    let _ = fs::remove_dir_all(dir);
}

/// What is in a folder; nothing, where there is no such folder.
pub fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map(|all| all.filter_map(Result::ok).map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn is_running(id: u32) -> bool {
    Path::new("/proc").join(id.to_string()).exists()
}

/// An interface name has at most 15 characters: `eth`, the process id in six hexadecimal digits, a letter and a number.
fn interface_name(letter: char, number: u32) -> String {
    format!("et{:06x}{letter}{number}", process::id())
}

/// A name for one more interface; if it is protected and the test is killed, the next run removes its pins.
#[must_use]
pub fn another_interface() -> String {
    interface_name('h', number())
}

fn owner_of_interface(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("et")?.get(..6)?;
    let letter = name.as_bytes().get(8)?;
    matches!(letter, b'h' | b'r').then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// No duplicate address detection, no router solicitation, and reports of multicast groups at once instead of some time
/// later. The names of `/proc/sys/net` are those of the namespace that the thread is in.
///
/// # Panics
/// When there is no such interface.
pub fn silence(interface: &str) {
    for (name, value) in [
        ("accept_dad", "0"),
        ("dad_transmits", "0"),
        ("router_solicitations", "0"),
        ("mldv1_unsolicited_report_interval", "1"),
        ("mldv2_unsolicited_report_interval", "1"),
    ] {
        let path = format!("/proc/sys/net/ipv6/conf/{interface}/{name}");
        fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

/// Waits until frames pass an interface: right after it was set up they would be lost.
///
/// # Panics
/// When it takes seconds.
pub fn wait_for_carrier(namespace: &Namespace, interface: &str) {
    let mut show = Command::new("ip");
    show.args(["-netns", &namespace.name, "-oneline", "link", "show", "dev", interface]);
    for _ in 0..400 {
        let output = show.output().expect("ip runs");
        // The operational state follows the link from a work queue of the kernel; before it does, frames are lost.
        if String::from_utf8_lossy(&output.stdout).contains(" state UP ") {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{interface} is not up after two seconds");
}

fn neighbours(own: &End, other: &End) -> String {
    let lines = other.addresses().map(|address| {
        format!("neigh replace {address} lladdr {} dev {} nud permanent\n", mac_text(other.mac), own.interface)
    });
    lines.concat()
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[track_caller]
fn ip(arguments: &[&str], input: &str) {
    let mut child = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tests need iproute2: `cargo xtask setup` installs it");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("ip reads its input");
    let output = child.wait_with_output().expect("ip ends");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {}: {text}\n{input}", arguments.join(" "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_name_fits_and_names_its_process() {
        let name = interface_name('h', 4711);
        assert!(name.len() <= 15, "{name}");
        assert_eq!(owner_of_interface(&name), Some(process::id()));
        assert_eq!(owner_of_interface("eth0"), None);
    }

    #[test]
    fn two_ends_of_a_cable_hear_each_other_over_both_families() {
        let cable = Cable::new();
        for address in cable.near.addresses() {
            let listener = cable.host.run(|| std::net::TcpListener::bind((address, 0)).unwrap());
            let port = listener.local_addr().unwrap().port();
            cable.remote.run(|| std::net::TcpStream::connect((address, port)).unwrap());
        }
    }

    #[test]
    fn a_namespace_is_gone_after_a_panic() {
        let name = std::sync::Mutex::new(String::new());
        let result = std::panic::catch_unwind(|| {
            let namespace = Namespace::new();
            namespace.name().clone_into(&mut name.lock().unwrap());
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        assert!(result.is_err());
        let path = Path::new("/run/netns").join(name.into_inner().unwrap());
        assert!(!path.exists(), "{}", path.display());
    }

    #[test]
    fn a_command_runs_in_the_namespace_and_sees_the_hosts_pins() {
        let namespace = Namespace::new();
        let output = namespace.command("readlink").arg("/proc/self/ns/net").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("net:[{}]", namespace.inode()));
        let output = namespace.command("stat").args(["-f", "-c", "%T", "/sys/fs/bpf"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "bpf_fs");
    }
}
