//! Network namespaces, by the inode number that tells them apart.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::dataplane::{DataplaneError, at};
use crate::state::last_good::Netns;

/// Inode number of this network namespace.
pub(crate) fn own() -> Result<u64, DataplaneError> {
    // Of the thread: a process may have threads in several namespaces, and the rest of what is asked here is of this one.
    let path = PathBuf::from("/proc/thread-self/ns/net");
    Ok(fs::metadata(&path).map_err(at(path))?.ino())
}

/// This network namespace, as the files for the next boot know it.
///
/// # Errors
/// When /proc does not tell.
pub fn here() -> Result<Netns, DataplaneError> {
    let inode = own()?;
    // Who may not look at PID 1 is a service of this machine, or nobody's business here.
    let is_machine = fs::metadata("/proc/1/ns/net").map_or(true, |machine| machine.ino() == inode);
    Ok(Netns { inode, is_machine })
}

/// Whether a network namespace is still there, as far as can be seen: a process is in it, or it is mounted (`ip netns add`).
/// One that is held by nothing but an open file looks gone.
pub(crate) fn is_alive(inode: u64) -> bool {
    let named = format!("net:[{inode}]");
    let mounted = |path: &str| {
        fs::read_to_string(path)
            .is_ok_and(|text| text.lines().any(|line| line.split(' ').nth(3).is_some_and(|root| root == named)))
    };
    if mounted("/proc/self/mountinfo") || mounted("/proc/1/mountinfo") {
        return true;
    }
    fs::read_dir("/proc").into_iter().flatten().flatten().any(|entry| {
        entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
            && fs::metadata(entry.path().join("ns/net")).is_ok_and(|meta| meta.ino() == inode)
    })
}
