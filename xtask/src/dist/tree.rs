//! The files of a package, where they are on a host.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::cross::libc_version;
use crate::shell::CommandLine;
use crate::workspace;

/// Files and folders of the clone that are installed as they are.
const COPIED: &[(&str, &str)] = &[
    ("contrib/systemd", "usr/lib/systemd/system"),
    ("contrib/prometheus", "usr/share/doc/enforcer/prometheus"),
    ("contrib/grafana", "usr/share/doc/enforcer/grafana"),
    ("examples", "usr/share/doc/enforcer/examples"),
    ("README.md", "usr/share/doc/enforcer/README.md"),
    ("docs", "usr/share/doc/enforcer/docs"),
    ("CHANGELOG.md", "usr/share/doc/enforcer/CHANGELOG.md"),
    ("LICENSE-MIT", "usr/share/doc/enforcer/copyright"),
    ("LICENSE-APACHE", "usr/share/doc/enforcer/LICENSE-APACHE"),
    ("policies", "usr/share/enforcer/policies"),
    ("schema", "usr/share/enforcer/schema"),
    ("packaging/site.yaml", "etc/enforcer/site.yaml"),
    ("packaging/default", "etc/default/enforcer"),
];

/// Shells, and where each looks for completions.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "usr/share/bash-completion/completions/enforcer"),
    ("zsh", "usr/share/zsh/vendor-completions/_enforcer"),
    ("fish", "usr/share/fish/vendor_completions.d/enforcer.fish"),
];

/// A folder that looks like `/` with a package installed.
pub(super) struct Tree(PathBuf);

impl Tree {
    /// Lays out everything that goes with a binary. `own` is the same program for this machine, and `strip` the tool for the binary.
    pub(super) fn new(path: PathBuf, binary: &Path, own: &Path, strip: &str) -> anyhow::Result<Self> {
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        let tree = Self(path);
        let installed = tree.path_of("usr/bin/enforcer")?;
        fs::copy(binary, &installed).with_context(|| format!("cannot copy {}", binary.display()))?;
        // Symbols stay with the build; the package is for hosts.
        CommandLine::new(&[strip, "--strip-unneeded"]).arg(installed.to_string_lossy()).run()?;
        for (from, to) in COPIED {
            copy(&workspace::root().join(from), &tree.path_of(to)?)?;
        }
        for (shell, to) in COMPLETIONS {
            let output =
                CommandLine::new(&[]).arg(own.to_string_lossy()).arg("completions").arg(*shell).command().output()?;
            if !output.status.success() {
                bail!("`enforcer completions {shell}` failed: {}", String::from_utf8_lossy(&output.stderr));
            }
            fs::write(tree.path_of(to)?, output.stdout)?;
        }
        let manual = tree.path_of("usr/share/man")?;
        CommandLine::new(&[]).arg(own.to_string_lossy()).arg("man").arg(manual.to_string_lossy()).run()?;
        CommandLine::new(&["gzip", "-9", "--no-name", "--recursive"]).arg(manual.to_string_lossy()).run()?;
        permissions(&tree.0)?;
        Ok(tree)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Adds what makes a Debian package of it.
    pub(super) fn control(&self, version: &str, architecture: &str) -> anyhow::Result<()> {
        let source = workspace::root().join("packaging/debian");
        let folder = self.0.join("DEBIAN");
        copy(&source, &folder)?;
        let kilobytes = size(&self.0)?.div_ceil(1024);
        let control = folder.join("control");
        let text = fs::read_to_string(&control)?
            .replace("@VERSION@", version)
            .replace("@ARCHITECTURE@", architecture)
            .replace("@SIZE@", &kilobytes.to_string())
            .replace("@LIBC@", &libc_version(&self.0.join("usr/bin/enforcer"))?);
        fs::write(&control, text)?;
        permissions(&folder)?;
        for script in ["postinst", "prerm", "postrm"] {
            fs::set_permissions(folder.join(script), Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// A path below, with the folders above it.
    fn path_of(&self, path: &str) -> anyhow::Result<PathBuf> {
        let path = self.0.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(path)
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_dir() {
        fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
        return Ok(());
    }
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Whatever the umask of the person who builds: everybody may read, and only what runs may run.
fn permissions(path: &Path) -> anyhow::Result<()> {
    let is_program = path.parent().is_some_and(|folder| folder.ends_with("usr/bin"));
    let mode = if path.is_dir() || is_program { 0o755 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            permissions(&entry?.path())?;
        }
    }
    Ok(())
}

fn size(path: &Path) -> anyhow::Result<u64> {
    if !path.is_dir() {
        return Ok(fs::metadata(path)?.len());
    }
    let mut sum = 0;
    for entry in fs::read_dir(path)? {
        sum += size(&entry?.path())?;
    }
    Ok(sum)
}
