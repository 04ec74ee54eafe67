//! What a release is made of, as CycloneDX has it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::setup;
use crate::shell::{CommandLine, cargo, find};
use crate::workspace;

const VERSION: &str = "0.5.9";
const NAME: &str = "enforcer.cdx.json";
/// Version of CycloneDX.
const SPECIFICATION: &str = "1.5";
const VALIDATOR: &str = "cyclonedx-python-lib[json-validation]==11.12.0";
/// Prints the first lines of what is wrong, and exits with 1.
const VALIDATE: &str = "\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
version, path = sys.argv[1:]
wrong = JsonStrictValidator(SchemaVersion.from_version(version)).validate_str(open(path).read())
if wrong is not None:
    sys.exit('\\n'.join(str(wrong).splitlines()[:3]))
";

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
    let line = [
        "cyclonedx",
        "--quiet",
        "--format",
        "json",
        "--spec-version",
        SPECIFICATION,
        "--target",
        "all",
        "--manifest-path",
    ]
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

/// Has a validator of other people read the list, which is installed from PyPI where it is not there.
///
/// # Errors
/// The list is not what CycloneDX says; or nothing was validated, with the command that installs the validator.
pub(super) fn validate(folder: &Path) -> anyhow::Result<()> {
    setup::programs(setup::Run::DistCheck)?;
    // Apart from the Python packages of this machine.
    let library = workspace::target_dir().join("cyclonedx");
    if !library.join(".complete").exists() {
        CommandLine::new(&["python3", "-m", "pip", "install", "--quiet", "--upgrade", "--target"])
            .arg(library.to_string_lossy())
            .arg(VALIDATOR)
            .run()
            .context("the list of components was not validated")?;
        fs::write(library.join(".complete"), "")?;
    }
    let list = folder.join(NAME);
    CommandLine::new(&["python3", "-c", VALIDATE])
        .arg(SPECIFICATION)
        .arg(list.to_string_lossy())
        .variable("PYTHONPATH", library.to_string_lossy())
        .run()
        .with_context(|| format!("{} is no CycloneDX {SPECIFICATION}", list.display()))?;
    println!("valid CycloneDX {SPECIFICATION}: {NAME}");
    Ok(())
}

/// Without the number that each run makes up.
fn reproducible(text: &str) -> anyhow::Result<String> {
    let mut list: serde_json::Value = serde_json::from_str(text).context("`cargo cyclonedx` has written no JSON")?;
    if let Some(fields) = list.as_object_mut() {
        fields.remove("serialNumber");
    }
    Ok(format!("{list:#}\n"))
}
