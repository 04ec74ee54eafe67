//! The file that `-o` names.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// Writes a file beside the one that is meant and puts it in its place: who reads meanwhile reads the old or the new one. A link to
/// another file is replaced, and the file stays as it is. A device or a pipe stays what it is, and is written to.
///
/// # Errors
/// When it cannot be written, or nobody reads the pipe.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a link stands for is not asked: it may be somebody else's. But /dev/stdout and its like are links of the kernel.
    let found = if is_of_kernel(path) { fs::metadata(path) } else { fs::symlink_metadata(path) };
    match found {
        Ok(meta) if meta.is_dir() => return Err(io::Error::from_raw_os_error(libc::EISDIR)),
        Ok(meta) if !(meta.is_file() || meta.is_symlink()) || is_of_kernel(path) => {
            // Nobody waits until somebody reads a pipe; once it is read, it is written to its end.
            let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_APPEND;
            let mut file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
            fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
            return file.write_all(bytes);
        }
        Ok(_) | Err(_) => {}
    }
    let name = path.file_name().ok_or_else(|| io::Error::other("it has no name"))?.to_string_lossy().into_owned();
    let new = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).custom_flags(libc::O_NOFOLLOW).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().inspect_err(|_| {
        // Part of a page is of no use to anybody.
        let _ = fs::remove_file(&new);
    })
}

/// Whether a path is in a folder that the kernel fills.
fn is_of_kernel(path: &Path) -> bool {
    let folder = path.parent().and_then(|folder| fs::canonicalize(folder).ok());
    folder.is_some_and(|folder| ["/dev", "/proc"].iter().any(|of_kernel| folder.starts_with(of_kernel)))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_device_stays_one_and_a_link_to_a_file_is_replaced() {
        let folder = std::env::temp_dir().join(format!("enforcer-file-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (page, link, nothing) = (folder.join("page"), folder.join("link"), folder.join("nothing"));
        symlink(&page, &link).unwrap();
        symlink("/dev/null", &nothing).unwrap();
        for text in ["first", "second"] {
            replace(&page, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&page).unwrap(), text);
        }
        replace(&link, b"third").unwrap();
        assert_eq!(fs::read_to_string(&link).unwrap(), "third");
        assert_eq!(fs::read_to_string(&page).unwrap(), "second", "what the link led to is left alone");
        assert!(!fs::symlink_metadata(&link).unwrap().is_symlink());
        replace(&nothing, b"no device").unwrap();
        assert!(fs::symlink_metadata(&nothing).unwrap().is_file());
        // As /dev/stdout is for a command whose output goes to a file.
        let open = File::create(folder.join("redirected")).unwrap();
        let descriptor = Path::new("/proc/self/fd").join(open.as_raw_fd().to_string());
        replace(&descriptor, b"there").unwrap();
        assert_eq!(fs::read_to_string(folder.join("redirected")).unwrap(), "there");
        let pipe = folder.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(replace(&pipe, b"nobody reads").is_err());
        assert!(replace(&folder, b"x").is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 5, "nothing is left beside it");
        fs::remove_dir_all(folder).unwrap();
    }
}
