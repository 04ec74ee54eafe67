//! Everything by which an operator or the kernel could tell that something has changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aya::programs::{SchedClassifier, TcAttachType};
use harness::bpf;
use harness::enforcer::{enforcer, state_folder};
use harness::netns::Namespace;
use serde_json::Value;

/// Pins that are written anew with the same content when something is put back; what they say is in `status` and `counters`.
const RECORDS: [&str; 4] = ["record", "pending", "slots", "owner"];

/// What is in force in a network namespace, and what is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Picture {
    /// `status`, and its exit code.
    pub(super) status: (Option<i32>, Value),
    /// `counters`.
    pub(super) counters: Value,
    /// What is pinned, with the kernel's number of it.
    pub(super) pins: BTreeMap<PathBuf, u32>,
    /// What the kernel has on the hooks.
    pub(super) hooks: Vec<String>,
    /// What is kept for the next boot.
    pub(super) kept: BTreeMap<String, String>,
}

impl Picture {
    /// Looks at a namespace and these interfaces of it.
    #[track_caller]
    pub(super) fn of(namespace: &Namespace, interfaces: &[&str]) -> Self {
        let only = interfaces.join(",");
        let status = enforcer(namespace, &["status", "--format", "json", "--interface", &only]);
        let counters = enforcer(namespace, &["counters", "--format", "json", "--interface", &only]);
        let json = |text: &str| serde_json::from_str(text).unwrap_or_default();
        let mut pins = BTreeMap::new();
        let host = format!("host:{}", namespace.inode());
        for name in interfaces.iter().copied().chain([host.as_str()]) {
            add_pins(&Path::new("/sys/fs/bpf/enforcer").join(name), &mut pins);
        }
        let hooks = interfaces.iter().flat_map(|interface| on_hooks(namespace, interface)).collect();
        let kept = interfaces.iter().flat_map(|interface| kept(interface)).collect();
        Self { status: (status.code, json(&status.stdout)), counters: json(&counters.stdout), pins, hooks, kept }
    }

    /// Fails with the difference alone.
    #[track_caller]
    pub(super) fn expect(&self, wanted: &Self, when: &str) {
        let Self { status, counters, pins, hooks, kept } = self;
        assert_eq!(pins, &wanted.pins, "pins, {when}");
        assert_eq!(hooks, &wanted.hooks, "hooks, {when}");
        assert_eq!(status, &wanted.status, "status, {when}");
        assert_eq!(counters, &wanted.counters, "counters, {when}");
        assert_eq!(kept, &wanted.kept, "what is kept for the next boot, {when}");
    }
}

fn add_pins(folder: &Path, pins: &mut BTreeMap<PathBuf, u32>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            // An empty folder is a difference, too.
            pins.insert(path.clone(), 0);
            add_pins(&path, pins);
            continue;
        }
        let is_record = RECORDS.iter().any(|name| path.ends_with(name));
        let number =
            if is_record { 0 } else { bpf::id(&bpf::pinned(&path).expect("a pin opens")).expect("it has an id") };
        pins.insert(path, number);
    }
}

/// Programs on the hooks of an interface, and filters, as others see them.
pub(super) fn on_hooks(namespace: &Namespace, interface: &str) -> Vec<String> {
    let lines = |program: &str, arguments: &[&str]| -> Vec<String> {
        let output = namespace.command(program).args(arguments).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim().to_owned()).collect()
    };
    let mut found = lines("bpftool", &["net", "show", "dev", interface]);
    // bpftool shows tc links only from Linux 6.6 on.
    for side in [TcAttachType::Ingress, TcAttachType::Egress] {
        let Ok((_, programs)) = namespace.run(|| SchedClassifier::query_tcx(interface, side)) else { continue };
        found.extend(
            programs
                .iter()
                .map(|one| format!("tcx {side:?} {} id {}", one.name_as_str().unwrap_or_default(), one.id())),
        );
    }
    found.extend(lines("tc", &["qdisc", "show", "dev", interface]));
    for side in ["ingress", "egress"] {
        found.extend(lines("tc", &["filter", "show", "dev", interface, side]));
    }
    found
}

fn kept(interface: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(state_folder()).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{interface}.")));
    ours.map(|entry| {
        (entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path()).unwrap_or_default())
    })
    .collect()
}
