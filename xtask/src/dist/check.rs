//! `cargo xtask dist --check`: builds a second time in another target folder, and compares.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use crate::shell::CommandLine;

/// Compares the files of two builds. Fails with a list of what differs, inside of archives too.
pub(super) fn compare(first: &Path, second: &Path, names: &[String]) -> anyhow::Result<()> {
    let mut differ = Vec::new();
    for name in names {
        let [one, other] = [first, second].map(|folder| folder.join(name));
        let [bytes, others] = [&one, &other].map(|path| fs::read(path).with_context(|| path.display().to_string()));
        if bytes? == others? {
            println!("the same twice: {name}");
            continue;
        }
        let members = differing(&members(&one)?, &members(&other)?);
        let inside = if members.is_empty() { "only in the archive itself".to_owned() } else { members.join(", ") };
        differ.push(format!("{name} ({inside})"));
    }
    if differ.is_empty() {
        return Ok(());
    }
    bail!("two builds differ: {}", differ.join("; "))
}

/// The files in an archive with their checksums; none of what is no archive.
fn members(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
    let unpack = match extension.as_str() {
        "deb" => "dpkg-deb --raw-extract \"$1\" .",
        "rpm" => {
            "rpm2cpio \"$1\" | cpio --extract --make-directories --quiet && rpm --query --package --xml \"$1\" > header"
        }
        "gz" => "tar --extract --gzip --file \"$1\"",
        _ => return Ok(BTreeMap::new()),
    };
    let script = format!(
        "set -e; folder=$(mktemp -d); cd \"$folder\"; {unpack}; find . -type f -exec sha256sum {{}} +; rm -rf \"$folder\""
    );
    let line = CommandLine::new(&["bash", "-c"]).arg(script).arg("bash").arg(path.to_string_lossy());
    let output = line.command().output().context("cannot start bash")?;
    if !output.status.success() {
        bail!("cannot unpack {}: {}", path.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let pairs = text.lines().filter_map(|line| line.split_once("  "));
    Ok(pairs.map(|(sum, name)| (name.to_owned(), sum.to_owned())).collect())
}

fn differing(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<String> {
    let names = one.keys().chain(other.keys()).collect::<std::collections::BTreeSet<_>>();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_differs_is_named_inside_of_its_archive() {
        let folder = std::env::temp_dir().join(format!("enforcer-check-{}", std::process::id()));
        for (build, text) in [("a", "x"), ("b", "y")] {
            let tree = folder.join(build).join("tree");
            fs::create_dir_all(&tree).unwrap();
            fs::write(tree.join("same"), "").unwrap();
            fs::write(tree.join("other"), text).unwrap();
            fs::write(folder.join(build).join("SHA256SUMS"), "").unwrap();
            let line = CommandLine::new(&["tar", "--create", "--gzip", "--file"]);
            let file = folder.join(build).join("x.tar.gz");
            let line = line.arg(file.to_string_lossy()).arg("--directory").arg(tree.to_string_lossy()).arg(".");
            line.run().unwrap();
        }
        let compare = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            compare(&folder.join("a"), &folder.join("b"), &names)
        };
        assert!(compare(&["SHA256SUMS"]).is_ok());
        let error = compare(&["SHA256SUMS", "x.tar.gz"]).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(error, "two builds differ: x.tar.gz (./other)");
    }
}
