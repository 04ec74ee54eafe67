//! Commands that xtask starts: echoed before they run, as root where they must, and named whole when they fail.

use std::env;
use std::fmt;
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// A command line that can be shown to a person before it runs, and copied by them when it cannot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CommandLine {
    words: Vec<String>,
    variables: Vec<(String, String)>,
    root: bool,
}

impl CommandLine {
    /// A command that the person who started xtask may run.
    pub(crate) fn new(words: &[&str]) -> Self {
        Self { words: words.iter().map(|&word| word.to_owned()).collect(), variables: Vec::new(), root: false }
    }

    /// One more argument.
    pub(crate) fn arg(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into());
        self
    }

    /// With a variable in its environment.
    pub(crate) fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// It takes root: by sudo, where we are not root.
    pub(crate) fn needing_root(mut self) -> Self {
        self.root = true;
        self
    }

    /// Echoes the command and runs it; its output goes where ours goes.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        if !self.can_run() {
            bail!("this takes root, and there is no sudo; run as root: {self}");
        }
        eprintln!("$ {self}");
        let mut command = self.command();
        let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start `{self}`"))?;
        if !status.success() {
            bail!("`{self}` failed ({status})");
        }
        Ok(())
    }

    /// Whether we have, or can get, the privileges it takes.
    pub(crate) fn can_run(&self) -> bool {
        !self.root || is_root() || find("sudo").is_some()
    }

    /// The process to be started.
    pub(crate) fn command(&self) -> Command {
        let mut words = self.all_words();
        let mut command = Command::new(words.remove(0));
        command.args(words);
        if !self.by_sudo() {
            command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        }
        command
    }

    fn by_sudo(&self) -> bool {
        self.root && !is_root() && find("sudo").is_some()
    }

    fn all_words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.by_sudo() {
            words.push("sudo".to_owned());
            if !io::stdin().is_terminal() {
                // Nobody could type a password: fail, do not wait.
                words.push("--non-interactive".to_owned());
            }
            if !self.variables.is_empty() {
                // sudo empties the environment; `env` fills it again.
                words.push("env".to_owned());
                words.extend(self.variables.iter().map(|(name, value)| format!("{name}={value}")));
            }
        }
        words.extend(self.words.iter().cloned());
        words
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.all_words();
        if !self.by_sudo() {
            words.splice(0..0, self.variables.iter().map(|(name, value)| format!("{name}={value}")));
        }
        f.write_str(&words.join(" "))
    }
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Where a program is: on the path, or where programs for root are.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    env::split_paths(&path).chain(sbin).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The cargo that runs us, so that no other toolchain sneaks in.
pub(crate) fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_shown_as_it_would_be_typed() {
        let line =
            CommandLine::new(&["cargo", "install"]).arg("bpf-linker").variable("LLVM_PREFIX", "/usr/lib/llvm-22");
        assert_eq!(line.to_string(), "LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker");
    }

    #[test]
    fn a_failing_command_is_named_whole() {
        let error = CommandLine::new(&["false"]).arg("of course").run().unwrap_err().to_string();
        assert!(error.contains("`false of course`"), "{error}");
    }
}
