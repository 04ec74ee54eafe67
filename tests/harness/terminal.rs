//! A terminal without a screen: a command runs on it, keys are typed, and what it shows can be read.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use vt100::Parser;

/// How many lines and columns a terminal has.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Lines.
    pub lines: NonZero<u16>,
    /// Columns.
    pub columns: NonZero<u16>,
}

/// A command on a terminal of its own.
pub struct Terminal {
    /// The command.
    pub child: Child,
    /// The command's end of the terminal.
    pub end: OwnedFd,
    keys: File,
    screen: Arc<Mutex<Parser>>,
}

impl Terminal {
    /// Starts a command on a new terminal.
    ///
    /// # Panics
    /// When no terminal can be made, or the command does not start.
    #[must_use]
    #[track_caller]
    pub fn start(mut command: Command, size: Size) -> Self {
        let Size { lines, columns } = size;
        let window = Winsize { ws_row: lines.get(), ws_col: columns.get(), ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&window, None).expect("a terminal can be made");
        let end = || Stdio::from(pty.slave.try_clone().expect("it can be shared"));
        let child = command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm-256color").spawn();
        let keys = File::from(pty.master);
        let screen = Arc::new(Mutex::new(Parser::new(lines, columns, 0)));
        let (mut reader, written) = (keys.try_clone().expect("it can be shared"), Arc::clone(&screen));
        // It ends when the last end of the terminal is closed.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                written.lock().unwrap_or_else(PoisonError::into_inner).process(&bytes[..count]);
            }
        });
        Self { child: child.expect("it starts"), end: pty.slave, keys, screen }
    }

    /// Types keys.
    ///
    /// # Panics
    /// When the command has ended.
    #[track_caller]
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it reads");
    }

    /// The terminal as it is now.
    pub fn screen(&self) -> MutexGuard<'_, Parser> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands on the screen.
    #[must_use]
    pub fn text(&self) -> String {
        self.screen().screen().contents()
    }

    /// Waits until the screen is as it should be.
    ///
    /// # Panics
    /// When it is not after a minute.
    #[track_caller]
    pub fn expect(&self, what: &str, is: impl Fn(&str) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !is(&self.text()) {
            assert!(Instant::now() < end, "{what}:\n{}", self.text());
            thread::sleep(Duration::from_millis(20));
        }
    }
}
