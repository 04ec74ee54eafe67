//! `cargo xtask demo --estate`: the reference estate as namespaces on one bridge, every port that is served tried from every other host.

use std::path::Path;
use std::time::Instant;

use enforcer_common::Mode;
use harness::estate::{Laid, Outcome};
use harness::table::table;

/// Runs it and returns what differs from the policies.
pub(crate) fn run() -> Vec<String> {
    let began = Instant::now();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/estate/estate.yaml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    println!(
        "The reference estate (examples/estate/estate.yaml): a network namespace for each host, joined by one bridge."
    );
    let laid = Laid::out(&text, &[]);
    let protected = laid.protected().count();
    println!("  {} hosts, {protected} with a policy; {:.0} s", laid.lan.stations.len(), began.elapsed().as_secs_f64());
    println!("Applying to each host the policy that `enforcer render` writes for it, in audit:");
    laid.apply(|done| {
        if done % 8 == 0 || done == protected {
            println!("  {done} of {protected} hosts; {:.0} s", began.elapsed().as_secs_f64());
        }
    });
    let mut wire = laid.open();
    println!("  {} listeners on every port that is tried, so only a policy can refuse\n", wire.listeners());
    let mut outcomes = Vec::new();
    for (number, mode) in [(0, Mode::Audit), (1, Mode::Enforce)] {
        match mode {
            Mode::Audit => println!("Mode audit: refused packets are counted and still arrive."),
            Mode::Enforce => println!("Mode enforce: refused packets are dropped by the end that refuses them."),
        }
        laid.set_mode(mode, None);
        let mut told = 0;
        let outcome = laid.round(&mut wire, mode, number, |done, all| {
            if done * 5 / all > told {
                told = done * 5 / all;
                println!("  {done} of {all} attempts; {:.0} s", began.elapsed().as_secs_f64());
            }
        });
        outcomes.push((mode, outcome));
    }
    println!("\n{}", table(&HEADS, &outcomes.iter().map(|(mode, outcome)| row(*mode, outcome)).collect::<Vec<_>>()));
    println!("Every counter of every host was compared with the plain reading of the rules at both ends.");
    let mut wrong: Vec<String> = outcomes
        .into_iter()
        .flat_map(|(mode, one)| one.wrong.into_iter().map(move |text| format!("{}: {text}", mode.name())))
        .collect();
    let pins = laid.lan.pins();
    drop(wire);
    drop(laid);
    let left = pins.into_iter().filter(|path| path.exists());
    wrong.extend(left.map(|path| format!("{} is still there after `enforcer detach`", path.display())));
    println!("Everything is detached and removed; {:.0} s in all.", began.elapsed().as_secs_f64());
    wrong
}

const HEADS: [&str; 8] =
    ["mode", "attempts", "permitted", "refused by sender", "by receiver", "arrived", "answered", "packets counted"];

fn row(mode: Mode, outcome: &Outcome) -> Vec<String> {
    let Outcome { attempts, permitted, refused_out, refused_in, arrived, answered, packets, wrong: _ } = outcome;
    let numbers = [attempts, permitted, refused_out, refused_in, arrived, answered].map(ToString::to_string);
    [mode.name().to_owned()].into_iter().chain(numbers).chain([packets.to_string()]).collect()
}
