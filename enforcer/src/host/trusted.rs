//! Files that nobody else may have written, or put something else in the place of; and files that somebody names, of which nobody
//! knows before what they are.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, fchmod};
use nix::sys::statfs::{FsType, fstatfs};
use nix::unistd::{Gid, Uid, fchown};

/// Whether a file that is named may be a pipe of the shell, as in `enforcer check <(sed .. site.yaml)`. One that has a place in the
/// file system (mkfifo(1)) never may: in the place of a file it holds up whoever opens it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pipes {
    /// For a command that a person waits for. Nothing for so many seconds is an error.
    Allowed,
    /// For whatever reads files by itself, again and again: the agent, `boot`.
    Refused,
}

/// Seconds after which a pipe in which nothing comes is given up.
const SILENCE: u16 = 60;
/// Of the file systems that make up their files when they are read, as statfs(2) numbers them: a file of theirs may be without end,
/// and reading it may change something, as /proc/kmsg takes messages away from the log.
const MADE_UP: [i64; 5] =
    [libc::PROC_SUPER_MAGIC, libc::SYSFS_MAGIC, libc::DEBUGFS_MAGIC, libc::TRACEFS_MAGIC, libc::SECURITYFS_MAGIC];
/// Of the pipes of pipe(2) (`PIPEFS_MAGIC` of linux/magic.h).
const PIPES: i64 = 0x5049_5045;

/// Reads a file that somebody has named: a regular one, or a pipe of the shell where that is allowed. Nothing else is opened.
/// Gives back at most one byte more than `most`, so that a longer file is known to be one.
///
/// # Errors
/// What the system says; or what it is instead of a file.
pub fn read_named(path: &Path, most: usize, pipes: Pipes) -> io::Result<Vec<u8>> {
    let mut file = open_named(path, pipes)?;
    let mut bytes = Vec::new();
    let most = most as u64 + 1;
    if file.metadata()?.is_file() {
        file.take(most).read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    while (bytes.len() as u64) < most {
        let silence = PollTimeout::from(SILENCE.saturating_mul(1000));
        let has_come = match poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLIN)], silence) {
            Err(Errno::EINTR) => continue,
            other => other?,
        };
        if has_come == 0 {
            return Err(io::Error::other(format!("nothing has come through this pipe for {SILENCE} seconds")));
        }
        match file.by_ref().take(most - bytes.len() as u64).read_to_end(&mut bytes) {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// Opens a file that somebody has named, to be read: see [`read_named`]. What is read of a pipe may fail with
/// [`io::ErrorKind::WouldBlock`].
///
/// # Errors
/// What the system says; or what it is instead of a file.
pub fn open_named(path: &Path, pipes: Pipes) -> io::Result<File> {
    // It is looked at before it is opened: to open a device may already do something.
    let found = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC).open(path)?;
    let kind = found.metadata()?.file_type();
    let FsType(of) = fstatfs(&found)?.filesystem_type();
    let what = if kind.is_fifo() && of == PIPES {
        match pipes {
            Pipes::Allowed => None,
            Pipes::Refused => {
                let why = "it is a pipe, and what is read more than once has to be a file; name a file";
                return Err(io::Error::new(io::ErrorKind::NotSeekable, why));
            }
        }
    } else if kind.is_fifo() {
        Some("it is a FIFO (named pipe), and nobody knows when anything comes; name a file, or `-` for standard input")
    } else if kind.is_socket() {
        Some("it is a socket, not a file")
    } else if kind.is_char_device() || kind.is_block_device() {
        Some("it is a device, not a file")
    } else if kind.is_dir() {
        return Err(Errno::EISDIR.into());
    } else if MADE_UP.contains(&of) {
        Some("it is not a file on a disk: the kernel makes it up when it is read")
    } else {
        None
    };
    if let Some(what) = what {
        return Err(io::Error::other(what));
    }
    // The same file, whatever its name stands for by now.
    let again = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(&again);
    if opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        // Without /proc only the name is left.
        return OpenOptions::new().read(true).custom_flags(flags).open(path);
    }
    opened
}

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
        let path = folder.display();
        let hint = format!("it has to be root's, with mode 0700: `chown root:root {path} && chmod 0700 {path}`");
        io::Error::other(format!("the folder {path}: {why}; {hint}"))
    })
}

