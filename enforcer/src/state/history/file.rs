//! The file: appended to under a lock, rewritten when it has grown, never followed through a link.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use nix::fcntl::{Flock, FlockArg};

use super::{Entry, Event};
use crate::host::trusted;

const NAME: &str = "history.jsonl";
/// Bytes from which on the file is made shorter.
const LONG: u64 = 1 << 20;
/// Bytes that are read of it, whoever has written them.
const MOST: u64 = 8 << 20;
/// Entries that are left when it was made shorter, of all interfaces together.
const KEPT: usize = 2000;
/// Totals older than this are kept once an hour.
const FINE: SignedDuration = SignedDuration::from_hours(24);

/// The history could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the history {}", path.display())]
pub struct HistoryError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// What was read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct History {
    /// Entries, by time.
    pub entries: Vec<Entry>,
    /// Lines that could not be read.
    pub skipped: usize,
}

/// The file of the history.
#[derive(Clone, Debug)]
pub struct Log {
    folder: PathBuf,
}

impl Default for Log {
    /// The one of this host.
    fn default() -> Self {
        Self { folder: crate::state::folder() }
    }
}

impl Log {
    /// The one in this folder.
    #[must_use]
    pub const fn within(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Adds entries.
    ///
    /// # Errors
    /// When the file cannot be written; what was in it is there still.
    pub fn append(&self, entries: &[Entry]) -> Result<(), HistoryError> {
        let write = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            trusted::check_folder(&self.folder)?;
            let _lock = self.lock()?;
            let mut file = open(&self.path(), OpenOptions::new().append(true).read(true).create(true))?;
            let mut text = String::new();
            // A line that was cut short by a crash spoils no other.
            if !ends_with_newline(&mut file)? {
                text.push('\n');
            }
            for entry in entries {
                text.push_str(&serde_json::to_string(entry)?);
                text.push('\n');
            }
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
            if file.metadata()?.len() > LONG { self.shorten(&mut file) } else { Ok(()) }
        };
        write().map_err(|source| self.error(source))
    }

