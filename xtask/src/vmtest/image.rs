//! Kernels as Debian packages them: found, fetched and unpacked below the target folder. Nothing is installed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// A kernel that can be booted.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) package: String,
    /// What QEMU is given.
    pub(super) kernel: PathBuf,
    /// The folder with its modules.
    pub(super) modules: PathBuf,
}

/// The newest kernel of a series (`6.1`) that the package lists know.
pub(super) fn fetch(series: &str, folder: &Path) -> anyhow::Result<Image> {
    let package = newest(series)?;
    let unpacked = folder.join(&package);
    if !unpacked.join("complete").exists() {
        unpack(&package, &unpacked)?;
    }
    let release = package.trim_start_matches("linux-image-");
    let kernel = unpacked.join("boot").join(format!("vmlinuz-{release}"));
    let modules = ["lib", "usr/lib"].map(|lib| unpacked.join(lib).join("modules").join(release));
    let modules = modules.into_iter().find(|folder| folder.is_dir());
    let modules = modules.with_context(|| format!("{package} has no modules where they are looked for"))?;
    if !kernel.is_file() {
        bail!("{package} has no {}", kernel.display());
    }
    Ok(Image { package, kernel, modules })
}

fn unpack(package: &str, into: &Path) -> anyhow::Result<()> {
    // What an interrupted run has left.
    let _ = fs::remove_dir_all(into);
    fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    // Whoever may write here may fetch: no other user has to be asked.
    run(Command::new("apt-get").args(["-o", "APT::Sandbox::User=root", "download", package]).current_dir(into))?;
    let archive = fs::read_dir(into)?.filter_map(Result::ok).map(|entry| entry.path()).find(|path| path.is_file());
    let archive = archive.context("apt-get has downloaded nothing")?;
    run(Command::new("dpkg").arg("--extract").arg(&archive).arg(into))?;
    fs::remove_file(archive)?;
    File::create(into.join("complete"))?;
    Ok(())
}

fn newest(series: &str) -> anyhow::Result<String> {
    let pattern = format!(r"^linux-image-{}\.[0-9].*-cloud-amd64$", series.replace('.', r"\."));
    let output = Command::new("apt-cache").args(["search", "--names-only", &pattern]).output();
    let output = output.context("cannot start apt-cache; kernels come as Debian's packages")?;
    let names = String::from_utf8_lossy(&output.stdout);
    newest_of(&names).with_context(|| format!("the package lists have no {pattern} (`apt-get update` reads them anew)"))
}

/// The newest in a listing of apt-cache: `NAME - DESCRIPTION`.
fn newest_of(listing: &str) -> Option<String> {
    let names = listing.lines().filter_map(|line| line.split_whitespace().next());
    names.max_by_key(|name| numbers(name)).map(str::to_owned)
}

fn numbers(name: &str) -> Vec<u64> {
    name.split(|character: char| !character.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    eprintln!("$ {}", shown(command));
    let status = command.status().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

fn shown(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_the_one_with_the_highest_number() {
        let listing = "linux-image-6.1.0-9-cloud-amd64 - Linux 6.1 (signed)\n\
                       linux-image-6.1.0-50-cloud-amd64 - Linux 6.1 (signed)\n\
                       linux-image-6.1.0-47-cloud-amd64 - Linux 6.1 (signed)\n";
        assert_eq!(newest_of(listing).as_deref(), Some("linux-image-6.1.0-50-cloud-amd64"));
        assert_eq!(newest_of(""), None);
    }
}
