//! What a release is made of, as CycloneDX has it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::shell::{CommandLine, cargo, find};
use crate::workspace;

const VERSION: &str = "0.5.9";
const NAME: &str = "enforcer.cdx.json";

/// Writes the list of components into a folder, by `cargo cyclonedx`, which is installed where it is not there.
/// `epoch` stands for the time of the build.
pub(super) fn write(folder: &Path, epoch: &str) -> anyhow::Result<PathBuf> {
    if find("cargo-cyclonedx").is_none() {
        CommandLine::new(&[])
            .arg(cargo())
            .arg("install")
            .arg("--locked")
            .arg(format!("cargo-cyclonedx@{VERSION}"))
            .run()?;
    }
    // It writes beside the manifest of each member of the workspace: one of them is ours to give away.
    let line = CommandLine::new(&[]).arg(cargo());
    let line =
        ["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5", "--target", "all", "--manifest-path"]
            .into_iter()
            .fold(line, CommandLine::arg);
    line.arg(workspace::root().join("enforcer/Cargo.toml").to_string_lossy())
        .variable("SOURCE_DATE_EPOCH", epoch)
        .run()?;
    let list = folder.join(NAME);
    for member in fs::read_dir(workspace::root())? {
        let member = member?.path();
        let Some(name) = member.file_name().and_then(|name| name.to_str()) else { continue };
        let written = member.join(if name == "tests" {
            "enforcer-tests.cdx.json".to_owned()
        } else {
            format!("{name}.cdx.json")
        });
        if !written.is_file() {
            continue;
        }
        if name == "enforcer" {
            let text = fs::read_to_string(&written).with_context(|| format!("cannot read {}", written.display()))?;
            // Where the clone is on this machine is nobody's business.
            fs::write(&list, reproducible(&text.replace(&*workspace::root().to_string_lossy(), ""))?)?;
        }
        fs::remove_file(&written)?;
    }
    if !list.is_file() {
        bail!("`cargo cyclonedx` has not written {NAME}");
    }
    Ok(list)
}

/// Without the number that each run makes up.
fn reproducible(text: &str) -> anyhow::Result<String> {
    let mut list: serde_json::Value = serde_json::from_str(text).context("`cargo cyclonedx` has written no JSON")?;
    if let Some(fields) = list.as_object_mut() {
        fields.remove("serialNumber");
    }
    Ok(format!("{list:#}\n"))
}
