//! Building for another processor than this machine's.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::kernel::Profile;
use crate::setup;
use crate::shell::{self, CommandLine, cargo};
use crate::{test, workspace};

/// A processor that is built for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    /// Rust's name.
    pub(crate) triple: &'static str,
    /// Debian's.
    pub(crate) debian: &'static str,
    /// What the names of its compiler and tools begin with.
    gnu: &'static str,
    /// Debian's packages of them.
    packages: &'static [&'static str],
}

/// 64-bit ARM.
pub(crate) const ARM64: Target = Target {
    triple: "aarch64-unknown-linux-gnu",
    debian: "arm64",
    gnu: "aarch64-linux-gnu",
    packages: &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
};

/// 64-bit x86.
const AMD64: Target = Target {
    triple: "x86_64-unknown-linux-gnu",
    debian: "amd64",
    gnu: "x86_64-linux-gnu",
    packages: &["gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"],
};

impl Target {
    /// The target of this name.
    pub(crate) fn named(triple: &str) -> Result<Self, String> {
        let known = [ARM64, AMD64];
        let names = known.map(|target| target.triple).join(" and ");
        let found = known.into_iter().find(|target| target.triple == triple);
        found.ok_or_else(|| format!("the programs are built for {names}"))
    }

    /// Installs what is missing: the library of Rust for it, and a linker.
    pub(crate) fn prepare(self) -> anyhow::Result<()> {
        if self.is_own() {
            return Ok(());
        }
        if !self.has_library() {
            let line = CommandLine::new(&["rustup", "target", "add", self.triple]);
            if shell::find("rustup").is_none() {
                bail!("this Rust has no library for {}, and there is no rustup; with rustup: {line}", self.triple);
            }
            line.run()?;
        }
        if shell::find(&self.linker()).is_none() {
            setup::packages(self.packages)?;
        }
        Ok(())
    }

    /// Whether the compiler beside our cargo has the library of Rust for it.
    fn has_library(self) -> bool {
        let rustc = Path::new(&cargo()).with_file_name("rustc");
        let output = Command::new(rustc).args(["--print", "target-libdir", "--target", self.triple]).output();
        output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
    }

    /// A tool of its compiler, such as `strip`.
    pub(crate) fn tool(self, name: &str) -> String {
        if self.is_own() { name.to_owned() } else { format!("{}-{name}", self.gnu) }
    }

    /// Builds `enforcer`, and says where it is.
    pub(crate) fn build(self, profile: Profile) -> anyhow::Result<PathBuf> {
        let line = self.cargo("build").arg("--quiet");
        self.with_profile(
            ["--package", "enforcer", "--bin", "enforcer"].into_iter().fold(line, CommandLine::arg),
            profile,
        )
        .run()?;
        Ok(workspace::target_dir().join(self.triple).join(profile.folder()).join("enforcer"))
    }

    /// Builds the kernel suite, and says where it is.
    pub(crate) fn build_tests(self, profile: Profile) -> anyhow::Result<PathBuf> {
        let line = self.cargo("test").arg("--no-run").arg("--message-format=json-render-diagnostics");
        let line = ["--package", "enforcer-tests", "--test", "it"].into_iter().fold(line, CommandLine::arg);
        let tests = test::executables_by(&self.with_profile(line, profile))?;
        tests.into_iter().next().context("cargo named no test executable")
    }

    fn cargo(self, word: &str) -> CommandLine {
        let line = CommandLine::new(&[]).arg(cargo()).arg(word).arg("--target").arg(self.triple);
        if self.is_own() {
            return line;
        }
        let name = self.triple.replace('-', "_");
        line.variable(&format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), self.linker())
            .variable(&format!("CC_{name}"), self.linker())
    }

    fn with_profile(self, line: CommandLine, profile: Profile) -> CommandLine {
        match profile {
            Profile::Debug => line,
            Profile::Release => line.arg("--release"),
        }
    }

    fn linker(self) -> String {
        format!("{}-gcc", self.gnu)
    }

    fn is_own(self) -> bool {
        self.triple.starts_with(ARCH)
    }
}

/// The newest version of the C library that a binary asks for: its symbols carry the version that brought them.
pub(crate) fn libc_version(binary: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(binary).with_context(|| format!("cannot read {}", binary.display()))?;
    let Some((major, minor)) = newest_glibc(&bytes) else {
        bail!("{} asks for no C library", binary.display());
    };
    Ok(format!("{major}.{minor}"))
}

fn newest_glibc(bytes: &[u8]) -> Option<(u32, u32)> {
    const PREFIX: &[u8] = b"GLIBC_";
    let after = bytes.windows(PREFIX.len()).enumerate().filter(|(_, word)| *word == PREFIX);
    let versions = after.filter_map(|(at, _)| {
        let rest = &bytes[at + PREFIX.len()..];
        let text = rest.split(|byte| !byte.is_ascii_digit() && *byte != b'.').next()?;
        let (major, rest) = std::str::from_utf8(text).ok()?.split_once('.')?;
        Some((major.parse().ok()?, rest.split('.').next()?.parse().ok()?))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_symbol_says_which_c_library_is_needed() {
        assert_eq!(newest_glibc(b"\0GLIBC_2.17\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_PRIVATE\0"), Some((2, 34)));
        assert_eq!(newest_glibc(b"static"), None);
    }

    #[test]
    fn the_library_for_this_machine_is_there() {
        let own = [ARM64, AMD64].into_iter().find(|target| target.is_own());
        assert!(own.is_none_or(Target::has_library));
        assert!(!Target { triple: "no-such-target", ..ARM64 }.has_library());
    }

    #[test]
    fn an_unknown_target_is_refused_with_those_that_there_are() {
        assert_eq!(Target::named("aarch64-unknown-linux-gnu"), Ok(ARM64));
        assert!(Target::named("riscv64gc-unknown-linux-gnu").unwrap_err().contains("aarch64"));
    }
}
