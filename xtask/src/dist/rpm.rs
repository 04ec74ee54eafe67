//! The package for rpm, of the files that the Debian package has.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::shell::CommandLine;
use crate::workspace;

const SPEC: &str = "packaging/rpm/enforcer.spec";
/// Folders that only this package has files in.
const OWN: &[&str] = &["/etc/enforcer", "/usr/share/enforcer", "/usr/share/doc/enforcer"];

/// Makes the package of a laid out tree, and says where it is. `epoch` stands for the time of the build.
pub(super) fn build(
    tree: &Path,
    (version, revision): (&str, u32),
    architecture: &str,
    folder: &Path,
    epoch: &str,
) -> anyhow::Result<PathBuf> {
    let architecture = match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => bail!("rpm has no name for the architecture {other} here"),
    };
    let configuration = fs::read_to_string(workspace::root().join("packaging/debian/conffiles"))?;
    let files = listed(tree, Path::new("/"), &configuration.lines().collect::<Vec<_>>())?;
    let path = workspace::root().join(SPEC);
    let spec = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let spec = spec
        .replace("@VERSION@", version)
        .replace("@REVISION@", &revision.to_string())
        .replace("@TREE@", &tree.to_string_lossy())
        .replace("@FILES@", &files.join("\n"));
    let top = folder.join("rpm");
    if top.exists() {
        fs::remove_dir_all(&top)?;
    }
    fs::create_dir_all(&top)?;
    fs::write(top.join("enforcer.spec"), spec)?;
    CommandLine::new(&["rpmbuild", "-bb", "--quiet", "--target"])
        .arg(format!("{architecture}-linux"))
        .arg("--define")
        .arg(format!("_topdir {}", top.display()))
        .arg(top.join("enforcer.spec").to_string_lossy())
        .variable("SOURCE_DATE_EPOCH", epoch)
        .run()?;
    let name = format!("enforcer-{version}-{revision}.{architecture}.rpm");
    let file = folder.join(&name);
    let made = top.join("RPMS").join(architecture).join(&name);
    fs::rename(&made, &file).with_context(|| format!("rpmbuild has not made {}", made.display()))?;
    fs::remove_dir_all(&top)?;
    Ok(file)
}

/// The lines of `%files`: every file, and the folders that are ours alone, sorted.
fn listed(folder: &Path, name: &Path, configuration: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        let Some(file) = path.file_name() else { continue };
        let name = name.join(file);
        let text = name.to_string_lossy();
        if path.is_dir() {
            if OWN.iter().any(|own| text == **own || text.starts_with(&format!("{own}/"))) {
                lines.push(format!("%dir {text}"));
            }
            lines.extend(listed(&path, &name, configuration)?);
        } else if configuration.contains(&&*text) {
            lines.push(format!("%config(noreplace) {text}"));
        } else if text.starts_with("/usr/share/man/") || text.starts_with("/usr/share/doc/") {
            lines.push(format!("%doc {text}"));
        } else {
            lines.push(text.into_owned());
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_with_what_rpm_has_to_know_of_them() {
        let tree = std::env::temp_dir().join(format!("enforcer-rpm-{}", std::process::id()));
        for file in [
            "etc/enforcer/site.yaml",
            "usr/bin/enforcer",
            "usr/share/man/man8/enforcer.8.gz",
            "usr/share/enforcer/policies/a.yaml",
        ] {
            let path = tree.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let lines = listed(&tree, Path::new("/"), &["/etc/enforcer/site.yaml"]).unwrap();
        fs::remove_dir_all(&tree).unwrap();
        let expected = [
            "%dir /etc/enforcer",
            "%config(noreplace) /etc/enforcer/site.yaml",
            "/usr/bin/enforcer",
            "%dir /usr/share/enforcer",
            "%dir /usr/share/enforcer/policies",
            "/usr/share/enforcer/policies/a.yaml",
            "%doc /usr/share/man/man8/enforcer.8.gz",
        ];
        assert_eq!(lines, expected);
    }

    /// An upgrade and a removal end the same way with both kinds of package.
    #[test]
    fn both_packages_say_the_same() {
        let read = |name: &str| fs::read_to_string(workspace::root().join(name)).unwrap();
        let spec = read(SPEC);
        for name in ["postinst", "prerm"] {
            for line in
                read(&format!("packaging/debian/{name}")).lines().filter(|line| line.contains("echo \"enforcer: "))
            {
                let (_, sentence) = line.split_once("echo ").unwrap();
                assert!(spec.contains(sentence), "{name}: {sentence}");
            }
        }
    }
}
