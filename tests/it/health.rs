//! `enforcer check-health` as a monitoring system runs it, and the size of a scrape.

use std::time::Duration;

use enforcer_common::layout::{DeniedKey, DeniedState, LAYOUT_VERSION};
use harness::bpf;
use harness::enforcer::{HTTPS_ONLY, Protected, Ran, binary, enforcer, enforcer_with_input};
use harness::machine::patience;
use harness::netns::{Cable, Namespace};
use harness::remembered::Tables;
use harness::skip::say;

fn check(protected: &Protected, options: &[&str]) -> Ran {
    protected.run(&[&["check-health", "--no-agent"], options].concat())
}

#[track_caller]
fn says(ran: Ran, code: i32, start: &str) -> String {
    let ran = ran.expect_code(code);
    assert!(ran.stdout.starts_with(start), "{}", ran.stdout);
    assert_eq!(ran.stdout.matches('\n').count(), 1, "one line: {}", ran.stdout);
    assert_eq!(ran.stderr, "", "a plugin says everything in its line");
    ran.stdout
}

#[test]
fn a_protected_host_is_ok_and_every_state_has_its_own_exit_code() {
    let protected = Protected::apply_site(Cable::new(), HTTPS_ONLY, &["--hook", "tc"]);
    let name = protected.cable.near.interface.clone();
    let line = says(
        check(&protected, &[]),
        0,
        &format!("ENFORCER OK - {name} enforce/enforce | interfaces=1;;;0 enforcing=1"),
    );
    assert!(line.contains(" drift=0;;0;0 ") && line.contains(" agent_age=U "), "{line}");
    says(check(&protected, &["--expect", "enforce"]), 0, "ENFORCER OK");
    says(protected.run(&["check-health"]), 1, "ENFORCER WARNING - no agent runs; ");
    protected.run(&["mode", "audit", "--for", "2h"]).expect_code(0);
    says(check(&protected, &[]), 1, &format!("ENFORCER WARNING - {name} is in a change window until "));
    says(check(&protected, &["--expect", "enforce"]), 2, &format!("ENFORCER CRITICAL - {name} is not in enforce; "));
    protected.mode("enforce");
    protected.try_site(HTTPS_ONLY, &["--hook", "tc", "--confirm-within", "1h"]).expect_code(0);
    says(check(&protected, &[]), 1, &format!("ENFORCER WARNING - {name} waits for `enforcer confirm` until "));
    protected.run(&["confirm"]).expect_code(0);
    // Somebody takes the program off its hook.
    let link = protected.pin().with_file_name(format!("v{LAYOUT_VERSION}/link_inbound"));
    bpf::detach(&bpf::pinned(&link).expect("it is pinned")).expect("it is on its hook");
    says(check(&protected, &[]), 2, &format!("ENFORCER CRITICAL - {name} does not run the applied policy (drift); "));
}

#[test]
fn what_cannot_be_checked_is_unknown() {
    let host = Namespace::new();
    says(enforcer(&host, &["check-health", "--no-agent"]), 2, "ENFORCER CRITICAL - no interface is protected | ");
    says(enforcer(&host, &["check-health", "--expect", "perhaps"]), 3, "ENFORCER UNKNOWN - invalid value 'perhaps'");
    says(enforcer(&host, &["check-health", "--interface", "a|b"]), 3, "ENFORCER UNKNOWN - ");
}

/// Samples of a text of metrics.
fn series(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.split([' ', '{']).next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// What a scrape takes, in the kernel and outside of it.
fn processor_time(host: &Namespace) -> Duration {
    let line = "TIMEFORMAT='%U %S'; time \"$0\" counters --format prometheus > /dev/null";
    let mut command = host.command("bash");
    let output = command.args(["-c", line]).arg(binary()).output().expect("bash runs");
    let text = String::from_utf8_lossy(&output.stderr);
    let seconds = text.split_whitespace().map(|word| word.parse::<f64>().expect("seconds"));
    Duration::from_secs_f64(seconds.sum())
}

#[test]
fn a_scrape_of_sixty_four_ports_is_quick_and_has_two_thousand_series_at_most() {
    const PORTS: usize = 64;
    let host = Namespace::new();
    let names: Vec<String> = (0..PORTS).map(|number| format!("port{number}")).collect();
    let links: Vec<String> =
        names.iter().map(|name| format!("link add {name} up type veth peer name far-{name}\n")).collect();
    host.batch(&links.concat());
    let rules: String = (1..=40).map(|n| format!("  - {{name: r{n}, protocol: tcp, ports: [{n}]}}\n")).collect();
    let site = format!("interfaces: [{}]\nroles: []\nallow:\n{rules}", names.join(", "));
    enforcer_with_input(&host, &["apply", "-", "--hook", "tc"], &site).expect_code(0);
    let scrape = |options: &[&str]| {
        enforcer(&host, &[&["counters", "--format", "prometheus"], options].concat()).expect_code(0).stdout
    };
    let text = scrape(&[]);
    assert!(series(&text) <= 2000, "{} series", series(&text));
    assert!(!text.contains("rule=") && text.contains("reason=\"any\"") && text.contains("reason=\"no-rule\""));
    // The time of processors, because other tests run beside this one; and a program without optimisation is slower.
    let most = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 300 });
    let took = (0..3).map(|_| processor_time(&host)).min().expect("three");
    assert!(took < most * patience(), "{took:?}");
    let full = scrape(&["--detail", "full"]);
    assert_eq!(
        full.lines().filter(|line| line.starts_with("enforcer_rule_packets_total{")).count(),
        41 * PORTS,
        "and echo"
    );
    assert!(full.contains("reason=\"no-rule\"") && !full.contains("reason=\"any\""));
    say(&format!("{PORTS} ports: {} series in {took:?}", series(&text)));
}

#[test]
fn a_large_table_is_counted_by_a_part_of_it() {
    let protected = Protected::apply_site(Cable::quiet(), HTTPS_ONLY, &["--hook", "tc"]);
    let tables = Tables::of(&protected.cable.host);
    let key = |number: u32| DeniedKey { remote: [0, 0, 0xffff_0000, number.to_be()], ..DeniedKey::default() };
    let counted = || {
        let text = protected.run(&["counters", "--format", "prometheus"]).expect_code(0).stdout;
        value(&text, "enforcer_denied_flows")
    };
    tables.add_denied((0..1000).map(|number| (key(number), DeniedState::default())));
    assert_eq!(counted().to_string(), "1000", "few are counted exactly");
    tables.add_denied((0..30_000).map(|number| (key(number), DeniedState::default())));
    let all = f64::from(u32::try_from(tables.denied().len()).expect("few"));
    let estimate = counted();
    assert!((estimate - all).abs() < all / 10.0, "{estimate} of {all}");
}
