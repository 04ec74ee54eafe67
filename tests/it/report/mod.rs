//! `enforcer report`: the page and its JSON, and the page in a browser.

mod layout;
mod map;
mod pages;

use std::env;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use harness::enforcer::Protected;
use harness::netns::Cable;
use harness::sockets::{Servers, tcp};

const SITE: &str = "\
interfaces: [IF]
roles: []
allow:
  - {name: https, protocol: tcp, ports: [443]}
  - {name: never, protocol: tcp, ports: [444]}
";

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("enforcer-report-{}-{name}", std::process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a temporary folder can be made");
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a temporary folder has a plain name").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A host that has permitted something and refused something.
fn host() -> Protected {
    let protected = Protected::apply_site(Cable::new(), SITE, &["--hook", "tc"]);
    let Cable { host, remote, near, far } = &protected.cable;
    let servers = Servers::start(host, &[443, 7777], &[]);
    for port in [443, 7777] {
        tcp(remote, IpAddr::from(far.v4), (near.v4, port).into());
    }
    drop(servers);
    protected
}

#[test]
fn the_page_and_its_json_tell_what_passed_and_what_was_refused() {
    let protected = host();
    let folder = Folder::new(&protected.cable.near.interface);
    let page = folder.path("report.html");
    // A link in its place is replaced, and what it leads to is left alone.
    fs::write(folder.path("other"), "other").expect("there is room");
    symlink(folder.path("other"), &page).expect("a link can be made");
    protected.run(&["report", "-o", &page]).expect_code(0);
    let html = fs::read_to_string(&page).expect("it is written");
    assert_eq!(fs::read_to_string(folder.path("other")).expect("it is there"), "other");
    let interface = &protected.cable.near.interface;
    for text in ["https", "never", "tcp 7777", "allow tcp-7777", "not ready", interface, "</html>"] {
        assert!(html.contains(text), "{text}");
    }
    assert!(!html.contains("<script") && !html.contains("src="), "it needs nothing else");
    assert_eq!(fs::read_dir(&folder.0).expect("it is there").count(), 2, "nothing is left beside it");
    let streamed = protected.run(&["report", "-o", "-"]).expect_code(0).stdout;
    assert!(streamed.starts_with("<!doctype html>") && streamed.ends_with("</html>\n"));

    let json = protected.run(&["report", "--format", "json"]).expect_code(0).json();
    assert_eq!((&json["interfaces"][0]["drift"], &json["readiness"]["ready"]), (&false.into(), &false.into()));
    let rule = |id: &str| {
        let rules = json["rules"].as_array().expect("a list");
        rules.iter().find(|rule| rule["id"] == id).and_then(|rule| rule["packets"].as_u64())
    };
    assert!(rule("site/https") > Some(0) && rule("site/never") == Some(0), "{}", json["rules"]);
    assert_eq!(json["readiness"]["unused"].as_array().map(Vec::len), Some(2), "site/never and ping");
    assert_eq!(json["changes"][0]["event"], "applied");
    assert_eq!(json["last_seen"][0]["flows"], 1);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let protected = host();
    let ran = protected.run(&["report", "-o", "/nonexistent/report.html"]).expect_code(1);
    assert!(ran.stderr.contains("/nonexistent/report.html"), "{}", ran.stderr);
}
