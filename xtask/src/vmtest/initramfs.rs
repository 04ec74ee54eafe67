//! Everything a machine has: the tests, `enforcer`, the tools they start with their libraries, and modules, in the memory that
//! the kernel unpacks before anything else.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::cards::{self, Card};
use super::image::Image;
use super::modules;
use crate::{shell, workspace};

/// Programs that the tests start. What is not there is missed by the test that needs it.
const TOOLS: &[&str] = &["ip", "tc", "bpftool", "ethtool", "dnsmasq", "tftp", "nft"];

/// What runs in a machine.
pub(super) struct Programs {
    pub(super) tests: PathBuf,
    pub(super) enforcer: PathBuf,
    /// What takes the debug information out of them.
    pub(super) strip: String,
    /// A folder that looks like `/`, with the tools for another processor; `None`: this machine's tools.
    pub(super) tools: Option<PathBuf>,
}

/// Tools for machines of another processor, as Debian's packages: what `TOOLS` names, and what needs no package here.
pub(super) const PACKAGES: &[&str] =
    &["base-files", "busybox-static", "libgcc-s1", "iproute2", "bpftool", "ethtool", "nftables"];

/// Makes the archive, of the tests and `enforcer`, and says where it is.
pub(super) fn build(
    image: &Image,
    programs: &Programs,
    cards: &[Card],
    filters: &[String],
    folder: &Path,
) -> anyhow::Result<PathBuf> {
    let root = folder.join("root");
    let _ = fs::remove_dir_all(&root);
    match &programs.tools {
        Some(tools) => copy_tree(tools, &root)?,
        None => copy_tools(&root)?,
    }
    for name in ["bin", "usr/bin", "proc", "sys", "dev", "run", "tmp", "etc", "root", "modules", "var/lib"] {
        fs::create_dir_all(root.join(name)).with_context(|| format!("cannot make {}", root.join(name).display()))?;
    }
    for (from, to) in [(&programs.tests, "root/it"), (&programs.enforcer, "root/enforcer")] {
        match programs.tools {
            // With the tools came their libraries, which are all that ours need.
            Some(_) => copy(from, &root.join(to))?,
            None => copy_program(from, &root, to)?,
        }
        // A fifth remains. Where there is no strip, the machine has memory enough for the whole.
        let _ = Command::new(&programs.strip).arg("--strip-debug").arg(root.join(to)).status();
    }
    for name in ["passwd", "group", "protocols", "services"] {
        let from = Path::new("/etc").join(name);
        if from.is_file() {
            copy(&from, &root.join("etc").join(name))?;
        }
    }
    let for_cards: Vec<_> = cards::MODULES.iter().copied().chain(cards.iter().map(Card::module)).collect();
    let more = if cards.is_empty() { &[][..] } else { &for_cards };
    modules::copy(image, more, &root.join("modules"))?;
    fs::write(root.join("cards"), cards::told(cards))?;
    fs::write(root.join("filters"), filters.join(" "))?;
    copy(&workspace::root().join("tests/vm/init.sh"), &root.join("init"))?;
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
    archive(&root, &folder.join("initramfs"))
}

/// This machine's tools.
fn copy_tools(root: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(root.join("usr/bin"))?;
    fs::create_dir_all(root.join("bin"))?;
    // Whoever starts a program by its path finds it.
    symlink("bin", root.join("usr/sbin"))?;
    let busybox = shell::find("busybox").context("there is no busybox")?;
    copy_program(&busybox, root, "bin/busybox")?;
    for tool in TOOLS {
        if let Some(path) = shell::find(tool) {
            copy_program(&path, root, &format!("usr/bin/{tool}"))?;
        }
    }
    Ok(())
}

/// A folder that looks like `/`, without its documents.
fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    let entries = fs::read_dir(from)?.filter_map(Result::ok).map(|entry| entry.path());
    let status = Command::new("cp").arg("--archive").args(entries).arg(to).status().context("cannot start cp")?;
    if !status.success() {
        bail!("cannot copy {}", from.display());
    }
    fs::remove_dir_all(to.join("usr/share"))?;
    Ok(())
}

/// A program, and the libraries it is linked with, where it looks for them.
fn copy_program(from: &Path, root: &Path, to: &str) -> anyhow::Result<()> {
    copy(from, &root.join(to))?;
    // It fails for what is linked statically, and prints no path then.
    let output = Command::new("ldd").arg(from).output().context("cannot start ldd")?;
    for library in libraries(&String::from_utf8_lossy(&output.stdout)) {
        let to = root.join(library.trim_start_matches('/'));
        if !to.exists() {
            fs::create_dir_all(to.parent().unwrap_or(root))?;
            copy(Path::new(library), &to)?;
        }
    }
    Ok(())
}

/// The paths in what ldd prints.
fn libraries(listing: &str) -> impl Iterator<Item = &str> {
    listing.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'))
}

/// Not compressed: unpacking is what an emulated processor is slowest at.
fn archive(root: &Path, into: &Path) -> anyhow::Result<PathBuf> {
    let names = Command::new("find").arg(".").current_dir(root).output().context("cannot start find")?.stdout;
    let file = File::create(into).with_context(|| format!("cannot write {}", into.display()))?;
    let mut cpio = Command::new("cpio")
        .args(["--create", "--quiet", "--format=newc", "--owner=0:0"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(file)
        .spawn()
        .context("cannot start cpio")?;
    // Dropped at the end of the statement, which tells cpio that there are no more.
    cpio.stdin.take().context("cpio takes no names")?.write_all(&names)?;
    let status = cpio.wait()?;
    if !status.success() {
        bail!("cpio failed ({status})");
    }
    Ok(into.to_owned())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd() {
        let listing =
            "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/libc.so.6 (0x00007f)\n\t/lib64/ld.so.2 (0x00007f)\n";
        assert_eq!(libraries(listing).collect::<Vec<_>>(), ["/lib/libc.so.6", "/lib64/ld.so.2"]);
    }
}
