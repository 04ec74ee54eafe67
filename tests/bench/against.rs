//! Two builds against each other, in turns: ours, the other, ours once more. What differs between the two of ours is noise.

use std::fs;
use std::path::Path;

use harness::bpf::Kind;
use harness::enforcer::use_build;
use harness::netns::Cable;
use serde_json::json;

use crate::Effort;
use crate::classes::{Bench, Hook, measure_for};
use crate::floods::{Contest, Flood, Senders, relax_reverse_path};
use crate::growth::time_to_apply;
use crate::packets::{inbound_classes, outbound_classes, prefix_classes, sizes};
use crate::programs::{DESTINATION, Varying};
use crate::report::{Row, Section};
use crate::site::{PREFIX_PORT, Site};

/// Prefixes that one port is bound to, beside what the role has.
const PREFIXES: usize = 10_000;

/// Nanoseconds by which one program differs from itself, loaded once more to another address.
const NOISE: f64 = 1.0;

/// The builds in the order in which they take turns: whether it is the other one.
const TURNS: [bool; 3] = [false, true, false];

pub(crate) fn section(effort: Effort, other: &Path) -> Section {
    let mut rows = Vec::new();
    let mut add = |what: &str, found: Result<Vec<Row>, String>| match found {
        Ok(found) => rows.extend(found),
        Err(why) => rows.push(Row::not_measured(what, "all", why)),
    };
    for hook in [Hook::Xdp, Hook::Tc] {
        effort.say(&format!("both builds: {}", hook.name()));
        add(hook.name(), packets(effort, other, hook));
    }
    effort.say("both builds: floods");
    add("floods", floods(effort, other));
    effort.say("both builds: time to apply");
    add("apply", applies(effort, other));
    Section::new("against", "This build / the other: below 1 is less time, of floods above 1 is more packets", rows)
}

fn benches(other: &Path, site: &Site, hook: Hook) -> Result<Vec<Bench>, String> {
    // A build that is not there would only be found by a panic in the harness.
    fs::metadata(other).map_err(|error| format!("{}: {error}", other.display()))?;
    let bench = |is_other: &bool| {
        let cable = Cable::quiet();
        if *is_other {
            use_build(&cable.host, other);
        }
        Bench::on(cable, site, hook)
    };
    TURNS.iter().map(bench).collect()
}

/// The ratio of ours to the other, with the noise, which is `least` or more.
fn ratio(group: &str, name: &str, unit: &str, [ours, other, again]: [f64; 3], least: f64) -> Row {
    let best = if unit == "Mpps" { ours.max(again) } else { ours.min(again) };
    let noise = (ours - again).abs().max(least) / best;
    Row::new(group, name, best / other, "times")
        .how(format!("{ours:.2} and {again:.2} / {other:.2} {unit}, noise {noise:.2}"))
        .raw(json!({"ours": [ours, again], "other": other, "noise": noise}))
}

fn packets(effort: Effort, other: &Path, hook: Hook) -> Result<Vec<Row>, String> {
    let (site, [_, member, _], beside) = Site::one_role().with_prefixes(PREFIX_PORT, PREFIXES);
    let benches = benches(other, &site, hook)?;
    let destinations = Varying::new(Kind::Tc, DESTINATION).map_err(|error| error.to_string())?;
    let classes = |bench| {
        let mut classes = inbound_classes(bench);
        classes.extend(prefix_classes(bench, &[member], beside));
        if hook == Hook::Tc {
            classes.extend(outbound_classes(bench, &destinations));
        }
        classes
    };
    let mut of_build: Vec<_> = benches.iter().map(|bench| classes(bench).into_iter()).collect();
    let mut turns = Vec::new();
    // Class by class, so that the builds take turns.
    while let Some(next) = of_build.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>() {
        turns.extend(next);
    }
    let measured = measure_for(effort, effort.turns(), &mut turns)?;
    let mut rows = Vec::new();
    for (three, measured) in turns.chunks(TURNS.len()).zip(measured.chunks(TURNS.len())) {
        let [first, ..] = measured else { continue };
        let found: Option<Vec<_>> = three.iter().map(|class| class.above_empty()).collect();
        rows.push(match found.as_deref() {
            Some([ours, other, again]) => ratio(&first.group, &first.name, "ns", [*ours, *other, *again], NOISE),
            _ => Row::not_measured(&*first.group, &*first.name, "not by both builds"),
        });
    }
    for (bench, is_other) in benches.iter().zip(TURNS).take(2) {
        rows.extend(sizes(bench, if is_other { "the other build" } else { "this build" }));
    }
    Ok(rows)
}

fn floods(effort: Effort, other: &Path) -> Result<Vec<Row>, String> {
    let benches = benches(other, &Site::one_role(), Hook::Xdp)?;
    let senders = Senders::new().map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    for flood in [Flood::OneSource, Flood::RandomSources, Flood::Permitted] {
        let cables = benches.iter().map(|bench| &bench.guarded.protected.cable);
        let mut contests: Vec<_> = cables.map(|cable| Contest::new("one build", cable, flood)).collect();
        for contest in &contests {
            relax_reverse_path(contest.cable);
        }
        for _ in 0..effort.rounds() {
            for contest in &mut contests {
                contest.round(&senders);
            }
        }
        rows.push(match contests.as_slice() {
            [ours, other, again] if contests.iter().all(|one| one.failed.is_none()) => {
                ratio(flood.name(), "enforcer, XDP", "Mpps", [ours.best, other.best, again.best], 0.01)
            }
            _ => {
                let why = contests.iter().find_map(|one| one.failed.clone()).unwrap_or_default();
                Row::not_measured(flood.name(), "enforcer, XDP", why)
            }
        });
    }
    Ok(rows)
}

fn applies(effort: Effort, other: &Path) -> Result<Vec<Row>, String> {
    let site = Site::one_role().with_prefixes(PREFIX_PORT, PREFIXES).0;
    let benches = benches(other, &site, Hook::Xdp)?;
    let mut least = [[f64::INFINITY; 2]; 3];
    for round in 0..effort.applies() {
        effort.progress(round + 1, effort.applies());
        for (least, bench) in least.iter_mut().zip(&benches) {
            let [all, dry] = time_to_apply(bench, &site)?;
            *least = [least[0].min(all), least[1].min(dry)];
        }
    }
    let row = |name: &str, of: fn([f64; 2]) -> f64| ratio("10000 prefixes", name, "ms", least.map(of), 0.1);
    Ok(vec![
        row("enforcer apply, over a policy in force, all of the command", |[all, _]| all),
        row("enforcer apply --dry-run: read, check, compile", |[_, dry]| dry),
        row("the difference: load, fill, switch, save", |[all, dry]| all - dry),
    ])
}
