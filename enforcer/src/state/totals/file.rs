//! The file of totals. It is written beside and renamed, so that there is always a whole one, and read with suspicion: what is
//! not what was written is put aside and never counted.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use sha2::{Digest as _, Sha256};

use super::{Totals, VERSION};
use crate::host::trusted::check_owner;

/// More than all rules that are remembered take.
const LARGEST: u64 = 32 << 20;

/// A file that is there and cannot be believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bad {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

/// What was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Read {
    /// Nothing: nothing was saved yet.
    Nothing,
    /// Totals.
    Totals(Box<Totals>),
    /// Something else.
    Bad(Bad),
}

/// The files of one interface, by the name of its pins.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
    name: String,
}

impl Files {
    /// Those of the interface whose pins have this name.
    #[must_use]
    pub fn of(pin_name: &str) -> Self {
        Self { folder: crate::state::folder(), name: pin_name.to_owned() }
    }

    fn file(&self) -> String {
        format!("{}.totals", self.name)
    }

    /// Where a file is put that cannot be believed.
    #[must_use]
    pub fn aside(&self) -> PathBuf {
        self.folder.join(format!("{}.bad", self.file()))
    }

    /// Reads what was saved.
    #[must_use]
    pub fn read(&self) -> Read {
        match self.try_read() {
            Ok(Some(totals)) => Read::Totals(Box::new(totals)),
            Ok(None) => Read::Nothing,
            Err(why) => Read::Bad(Bad { path: self.folder.join(self.file()), why }),
        }
    }

    fn try_read(&self) -> Result<Option<Totals>, String> {
        let Some(folder) = self.open_folder().map_err(|error| error.to_string())? else { return Ok(None) };
        let name = self.file();
        // Without O_NONBLOCK a pipe in its place would hold the reader for ever.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&folder, name.as_str(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => return Err("it is a symbolic link".to_owned()),
            Err(errno) => return Err(io::Error::from(errno).to_string()),
        };
        let meta = file.metadata().map_err(|error| error.to_string())?;
        if !meta.is_file() {
            return Err("it is not a file".to_owned());
        }
        check_owner(&meta)?;
        if meta.len() > LARGEST {
            return Err(format!("it has {} bytes, more than could have been written", meta.len()));
        }
        let mut text = Vec::new();
        // It may grow while it is read.
        file.take(LARGEST + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
        parse(&text).map(Some)
    }

    /// Writes totals in the place of what is there. A file that cannot be believed is put aside.
    ///
    /// # Errors
    /// When it cannot be written: what was saved before is as it was.
    pub fn write(&self, totals: &Totals) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let folder = self.open_folder()?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let (name, new) = (self.file(), format!("{}.new", self.file()));
        // Left behind by a process that was killed just here; or anything else, which is not written through.
        match unlinkat(&folder, new.as_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(&folder, new.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
        let written = file.write_all(&text(totals)?).and_then(|()| file.sync_all());
        let written = written.and_then(|()| Ok(renameat(folder.as_fd(), new.as_str(), folder.as_fd(), name.as_str())?));
        if let Err(error) = written {
            // Part of a file is of no use to anybody.
            let _ = unlinkat(&folder, new.as_str(), UnlinkatFlags::NoRemoveDir);
            return Err(error);
        }
        folder.sync_all()
    }

    /// Keeps a file that cannot be believed, under another name, for whoever wants to know.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn put_aside(&self) -> io::Result<()> {
        fs::rename(self.folder.join(self.file()), self.aside())
    }

    fn open_folder(&self) -> io::Result<Option<File>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let folder = match open(&self.folder, flags, Mode::empty()) {
            Ok(folder) => File::from(folder),
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(with(&self.folder, &io::Error::from(errno).to_string())),
        };
        check_owner(&folder.metadata()?).map_err(|why| with(&self.folder, &why))?;
        Ok(Some(folder))
    }
}

fn with(folder: &Path, why: &str) -> io::Error {
    io::Error::other(format!("the folder {}: {why}", folder.display()))
}

/// The hash of the rest, in a line of its own, and the totals as JSON.
fn text(totals: &Totals) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(totals)?;
    let mut text = format!("sha256 {}\n", hash(&body)).into_bytes();
    text.extend(body);
    text.push(b'\n');
    Ok(text)
}

fn parse(text: &[u8]) -> Result<Totals, String> {
    let cut = text.iter().position(|byte| *byte == b'\n').ok_or("it is cut short")?;
    let (head, body) = (&text[..cut], text[cut + 1..].strip_suffix(b"\n").ok_or("it is cut short")?);
    let said = head.strip_prefix(b"sha256 ").ok_or("it does not begin with a hash")?;
    if said != hash(body).as_bytes() {
        return Err("it is not what was written: the hash does not fit".to_owned());
    }
    let totals: Totals = serde_json::from_slice(body).map_err(|error| format!("it cannot be read: {error}"))?;
    if totals.version != VERSION {
        return Err(format!("it is of version {}, and this is version {VERSION}", totals.version));
    }
    Ok(totals)
}

