//! Debian's packages of every suite, whatever this machine runs: lists and settings of apt of our own, below the target folder.
//! Nothing is installed, and apt of this machine does not notice.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::shell;
use crate::workspace;

/// Suites, oldest first. The last one has no updates of security.
const SUITES: &[&str] = &["bullseye", "bookworm", "trixie", "sid"];
/// Which key signs them: a package of Debian's that every Debian has.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Lists of packages that are older are read anew.
const OLD: Duration = Duration::from_secs(7 * 24 * 3600);

/// The processors that machines are emulated for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum Processor {
    #[default]
    Amd64,
    Arm64,
}

impl Processor {
    /// Debian's word.
    pub(super) const fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// Lists of packages for one processor.
pub(super) struct Lists {
    settings: PathBuf,
    processor: Processor,
}

impl Lists {
    /// Opens them; reads them anew if they are old.
    pub(super) fn open(processor: Processor) -> anyhow::Result<Self> {
        let folder = workspace::target_dir().join("vmtest/apt").join(processor.debian());
        for name in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(name)).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let sources = sources(&mirrors()?);
        let lists = Self { settings: folder.join("apt.conf"), processor };
        let is_same = fs::read_to_string(folder.join("sources.list")).is_ok_and(|text| text == sources);
        fs::write(folder.join("sources.list"), &sources)?;
        fs::write(&lists.settings, settings(&folder, processor))?;
        let stamp = folder.join("updated");
        let age = fs::metadata(&stamp).ok().and_then(|metadata| metadata.modified().ok()?.elapsed().ok());
        if !is_same || age.is_none_or(|age| age > OLD) {
            match run(&mut lists.apt_get(&["update", "--quiet=2"])) {
                Ok(()) => drop(File::create(&stamp)?),
                // Old lists are better than none.
                Err(error) if age.is_some() => eprintln!("vmtest: {error:#}; going on with the lists that are there"),
                Err(error) => return Err(error),
            }
        }
        Ok(lists)
    }

    /// The names of packages that fit an expression of apt-cache.
    pub(super) fn names(&self, pattern: &str) -> anyhow::Result<Vec<String>> {
        let output = Command::new("apt-cache")
            .arg("--config-file")
            .arg(&self.settings)
            .args(["search", "--names-only", pattern])
            .output()
            .context("cannot start apt-cache")?;
        let listing = String::from_utf8_lossy(&output.stdout);
        Ok(listing.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
    }

    /// Fetches packages and unpacks them into one folder. What an interrupted run has left there is removed first.
    pub(super) fn unpack(&self, packages: &[String], into: &Path) -> anyhow::Result<()> {
        let complete = into.join("complete");
        if complete.exists() {
            return Ok(());
        }
        let _ = fs::remove_dir_all(into);
        fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
        run(self.apt_get(&["download"]).args(packages).current_dir(into))?;
        extract(into, into)?;
        File::create(complete)?;
        Ok(())
    }

    /// Fetches packages of a suite with everything that they need, and unpacks all of it into one folder, which looks like `/` then. No
    /// script of a package runs.
    pub(super) fn root(&self, packages: &[&str], suite: &str, into: &Path) -> anyhow::Result<()> {
        let complete = into.join("complete");
        if complete.exists() {
            return Ok(());
        }
        let _ = fs::remove_dir_all(into);
        let archives = into.join("archives");
        fs::create_dir_all(archives.join("partial")).with_context(|| format!("cannot make {}", into.display()))?;
        let mut fetch = self.apt_get(&["install", "--yes", "--quiet=2", "--download-only", "--no-install-recommends"]);
        // Nothing is installed, so there is nothing to lock.
        let settings = ["Debug::NoLocking=true".to_owned(), format!("APT::Default-Release={suite}")];
        for setting in settings.into_iter().chain([format!("Dir::Cache::archives={}", archives.display())]) {
            fetch.arg("--option").arg(setting);
        }
        run(fetch.args(packages))?;
        extract(&archives, into)?;
        fs::remove_dir_all(archives)?;
        File::create(complete)?;
        Ok(())
    }

    pub(super) const fn processor(&self) -> Processor {
        self.processor
    }

    fn apt_get(&self, words: &[&str]) -> Command {
        let mut command = Command::new("apt-get");
        command.arg("--config-file").arg(&self.settings).args(words);
        command
    }
}

/// Unpacks the packages of a folder, and removes them.
fn extract(from: &Path, into: &Path) -> anyhow::Result<()> {
    let files: Vec<_> = fs::read_dir(from)?.filter_map(Result::ok).map(|entry| entry.path()).collect();
    for archive in files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "deb")) {
        let status = Command::new("dpkg").arg("--extract").arg(&archive).arg(into).status();
        if !status.context("cannot start dpkg")?.success() {
            bail!("dpkg cannot unpack {}", archive.display());
        }
        fs::remove_file(archive)?;
    }
    Ok(())
}

