//! The last good policy of each interface, in files, so that it can be put in force again after a reboot.
//!
//! What is in force now is read from the kernel, never from here. A policy becomes the last good one when it was applied without
//! a deadline, or confirmed: until then it stands beside, in a file that nothing boots from.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::netns::Netns;
use crate::host::trusted;
use crate::policy::modes::{Modes, SaidModes};
use crate::policy::source::Source;
use crate::state::folder;

/// Version of the format.
const VERSION: u32 = 1;
/// Bytes of the longest file: a site file of the size that is read, written as JSON.
const LARGEST: u64 = 32 << 20;

/// What is needed to protect an interface again.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LastGood {
    /// Version of this format.
    pub version: u32,
    /// The interface.
    pub interface: String,
    /// Inode number of its network namespace.
    pub netns: u64,
    /// Whether that is the machine's own: the one namespace that is there after a reboot, under whatever number.
    #[serde(default)]
    pub is_machine: bool,
    /// The modes in force; in a change window, those that it returns to.
    pub modes: Modes,
    /// What the policy is compiled from.
    pub source: Source,
    /// Its hash, to see whether it still compiles to the same.
    pub policy_hash: String,
    /// When it was applied.
    pub applied: Timestamp,
    /// The modes that the site file says.
    #[serde(default)]
    pub site_modes: Option<SaidModes>,
    /// What counts as the modes that it said when it was last applied: others where `enforcer mode` came later, or enforcement is
    /// held.
    #[serde(default)]
    pub settled_modes: Option<SaidModes>,
}

impl LastGood {
    /// A record of the current format.
    #[must_use]
    pub fn new(interface: &str, netns: Netns, modes: Modes, source: &Source, policy_hash: &str) -> Self {
        Self {
            version: VERSION,
            interface: interface.to_owned(),
            netns: netns.inode,
            is_machine: netns.is_machine,
            modes,
            source: source.clone(),
            policy_hash: policy_hash.to_owned(),
            applied: Timestamp::now(),
            site_modes: None,
            settled_modes: None,
        }
    }

    /// Whether it was made in this network namespace. Of those that were there before a reboot, only the machine's own is there
    /// after it.
    #[must_use]
    pub fn is_of(&self, netns: Netns) -> bool {
        if self.is_machine { netns.is_machine } else { self.netns == netns.inode }
    }
}

/// Every last good policy of a network namespace, by interface; and what is wrong with files that hold none.
///
/// # Errors
/// When the folder is there and cannot be read.
pub fn kept(netns: Netns) -> Result<(Vec<LastGood>, Vec<String>), StateError> {
    let folder = folder();
    let mut paths = Vec::new();
    match trusted::check_folder(&folder).and_then(|()| fs::read_dir(&folder)) {
        Ok(entries) => paths.extend(entries.flatten().map(|entry| entry.path())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(StateError { path: folder, source }),
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for path in paths {
        match read(&path) {
            Some(good) if good.is_of(netns) => found.push(good),
            Some(_) => {}
            None => wrong.push(format!("{} holds no policy that this version can read", path.display())),
        }
    }
    Ok((found, wrong))
}

/// Policies of a network namespace that were never confirmed, each with the name of its pins. What cannot be read is none.
#[must_use]
pub fn unconfirmed(netns: Netns) -> Vec<(String, LastGood)> {
    let folder = folder();
    if trusted::check_folder(&folder).is_err() {
        return Vec::new();
    }
    let paths = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<(String, LastGood)> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "unconfirmed"))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), read(&path)?)))
        .filter(|(_, policy)| policy.is_of(netns))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// A file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}, where the policy is kept for the next boot", path.display())]
pub struct StateError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// What the files of one interface were, while a change of them may still fail.
#[derive(Debug)]
pub struct Before {
    files: Vec<Noted>,
}

#[derive(Debug)]
struct Noted {
    path: PathBuf,
    aside: PathBuf,
    was_there: bool,
}

impl Before {
    /// Makes the files what they were. Nothing more can be done about an error here than is tried.
    pub fn put_back(self) {
        for Noted { path, aside, was_there } in &self.files {
            let _ = if *was_there { fs::rename(aside, path) } else { remove_if_there(path) };
        }
        self.forget();
    }

    /// The change is good.
    pub fn forget(self) {
        for Noted { aside, .. } in self.files {
            // Also after a rename: of two names of one file it removes neither (rename(2)).
            let _ = remove_if_there(&aside);
        }
    }
}

/// The files of one interface, by the name of its pins.
#[derive(Clone, Debug)]
pub struct State {
    folder: PathBuf,
    name: String,
}

impl State {
    /// Those of the interface whose pins have this name.
    #[must_use]
    pub fn of(pin_name: &str) -> Self {
        Self { folder: folder(), name: pin_name.to_owned() }
    }

