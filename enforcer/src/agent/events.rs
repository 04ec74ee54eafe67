//! Writes refused packets as JSON lines to a file or to standard output, or sends them as syslog, in a thread of its own, so that a slow
//! reader delays nothing else.

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
use crate::dataplane::{DataplaneError, DeniedEvent, EventStream, protected};
use crate::failure::Failure;
use crate::host::trusted::open_plain;
use crate::observe::events::{Format, Lines, wait};
use crate::observe::syslog::{Destination, Sender};
use crate::observe::told::Sink;

/// Interval at which the thread writes the number of suppressed events and checks for a new ring buffer.
const ROUND: Duration = Duration::from_secs(1);
/// Size in bytes at which the file is renamed to `FILE.old`, in case no other program rotates it.
const LONG: u64 = 64 << 20;
/// The longest time that stopping waits for unwritten events.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A handle of the thread.
#[derive(Debug)]
pub(super) struct Events {
    orders: Arc<Orders>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Orders {
    /// Set when the file may have been moved away and must be opened again.
    reopen: AtomicBool,
    stop: AtomicBool,
}

impl Events {
    /// Starts the thread. A server for syslog need not be there yet.
    pub(super) fn start(destination: &Destination, log: Log) -> Result<Self, Failure> {
        let sink = match destination {
            Destination::File(path) => Ending::File(LogFile::open(path, LONG).map_err(|error| {
                let context = format!("cannot write events to {}", path.display());
                Failure::Failed(anyhow::Error::from(error).context(context))
            })?),
            Destination::Server(server) => Ending::Sender(Sender::to_server(server)?),
            Destination::Journal => Ending::Sender(Sender::to_journal()),
        };
        let orders = Arc::new(Orders::default());
        let follower = Follower { sink, orders: Arc::clone(&orders), log, told: None };
        let thread = thread::Builder::new().name("events".to_owned()).spawn(move || follower.run())?;
        Ok(Self { orders, thread })
    }

    /// Opens the file again, because a log rotation may have moved it away.
    pub(super) fn reopen(&self) {
        self.orders.reopen.store(true, Ordering::Relaxed);
    }

    /// Stops the thread after it has written the events that are in the ring.
    pub(super) fn stop(self) {
        self.orders.stop.store(true, Ordering::Relaxed);
        let until = Instant::now() + LAST_WORDS;
        while !self.thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Where events end.
enum Ending {
    File(LogFile),
    Sender(Sender),
}

impl Ending {
    fn sink(&mut self) -> &mut dyn Sink {
        match self {
            Self::File(file) => file,
            Self::Sender(sender) => sender,
        }
    }
}

/// A file of JSON lines.
struct LogFile {
    lines: Lines<BufWriter<File>>,
    path: PathBuf,
    /// Size in bytes at which the file is renamed.
    long: u64,
}

impl LogFile {
    fn open(path: &Path, long: u64) -> io::Result<Self> {
        let is_output = path == Path::new("-");
        let file = if is_output {
            // A new descriptor, because the command holds the lock of `Stdout`.
            File::from(io::stdout().as_fd().try_clone_to_owned()?)
        } else {
            // The file contains addresses of other hosts.
            open_plain(path, OpenOptions::new().append(true).create(true).mode(0o640))?
        };
        let lines = Lines { format: Format::Json, out: BufWriter::with_capacity(1 << 16, file) };
        Ok(Self { lines, path: path.to_owned(), long })
    }

    /// Flushes the buffer. A file that has reached its size limit is then renamed and replaces the previous `FILE.old`.
    fn flush_file(&mut self) -> io::Result<()> {
        let file = &mut self.lines.out;
        file.flush()?;
        // The size of standard output is not limited here.
        if self.path == Path::new("-") || file.get_ref().metadata()?.len() < self.long {
            return Ok(());
        }
        fs::rename(&self.path, self.path.with_added_extension("old"))?;
        *self = Self::open(&self.path, self.long)?;
        Ok(())
    }

    /// Opens the file again.
    fn reopen(&mut self) -> io::Result<()> {
        self.flush_file()?;
        *self = Self::open(&self.path, self.long)?;
        Ok(())
    }
}

impl Sink for LogFile {
    fn event(&mut self, event: &DeniedEvent) -> Result<(), Failure> {
        self.lines.event(event)
    }

    fn suppressed(&mut self, numbers: (u64, u64)) -> Result<(), Failure> {
        self.lines.suppressed(numbers)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.flush_file()?)
    }
}

struct Follower {
    sink: Ending,
    orders: Arc<Orders>,
    log: Log,
    /// The last error message, so that it is logged only once.
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
                        self.log.warning(format!("cannot write events: {text}"));
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

    /// `None`: no interface is protected yet.
    fn stream(&self) -> Result<Option<EventStream>, DataplaneError> {
        let protected = protected(&[])?;
        if protected.is_empty() { Ok(None) } else { EventStream::open(&protected).map(Some) }
    }

    /// Writes events until the ring buffer is replaced or the agent stops.
    fn follow(&mut self, mut stream: EventStream) -> Result<(), Failure> {
        let start = stream.suppressed()?;
        let (mut at, mut last) = (Instant::now(), (0, 0));
        loop {
            if self.orders.reopen.swap(false, Ordering::Relaxed)
                && let Ending::File(file) = &mut self.sink
            {
                file.reopen().inspect_err(|_| self.orders.reopen.store(true, Ordering::Relaxed))?;
            }
            // First what could not be sent before: while it waits, events stay in the ring.
            self.sink.sink().flush()?;
            while at.elapsed() < ROUND
                && let Some(event) = stream.next_event()
            {
                self.sink.sink().event(&event)?;
            }
            if at.elapsed() >= ROUND {
                at = Instant::now();
                let (suppressed, lost) = stream.suppressed()?;
                let now = (suppressed.saturating_sub(start.0), lost.saturating_sub(start.1));
                if now != last {
                    last = now;
                    self.sink.sink().suppressed(now)?;
                }
            }
            self.sink.sink().flush()?;
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
        let mut file = LogFile::open(&path, 8).unwrap();
        for line in ["short\n", "and long\n", "second\n", "as long\n", "third\n"] {
            file.lines.out.write_all(line.as_bytes()).unwrap();
            file.flush_file().unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "third\n");
        assert_eq!(fs::read_to_string(folder.join("events.json.old")).unwrap(), "second\nas long\n");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        assert!(LogFile::open(&folder, 8).is_err(), "a folder is no file");
        fs::remove_dir_all(folder).unwrap();
    }
}