/// Where this machine gets Debian and its updates of security from.
#[derive(Debug, Default, Eq, PartialEq)]
struct Mirrors {
    main: String,
    security: Option<String>,
}

fn mirrors() -> anyhow::Result<Mirrors> {
    if shell::find("apt-get").is_none() {
        bail!("there is no apt-get; kernels come as Debian's packages");
    }
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"])
        .output()
        .context("cannot start apt-get")?;
    mirrors_of(&String::from_utf8_lossy(&output.stdout))
        .context("this machine's apt has no lists of Debian's packages (`apt-get update` reads them)")
}

/// The mirrors in lines of `LABEL URI`.
fn mirrors_of(listing: &str) -> Option<Mirrors> {
    let of = |label: &str| {
        let mut lines = listing.lines().filter_map(|line| line.rsplit_once(' '));
        lines.find(|(found, _)| *found == label).map(|(_, uri)| uri.to_owned())
    };
    Some(Mirrors { main: of("Debian")?, security: of("Debian-Security") })
}

fn sources(mirrors: &Mirrors) -> String {
    let line = |uri: &str, suite: &str| format!("deb [signed-by={KEYRING}] {uri} {suite} main\n");
    let main = SUITES.iter().map(|suite| line(&mirrors.main, suite));
    let secured = SUITES.iter().filter(|suite| **suite != "sid");
    let security = secured.filter_map(|suite| Some(line(mirrors.security.as_deref()?, &format!("{suite}-security"))));
    main.chain(security).collect()
}

fn settings(folder: &Path, processor: Processor) -> String {
    let folder = folder.display();
    let processor = processor.debian();
    format!(
        "Dir::State \"{folder}/state\";\nDir::State::status \"/dev/null\";\nDir::Cache \"{folder}/cache\";\n\
         Dir::Etc::sourcelist \"{folder}/sources.list\";\nDir::Etc::sourceparts \"-\";\n\
         APT::Architecture \"{processor}\";\nAPT::Architectures {{ \"{processor}\"; }};\nAPT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\nAcquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n"
    )
}

pub(super) fn run(command: &mut Command) -> anyhow::Result<()> {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let shown = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    eprintln!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_comes_from_the_mirror_of_this_machine() {
        let listing = "Debian http://mirror.example/debian/\nDebian-Security http://mirror.example/security/\n\
                       Other thing http://other.example/\n";
        let mirrors = mirrors_of(listing).unwrap();
        let text = sources(&mirrors);
        assert_eq!(text.lines().count(), 7, "{text}");
        assert!(text.contains("http://mirror.example/debian/ sid main\n"), "{text}");
        assert!(text.contains("http://mirror.example/security/ bullseye-security main\n"), "{text}");
        assert!(!text.contains("other"), "{text}");
        assert_eq!(mirrors_of("Other thing http://other.example/\n"), None);
    }
}
