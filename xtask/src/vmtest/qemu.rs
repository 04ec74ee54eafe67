//! QEMU: this machine's, where it is new enough, else Debian's, unpacked below the target folder and started from there.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use super::apt::{Lists, Processor};
use crate::{shell, workspace};

/// The oldest that emulates every card (igb came with it).
const OLDEST: u32 = 8;
/// Where a newer one comes from.
const SUITE: &str = "trixie";

/// A QEMU that can be started.
#[derive(Clone, Debug)]
pub(super) struct Qemu {
    /// The program, or what starts it.
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Qemu {
    /// Finds one for these machines; `cards`: one that emulates every card.
    pub(super) fn find(processor: Processor, cards: bool) -> anyhow::Result<Self> {
        let name = match processor {
            Processor::Amd64 => "qemu-system-x86_64",
            Processor::Arm64 => "qemu-system-aarch64",
        };
        if let Some(program) = shell::find(name) {
            let oldest = if cards { OLDEST } else { 0 };
            if version(&program).is_some_and(|version| version >= oldest) {
                return Ok(Self { program, arguments: Vec::new() });
            }
        }
        let root = workspace::target_dir().join("vmtest/qemu");
        // It runs here, whatever it emulates.
        let lists = Lists::open(Processor::Amd64)?;
        lists.root(&["qemu-system-x86", "qemu-system-arm"], SUITE, &root)?;
        let libraries = root.join("usr/lib/x86_64-linux-gnu");
        let loader = libraries.join("ld-linux-x86-64.so.2");
        let program = root.join("usr/bin").join(name);
        if !loader.is_file() || !program.is_file() {
            bail!("there is no {} with a loader in {}", program.display(), root.display());
        }
        // With its own C library: this machine's may be older.
        let mut arguments: Vec<OsString> = ["--library-path".into(), libraries.into(), program.into()].into();
        for data in ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"] {
            arguments.extend(["-L".into(), root.join(data).into()]);
        }
        Ok(Self { program: loader, arguments })
    }

    /// Its command line so far.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command
    }
}

fn version(program: &std::path::Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().context("it does not run").ok()?;
    version_of(&String::from_utf8_lossy(&output.stdout))
}

/// The first number in `QEMU emulator version 7.2.15 (..)`.
fn version_of(text: &str) -> Option<u32> {
    text.split(" version ").nth(1)?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_its_own_words() {
        assert_eq!(version_of("QEMU emulator version 7.2.15 (Debian 1:7.2+dfsg-7)\nCopyright\n"), Some(7));
        assert_eq!(version_of("QEMU emulator version 10.0.13\n"), Some(10));
        assert_eq!(version_of(""), None);
    }
}
