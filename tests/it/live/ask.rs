//! On a terminal `apply` asks before it cuts connections.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use harness::enforcer::{Protected, command};
use harness::netns::Cable;
use nix::pty::openpty;

use super::{Conversation, UNLISTED, apply};

const QUESTION: &str = "Continue? [y/N]";

/// Runs the binary on a terminal of its own, where these keys were pressed; gives back its exit code and what stands there.
#[track_caller]
fn on_terminal(cable: &Cable, line: &[&str], keys: &str) -> (Option<i32>, String) {
    let pty = openpty(None, None).expect("a terminal can be made");
    let end = || Stdio::from(pty.slave.try_clone().expect("it can be shared"));
    let mut command = command(&cable.host, line);
    let child = command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "dumb").spawn();
    // The terminal is over when the last process that has it ends, and none of these is ours.
    drop((command, pty.slave));
    let mut terminal = File::from(pty.master);
    // A terminal keeps what is typed until somebody reads it.
    terminal.write_all(keys.as_bytes()).expect("it is open");
    let (mut text, mut bytes) = (String::new(), [0; 4096]);
    while let Ok(count @ 1..) = terminal.read(&mut bytes) {
        text += &String::from_utf8_lossy(&bytes[..count]);
    }
    let status = child.expect("it starts").wait().expect("it is our child");
    (status.code(), text)
}

#[test]
fn whoever_does_not_say_yes_changes_nothing() {
    let cable = Cable::new();
    let mut intruder = Conversation::from_peer(&cable, UNLISTED);
    // Nothing at all is said by the end of the input, control and D.
    for keys in ["n\n", "\n", "yes please\n", "\x04"] {
        let (code, text) = on_terminal(&cable, &apply(&cable, &[]), keys);
        assert_eq!(code, Some(4), "{keys:?}: {text}");
        assert!(text.contains(&intruder.remote().to_string()), "the list comes before the question: {text}");
        assert!(text.contains(QUESTION) && text.contains("nothing was changed"), "{keys:?}: {text}");
        let pins = std::path::Path::new("/sys/fs/bpf/enforcer").join(&cable.near.interface);
        assert!(!pins.exists(), "{keys:?}: nothing is pinned");
        intruder.exchange();
    }
}

#[test]
fn a_yes_goes_on() {
    for keys in ["y\n", "yes\n"] {
        let cable = Cable::new();
        let mut intruder = Conversation::from_peer(&cable, UNLISTED);
        let protected = Protected { cable };
        let (code, text) = on_terminal(&protected.cable, &apply(&protected.cable, &[]), keys);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains(QUESTION), "{text}");
        assert!(intruder.is_cut());
    }
}

#[test]
fn it_asks_nobody_where_there_is_nothing_to_ask() {
    let cable = Cable::new();
    let intruder = Conversation::from_peer(&cable, UNLISTED);
    let protected = Protected { cable };
    let cable = &protected.cable;
    // Whatever is typed is not read: no would be an answer.
    let (code, text) = on_terminal(cable, &apply(cable, &["--dry-run"]), "n\n");
    assert_eq!((code, text.contains(QUESTION)), (Some(0), false), "a dry run: {text}");
    let (code, text) = on_terminal(cable, &apply(cable, &["--abort-if-cut"]), "y\n");
    assert_eq!((code, text.contains(QUESTION)), (Some(4), false), "--abort-if-cut: {text}");
    let (code, text) = on_terminal(cable, &apply(cable, &["--yes"]), "n\n");
    assert_eq!((code, text.contains(QUESTION)), (Some(0), false), "--yes: {text}");
    assert!(text.contains(&intruder.remote().to_string()), "the list is shown all the same: {text}");
    let (code, text) = on_terminal(cable, &apply(cable, &[]), "n\n");
    assert_eq!((code, text.contains(QUESTION)), (Some(0), false), "it is cut already: {text}");
}
