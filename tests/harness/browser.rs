//! Chromium without a screen: pictures of a page, and what its layout is at a given width.

use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, path};

/// The programs that are Chromium, by the names that distributions give them.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What a reader prefers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// Dark text on a light ground.
    Light,
    /// The reverse.
    Dark,
}

/// A browser with a profile of its own, which is removed when it is dropped.
#[derive(Debug)]
pub struct Browser {
    program: &'static str,
    profile: PathBuf,
}

impl Browser {
    /// The browser of this machine; `None` where there is none.
    #[must_use]
    pub fn find() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let program = NAMES.into_iter().find(|name| is_installed(name))?;
        let profile = env::temp_dir().join(format!("enforcer-test-{}-browser-{number}", process::id()));
        Some(Self { program, profile })
    }

    /// A picture (PNG) of the top of a page, in a window of this many pixels; a window has at least 500 columns.
    ///
    /// # Panics
    /// When there is no picture.
    #[must_use]
    #[track_caller]
    pub fn picture(&self, page: &Path, (width, height): (u32, u32), scheme: Scheme) -> Vec<u8> {
        let picture = self.profile.with_extension("png");
        let scheme = match scheme {
            Scheme::Light => "preferredColorScheme=1",
            Scheme::Dark => "preferredColorScheme=0",
        };
        let arguments = [
            format!("--window-size={width},{height}"),
            format!("--blink-settings={scheme}"),
            format!("--screenshot={}", picture.display()),
        ];
        self.run(&arguments, page);
        let bytes = fs::read(&picture).unwrap_or_else(|error| panic!("{} took no picture: {error}", self.program));
        fs::remove_file(&picture).ok();
        bytes
    }

    /// The page as it is after its scripts have run.
    ///
    /// # Panics
    /// When the browser fails.
    #[must_use]
    #[track_caller]
    pub fn dom(&self, page: &Path) -> String {
        self.run(&["--dump-dom".to_owned(), "--virtual-time-budget=10000".to_owned()], page)
    }

    #[track_caller]
    fn run(&self, arguments: &[String], page: &Path) -> String {
        let output = Command::new(self.program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
            // A page of a test may look into the pages that it frames.
            .args(["--allow-file-access-from-files", "--force-device-scale-factor=1", "--lang=en"])
            .arg(format!("--user-data-dir={}", self.profile.display()))
            .args(arguments)
            .arg(format!("file://{}", path::absolute(page).expect("a path").display()))
            .stderr(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program));
        assert!(output.status.success(), "{} ends with {}", self.program, output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.profile).ok();
    }
}

fn is_installed(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
