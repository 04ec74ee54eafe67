//! Prometheus' own checker: the installed one, or the program alone out of Debian's package, without its daemon.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program, or why there is none.
///
/// # Errors
/// When it is not installed, and the package cannot be had or unpacked.
pub fn promtool() -> Result<&'static Path, &'static str> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND.get_or_init(|| installed().map_or_else(unpacked, Ok)).as_deref().map_err(String::as_str)
}

fn installed() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join("promtool")).find(|file| file.is_file())
}

/// Kept for the next run, as the package is large, and where only the owner of the clone puts programs.
fn unpacked() -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let folder = target.join("promtool");
    let program = folder.join("usr/bin/promtool");
    if program.is_file() {
        return Ok(program);
    }
    // Beside it and then in its place: another run may do the same.
    let own = target.join(format!("promtool-{}", std::process::id()));
    let result = fetch(&own).and_then(|()| {
        let _ = fs::remove_dir_all(&folder);
        fs::rename(&own, &folder).map_err(|error| error.to_string())
    });
    let _ = fs::remove_dir_all(&own);
    match result {
        _ if program.is_file() => Ok(program),
        Ok(()) => Err("Debian's package prometheus has no promtool".to_owned()),
        Err(why) => Err(format!("promtool is not installed, and Debian's package prometheus cannot be had: {why}")),
    }
}

fn fetch(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    // The download is done by apt's own user, to whom a folder of root is closed.
    run(Command::new("apt-get")
        .args(["download", "-q", "-o", "APT::Sandbox::User=root", "prometheus"])
        .current_dir(folder))?;
    let mut files = fs::read_dir(folder).map_err(|error| error.to_string())?.filter_map(Result::ok);
    let package = files.find(|file| file.path().extension().is_some_and(|one| one == "deb"));
    let package = package.ok_or("apt-get has downloaded nothing")?.path();
    run(Command::new("dpkg").arg("-x").arg(&package).arg(folder))?;
    fs::remove_file(package).map_err(|error| error.to_string())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or("it failed without a word").to_owned())
}
