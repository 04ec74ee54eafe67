//! Which mode counts: one rule for `apply`, `boot` and the agent.

use std::fs;

use harness::enforcer::{Protected, Ran, enforcer_with, enforcer_with_input};
use harness::netns::Cable;
use serde_json::Value;

use super::{ENFORCE, status};

const SILENT: &str = "interfaces: [IF]\nroles: [unity-connection]\n";
const AUDIT: &str = "interfaces: [IF]\nroles: [unity-connection]\nmode: audit\n";
const ENFORCING: &str = "interfaces: [IF]\nroles: [unity-connection]\nmode: enforce\n";
/// Another text, which says the same mode.
const CHANGED: &str = "interfaces: [IF]\nroles: [unity-connection]\nmode: audit\nicmp_echo: none\n";
/// What is said when enforcement ends.
const ENDS: &str = "ends enforcement";

#[track_caller]
fn expect_modes(protected: &Protected, inbound: &str, outbound: &str) {
    let (_, json) = status(protected);
    assert_eq!((&json["inbound"]["mode"], &json["outbound"]["mode"]), (&inbound.into(), &outbound.into()), "{json}");
}

#[track_caller]
fn expect_end(ran: &Ran) {
    assert!(ran.stderr.contains(ENDS), "`{}` ends enforcement in silence: {}", ran.line, ran.stderr);
}

#[test]
fn a_file_that_says_what_it_said_does_not_undo_a_mode_that_was_set_by_name() {
    let protected = Protected::apply_site(Cable::new(), AUDIT, &[]);
    protected.mode("enforce");
    for (site, options) in [(AUDIT, &[][..]), (CHANGED, &[]), (AUDIT, &["-q", "--yes"]), (SILENT, &[])] {
        let ran = protected.try_site(site, options).expect_code(0);
        expect_modes(&protected, "enforce", "enforce");
        assert!(!ran.stderr.contains(ENDS), "{}", ran.stderr);
    }
    // It says why what stands in the file is not what is in force.
    protected.try_site(AUDIT, &["--mode", "enforce"]).expect_code(0);
    let ran = protected.try_site(CHANGED, &[]).expect_code(0);
    assert!(ran.stderr.contains("a mode that was set since then counts"), "{}", ran.stderr);
    // The other way round, and by direction.
    protected.try_site(ENFORCING, &["--mode", "enforce"]).expect_code(0);
    protected.run(&["mode", "audit", "--inbound"]).expect_code(0);
    protected.try_site(ENFORCING, &[]).expect_code(0);
    expect_modes(&protected, "audit", "enforce");
}

#[test]
fn a_file_that_would_end_enforcement_needs_somebody_to_agree() {
    let protected = Protected::apply_site(Cable::new(), ENFORCING, &[]);
    let (_, before) = status(&protected);
    let ran = protected.try_site(AUDIT, &["-q"]).expect_code(4);
    assert!(ran.stderr.contains("--mode audit") && ran.stderr.contains("--yes"), "{}", ran.stderr);
    let (_, after) = status(&protected);
    assert_eq!(after["applied"], before["applied"], "nothing was changed");
    expect_modes(&protected, "enforce", "enforce");
    let ran = protected.try_site(AUDIT, &["--dry-run"]).expect_code(0);
    assert!(ran.stderr.contains("the mode would be audit: the site file says so now"), "{}", ran.stderr);
    expect_modes(&protected, "enforce", "enforce");

    expect_end(&protected.try_site(AUDIT, &["--yes", "--quiet"]).expect_code(0));
    expect_modes(&protected, "audit", "audit");
    protected.try_site(ENFORCING, &[]).expect_code(0);
    expect_modes(&protected, "enforce", "enforce");
    expect_end(&protected.try_site(AUDIT, &["--mode", "audit", "--quiet"]).expect_code(0));
    expect_modes(&protected, "audit", "audit");
}

