//! Refused packets as JSON lines, into a file or to standard output, by a thread of its own: a slow reader holds up nothing else.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::log::Log;
use crate::cli::Failure;
use crate::cli::events::{Format, wait, write_event, write_suppressed};
use crate::dataplane::{DataplaneError, EventStream, protected};

/// How often it tells what was suppressed, and looks for another ring.
const ROUND: Duration = Duration::from_secs(1);
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
        let sink = Sink::open(path).map_err(|error| {
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
struct Sink(BufWriter<File>);

impl Sink {
    fn open(path: &Path) -> io::Result<Self> {
        let file = if path == Path::new("-") {
            // Not by the handle that the command holds locked.
            File::from(io::stdout().as_fd().try_clone_to_owned()?)
        } else {
            // Addresses of others stand in it.
            OpenOptions::new().append(true).create(true).mode(0o640).open(path)?
        };
        Ok(Self(BufWriter::with_capacity(1 << 16, file)))
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
                self.sink.0.flush()?;
                self.sink = Sink::open(&self.path)?;
            }
            while at.elapsed() < ROUND
                && let Some(event) = stream.next_event()
            {
                write_event(Format::Json, &event, &mut self.sink.0)?;
            }
            if at.elapsed() >= ROUND {
                at = Instant::now();
                let (suppressed, lost) = stream.suppressed()?;
                let now = (suppressed.saturating_sub(start.0), lost.saturating_sub(start.1));
                if now != last {
                    last = now;
                    write_suppressed(Format::Json, now, &mut self.sink.0)?;
                }
            }
            self.sink.0.flush()?;
            if self.is_over() || !stream.is_current() {
                return Ok(());
            }
            wait(&stream)?;
        }
    }
}
