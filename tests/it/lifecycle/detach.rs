//! Detaching removes what was made, and nothing else.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use enforcer_common::layout::LAYOUT_VERSION;
use harness::bpf;
use harness::enforcer::{Protected, enforcer};
use harness::foreign::{self, ForeignTc};
use harness::machine::tc_attach_mode;
use harness::netns::Cable;
use harness::skip::skip;
use harness::sockets::{Reply, Servers, tcp};

use super::picture::{Picture, on_hooks};
use super::{ENFORCE, has_xdp, pins_of, program_id, status};

#[test]
fn detach_leaves_nothing_behind() {
    let protected = Protected::apply(ENFORCE);
    let near = &protected.cable.near;
    let _servers = Servers::start(&protected.cable.host, &[4444], &[]);
    let ask = || tcp(&protected.cable.remote, protected.cable.far.v4.into(), (near.v4, 4444).into());
    assert_eq!(ask(), Reply::Silence);
    protected.run(&["detach", "--interface", &near.interface]).expect_code(0);
    assert_eq!(pins_of(&near.interface), Vec::<PathBuf>::new());
    assert!(!has_xdp(&protected.cable));
    assert_eq!(ask(), Reply::Answered);
}

/// Whoever lists links has each of them open for a moment.
fn opened(protected: &Protected) -> [OwnedFd; 2] {
    let pins = Path::new("/sys/fs/bpf/enforcer").join(&protected.cable.near.interface);
    ["inbound", "outbound"]
        .map(|direction| bpf::pinned(&pins.join(format!("v{LAYOUT_VERSION}/link_{direction}"))).expect("it is pinned"))
}

#[test]
fn what_is_taken_off_does_not_wait_for_others_who_have_the_link_open() {
    if tc_attach_mode() != "tcx" {
        return skip("this kernel has no TCX, and so no links at tc");
    }
    for (hook, other) in [("native", "tc"), ("tc", "native")] {
        let policy = |hook| ["--role", "unity-connection", "--mode", "enforce", "--hook", hook];
        let protected = Protected::apply(&policy(hook));
        let near = &protected.cable.near;
        let before = on_hooks(&protected.cable.host, &near.interface);
        let of_old = opened(&protected);
        protected.apply_again(&policy(other));
        assert_eq!(has_xdp(&protected.cable), other == "native", "the old program is off its hook");
        let of_new = opened(&protected);
        let _servers = Servers::start(&protected.cable.host, &[4444], &[]);
        let ask = || tcp(&protected.cable.remote, protected.cable.far.v4.into(), (near.v4, 4444).into());
        assert_eq!(ask(), Reply::Silence);
        protected.run(&["detach", "--interface", &near.interface]).expect_code(0);
        assert_eq!(ask(), Reply::Answered, "{hook}, then {other}");
        protected.apply_again(&policy(hook));
        assert_eq!(on_hooks(&protected.cable.host, &near.interface).len(), before.len());
        drop((of_old, of_new));
    }
}

#[test]
fn detach_leaves_other_interfaces_alone() {
    let [a, b] = [Protected::apply(ENFORCE), Protected::apply(ENFORCE)];
    let before = program_id(&b);
    a.run(&["detach", "--interface", &a.cable.near.interface]).expect_code(0);
    assert_eq!(program_id(&b), before);
    assert!(has_xdp(&b.cable));
}

/// An interface that enforces, and what its hooks and pins were before.
fn broken(hook: &str, breaks: impl FnOnce(&Protected, &Path)) -> (Protected, String) {
    let protected = Protected::apply(&["--role", "unity-connection", "--mode", "enforce", "--hook", hook]);
    let pins = Path::new("/sys/fs/bpf/enforcer").join(&protected.cable.near.interface);
    breaks(&protected, &pins.join(format!("v{LAYOUT_VERSION}")));
    let ran = protected.run(&["detach"]).expect_code(0);
    assert!(!pins.exists(), "{}", ran.stderr);
    assert!(!netns_pins(&protected).exists(), "{}", ran.stderr);
    (protected, ran.stderr)
}

fn netns_pins(protected: &Protected) -> PathBuf {
    PathBuf::from(format!("/sys/fs/bpf/enforcer/host:{}", protected.cable.host.inode()))
}