#[test]
fn what_ends_enforcement_by_name_needs_nothing_and_says_so() {
    let protected = Protected::apply(ENFORCE);
    expect_end(&protected.run(&["mode", "audit", "--for", "1h", "--quiet"]).expect_code(0));
    expect_end(&protected.run(&["mode", "audit", "--quiet"]).expect_code(0));
    protected.mode("enforce");
    expect_end(&protected.run(&["mode", "audit", "--outbound", "--quiet"]).expect_code(0));
    let ran = protected.run(&["mode", "audit", "--outbound", "--quiet"]).expect_code(0);
    assert_eq!(ran.stderr, "", "it has ended before");
    expect_end(&protected.run(&["detach", "--quiet"]).expect_code(0));
}

#[test]
fn a_file_cannot_end_what_a_change_window_returns_to_in_silence() {
    let protected = Protected::apply_site(Cable::new(), ENFORCING, &[]);
    protected.run(&["mode", "audit", "--for", "1h"]).expect_code(0);
    protected.try_site(AUDIT, &[]).expect_code(4);
    assert!(status(&protected).1["deadline"].is_string(), "the window is still open");
    protected.try_site(ENFORCING, &[]).expect_code(0);
    assert!(status(&protected).1["deadline"].is_string(), "nobody has asked for another mode");
    expect_end(&protected.try_site(AUDIT, &["--yes", "-q"]).expect_code(0));
    assert!(status(&protected).1["deadline"].is_null());
}

#[test]
fn check_and_preflight_say_which_mode_would_result_and_why() {
    let protected = Protected { cable: Cable::new() };
    let near = protected.cable.near.interface.clone();
    let ask = |command: &str, site: &str| {
        let line = [command, "-", "--format", "json"];
        enforcer_with_input(&protected.cable.host, &line, &site.replace("IF", &near)).json()
    };
    let of = |site: &str| {
        let checked = ask("check", site)["modes"][0].clone();
        let noted = ask("preflight", site)["findings"].clone();
        let is_mode = |one: &&Value| one["topic"] == "mode";
        let noted = noted.as_array().and_then(|all| all.iter().find(is_mode)).cloned().unwrap_or_default();
        let why = checked["why"].as_str().unwrap_or_default().to_owned();
        assert!(noted["message"].as_str().is_some_and(|text| text.contains(&why)), "{noted} {checked}");
        (checked["inbound"].clone(), why)
    };
    let (mode, why) = of(ENFORCING);
    assert!(mode == "enforce" && why.contains("the interface is new"), "{mode} {why}");
    protected.try_site(AUDIT, &[]).expect_code(0);
    protected.mode("enforce");
    let (mode, why) = of(CHANGED);
    assert!(mode == "enforce" && why.contains("already in force"), "{mode} {why}");
    protected.try_site(ENFORCING, &[]).expect_code(0);
    let (mode, why) = of(AUDIT);
    assert!(mode == "audit" && why.contains("this ends enforcement"), "{mode} {why}");
}

#[test]
fn a_recorded_mode_survives_a_reboot_with_the_file_that_is_applied_after_it() {
    let cable = Cable::new();
    let folder = std::env::temp_dir().join(format!("enforcer-mode-{}", cable.near.interface));
    fs::create_dir_all(&folder).expect("the folder can be made");
    let protected = Protected { cable };
    let run = |line: &[&str], input: &str| {
        let variables = [("ENFORCER_STATE_DIR", folder.to_str().expect("plain"))];
        enforcer_with(&protected.cable.host, line, &input.replace("IF", &protected.cable.near.interface), &variables)
    };
    run(&["apply", "-"], AUDIT).expect_code(0);
    run(&["mode", "enforce"], "").expect_code(0);
    for with_boot in [true, false] {
        for path in super::pins_of(&protected.cable.near.interface) {
            fs::remove_dir_all(path).expect("it is there");
        }
        if with_boot {
            run(&["boot"], "").expect_code(0);
            expect_modes(&protected, "enforce", "enforce");
        }
        run(&["apply", "-"], CHANGED).expect_code(0);
        expect_modes(&protected, "enforce", "enforce");
    }
    run(&["detach"], "").expect_code(0);
    run(&["apply", "-"], AUDIT).expect_code(0);
    expect_modes(&protected, "audit", "audit");
    let _ = fs::remove_dir_all(&folder);
}
