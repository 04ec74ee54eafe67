//! What a packet costs while a change waits for confirmation, beside the same program by itself, which is what a confirmed change is.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use harness::bpf;
use harness::enforcer::enforcer_with_input;
use harness::packet::Packet;

use crate::Effort;
use crate::classes::{Bench, Hook, measure};
use crate::report::{Row, Target};
use crate::site::{HOST, STRANGER, Site};

/// Nanoseconds that a waiting change may cost.
const MOST: f64 = 3.0;

/// The permitted packet of a policy while the policy waits, and once it is confirmed.
pub(crate) fn rows(effort: Effort, hook: Hook) -> Result<Vec<Row>, String> {
    let site = Site::one_role();
    let bench = Bench::new(&site, hook)?;
    let protected = &bench.guarded.protected;
    let text = site.text(&[&protected.cable.near.interface]);
    let line = ["apply", "-", "--hook", hook.flag(), "--mode", "enforce", "--confirm-within", "1h"];
    let ran = enforcer_with_input(&protected.cable.host, &line, &text);
    if ran.code != Some(0) {
        return Err(format!("`{}`: {}", ran.line, ran.stderr.lines().next().unwrap_or("no message")));
    }
    let open = |pin: &Path| bpf::pinned(pin).map_err(|error| format!("{}: {error}", pin.display()));
    let [waiting, confirmed] = [open(&bench.guarded.inbound)?, itself(&bench.guarded.inbound, open)?];
    let frame = Packet::new().ipv4(STRANGER[0], HOST[0]).tcp(40_000, 443);
    let mut classes = [
        bench.class("permitted, TCP, confirmed", &frame).judged_by(&confirmed),
        bench.class("permitted, TCP, while the change waits", &frame).judged_by(&waiting),
    ];
    let mut rows = measure(effort, &mut classes)?;
    if let [Some(confirmed), Some(waiting)] = classes.each_ref().map(|class| class.above_empty()) {
        let row = Row::new(hook.name(), "added while a change waits", waiting - confirmed, "ns");
        rows.push(row.target(Some(Target::AtMost(MOST))).how(format!("{waiting:.1} - {confirmed:.1}")));
    }
    Ok(rows)
}

/// The program that waits behind a dispatcher, by itself.
fn itself(pin: &Path, open: impl Fn(&Path) -> Result<OwnedFd, String>) -> Result<OwnedFd, String> {
    let folder = pin.parent().ok_or("the pin is in no folder")?;
    let layouts = fs::read_dir(folder).map_err(|error| error.to_string())?.flatten();
    let generations = layouts.filter_map(|layout| fs::read_dir(layout.path()).ok()).flatten().flatten();
    let waiting = generations.map(|one| one.path()).find(|path| path.join("pending_inbound").exists());
    open(&waiting.ok_or("no dispatcher is pinned")?.join("inbound"))
}
