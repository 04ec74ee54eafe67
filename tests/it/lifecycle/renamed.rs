//! An interface that gets another name is judged as before, and everybody is told.

use std::path::PathBuf;

use harness::enforcer::{Protected, enforcer};
use harness::sockets::{Reply, Servers, tcp};

use super::failure::{NATIVE, OTHER, Two};
use super::picture::on_hooks;
use super::{REFUSED_PORT, pins_of, sentences};

fn rename(protected: &Protected, from: &str, to: &str) {
    protected.cable.host.batch(&format!("link set {from} down\nlink set {from} name {to}\nlink set {to} up\n"));
}

#[test]
fn a_renamed_interface_is_judged_as_before_and_the_next_policy_takes_the_place_of_the_first() {
    for hook in ["native", "tc", "clsact"] {
        let policy = ["--role", "unity-connection", "--mode", "enforce", "--hook", hook];
        let protected = Protected::apply(&policy);
        let (host, near) = (&protected.cable.host, &protected.cable.near);
        let _servers = Servers::start(host, &[REFUSED_PORT], &[]);
        let ask = || tcp(&protected.cable.remote, protected.cable.far.v4.into(), (near.v4, REFUSED_PORT).into());
        let name = format!("{}r", near.interface);
        rename(&protected, &near.interface, &name);
        assert_eq!(ask(), Reply::Silence, "{hook}: a name changes no verdict");
        let json = enforcer(host, &["status", "--format", "json"]).expect_code(1).json();
        let one = json["interfaces"][0].clone();
        assert!(sentences(&one, "problems").contains(&format!("is called `{name}` now")), "{hook}: {json}");
        let before = on_hooks(host, &name).len();

        let mut line = vec!["apply", "--interface", &name];
        line.extend(policy);
        enforcer(host, &line).expect_code(0);
        let after = enforcer(host, &["status", "--format", "json"]).expect_code(0).json()["interfaces"].clone();
        assert_eq!(after.as_array().map(Vec::len), Some(1), "{hook}: {after}");
        assert_eq!((&after[0]["interface"], &after[0]["since"]), (&name.as_str().into(), &one["since"]), "{hook}");
        assert_eq!(on_hooks(host, &name).len(), before, "{hook}: no packet is judged twice");
        assert_eq!(ask(), Reply::Silence, "{hook}");
        assert_eq!(pins_of(&near.interface).len(), 1, "{hook}: those of the new name");
        enforcer(host, &["detach", "--interface", &name]).expect_code(0);
        assert_eq!(ask(), Reply::Answered, "{hook}");
    }
}

#[test]
fn commands_take_the_name_that_an_interface_has_now() {
    for hook in ["native", "clsact"] {
        let protected = Protected::apply(&["--role", "unity-connection", "--mode", "enforce", "--hook", hook]);
        let (host, near) = (&protected.cable.host, &protected.cable.near);
        let _servers = Servers::start(host, &[REFUSED_PORT], &[]);
        let ask = || tcp(&protected.cable.remote, protected.cable.far.v4.into(), (near.v4, REFUSED_PORT).into());
        let name = format!("{}r", near.interface);
        rename(&protected, &near.interface, &name);
        enforcer(host, &["mode", "audit", "--interface", &name]).expect_code(0);
        assert_eq!(ask(), Reply::Answered, "{hook}");
        // The old one is nobody else's yet.
        enforcer(host, &["mode", "enforce", "--interface", &near.interface]).expect_code(0);
        assert_eq!(ask(), Reply::Silence, "{hook}");
        for line in [&["counters"][..], &["denied"], &["save"], &["confirm"]] {
            enforcer(host, &[line, &["--interface", &name]].concat()).expect_code(0);
        }
        let json = enforcer(host, &["status", "--format", "json", "--interface", &name]).expect_code(1).json();
        assert_eq!(json["interfaces"].as_array().map(Vec::len), Some(1), "{json}");
        let ran = enforcer(host, &["mode", "audit", "--interface", "nothing0"]).expect_code(1);
        let known = format!("{name} (protected as {})", near.interface);
        assert!(ran.stderr.contains(&known), "{}", ran.stderr);
        // Another interface takes the old name: it is not the protected one.
        host.batch(&format!("link add {} type veth peer name other0\n", near.interface));
        let ran = enforcer(host, &["mode", "audit", "--interface", &near.interface]).expect_code(1);
        assert!(ran.stderr.contains(&format!("is called {name} now")), "{}", ran.stderr);
        assert_eq!(ask(), Reply::Silence, "{hook}");
        enforcer(host, &["detach", "--interface", &name]).expect_code(0);
        assert_eq!(ask(), Reply::Answered, "{hook}");
    }
}

#[test]
fn detach_by_the_old_name_takes_the_programs_off() {
    for hook in ["native", "clsact"] {
        let protected = Protected::apply(&["--role", "unity-connection", "--mode", "enforce", "--hook", hook]);
        let (host, near) = (&protected.cable.host, &protected.cable.near);
        let _servers = Servers::start(host, &[REFUSED_PORT], &[]);
        let ask = || tcp(&protected.cable.remote, protected.cable.far.v4.into(), (near.v4, REFUSED_PORT).into());
        let name = format!("{}r", near.interface);
        rename(&protected, &near.interface, &name);
        let ran = enforcer(host, &["detach", "--interface", &near.interface]).expect_code(0);
        assert!(ran.stderr.contains(&format!("is called {name} now")), "{}", ran.stderr);
        assert_eq!(ask(), Reply::Answered, "{hook}");
        assert_eq!(pins_of(&near.interface), Vec::<PathBuf>::new(), "{hook}");
    }
}

#[test]
fn two_interfaces_that_change_names_keep_each_its_own() {
    let two = Two::new();
    let [first, second] = &two.names;
    two.apply(NATIVE);
    let mut line = vec!["apply", "--interface", second];
    line.extend(OTHER);
    enforcer(two.host(), &line).expect_code(0);
    let hashes = || {
        let json = enforcer(two.host(), &["status", "--format", "json"]).json();
        let of = |name: &str| {
            let all = json["interfaces"].as_array().expect("a list");
            let one = all.iter().find(|one| one["interface"] == name).unwrap_or_else(|| panic!("{name}: {json}"));
            [one["policy_hash"].clone(), one["inbound"]["mode"].clone()]
        };
        [of(first), of(second)]
    };
    let [of_first, of_second] = hashes();
    assert_ne!(of_first, of_second);
    two.host().batch(&format!(
        "link set {first} down\nlink set {second} down\nlink set {first} name between0\nlink set {second} name {first}\nlink set \
         between0 name {second}\nlink set {first} up\nlink set {second} up\n"
    ));
    // Applied where the second one is now; nothing is put on the first.
    let mut line = vec!["apply", "--interface", second];
    line.extend(NATIVE);
    enforcer(two.host(), &line).expect_code(0);
    assert_eq!(hashes(), [of_second, of_first]);
    enforcer(two.host(), &["status"]).expect_code(0);
}
