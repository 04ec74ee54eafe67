//! Network namespaces, by the inode number that tells them apart.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::failure::{Failure, is_permission};

/// `/proc` does not tell which network namespace this is.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}", .path.display())]
pub struct NetnsError {
    path: PathBuf,
    source: io::Error,
}

impl NetnsError {
    /// What the system said.
    #[must_use]
    pub fn into_source(self) -> io::Error {
        self.source
    }
}

impl From<NetnsError> for Failure {
    fn from(error: NetnsError) -> Self {
        if is_permission(&error) { Self::NotAllowed(error.into()) } else { Self::Failed(error.into()) }
    }
}

/// Inode number of this network namespace.
pub(crate) fn own() -> Result<u64, NetnsError> {
    // Of the thread: a process may have threads in several namespaces, and the rest of what is asked here is of this one.
    let path = PathBuf::from("/proc/thread-self/ns/net");
    let metadata = fs::metadata(&path);
    Ok(metadata.map_err(|source| NetnsError { path, source })?.ino())
}

/// This network namespace, as the files for the next boot know it.
///
/// # Errors
/// When /proc does not tell.
pub fn here() -> Result<Netns, NetnsError> {
    let inode = own()?;
    // Who may not look at PID 1 is a service of this machine, or nobody's business here.
    let is_machine = fs::metadata("/proc/1/ns/net").map_or(true, |machine| machine.ino() == inode);
    Ok(Netns { inode, is_machine })
}

/// Whether a network namespace is still there, as far as can be seen: a process is in it, or it is mounted (`ip netns add`), or
/// somebody has it open. One that is held by nothing but a socket looks gone.
pub(crate) fn is_alive(inode: u64) -> bool {
    let named = format!("net:[{inode}]");
    let is_mounted = |path: &Path| {
        fs::read_to_string(path)
            .is_ok_and(|text| text.lines().any(|line| line.split(' ').nth(3).is_some_and(|root| root == named)))
    };
    let is_in = |process: &Path| fs::metadata(process.join("ns/net")).is_ok_and(|meta| meta.ino() == inode);
    if is_mounted(Path::new("/proc/self/mountinfo"))
        || is_mounted(Path::new("/proc/1/mountinfo"))
        || processes().any(|process| is_in(&process))
    {
        return true;
    }
    // Hardly ever, as that takes longer: threads, open files, and mounts that neither we nor PID 1 have.
    let mut seen = BTreeSet::new();
    processes().any(|process| {
        let mounts = fs::metadata(process.join("ns/mnt")).map(|meta| meta.ino()).ok();
        let is_open = |file: &Path| fs::read_link(file).is_ok_and(|link| link.as_os_str() == named.as_str());
        (mounts.is_none_or(|mounts| seen.insert(mounts)) && is_mounted(&process.join("mountinfo")))
            || entries(&process.join("task")).any(|task| is_in(&task))
            || entries(&process.join("fd")).any(|file| is_open(&file))
    })
}

fn processes() -> impl Iterator<Item = PathBuf> {
    let is_number = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    entries(Path::new("/proc")).filter(is_number)
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// A network namespace, as far as it can be told from others across a reboot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Netns {
    /// Its inode number.
    pub inode: u64,
    /// Whether it is the machine's own, the one of PID 1.
    pub is_machine: bool,
}
