//! Ownership of the folders of pins. If every user may write to bpffs (mode 1777, the kernel's default), another user may have created a
//! folder first; the owner of a folder can rename the pins in it and so give one program the name of another.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::Uid;

use super::bpffs::BPFFS;
use super::pins::ROOT;
use crate::dataplane::error::{DataplaneError, at};
use crate::host::trusted::{Trust, check_owner, take_over_folder};

/// Makes sure that only root can rename pins: takes over every folder that another user owns or may write to, and returns messages about
/// it. If another user put anything but folders there, nothing in it is used.
///
/// # Errors
/// When a folder cannot be made safe; the message names the command that does it.
pub fn secure_folders() -> Result<Vec<String>, DataplaneError> {
    let mut said = Vec::new();
    check_bpffs_root()?;
    let root = Path::new(ROOT);
    match fs::symlink_metadata(root) {
        Ok(_) => secure(root, &mut said)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(at(root.to_owned())(error)),
    }
    if !said.is_empty() {
        said.push(
            "until now somebody else could have renamed pins of enforcer: `enforcer status` says whether they are what was applied, \
             `enforcer apply` makes them anew"
                .to_owned(),
        );
    }
    Ok(said)
}

/// Like `secure_folders`, but only checks; for commands that do not change anything.
pub(super) fn check_folders() -> Result<(), DataplaneError> {
    check_bpffs_root()?;
    match fs::symlink_metadata(ROOT) {
        Ok(meta) if meta.is_dir() => check_owner(&meta).map_err(|why| {
            DataplaneError::Refused(format!(
                "the folder {ROOT}: {why}, so pins may have been renamed; `chown root:root {ROOT} && chmod 0700 {ROOT}`, or the next \
                 `enforcer apply`, puts it right"
            ))
        }),
        Ok(_) => Err(DataplaneError::Refused(format!("{ROOT} is not a folder; somebody has put it there: `rm {ROOT}`"))),
        Err(_) => Ok(()),
    }
}

/// Checks the root of bpffs: its owner can rename the folder in it, and so can everybody who may write if it is not sticky.
fn check_bpffs_root() -> Result<(), DataplaneError> {
    const STICKY: u32 = 0o1000;
    // A missing or wrong file system is reported elsewhere.
    let Ok(meta) = fs::metadata(BPFFS) else { return Ok(()) };
    if meta.uid() != 0 {
        return Err(DataplaneError::Refused(format!(
            "{BPFFS} belongs to user {}, who may rename what is pinned there: `chown root:root {BPFFS}`",
            meta.uid()
        )));
    }
    if meta.mode() & 0o022 != 0 && meta.mode() & STICKY == 0 {
        return Err(DataplaneError::Refused(format!(
            "everybody may rename what is pinned in {BPFFS} (mode {:04o}): `chmod 0700 {BPFFS}`, or `chmod +t {BPFFS}` where others \
             have to pin there, too",
            meta.mode() & 0o7777
        )));
    }
    Ok(())
}

/// Takes folders over, beginning at the top: other users cannot enter below a folder that only root can enter.
fn secure(folder: &Path, said: &mut Vec<String>) -> Result<(), DataplaneError> {
    match take_over_folder(folder) {
        Ok(Trust::Good) => {}
        Ok(Trust::Repaired(sentence)) => said.push(sentence),
        Ok(Trust::Bad(why)) => return Err(DataplaneError::Refused(why)),
        // Another command removed it meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(folder.to_owned())(error)),
    }
    for entry in fs::read_dir(folder).map_err(at(folder.to_owned()))?.flatten() {
        let path = entry.path();
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            secure(&path, said)?;
        } else if !meta.is_file() || (meta.uid() != 0 && meta.uid() != Uid::effective().as_raw()) {
            return Err(DataplaneError::Refused(format!(
                "{} was put there by user {}, and may stand in the place of a pin of enforcer; remove it: `rm {0}`",
                path.display(),
                meta.uid()
            )));
        }
    }
    Ok(())
}