    /// Writes what is to become the last good policy. It is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written; the last good policy is as it was.
    pub fn stage(&self, next: &LastGood) -> Result<(), StateError> {
        self.write(&self.staged_path(), next)
    }

    /// Writes another last good policy, and leaves what is staged alone.
    ///
    /// # Errors
    /// When it cannot be written; the last good policy is as it was.
    pub fn replace_good(&self, next: &LastGood) -> Result<(), StateError> {
        self.write(&self.good_path(), next)
    }

    fn write(&self, path: &Path, next: &LastGood) -> Result<(), StateError> {
        let new = self.path("new");
        let write = || {
            // Written at once: a policy has thousands of lines.
            let mut text = serde_json::to_vec_pretty(next)?;
            text.push(b'\n');
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            trusted::check_folder(&self.folder)?;
            // What stands there is of a killed command, or a link that somebody else has planted: neither is written to.
            remove_if_there(&new)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&new, path)?;
            self.sync()
        };
        write().map_err(|source| {
            // Part of a file is of no use to anybody.
            let _ = fs::remove_file(&new);
            StateError { path: path.to_owned(), source }
        })
    }

    /// Makes what was staged the last good policy. Nothing staged is fine.
    ///
    /// # Errors
    /// When the file cannot be renamed.
    pub fn keep(&self) -> Result<(), StateError> {
        let path = self.good_path();
        match fs::rename(self.staged_path(), &path) {
            Ok(()) => self.sync().map_err(|source| StateError { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(StateError { path, source }),
        }
    }

    /// Notes what is there, so that it can be put back without writing: on a full disk, too.
    ///
    /// # Errors
    /// When the files cannot be linked or copied.
    pub fn before(&self) -> Result<Before, StateError> {
        let mut before = Before { files: Vec::new() };
        for path in [self.good_path(), self.staged_path()] {
            let aside = path.with_added_extension("before");
            match note(&path, &aside) {
                Ok(was_there) => before.files.push(Noted { path, aside, was_there }),
                Err(source) => {
                    before.forget();
                    return Err(StateError { path: aside, source });
                }
            }
        }
        Ok(before)
    }

    /// Removes what was staged.
    pub fn drop_staged(&self) {
        // What cannot be removed is never booted from.
        let _ = fs::remove_file(self.staged_path());
    }

    /// Removes everything about the interface.
    ///
    /// # Errors
    /// When the last good policy cannot be removed: the next boot would protect the interface again.
    pub fn forget(&self) -> Result<(), StateError> {
        self.drop_staged();
        for path in [self.staged_path(), self.good_path()] {
            let _ = remove_if_there(&path.with_added_extension("before"));
        }
        let path = self.good_path();
        remove_if_there(&path).map_err(|source| StateError { path, source })
    }

    /// The last good policy, where there is one that can be read.
    #[must_use]
    pub fn good(&self) -> Option<LastGood> {
        read(&self.good_path())
    }

    /// What was staged, likewise.
    #[must_use]
    pub fn staged(&self) -> Option<LastGood> {
        read(&self.staged_path())
    }

    /// The last good policy, and what was staged.
    #[must_use]
    pub fn both(&self) -> [Option<LastGood>; 2] {
        [self.good(), self.staged()]
    }

    /// Keeps what was kept under another name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn take_over(&self, [good, staged]: [Option<LastGood>; 2], interface: &str) -> Result<(), StateError> {
        let called = |kept: LastGood| LastGood { interface: interface.to_owned(), ..kept };
        if let Some(good) = good {
            self.stage(&called(good))?;
            self.keep()?;
        }
        staged.map_or(Ok(()), |staged| self.stage(&called(staged)))
    }

    fn good_path(&self) -> PathBuf {
        self.path("json")
    }

    fn staged_path(&self) -> PathBuf {
        self.path("unconfirmed")
    }

    fn path(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name))
    }

    /// A rename is on the disk when its folder is.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

/// Gives a file a second name. Says whether it is there.
fn note(path: &Path, aside: &Path) -> io::Result<bool> {
    remove_if_there(aside)?;
    // Some file systems have no links.
    match fs::hard_link(path, aside).or_else(|_| fs::copy(path, aside).map(drop)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn read(path: &Path) -> Option<LastGood> {
    let file = trusted::open_plain(path, OpenOptions::new().read(true)).ok()?;
    trusted::check_owner(&file.metadata().ok()?).ok()?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).ok()?;
    if bytes.len() as u64 > LARGEST { None } else { parsed(&bytes) }
}

/// The policy in the bytes of a file, if this version can read them.
#[must_use]
pub fn parsed(bytes: &[u8]) -> Option<LastGood> {
    let found: LastGood = serde_json::from_slice(bytes).ok()?;
    (found.version == VERSION).then_some(found)
}

#[cfg(test)]
mod tests;
