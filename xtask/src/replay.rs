//! `cargo xtask replay`: captures that nobody here made, through the loaded programs and the reference evaluator.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::kernel::{self, Profile};
use crate::{assurance, setup, workspace};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask replay captures/\n  cargo xtask replay --tcpdump     # the captures of tcpdump's own tests, from Debian's source\n\n\
                  Packets that the kernel refuses to a test run are counted, and so are those of link types that are not understood."
)]
pub(crate) struct Options {
    /// Folder with pcap and pcapng files; folders in it are searched too.
    #[arg(required_unless_present = "tcpdump")]
    folder: Option<PathBuf>,
    /// Fetch the source of tcpdump from Debian, and replay the captures of its tests.
    #[arg(long, conflicts_with = "folder")]
    tcpdump: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let folder = match &options.folder {
        Some(folder) => folder.clone(),
        None => tcpdump()?,
    };
    let folder = std::path::absolute(&folder).with_context(|| format!("cannot tell where {} is", folder.display()))?;
    if !folder.is_dir() {
        bail!("{} is no folder", folder.display());
    }
    setup::run(&setup::Options::default())?;
    kernel::build_program(Profile::Debug, "enforcer-replay")?
        .variable("ENFORCER_RESULTS", assurance::folder().to_string_lossy())
        .variable("ENFORCER_REVISION", workspace::revision())
        .arg(folder.to_string_lossy())
        .run()
}

/// The source of tcpdump, unpacked below the target folder: fetched once, with lists of packages of its own, because sources are
/// seldom among those that a machine looks at.
fn tcpdump() -> anyhow::Result<PathBuf> {
    let folder = workspace::target_dir().join("captures");
    let tests = |folder: &Path| {
        let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
        entries.map(|entry| entry.path().join("tests")).find(|path| path.is_dir())
    };
    if let Some(found) = tests(&folder) {
        return Ok(found);
    }
    setup::programs(setup::Run::Replay)?;
    for name in ["lists/partial", "archives/partial"] {
        fs::create_dir_all(folder.join("apt").join(name))?;
    }
    let apt = folder.join("apt");
    let release = fs::read_to_string("/etc/os-release").context("only Debian has apt")?;
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).context("no codename")?;
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    fs::write(
        apt.join("sources.list"),
        format!("deb-src [signed-by={keyring}] http://deb.debian.org/debian {codename} main\n"),
    )?;
    let options = [
        format!("Dir::Etc::SourceList={}", apt.join("sources.list").display()),
        "Dir::Etc::SourceParts=/dev/null".to_owned(),
        format!("Dir::State::Lists={}", apt.join("lists").display()),
        format!("Dir::Cache={}", apt.display()),
        // Whoever may write here may fetch: no other user has to be asked.
        "APT::Sandbox::User=root".to_owned(),
    ];
    for words in [&["update"][..], &["source", "tcpdump"]] {
        let mut command = Command::new("apt-get");
        command.current_dir(&folder);
        for option in &options {
            command.args(["-o", option]);
        }
        let status = command.args(words).status().context("cannot start apt-get")?;
        if !status.success() {
            bail!("`apt-get {}` failed ({status})", words.join(" "));
        }
    }
    tests(&folder).context("the source of tcpdump has no folder `tests`")
}
