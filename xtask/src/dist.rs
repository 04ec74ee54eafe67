//! `cargo xtask dist`: packages for dpkg and rpm, an archive of the same files, what they are made of, their checksums and a signature.

mod check;
mod release;
mod rpm;
mod sbom;
mod tree;

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};

use self::tree::Tree;
use crate::cross::Target;
use crate::kernel::{self, Profile};
use crate::setup;
use crate::shell::CommandLine;
use crate::workspace;

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask dist\n  cargo xtask dist --target aarch64-unknown-linux-gnu\n  \
                  cargo xtask dist --sign ~/.ssh/release --check\n\n\
                  The time in the files is that of the last commit, or SOURCE_DATE_EPOCH. docs/operating.md says how operators verify \
                  a release: \"Verify a release\".")]
pub(crate) struct Options {
    /// Build quickly, for a test: what is published is not built like this.
    #[arg(long)]
    debug: bool,
    /// Build for another processor; the package is for that one, too.
    #[arg(long, value_name = "TRIPLE", value_parser = Target::named)]
    target: Option<Target>,
    /// Revision of the packages.
    #[arg(long, value_name = "N", default_value_t = 1)]
    revision: u32,
    /// Sign the checksums with this private key of OpenSSH (an SSHSIG signature, namespace `file`).
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// Validate the list of components, build a second time, below target/dist-check, and fail with a list of what differs.
    #[arg(long)]
    check: bool,
}

impl Options {
    /// Packages for a test.
    pub(crate) const fn for_test(revision: u32) -> Self {
        Self { debug: true, target: None, revision, sign: None, check: false }
    }

    /// Where the files go. What was built for a test must never be taken for a release.
    fn folder(&self) -> PathBuf {
        let folder = workspace::target_dir().join(if self.debug { "dist-test" } else { "dist" });
        self.target.map_or(folder.clone(), |target| folder.join(target.triple))
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let folder = options.folder();
    let laid_out = lay_out(options)?;
    // The archive first: the package adds to the files what is its own.
    let archive = archive(options, &laid_out)?;
    let epoch = epoch()?;
    let rpm = rpm(options, &laid_out)?;
    let files = [debian(options, &laid_out)?, rpm, archive, sbom::write(&folder, &epoch)?];
    let names: Vec<String> =
        files.iter().filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned())).collect();
    let mut made = release::checksums(&folder, &names)?;
    made.extend(options.sign.as_deref().map(|key| release::sign(&folder, key)).transpose()?);
    for name in names.iter().map(String::as_str).chain(made) {
        println!("{}", folder.join(name).display());
    }
    if options.check { check(options, &names) } else { Ok(()) }
}

/// Makes the packages: for dpkg and for rpm.
pub(crate) fn packages(options: &Options) -> anyhow::Result<[PathBuf; 2]> {
    let laid_out = lay_out(options)?;
    // The Debian package is the last, as it adds files of its own.
    let rpm = rpm(options, &laid_out)?;
    Ok([debian(options, &laid_out)?, rpm])
}

/// Makes the Debian package.
pub(crate) fn package(options: &Options) -> anyhow::Result<PathBuf> {
    debian(options, &lay_out(options)?)
}

/// The time that all files of a release have, in seconds since 1970, so that two builds of a commit are the same.
fn epoch() -> anyhow::Result<String> {
    if let Ok(given) = env::var("SOURCE_DATE_EPOCH") {
        return Ok(given);
    }
    let line = CommandLine::new(&["git", "log", "-1", "--format=%ct"]);
    let output = line.command().current_dir(workspace::root()).output().context("cannot start git")?;
    let text = String::from_utf8(output.stdout)?.trim().to_owned();
    if text.is_empty() {
        bail!("this is no clone: set SOURCE_DATE_EPOCH to the time of the release in seconds since 1970");
    }
    Ok(text)
}