fn hash(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use jiff::Timestamp;

    use super::super::{Ledger, Life, Owner};
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("enforcer-totals-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        fn files(&self) -> Files {
            Files { folder: self.0.clone(), name: "eth0".to_owned() }
        }

        fn path(&self) -> PathBuf {
            self.0.join("eth0.totals")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn totals() -> Totals {
        let of = Owner { interface: "eth0".to_owned(), netns: 1, is_machine: true };
        let life = Life { boot: "b".to_owned(), since: Timestamp::UNIX_EPOCH };
        Totals::next(None, of, life, Ledger::default())
    }

    /// Writes totals, lets somebody at them, and says why they are not believed.
    #[track_caller]
    fn why(name: &str, spoil: impl FnOnce(&Folder)) -> String {
        let folder = Folder::new(name);
        folder.files().write(&totals()).unwrap();
        spoil(&folder);
        match folder.files().read() {
            Read::Bad(Bad { why, path }) => {
                assert_eq!(path, folder.path());
                why
            }
            other @ (Read::Nothing | Read::Totals(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = Folder::new("read");
        assert_eq!(folder.files().read(), Read::Nothing, "not even a folder");
        folder.files().write(&totals()).unwrap();
        folder.files().write(&totals()).unwrap();
        assert_eq!(folder.files().read(), Read::Totals(Box::new(totals())));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder.0), mode(&folder.path())), (0o700, 0o600));
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_is_cut_short_or_changed_is_not_believed() {
        let cut = |folder: &Folder| {
            let text = fs::read(folder.path()).unwrap();
            fs::write(folder.path(), &text[..text.len() / 2]).unwrap();
        };
        assert_eq!(why("cut", cut), "it is cut short");
        assert_eq!(why("empty", |folder| fs::write(folder.path(), "").unwrap()), "it is cut short");
        let changed = |folder: &Folder| {
            let text = fs::read_to_string(folder.path()).unwrap().replace("\"netns\":1", "\"netns\":2");
            fs::write(folder.path(), text).unwrap();
        };
        assert!(why("changed", changed).contains("the hash does not fit"));
        let rubbish = |folder: &Folder| fs::write(folder.path(), [0xff; 4096]).unwrap();
        assert_eq!(why("rubbish", rubbish), "it is cut short");
    }

    #[test]
    fn a_hash_alone_is_not_enough() {
        let with_hash = |body: &str| format!("sha256 {}\n{body}\n", hash(body.as_bytes()));
        assert!(
            why("json", |folder| fs::write(folder.path(), with_hash("{}")).unwrap()).starts_with("it cannot be read")
        );
        let newer = |folder: &Folder| {
            let text = String::from_utf8(text(&totals()).unwrap()).unwrap();
            let body = text.lines().nth(1).unwrap().replace("\"version\":1", "\"version\":2");
            fs::write(folder.path(), with_hash(&body)).unwrap();
        };
        assert_eq!(why("newer", newer), "it is of version 2, and this is version 1");
    }

    #[test]
    fn links_pipes_and_files_of_others_are_not_followed() {
        let link = |folder: &Folder| {
            fs::rename(folder.path(), folder.0.join("real")).unwrap();
            symlink(folder.0.join("real"), folder.path()).unwrap();
        };
        assert_eq!(why("link", link), "it is a symbolic link");
        let pipe = |folder: &Folder| {
            fs::remove_file(folder.path()).unwrap();
            nix::unistd::mkfifo(&folder.path(), Mode::S_IRUSR).unwrap();
        };
        assert_eq!(why("pipe", pipe), "it is not a file");
        let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(why("open", |folder| open(&folder.path(), 0o666)), "others may write to it");
        assert!(why("folder", |folder| open(&folder.0, 0o777)).contains("others may write to it"));
    }

    #[test]
    fn a_link_in_the_place_of_the_new_file_is_not_written_through() {
        let folder = Folder::new("through");
        folder.files().write(&totals()).unwrap();
        let victim = folder.0.join("victim");
        fs::write(&victim, "mine").unwrap();
        symlink(&victim, folder.0.join("eth0.totals.new")).unwrap();
        folder.files().write(&totals()).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert!(fs::symlink_metadata(folder.path()).unwrap().is_file());
    }

    #[test]
    fn a_folder_that_is_a_link_is_refused() {
        let folder = Folder::new("linked");
        let linked = Folder::new("linked-to");
        fs::create_dir(&linked.0).unwrap();
        symlink(&linked.0, &folder.0).unwrap();
        let error = folder.files().write(&totals()).unwrap_err().to_string();
        assert!(error.contains(&folder.0.display().to_string()), "{error}");
        assert!(matches!(folder.files().read(), Read::Bad(_)));
        fs::remove_file(&folder.0).unwrap();
    }
}
