//! Kernels as Debian packages them: found, fetched and unpacked below the target folder. Nothing is installed.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::apt::Lists;

/// A series that means the newest kernel there is.
pub(super) const NEWEST: &str = "newest";

/// A kernel that can be booted.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) package: String,
    /// What QEMU is given.
    pub(super) kernel: PathBuf,
    /// The folder with its modules.
    pub(super) modules: PathBuf,
}

/// The newest kernel of a series (`6.1`, or [`NEWEST`]) that the package lists know, with every driver that Debian has.
pub(super) fn fetch(series: &str, lists: &Lists, folder: &Path) -> anyhow::Result<Image> {
    let processor = lists.processor().debian();
    let numbers = if series == NEWEST { "[0-9]+".to_owned() } else { series.replace('.', r"\.") };
    let pattern = format!(r"^linux-image-{numbers}\.[0-9].*-{processor}$");
    let package = newest_of(lists.names(&pattern)?, processor)
        .with_context(|| format!("the package lists have no {pattern} (`apt-get update` reads them anew)"))?;
    let release = package.trim_start_matches("linux-image-");
    // Up to 7.2 there is one package; then that only needs two others.
    let parts = ["binary", "modules"].map(|part| format!("linux-{part}-{release}"));
    let has_parts = !lists.names(&format!("^{}$", escaped(&parts[0])))?.is_empty();
    let packages = if has_parts { parts.to_vec() } else { vec![package.clone()] };
    let unpacked = folder.join(&package);
    lists.unpack(&packages, &unpacked)?;
    let below = |names: &[&str]| names.iter().map(|name| unpacked.join(name)).find(|path| path.exists());
    let kernel = below(&[&format!("boot/vmlinuz-{release}"), &format!("usr/lib/modules/{release}/vmlinuz")]);
    let modules = below(&[&format!("lib/modules/{release}"), &format!("usr/lib/modules/{release}")]);
    match (kernel, modules) {
        (Some(kernel), Some(modules)) => Ok(Image { package, kernel, modules }),
        (kernel, modules) => {
            bail!("{packages:?} have no kernel or no modules where they are looked for: {kernel:?}, {modules:?}")
        }
    }
}

fn escaped(name: &str) -> String {
    name.replace('.', r"\.").replace('+', r"\+")
}

/// The newest of the names, without kernels for clouds (which lack the drivers of network cards) and for real time.
fn newest_of(names: Vec<String>, processor: &str) -> Option<String> {
    let is_plain = |name: &String| {
        let release = name.trim_end_matches(processor).trim_end_matches('-');
        !["cloud", "rt", "16k", "unsigned"].iter().any(|flavour| release.split('-').any(|part| part == *flavour))
            // `linux-image-6.12-amd64` is the name of whatever is the newest of its series.
            && numbers(name.trim_end_matches(processor)).len() > 2
    };
    names.into_iter().filter(is_plain).max_by_key(|name| numbers(name))
}

fn numbers(name: &str) -> Vec<u64> {
    name.split(|character: char| !character.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_the_one_with_the_highest_number() {
        let names = |names: &[&str]| names.iter().map(|name| format!("linux-image-{name}-amd64")).collect();
        let newest = |list: &[&str]| newest_of(names(list), "amd64");
        let found = newest(&["6.1.0-9", "6.1.0-50", "6.1.0-47", "6.1.0-51-cloud", "6.1.0-52-rt", "6.12"]);
        assert_eq!(found.as_deref(), Some("linux-image-6.1.0-50-amd64"));
        let found = newest(&["6.12.100+deb13", "7.2.13+deb14", "7.3"]);
        assert_eq!(found.as_deref(), Some("linux-image-7.2.13+deb14-amd64"));
        assert_eq!(newest(&[]), None);
    }
}
