//! `cargo xtask dist`: a Debian package, an archive of the same files, what they are made of, and their checksums.

mod sbom;
mod tree;

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
pub(crate) struct Options {
    /// Build quickly, for a test: what is published is not built like this.
    #[arg(long)]
    debug: bool,
    /// Build for another processor; the package is for that one, too.
    #[arg(long, value_name = "TRIPLE", value_parser = Target::named)]
    target: Option<Target>,
    /// Revision of the Debian package.
    #[arg(long, value_name = "N", default_value_t = 1)]
    revision: u32,
}

impl Options {
    /// Packages for a test.
    pub(crate) const fn for_test(revision: u32) -> Self {
        Self { debug: true, target: None, revision }
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
    let files = [debian(options, &laid_out)?, archive, sbom::write(&folder)?];
    let names: Vec<String> =
        files.iter().filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned())).collect();
    let line = CommandLine::new(&["sha256sum"]);
    let line = names.iter().fold(line, CommandLine::arg);
    let output = line.command().current_dir(&folder).output().context("cannot start sha256sum")?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    fs::write(folder.join("SHA256SUMS"), output.stdout)?;
    for name in names.iter().map(String::as_str).chain(["SHA256SUMS"]) {
        println!("{}", folder.join(name).display());
    }
    Ok(())
}

/// Makes the Debian package.
pub(crate) fn package(options: &Options) -> anyhow::Result<PathBuf> {
    debian(options, &lay_out(options)?)
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
        "--gzip",
        "--file",
    ])
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
