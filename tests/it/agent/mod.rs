//! `enforcer run`, in a namespace with a state folder of its own.

mod clients;
mod estate;
mod file;
mod guard;
mod hand;
mod life;
mod links;
mod monitored;
mod repair;

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use harness::enforcer::{Ran, command, enforcer_with};
use harness::netns::Cable;
use harness::sockets::{Reply, tcp};
use serde_json::Value;

/// A port that Unity Connection refuses to strangers.
const REFUSED_PORT: u16 = 4444;
const SITE: &str = "interfaces: [IF]\nroles: [unity-connection]\n";
const ENFORCING: &str = "interfaces: [IF]\nroles: [unity-connection]\nmode: enforce\n";

/// A host on which an agent may run.
struct Host {
    cable: Cable,
    folder: PathBuf,
}

/// A running agent.
struct Agent<'a> {
    host: &'a Host,
    child: Child,
    log: PathBuf,
}

impl Host {
    fn new() -> Self {
        let cable = Cable::new();
        let folder = std::env::temp_dir().join(format!("enforcer-agent-{}", cable.near.interface));
        fs::create_dir_all(&folder).expect("the folder can be made");
        Self { cable, folder }
    }

    fn with_site(text: &str) -> Self {
        let host = Self::new();
        host.write(text);
        host
    }

    fn site(&self) -> PathBuf {
        self.folder.join("site.yaml")
    }

    /// Writes the site file, in which `IF` stands for the near end, as careful tools do: another file, renamed.
    #[track_caller]
    fn write(&self, text: &str) {
        let new = self.folder.join("site.yaml.new");
        fs::write(&new, text.replace("IF", &self.cable.near.interface)).expect("the folder is there");
        fs::rename(new, self.site()).expect("the folder is there");
    }

    #[track_caller]
    fn run(&self, line: &[&str]) -> Ran {
        enforcer_with(&self.cable.host, line, "", &[("ENFORCER_STATE_DIR", self.folder.to_str().expect("plain"))])
    }

    /// Starts an agent and waits until it is ready.
    #[track_caller]
    fn start(&self, options: &[&str]) -> Agent<'_> {
        let agent = self.spawn(options);
        agent.wait_for_log("ready");
        agent
    }

    #[track_caller]
    fn spawn(&self, options: &[&str]) -> Agent<'_> {
        self.spawn_with(options, &[])
    }

    /// With these variables in its environment.
    #[track_caller]
    fn spawn_with(&self, options: &[&str], variables: &[(&str, &str)]) -> Agent<'_> {
        let site = self.site();
        let mut line = vec!["run", site.to_str().expect("plain")];
        line.extend(options);
        let log = self.folder.join("log");
        let stderr = File::create(&log).expect("the folder is there");
        let mut command = command(&self.cable.host, &line);
        command.env("ENFORCER_STATE_DIR", &self.folder).env_remove("JOURNAL_STREAM");
        command.envs(variables.iter().copied());
        let child = command.stdout(Stdio::null()).stderr(stderr).spawn().expect("the binary starts");
        Agent { host: self, child, log }
    }

    #[track_caller]
    fn interfaces(&self) -> Vec<Value> {
        let json = self.run(&["status", "--format", "json"]).json();
        json["interfaces"].as_array().cloned().expect("a list")
    }

    /// A field of what `status` says of the near end.
    #[track_caller]
    fn status(&self, pointer: &str) -> Value {
        let all = self.interfaces();
        let near = all.iter().find(|one| one["interface"] == self.cable.near.interface.as_str());
        near.and_then(|one| one.pointer(pointer)).cloned().unwrap_or(Value::Null)
    }

    fn listen(&self) -> TcpListener {
        let address = (self.cable.near.v4, REFUSED_PORT);
        self.cable.host.run(|| TcpListener::bind(address).expect("the port is free"))
    }

    fn ask(&self) -> Reply {
        let Cable { remote, near, far, .. } = &self.cable;
        tcp(remote, IpAddr::from(far.v4), (near.v4, REFUSED_PORT).into())
    }

    fn pins(&self) -> PathBuf {
        Path::new("/sys/fs/bpf/enforcer").join(&self.cable.near.interface)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.run(&["detach"]);
        let _ = fs::remove_dir_all(self.pins());
        let _ = fs::remove_dir_all(format!("/sys/fs/bpf/enforcer/host:{}", self.cable.host.inode()));
        let _ = fs::remove_file(format!("/run/enforcer/agent-{}.lock", self.cable.host.inode()));
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Agent<'_> {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("it is there")
    }

    #[track_caller]
    fn wait_for_log(&self, text: &str) {
        wait_for(&format!("`{text}` in the log"), || if self.log().contains(text) { Ok(()) } else { Err(self.log()) });
    }

    /// Waits until it has compared everything in force with what should be for so many times.
    #[track_caller]
    fn wait_for_checks(&self, number: usize) {
        use std::os::unix::fs::MetadataExt as _;

        // Each of them saves what was counted, in a file of its own.
        let totals = self.host.folder.join(format!("{}.totals", self.host.cable.near.interface));
        let file = || fs::metadata(&totals).map(|file| (file.ino(), file.mtime(), file.mtime_nsec())).ok();
        for _ in 0..number {
            let before = file();
            wait_for("a check", || if file() == before { Err(self.log()) } else { Ok(()) });
        }
    }

    fn signal(&self, signal: i32) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: no pointers, and the process is our child, which nobody has waited for.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }

    /// Ends it as systemd does; gives back whether it ended well.
    #[track_caller]
    fn stop(mut self) -> bool {
        self.signal(libc::SIGTERM);
        self.child.wait().expect("it is our child").success()
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            // Shown with the test that failed.
            let _ = writeln!(std::io::stderr(), "--- log of the agent\n{}", self.log());
        }
    }
}

/// Asks until it is so, for what comes with time.
#[track_caller]
fn wait_for(what: &str, mut ask: impl FnMut() -> Result<(), String>) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let Err(found) = ask() else { return };
        assert!(Instant::now() < end, "waited in vain for {what}; found: {found}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Likewise, for a value.
#[track_caller]
fn wait_for_value<T: PartialEq + std::fmt::Debug>(wanted: &T, mut ask: impl FnMut() -> T) {
    wait_for(&format!("{wanted:?}"), || {
        let found = ask();
        if found == *wanted { Ok(()) } else { Err(format!("{found:?}")) }
    });
}