#[test]
fn a_device_that_is_gone_and_back_is_told() {
    for is_back in [false, true] {
        let (_protected, said) = broken("native", |protected, _| {
            let near = &protected.cable.near.interface;
            protected.cable.host.batch(&format!("link delete {near}\n"));
            if is_back {
                protected
                    .cable
                    .host
                    .batch(&format!("link add {near} type veth peer name {near}p\nlink set {near} up\n"));
                assert_eq!(status(protected).0, Some(1), "nothing judges");
            }
        });
        let wanted = if is_back { "created again" } else { "no longer in this network namespace" };
        assert!(said.contains(wanted), "{said}");
        assert!(said.contains("inbound link had lost its interface"), "{said}");
    }
}

#[test]
fn links_that_somebody_severed_are_told() {
    let (protected, said) = broken("native", |protected, state| {
        bpf::detach(&bpf::pinned(&state.join("link_inbound")).expect("it is pinned")).expect("root may");
        assert!(!has_xdp(&protected.cable));
        assert_eq!(status(protected).0, Some(1), "nothing judges");
    });
    assert!(said.contains("inbound link had lost its interface"), "{said}");
    protected.apply_again(ENFORCE);
    assert!(has_xdp(&protected.cable));
}

#[test]
fn pins_that_were_deleted_by_hand_are_told() {
    for (deleted, wanted) in [("link_inbound", "link had been removed"), ("record", "record is missing")] {
        let (protected, said) = broken("native", |_, state| {
            fs::remove_file(state.join(deleted)).expect("it is pinned");
        });
        assert!(said.contains(wanted), "without {deleted}: {said}");
        assert!(!has_xdp(&protected.cable), "without {deleted}");
    }
}

#[test]
fn an_interface_that_moved_to_another_namespace_is_let_go_there() {
    for hook in ["native", "tc", "clsact"] {
        let (protected, said) = broken(hook, |protected, _| {
            let (near, to) = (&protected.cable.near.interface, protected.cable.remote.name());
            protected.cable.host.batch(&format!("link set {near} netns {to}\n"));
            assert_eq!(status(protected).0, Some(1), "it is not here");
        });
        assert!(said.contains("no longer in this network namespace"), "{hook}: {said}");
        let near = &protected.cable.near.interface;
        let output = protected.cable.remote.command("bpftool").args(["net", "show", "dev", near]).output();
        let text = String::from_utf8_lossy(&output.expect("bpftool runs").stdout).into_owned();
        assert!(!text.contains("bound_"), "{hook}: {text}");
    }
}

#[test]
fn programs_of_others_at_tc_stay() {
    for hook in ["tc", "clsact"] {
        let cable = Cable::new();
        let near = cable.near.interface.clone();
        let foreign = ForeignTc::attach(&cable.host, &near);
        let look = |cable: &Cable| Picture::of(&cable.host, &[&near]).hooks;
        let before = look(&cable);
        let protected =
            Protected::apply_on(cable, &["--role", "unity-connection", "--mode", "enforce", "--hook", hook]);
        assert_ne!(look(&protected.cable), before);
        protected.run(&["detach"]).expect_code(0);
        let after = look(&protected.cable);
        assert_eq!(after, before, "{hook}");
        let number = after.iter().filter(|line| line.contains(foreign::NAME)).count();
        assert!(number >= if foreign.has_link() { 2 } else { 1 }, "both are still shown: {after:?}");
    }
}

#[test]
fn pins_of_another_layout_that_say_nothing_are_removed_by_name_alone() {
    let cable = Cable::new();
    let near = &cable.near.interface;
    for layout in [LAYOUT_VERSION - 1, LAYOUT_VERSION + 1] {
        let other = Path::new("/sys/fs/bpf/enforcer").join(near).join(format!("v{layout}"));
        fs::create_dir_all(&other).expect("bpffs takes folders");
        let host = PathBuf::from(format!("/sys/fs/bpf/enforcer/host:{}/v{layout}", cable.host.inode()));
        fs::create_dir_all(&host).expect("bpffs takes folders");
        let ran = enforcer(&cable.host, &["apply", "--interface", near, "--role", "finesse"]).expect_code(4);
        assert!(ran.stderr.contains(&format!("layout v{layout}")), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("detach --interface {near}")), "{}", ran.stderr);
        enforcer(&cable.host, &["status"]).expect_code(1);
        enforcer(&cable.host, &["detach"]).expect_code(0);
        assert!(other.exists() && host.exists(), "whose it is, nobody can tell: layout {layout}");
        assert!(!has_xdp(&cable));
        enforcer(&cable.host, &["detach", "--interface", near]).expect_code(0);
        assert!(!other.exists() && !host.exists(), "layout {layout}");
        enforcer(&cable.host, &["apply", "--interface", near, "--role", "finesse"]).expect_code(0);
        enforcer(&cable.host, &["detach"]).expect_code(0);
    }
}
