//! Builds the BPF object, to be embedded in the binary.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use xtask::bpf_toolchain;

fn main() -> ExitCode {
    // `include_dir!` notices a policy that changes, but not one that is new.
    let watched = [
        "../enforcer-ebpf/src",
        "../enforcer-ebpf/Cargo.toml",
        "../enforcer-common/src",
        "../Cargo.toml",
        "../policies",
    ];
    for path in watched {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-env-changed=PATH");
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Cargo shows what a build script that fails has written there.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("cargo did not set {name}"));
    let out = variable("OUT_DIR")?;
    let package = variable("CARGO_MANIFEST_DIR")?.join("../enforcer-ebpf");
    let toolchain = bpf_toolchain::find(&out).map_err(|missing| missing.to_string())?;
    let object = bpf_toolchain::build_object(&toolchain, &package, &out)?;
    let embedded = out.join("enforcer.bpf.o");
    fs::copy(&object, &embedded).map(drop).map_err(|error| format!("{}: {error}", object.display()))
}
