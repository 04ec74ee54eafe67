//! Files that nobody else may have written, or put something else in the place of.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::unistd::Uid;

/// Only root and who we are may have written it.
///
/// # Errors
/// Why somebody else may, in a sentence.
pub fn check_owner(meta: &Metadata) -> Result<(), String> {
    if meta.uid() != 0 && meta.uid() != Uid::effective().as_raw() {
        return Err(format!("it belongs to user {}", meta.uid()));
    }
    if meta.mode() & 0o022 != 0 {
        return Err("others may write to it".to_owned());
    }
    Ok(())
}

/// The same of a folder: what is in it must not be what somebody else has put there.
///
/// # Errors
/// When it cannot be looked at, or others can write there.
pub fn check_folder(folder: &Path) -> io::Result<()> {
    check_owner(&std::fs::metadata(folder)?).map_err(|why| {
        let hint = "it has to be root's, with mode 0700";
        io::Error::other(format!("the folder {}: {why}; {hint}", folder.display()))
    })
}

/// Opens a plain file: no link is followed, and nothing that would block is waited for.
///
/// # Errors
/// When it cannot be opened, or is something else.
pub fn open_plain(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a plain file")) }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn links_pipes_and_what_others_can_write_are_refused() {
        let folder = std::env::temp_dir().join(format!("enforcer-ours-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        assert!(check_folder(&folder).is_ok());
        let plain = folder.join("plain");
        fs::write(&plain, "").unwrap();
        assert!(open_plain(&plain, OpenOptions::new().append(true)).is_ok());
        let link = folder.join("link");
        symlink(&plain, &link).unwrap();
        assert!(open_plain(&link, OpenOptions::new().append(true)).is_err());
        let pipe = folder.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open_plain(&pipe, OpenOptions::new().append(true)).is_err(), "nobody reads it, and it is no file");
        fs::set_permissions(&folder, Permissions::from_mode(0o770)).unwrap();
        assert!(check_folder(&folder).unwrap_err().to_string().contains("others may write"));
        fs::remove_dir_all(folder).unwrap();
    }
}
