//! Refused packets as JSON lines, into a file or to standard output, by a thread of its own: a slow reader holds up nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::log::Log;
use crate::dataplane::{DataplaneError, EventStream, protected};
use crate::failure::Failure;
use crate::host::trusted::open_plain;
use crate::observe::events::{Format, wait, write_event, write_suppressed};

/// How often it tells what was suppressed, and looks for another ring.
const ROUND: Duration = Duration::from_secs(1);
/// Bytes from which on the file is put aside, as `FILE.old`: nobody may rotate it.
const LONG: u64 = 64 << 20;
/// The end does not wait longer than this for what is still to be told.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The thread.
#[derive(Debug)]
pub(super) struct Events {
    orders: Arc<Orders>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Orders {
    /// The file was moved away: another one is to be made.
    reopen: AtomicBool,
    stop: AtomicBool,
}

impl Events {
    /// Starts it; `-` is standard output.
    pub(super) fn start(path: &Path, log: Log) -> Result<Self, Failure> {
        let sink = Sink::open(path, LONG).map_err(|error| {
            Failure::Failed(anyhow::Error::from(error).context(format!("cannot write events to {}", path.display())))
        })?;
        let orders = Arc::new(Orders::default());
        let follower = Follower { path: path.to_owned(), sink, orders: Arc::clone(&orders), log, told: None };
        let thread = thread::Builder::new().name("events".to_owned()).spawn(move || follower.run())?;
        Ok(Self { orders, thread })
    }

    /// The file may have been moved away by whoever rotates logs.
    pub(super) fn reopen(&self) {
        self.orders.reopen.store(true, Ordering::Relaxed);
    }

    /// Ends it when what is there is told.
    pub(super) fn stop(self) {
        self.orders.stop.store(true, Ordering::Relaxed);
        let until = Instant::now() + LAST_WORDS;
        while !self.thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Where lines go.
struct Sink {
    file: BufWriter<File>,
    /// Where it is; `None`: standard output, which is somebody else's to bound.
    path: Option<PathBuf>,
    /// Bytes from which on it is put aside.
    long: u64,
}

impl Sink {
    fn open(path: &Path, long: u64) -> io::Result<Self> {
        let is_output = path == Path::new("-");
        let file = if is_output {
            // Not by the handle that the command holds locked.
            File::from(io::stdout().as_fd().try_clone_to_owned()?)
        } else {
            // Addresses of others stand in it.
            open_plain(path, OpenOptions::new().append(true).create(true).mode(0o640))?
        };
        let path = (!is_output).then(|| path.to_owned());
        Ok(Self { file: BufWriter::with_capacity(1 << 16, file), path, long })
    }

    /// Writes what is still to be written. A file that has grown long is put aside then, in the place of the one before.
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let Some(path) = &self.path else { return Ok(()) };
        if self.file.get_ref().metadata()?.len() < self.long {
            return Ok(());
        }
        fs::rename(path, path.with_added_extension("old"))?;
        *self = Self::open(path, self.long)?;
        Ok(())
    }
}

struct Follower {
    path: PathBuf,
    sink: Sink,
    orders: Arc<Orders>,
    log: Log,
    /// What was wrong, so that it is said once.
    told: Option<String>,
}

impl Follower {
    fn run(mut self) {
        while !self.is_over() {
            let result = match self.stream() {
                Ok(Some(stream)) => self.follow(stream),
                Ok(None) => Ok(()),
                Err(error) => Err(error.into()),
            };
            match result {
                Ok(()) => self.told = None,
                Err(failure) => {
                    let text = format!("{failure:#}");
                    if self.told.as_ref() != Some(&text) {
                        self.log.warning(format!("no events are written: {text}"));
                        self.told = Some(text);
                    }
                }
            }
            if !self.is_over() {
                thread::sleep(ROUND);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.orders.stop.load(Ordering::Relaxed)
    }

    /// `None`: nothing is protected yet.
    fn stream(&self) -> Result<Option<EventStream>, DataplaneError> {
        let protected = protected(&[])?;
        if protected.is_empty() { Ok(None) } else { EventStream::open(&protected).map(Some) }
    }

    /// Writes events until the ring is another, or the end.
    fn follow(&mut self, mut stream: EventStream) -> Result<(), Failure> {
        let start = stream.suppressed()?;
        let (mut at, mut last) = (Instant::now(), (0, 0));
        loop {
            if self.orders.reopen.swap(false, Ordering::Relaxed) {
                self.sink.flush()?;
                self.sink =
                    Sink::open(&self.path, LONG).inspect_err(|_| self.orders.reopen.store(true, Ordering::Relaxed))?;
            }
            while at.elapsed() < ROUND
                && let Some(event) = stream.next_event()
            {
                write_event(Format::Json, &event, &mut self.sink.file)?;
            }
            if at.elapsed() >= ROUND {
                at = Instant::now();
                let (suppressed, lost) = stream.suppressed()?;
                let now = (suppressed.saturating_sub(start.0), lost.saturating_sub(start.1));
                if now != last {
                    last = now;
                    write_suppressed(Format::Json, now, &mut self.sink.file)?;
                }
            }
            self.sink.flush()?;
            if self.is_over() || !stream.is_current() {
                return Ok(());
            }
            wait(&stream)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_grown_long_is_put_aside_once() {
        let folder = std::env::temp_dir().join(format!("enforcer-events-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("events.json");
        let mut sink = Sink::open(&path, 8).unwrap();
        for line in ["short\n", "and long\n", "second\n", "as long\n", "third\n"] {
            sink.file.write_all(line.as_bytes()).unwrap();
            sink.flush().unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "third\n");
        assert_eq!(fs::read_to_string(folder.join("events.json.old")).unwrap(), "second\nas long\n");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        assert!(Sink::open(&folder, 8).is_err(), "a folder is no file");
        fs::remove_dir_all(folder).unwrap();
    }
}
