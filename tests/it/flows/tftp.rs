//! TFTP with a real server, whose answer comes from another port (RFC 1350, section 4): by `answer_port: any` of the connection,
//! whether what leaves is judged or not.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use enforcer_common::Reason;
use harness::enforcer::Protected;
use harness::netns::{Cable, Namespace};
use harness::skip::skip;

use crate::stage::Stage;

#[test]
fn a_file_is_fetched_with_outbound_open() {
    fetch("open");
}

#[test]
fn a_file_is_fetched_with_outbound_judged() {
    fetch("role");
}

fn fetch(outbound: &str) {
    let find =
        |name: &str| ["/usr/sbin", "/usr/bin"].map(|dir| Path::new(dir).join(name)).into_iter().find(|p| p.exists());
    let (Some(server), Some(client)) = (find("dnsmasq"), find("tftp")) else {
        skip("no dnsmasq or no tftp: `cargo xtask setup` installs them");
        return;
    };
    let site = format!("interfaces: [IF]\nmode: enforce\nroles: [unity-connection]\noutbound: {outbound}\n");
    let stage = Stage::of(Protected::apply_site(Cable::new(), &site, &["--hook", "tc"]));
    let Cable { host, remote, far, .. } = &stage.protected.cable;
    let folder = Folder::new(&format!("{}-{outbound}", far.interface));
    // Four blocks, so that both sides go on from the server's other port.
    let certificates = vec![b'c'; 3 * 512 + 7];
    fs::write(folder.0.join("certificates"), &certificates).expect("the folder is ours");
    let _server = Server::start(remote, &server, &folder.0, &far.v4.to_string());
    let fetched = folder.0.join("fetched");
    let mut command = host.command(&client);
    command.args([&far.v4.to_string(), "-m", "binary", "-c", "get", "certificates"]).arg(&fetched);
    let output = command.output().expect("tftp runs");
    assert_eq!(fs::read(&fetched).ok(), Some(certificates), "{output:?}: {:?}", stage.counted());
    // Without the question nobody is let in, from whichever port.
    let stranger = harness::packet::Packet::new().ipv4("198.18.0.2", "198.18.0.1").udp(69, 40_000);
    stage.inbound(&stranger, Reason::NoRule);
}

/// A folder that is gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("enforcer-tftp-{name}"));
        fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing depends on it any more.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that ends when this is dropped.
struct Server(Child);

impl Server {
    fn start(namespace: &Namespace, program: &Path, folder: &Path, address: &str) -> Self {
        let mut command = namespace.command(program);
        // Of the real servers the one whose package starts no service on the machine that it is installed on.
        command.args(["--no-daemon", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--port=0", "--pid-file="]);
        command.args(["--user=root", "--enable-tftp", "--bind-interfaces", &format!("--listen-address={address}")]);
        command.arg(format!("--tftp-root={}", folder.display()));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("dnsmasq runs");
        let server = Self(child);
        // It is there when nobody else can have its port.
        let end = Instant::now() + Duration::from_secs(5);
        while namespace.run(|| UdpSocket::bind((address, 69)).is_ok()) {
            assert!(Instant::now() < end, "dnsmasq does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
