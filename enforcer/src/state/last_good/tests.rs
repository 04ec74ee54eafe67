use std::os::unix::fs::PermissionsExt as _;

use enforcer_common::Mode;

use super::*;

const HERE: Netns = Netns { inode: 1, is_machine: false };

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("enforcer-state-{name}-{}", std::process::id())))
    }

    fn state(&self) -> State {
        State { folder: self.0.join("deep"), name: "eth0%2e5".to_owned() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn policy(hash: &str) -> LastGood {
    LastGood::new("eth0.5", HERE, Modes { inbound: Mode::Enforce, outbound: Mode::Audit }, &Source::default(), hash)
}

#[test]
fn a_staged_policy_becomes_the_last_good_one_when_it_is_kept() {
    let folder = Folder::new("keep");
    let state = folder.state();
    state.stage(&policy("a")).unwrap();
    assert_eq!(state.good(), None);
    state.keep().unwrap();
    state.keep().unwrap();
    state.stage(&policy("b")).unwrap();
    assert_eq!(state.good().unwrap().policy_hash, "a");
    assert_eq!(state.staged().unwrap().policy_hash, "b");
    state.drop_staged();
    assert_eq!(state.staged(), None);
    state.forget().unwrap();
    state.forget().unwrap();
    assert_eq!(state.good(), None);
}

#[test]
fn only_the_machines_own_namespace_is_known_again_after_a_reboot() {
    let before = Netns { inode: 7, is_machine: true };
    let of_machine = LastGood::new("eth0", before, Modes::both(Mode::Audit), &Source::default(), "a");
    assert!(of_machine.is_of(Netns { inode: 9, is_machine: true }));
    assert!(!of_machine.is_of(Netns { inode: 7, is_machine: false }));
    assert!(policy("a").is_of(HERE));
    assert!(!policy("a").is_of(Netns { inode: 2, is_machine: false }));
    assert!(!policy("a").is_of(Netns { inode: 2, is_machine: true }));
}

#[test]
fn a_change_that_fails_later_is_undone_whether_it_was_kept_or_not() {
    let folder = Folder::new("before");
    let state = folder.state();
    state.before().unwrap().put_back();
    state.stage(&policy("a")).unwrap();
    state.keep().unwrap();
    state.stage(&policy("b")).unwrap();
    for is_kept in [false, true] {
        let before = state.before().unwrap();
        state.stage(&policy("c")).unwrap();
        if is_kept {
            state.keep().unwrap();
        }
        before.put_back();
        assert_eq!(state.good().unwrap().policy_hash, "a");
        assert_eq!(state.staged().unwrap().policy_hash, "b");
        assert_eq!(fs::read_dir(&state.folder).unwrap().count(), 2);
    }
}

#[test]
fn only_root_can_read_it() {
    let folder = Folder::new("mode");
    let state = folder.state();
    state.stage(&policy("a")).unwrap();
    state.keep().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state.folder), 0o700);
    assert_eq!(mode(&state.good_path()), 0o600);
}

#[test]
fn a_planted_link_is_not_written_through() {
    let folder = Folder::new("link");
    let state = folder.state();
    state.stage(&policy("a")).unwrap();
    let victim = folder.0.join("victim");
    fs::write(&victim, "precious").unwrap();
    for name in ["new", "unconfirmed", "json"] {
        let _ = fs::remove_file(state.path(name));
        std::os::unix::fs::symlink(&victim, state.path(name)).unwrap();
    }
    state.stage(&policy("b")).unwrap();
    state.keep().unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(fs::symlink_metadata(state.good_path()).unwrap().is_file());
    assert_eq!(state.good().unwrap().policy_hash, "b");
}

#[test]
fn a_folder_that_others_can_write_to_is_not_used() {
    let folder = Folder::new("writable");
    let state = folder.state();
    state.stage(&policy("a")).unwrap();
    fs::set_permissions(&state.folder, fs::Permissions::from_mode(0o777)).unwrap();
    let error = state.stage(&policy("b")).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("others may write"), "{error:?}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let state = State { folder: PathBuf::from("/dev/null/x"), name: "eth0".to_owned() };
    assert!(state.stage(&policy("a")).unwrap_err().to_string().contains("/dev/null/x/eth0.unconfirmed"));
}