/// What is wrong with a folder of root's that others could have put something into, and what may be done about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trust {
    /// Nothing.
    Good,
    /// It was put right: a sentence for whoever should know.
    Repaired(String),
    /// Nothing may be kept there: why, and the command that puts it right.
    Bad(String),
}

/// Looks at a folder that has to be root's, and that nobody else may write to; takes it over where it is not. Of what others have
/// put there before, nothing is judged here.
///
/// # Errors
/// When it cannot be looked at.
pub fn take_over_folder(folder: &Path) -> io::Result<Trust> {
    let path = folder.display();
    // Not by its name: between two looks that may stand for something else.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(folder);
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENOTDIR)) => {
            return Ok(Trust::Bad(format!("{path} is not a folder; somebody has put it there: `rm {path}`")));
        }
        Err(error) => return Err(error),
    };
    let Err(why) = check_owner(&opened.metadata()?) else { return Ok(Trust::Good) };
    let taken =
        fchown(&opened, Some(Uid::from_raw(0)), Some(Gid::from_raw(0))).and_then(|()| fchmod(&opened, Mode::S_IRWXU));
    Ok(match taken {
        Ok(()) => Trust::Repaired(format!("the folder {path} was not safe ({why}); it is root's alone now")),
        Err(errno) => Trust::Bad(format!(
            "the folder {path}: {why}, and that cannot be changed ({errno}): `chown root:root {path} && chmod 0700 {path}`"
        )),
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
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        assert!(open_plain(&pipe, OpenOptions::new().append(true)).is_err(), "nobody reads it, and it is no file");
        fs::set_permissions(&folder, Permissions::from_mode(0o770)).unwrap();
        assert!(check_folder(&folder).unwrap_err().to_string().contains("others may write"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_named_is_read_if_it_is_a_file_and_never_waited_for() {
        let folder = std::env::temp_dir().join(format!("enforcer-named-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (plain, link, fifo, socket) =
            (folder.join("plain"), folder.join("link"), folder.join("fifo"), folder.join("socket"));
        fs::write(&plain, "0123456789").unwrap();
        symlink(&plain, &link).unwrap();
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for pipes in [Pipes::Allowed, Pipes::Refused] {
            let read = |path: &Path| read_named(path, 4, pipes).map_err(|error| error.to_string());
            assert_eq!(read(&plain), Ok(b"01234".to_vec()), "one byte more than it may have");
            assert_eq!(read(&link), Ok(b"01234".to_vec()));
            let refused = |path: &Path, why: &str| {
                let error = read(path).unwrap_err();
                assert!(error.contains(why), "{}: {error}", path.display());
            };
            refused(&fifo, "FIFO");
            refused(&socket, "socket");
            refused(&folder, "directory");
            refused(Path::new("/dev/zero"), "device");
            refused(Path::new("/dev/null"), "device");
            refused(Path::new("/proc/kmsg"), "the kernel makes it up");
            refused(Path::new("/proc/self/status"), "the kernel makes it up");
            refused(&folder.join("none"), "No such file");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_pipe_of_the_shell_is_read_to_its_end_or_to_what_is_too_much() {
        use std::io::Write as _;

        for (most, expected) in [(100, &b"first second"[..]), (4, b"first")] {
            let (reader, mut writer) = io::pipe().unwrap();
            let path = format!("/dev/fd/{}", reader.as_raw_fd());
            let refused = read_named(Path::new(&path), most, Pipes::Refused).unwrap_err();
            assert!(refused.to_string().contains("it is a pipe"), "{refused}");
            let thread = std::thread::spawn(move || {
                for part in ["first ", "second"] {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    let _ = writer.write_all(part.as_bytes());
                }
            });
            assert_eq!(read_named(Path::new(&path), most, Pipes::Allowed).unwrap(), expected);
            thread.join().unwrap();
        }
    }
}
