//! Programs of others out of Debian's packages, unpacked below the target folder: nothing is installed, and no daemon starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Unpacks packages into the folder of this name, unless an earlier run has, and returns the folder.
///
/// # Errors
/// When the packages cannot be had or unpacked, or have no such program.
pub fn unpacked(name: &str, packages: &[&str], program: &str) -> Result<PathBuf, String> {
    // The tests of a run wait for the one that fetches.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Where only the owner of the clone puts programs.
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let folder = target.join(name);
    if folder.join(program).is_file() {
        return Ok(folder);
    }
    // Beside it and then in its place: another process may do the same.
    let own = target.join(format!("{name}-{}", std::process::id()));
    let result = fetch(&own, packages).and_then(|()| {
        let _ = fs::remove_dir_all(&folder);
        fs::rename(&own, &folder).map_err(|error| error.to_string())
    });
    let _ = fs::remove_dir_all(&own);
    let packages = packages.join(", ");
    match result {
        _ if folder.join(program).is_file() => Ok(folder),
        Ok(()) => Err(format!("Debian's packages {packages} have no {program}")),
        Err(why) => Err(format!("{name} is not there, and Debian's packages {packages} cannot be had: {why}")),
    }
}

fn fetch(folder: &Path, packages: &[&str]) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    // The download is done by apt's own user, to whom a folder of root is closed.
    run(Command::new("apt-get")
        .args(["download", "-q", "-o", "APT::Sandbox::User=root"])
        .args(packages)
        .current_dir(folder))?;
    let files = fs::read_dir(folder).map_err(|error| error.to_string())?.filter_map(Result::ok).map(|file| file.path());
    let files: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|one| one == "deb")).collect();
    if files.is_empty() {
        return Err("apt-get has downloaded nothing".to_owned());
    }
    for file in files {
        run(Command::new("dpkg").arg("-x").arg(&file).arg(folder))?;
        fs::remove_file(file).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or("it failed without a word").to_owned())
}