    /// Reads it. None is an empty one.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(&self) -> Result<History, HistoryError> {
        let opened =
            trusted::check_folder(&self.folder).and_then(|()| open(&self.path(), OpenOptions::new().read(true)));
        match opened {
            Ok(mut file) => read(&mut file).map_err(|source| self.error(source)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(History::default()),
            Err(source) => Err(self.error(source)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    fn error(&self, source: io::Error) -> HistoryError {
        HistoryError { path: self.path(), source }
    }

    /// A file of its own: the history itself is replaced when it is made shorter.
    fn lock(&self) -> io::Result<Flock<File>> {
        let file = open(&self.folder.join("history.jsonl.lock"), OpenOptions::new().write(true).create(true))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
    }

    fn shorten(&self, file: &mut File) -> io::Result<()> {
        let History { entries, .. } = read(file)?;
        let new = self.folder.join("history.jsonl.new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut text = Vec::new();
        for entry in shortened(entries) {
            serde_json::to_writer(&mut text, &entry)?;
            text.push(b'\n');
        }
        let mut file = open(&new, OpenOptions::new().write(true).create_new(true))?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, self.path())?;
        File::open(&self.folder)?.sync_all()
    }
}

/// Opens a plain file that nobody else can have written.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = trusted::open_plain(path, options.mode(0o600))?;
    trusted::check_owner(&file.metadata()?).map_err(io::Error::other)?;
    Ok(file)
}

fn ends_with_newline(file: &mut File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(length - 1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn read(file: &mut File) -> io::Result<History> {
    // The newest entries are at the end.
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    let mut history = History::default();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(entry) => history.entries.push(entry),
            Err(_) => history.skipped += 1,
        }
    }
    history.entries.sort_by_key(|entry| entry.at);
    Ok(history)
}

/// The newest changes, and totals: all of the last day, before that one an hour. An interface about which there is much to tell
/// takes no room from others: where it is too much, the same number is left of each that has more.
fn shortened(entries: Vec<Entry>) -> Vec<Entry> {
    let newest = entries.last().map_or(Timestamp::UNIX_EPOCH, |entry| entry.at);
    let mut hours: HashSet<(String, i64)> = HashSet::new();
    let mut kept: Vec<Entry> = entries
        .into_iter()
        .filter(|entry| {
            entry.event != Event::Sample
                || newest.duration_since(entry.at) < FINE
                || hours.insert((entry.interface.clone(), entry.at.as_second() / 3600))
        })
        .collect();
    let mut of_each: HashMap<String, usize> = HashMap::new();
    for entry in &kept {
        *of_each.entry(entry.interface.clone()).or_default() += 1;
    }
    let share = share(of_each.values().copied().collect());
    kept.retain(|entry| match of_each.get_mut(&entry.interface) {
        Some(left) if *left > share => {
            *left -= 1;
            false
        }
        _ => true,
    });
    // More interfaces than entries: the newest.
    let excess = kept.len().saturating_sub(KEPT);
    kept.drain(..excess);
    kept
}

/// How many entries of an interface are left, so that there are no more than [`KEPT`] in all.
fn share(mut of_each: Vec<usize>) -> usize {
    of_each.sort_unstable();
    let (mut room, mut others) = (KEPT, of_each.len());
    for number in of_each {
        if number * others > room {
            return (room / others).max(1);
        }
        room -= number;
        others -= 1;
    }
    KEPT
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("enforcer-history-{name}-{}", std::process::id())))
        }

        fn log(&self) -> Log {
            Log::within(self.0.clone())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn entry(second: i64, event: Event) -> Entry {
        Entry {
            at: Timestamp::from_second(second).unwrap(),
            event,
            interface: "eth0".to_owned(),
            boot: "b".to_owned(),
            modes: None,
            until: None,
            policy_hash: None,
            totals: None,
        }
    }

    #[test]
    fn what_is_appended_is_read_back_and_only_root_can() {
        let folder = Folder::new("append");
        let log = folder.log();
        assert_eq!(log.read().unwrap(), History::default());
        log.append(&[entry(1, Event::Applied)]).unwrap();
        log.append(&[entry(2, Event::Mode), entry(3, Event::Sample)]).unwrap();
        let events: Vec<_> = log.read().unwrap().entries.iter().map(|entry| entry.event).collect();
        assert_eq!(events, [Event::Applied, Event::Mode, Event::Sample]);
        let mode = fs::metadata(log.path()).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn lines_that_cannot_be_read_are_counted_and_spoil_no_other() {
        let folder = Folder::new("corrupt");
        let log = folder.log();
        log.append(&[entry(1, Event::Applied)]).unwrap();
        let mut file = OpenOptions::new().append(true).open(log.path()).unwrap();
        file.write_all(b"{\"at\":\"never\"}\n\xff\xfe\n{\"at\":\"2026-11-22T10:0").unwrap();
        log.append(&[entry(2, Event::Mode)]).unwrap();
        let history = log.read().unwrap();
        assert_eq!((history.entries.len(), history.skipped), (2, 3));
    }

    #[test]
    fn a_link_or_a_pipe_in_its_place_is_refused() {
        let folder = Folder::new("link");
        let log = folder.log();
        fs::create_dir_all(&folder.0).unwrap();
        let target = folder.0.join("target");
        fs::write(&target, "").unwrap();
        symlink(&target, log.path()).unwrap();
        assert!(log.append(&[entry(1, Event::Mode)]).is_err());
        assert!(log.read().is_err());
        assert_eq!(fs::read(&target).unwrap(), b"");
        fs::remove_file(log.path()).unwrap();
        nix::unistd::mkfifo(&log.path(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(log.read().is_err());
    }

    #[test]
    fn what_others_can_write_is_not_believed() {
        let folder = Folder::new("others");
        let log = folder.log();
        log.append(&[entry(1, Event::Mode)]).unwrap();
        let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        open(&log.path(), 0o666);
        assert!(log.read().is_err() && log.append(&[entry(2, Event::Mode)]).is_err());
        open(&log.path(), 0o600);
        open(&folder.0, 0o777);
        assert!(log.read().is_err() && log.append(&[entry(2, Event::Mode)]).is_err());
        open(&folder.0, 0o700);
        assert_eq!(log.read().unwrap().entries.len(), 1);
    }

    #[test]
    fn an_interface_with_much_to_tell_takes_no_room_from_others() {
        let of = |interface: &str, second| Entry { interface: interface.to_owned(), ..entry(second, Event::Mode) };
        let mut entries: Vec<Entry> = (0..10).map(|n| of("quiet", n)).collect();
        entries.extend((10..9000).flat_map(|n| [of("busy", n), of("as-busy", n)]));
        let kept = shortened(entries);
        let number = |name: &str| kept.iter().filter(|entry| entry.interface == name).count();
        assert_eq!((number("quiet"), number("busy"), number("as-busy")), (10, 995, 995));
        assert_eq!(kept.last().map(|entry| entry.at.as_second()), Some(8999), "the newest are left");
        let many: Vec<Entry> = (0..5000).map(|n| of(&format!("veth{n}"), n)).collect();
        assert_eq!(shortened(many).len(), KEPT);
    }

    #[test]
    fn it_is_bounded_and_keeps_changes_longer_than_totals() {
        let day = 86_400;
        let mut entries: Vec<Entry> = (0..10_000).map(|n| entry(n * 60, Event::Sample)).collect();
        entries.insert(0, entry(0, Event::Applied));
        let kept = shortened(entries);
        assert!(kept.len() < KEPT, "{}", kept.len());
        assert_eq!(kept[0].event, Event::Applied);
        let last_day = kept.iter().filter(|entry| entry.at.as_second() > 9_999 * 60 - day).count();
        assert_eq!(last_day, 1440);
        assert_eq!(shortened((0..5000).map(|n| entry(n, Event::Mode)).collect()).len(), KEPT);

        let folder = Folder::new("bounded");
        let log = folder.log();
        let many: Vec<Entry> = (0..9000).map(|n| entry(n, Event::Mode)).collect();
        log.append(&many).unwrap();
        assert!(fs::metadata(log.path()).unwrap().len() < LONG);
        assert_eq!(log.read().unwrap().entries.last(), many.last());
    }
}