/// Has the list of components validated, builds everything in another target folder, from nothing, and compares these files.
fn check(options: &Options, names: &[String]) -> anyhow::Result<()> {
    sbom::validate(&options.folder())?;
    let target = workspace::target_dir().join("dist-check");
    if target.exists() {
        fs::remove_dir_all(&target).with_context(|| format!("cannot remove {}", target.display()))?;
    }
    let own = env::current_exe().context("cannot find this program")?;
    let mut line = CommandLine::new(&[]).arg(own.to_string_lossy()).arg("dist");
    line = line.arg("--revision").arg(options.revision.to_string());
    if options.debug {
        line = line.arg("--debug");
    }
    if let Some(target) = options.target {
        line = line.arg("--target").arg(target.triple);
    }
    line.variable("CARGO_TARGET_DIR", target.to_string_lossy()).variable("SOURCE_DATE_EPOCH", epoch()?).run()?;
    let folder = options.folder();
    let other = target.join(folder.strip_prefix(workspace::target_dir())?);
    check::compare(&folder, &other, names)
}

fn rpm(options: &Options, LaidOut { tree, architecture, .. }: &LaidOut) -> anyhow::Result<PathBuf> {
    let version = (env!("CARGO_PKG_VERSION"), options.revision);
    rpm::build(tree.path(), version, architecture, &options.folder(), &epoch()?)
}

/// The files, their version, and for which machines they are.
struct LaidOut {
    tree: Tree,
    version: String,
    architecture: String,
}

fn debian(options: &Options, laid_out: &LaidOut) -> anyhow::Result<PathBuf> {
    let LaidOut { tree, version, architecture } = laid_out;
    tree.control(version, architecture)?;
    let file = options.folder().join(format!("enforcer_{version}_{architecture}.deb"));
    CommandLine::new(&["dpkg-deb", "--root-owner-group", "--build"])
        .arg(tree.path().to_string_lossy())
        .arg(file.to_string_lossy())
        .variable("SOURCE_DATE_EPOCH", epoch()?)
        .run()?;
    Ok(file)
}

/// Makes the archive, of the files that the package has.
fn archive(options: &Options, laid_out: &LaidOut) -> anyhow::Result<PathBuf> {
    let LaidOut { tree, version, architecture } = laid_out;
    let file = options.folder().join(format!("enforcer-{version}-{architecture}.tar.gz"));
    CommandLine::new(&[
        "tar",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--sort=name",
        "--create",
        // Without the time of the build.
        "--use-compress-program=gzip --no-name",
    ])
    .arg(format!("--mtime=@{}", epoch()?))
    .arg("--file")
    .arg(file.to_string_lossy())
    .arg("--directory")
    .arg(tree.path().to_string_lossy())
    .arg(".")
    .run()?;
    Ok(file)
}

fn lay_out(options: &Options) -> anyhow::Result<LaidOut> {
    setup::programs(setup::Run::Dist)?;
    let profile = if options.debug { Profile::Debug } else { Profile::Release };
    kernel::build_binary(profile)?;
    // Manual pages and completions are written by the program itself, which has to run here.
    let own = kernel::built(profile, "enforcer");
    let binary = match options.target {
        Some(target) => {
            target.prepare()?;
            target.build(profile)?
        }
        None => own.clone(),
    };
    let strip = options.target.map_or("strip".to_owned(), |target| target.tool("strip"));
    let tree = Tree::new(options.folder().join("tree"), &binary, &own, &strip)?;
    let version = format!("{}-{}", env!("CARGO_PKG_VERSION"), options.revision);
    if let Some(target) = options.target {
        return Ok(LaidOut { tree, version, architecture: target.debian.to_owned() });
    }
    let output = CommandLine::new(&["dpkg", "--print-architecture"]).command().output().context("cannot start dpkg")?;
    let architecture = String::from_utf8(output.stdout)?.trim().to_owned();
    Ok(LaidOut { tree, version, architecture })
}
