//! Finds the compiler for the BPF side and builds the object with it.
//!
//! The BPF target has no precompiled `core`, so it takes a rustc that comes with its library's source, and a `bpf-linker`
//! that reads this rustc's LLVM bitcode. Both are tried together, on a few lines, before they are believed: versions alone
//! do not say which LLVM a linker was built with.

use std::cmp::Reverse;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The release of bpf-linker that is installed. Any of the same minor line is accepted.
pub const BPF_LINKER_VERSION: &str = "0.10.4";
/// The oldest rustc that builds the BPF side, as major and minor number.
pub const OLDEST_RUSTC: (u32, u32) = (1, 95);
/// The target of the BPF side.
pub const TARGET: &str = "bpfel-unknown-none";

/// A compiler and a linker that were seen to work together.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The compiler.
    pub rustc: Rustc,
    /// The cargo that drives it.
    pub cargo: PathBuf,
    /// The linker.
    pub bpf_linker: PathBuf,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rustc, cargo: _, bpf_linker } = self;
        write!(f, "{rustc}, linker {}", bpf_linker.display())
    }
}

/// A rustc that has the source of its library beside it.
#[derive(Clone, Debug)]
pub struct Rustc {
    /// The compiler itself, not a proxy of rustup.
    pub path: PathBuf,
    /// Where its libraries are.
    pub sysroot: PathBuf,
    /// Its release, as printed: `1.96.0`.
    pub release: String,
    /// The major version of its LLVM.
    pub llvm: u32,
}

impl Rustc {
    /// Whether the BPF side can be built with it.
    #[must_use]
    pub fn is_new_enough(&self) -> bool {
        major_minor(&self.release).is_some_and(|version| version >= OLDEST_RUSTC)
    }

    /// Whether it brings an LLVM of its own, as rustup's toolchains do; a distribution's uses the distribution's.
    #[must_use]
    pub fn has_own_llvm(&self) -> bool {
        self.sysroot != Path::new("/usr")
    }

    /// Whether the source of its library is beside it.
    fn has_source(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file()
    }
}

impl fmt::Display for Rustc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rustc {} with LLVM {} at {}", self.release, self.llvm, self.path.display())
    }
}

/// What is not there, and what installs it.
#[derive(Clone, Debug)]
pub struct Missing {
    /// What is not there: a sentence.
    pub what: String,
    /// The command that installs it.
    pub how: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the BPF toolchain is not complete: {}; run `{}`", self.what, self.how)
    }
}

impl std::error::Error for Missing {}

impl Missing {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), how: "cargo xtask setup".to_owned() }
    }
}

/// Finds a compiler and a linker that work together; `scratch` is a folder for the few lines they are tried on.
///
/// # Errors
/// When there is none, with everything that was looked at.
pub fn find(scratch: &Path) -> Result<Toolchain, Missing> {
    let candidates = rustcs();
    if candidates.is_empty() {
        let (major, minor) = OLDEST_RUSTC;
        return Err(Missing::new(format!(
            "no rustc {major}.{minor} or newer has the source of its library (rust-src)"
        )));
    }
    let bpf_linker = find_bpf_linker()?;
    let mut refusals = Vec::new();
    for rustc in candidates {
        match probe(&rustc, &bpf_linker, scratch) {
            Ok(()) => return Ok(Toolchain { cargo: cargo_beside(&rustc), rustc, bpf_linker }),
            Err(error) => refusals.push(format!("{} cannot link for {rustc}: {error}", bpf_linker.display())),
        }
    }
    Err(Missing::new(refusals.join("; ")))
}

/// Every rustc with the source of its library: toolchains of rustup first, then the system's own.
#[must_use]
pub fn rustcs() -> Vec<Rustc> {
    let mut paths = Vec::new();
    if let Some(rustup) = home_of("RUSTUP_HOME", ".rustup")
        && let Ok(toolchains) = fs::read_dir(rustup.join("toolchains"))
    {
        paths.extend(toolchains.filter_map(Result::ok).map(|entry| entry.path().join("bin/rustc")));
        // Nightly first, as is usual for BPF, then stable, then releases by number, the newest first.
        paths.sort_by_key(|path| (!path.to_string_lossy().contains("/nightly"), Reverse(path.clone())));
    }
    paths.push(PathBuf::from("/usr/bin/rustc"));
    let described = paths.iter().filter(|path| path.is_file()).filter_map(|path| describe(path));
    described.filter(|rustc| rustc.has_source() && rustc.is_new_enough()).collect()
}

/// What a rustc says of itself.
#[must_use]
pub fn describe(path: &Path) -> Option<Rustc> {
    let version = run(Command::new(path).arg("-vV").env_remove("LD_LIBRARY_PATH")).ok()?;
    let sysroot = run(Command::new(path).args(["--print", "sysroot"]).env_remove("LD_LIBRARY_PATH")).ok()?;
    parse_version(path, Path::new(sysroot.trim()), &version)
}

/// Where `bpf-linker` is, if its version is one that will do.
///
/// # Errors
/// When there is none, or one of another minor line.
pub fn find_bpf_linker() -> Result<PathBuf, Missing> {
    let cargo_bin = home_of("CARGO_HOME", ".cargo").map(|home| home.join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let found = cargo_bin.into_iter().chain(env::split_paths(&path)).map(|dir| dir.join("bpf-linker"));
    let mut others = Vec::new();
    for linker in found.filter(|path| path.is_file()) {
        match run(Command::new(&linker).arg("--version")) {
            Ok(text) if same_line(&text) => return Ok(linker),
            Ok(text) => others.push(format!("{} is {}", linker.display(), text.trim())),
            Err(error) => others.push(format!("{} does not run: {error}", linker.display())),
        }
    }
    let wanted = format!("no bpf-linker {BPF_LINKER_VERSION} (or another of its minor line)");
    Err(Missing::new(if others.is_empty() { wanted } else { format!("{wanted}: {}", others.join(", ")) }))
}

/// Compiles and links a function of one line: proof that the linker reads what the compiler writes.
///
/// # Errors
/// What the tool that failed printed.
pub fn probe(rustc: &Rustc, bpf_linker: &Path, scratch: &Path) -> Result<(), String> {
    let dir = scratch.join("bpf-probe");
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let source = dir.join("probe.rs");
    let bitcode = dir.join(format!("probe-{}.bc", rustc.release));
    let text = "#![no_std]\n#[unsafe(no_mangle)] pub extern \"C\" fn probe(a: u64) -> u64 { a + 1 }\n";
    fs::write(&source, text).map_err(|error| format!("{}: {error}", source.display()))?;

    let mut compile = Command::new(&rustc.path);
    compile.args(["--edition=2024", "--crate-type=lib", "--emit=llvm-bc", "-O", "-o"]).arg(&bitcode).arg(&source);
    run(cleaned(&mut compile, rustc))?;

    let mut link = Command::new(bpf_linker);
    link.args(["--target", TARGET, "--export", "probe", "--output"]).arg(dir.join("probe.o")).arg(&bitcode);
    run(cleaned(&mut link, rustc)).map(drop)
}

/// Builds the package `enforcer-ebpf` in `manifest_dir` with a target folder of its own under `out_dir`, and returns the
/// path of the object. Everything that cargo prints is in the error.
///
/// # Errors
/// When cargo cannot be started, or fails.
pub fn build_object(toolchain: &Toolchain, manifest_dir: &Path, out_dir: &Path) -> Result<PathBuf, String> {
    let Toolchain { rustc, cargo, bpf_linker } = toolchain;
    let target_dir = out_dir.join("bpf-target");
    let flags = [
        format!("--cfg=bpf_target_arch=\"{}\"", architecture()),
        // v3 has 32-bit jumps and atomics that return what they found; the linker's default (v1) has neither.
        "-Ctarget-cpu=v3".to_owned(),
        // BTF is made from debug information.
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        // LLVM merges ends of loops into one that stands before the loop and falls into it, which kernels before 6.7 refuse. (That no
        // loop is like this is tested: `dataplane/loops.rs`.)
        "-Clink-arg=--llvm-args=-branch-fold-placement=false".to_owned(),
        format!("-Clinker={}", bpf_linker.display()),
    ];
    let mut command = Command::new(cargo);
    command
        .args(["build", "--package", "enforcer-ebpf", "--profile", "bpf", "-Z", "build-std=core", "--target", TARGET])
        .arg("--manifest-path")
        .arg(manifest_dir.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir)
        .current_dir(manifest_dir);
    cleaned(&mut command, rustc)
        .env("RUSTC", &rustc.path)
        // `-Z build-std` asks for a nightly compiler; this makes a stable one answer to it.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    run(&mut command).map_err(|error| format!("building the BPF object with {toolchain} failed\n{error}"))?;
    Ok(target_dir.join(TARGET).join("bpf/enforcer-ebpf"))
}

/// The architecture of the kernel the object is for: the build script's target, else this machine's.
fn architecture() -> String {
    env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_else(|_| env::consts::ARCH.to_owned())
}

/// A build script and `cargo clippy` leave settings in the environment that are meant for the outer build only.
fn cleaned<'a>(command: &'a mut Command, rustc: &Rustc) -> &'a mut Command {
    for name in [
        "CARGO",
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "RUSTC",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
    ] {
        command.env_remove(name);
    }
    // A bpf-linker without an LLVM of its own borrows the compiler's, and looks for it here.
    if rustc.has_own_llvm() {
        command.env("LD_LIBRARY_PATH", rustc.sysroot.join("lib"))
    } else {
        command.env_remove("LD_LIBRARY_PATH")
    }
}

fn parse_version(path: &Path, sysroot: &Path, version: &str) -> Option<Rustc> {
    let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let llvm = field("LLVM version:")?.split('.').next()?.parse().ok()?;
    let release = field("release:")?.to_owned();
    Some(Rustc { path: path.to_owned(), sysroot: sysroot.to_owned(), release, llvm })
}

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn same_line(version: &str) -> bool {
    version.split_whitespace().nth(1).and_then(major_minor) == major_minor(BPF_LINKER_VERSION)
}

/// The cargo of the same toolchain, which knows the layout of its library; else the one that runs this.
fn cargo_beside(rustc: &Rustc) -> PathBuf {
    let beside = rustc.path.with_file_name("cargo");
    if beside.is_file() { beside } else { PathBuf::from(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())) }
}

fn home_of(variable: &str, folder: &str) -> Option<PathBuf> {
    let named: Option<OsString> = env::var_os(variable);
    named.map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(folder)))
}

/// Runs a command and returns its standard output, or everything it printed when it fails.
fn run(command: &mut Command) -> Result<String, String> {
    let output =
        command.output().map_err(|error: io::Error| format!("{}: {error}", command.get_program().display()))?;
    let Output { status, stdout, stderr } = output;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&stderr);
    Err(format!("{command:?}: {status}\n{stdout}{stderr}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_of_a_rustc_is_read_from_its_own_words() {
        let version = "rustc 1.96.0 (ac68faa20 2026-05-25)\nbinary: rustc\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        let rustc = parse_version(Path::new("/usr/bin/rustc"), Path::new("/usr"), version).unwrap();
        assert_eq!((rustc.release.as_str(), rustc.llvm), ("1.96.0", 22));
    }

    #[test]
    fn a_nightly_release_has_a_version_too() {
        assert_eq!(major_minor("1.97.0-nightly"), Some((1, 97)));
    }

    #[test]
    fn another_patch_release_of_the_linker_will_do_and_another_minor_will_not() {
        assert!(same_line("bpf-linker 0.10.9\n"));
        assert!(!same_line("bpf-linker 0.11.0\n"));
        assert!(!same_line(""));
    }

    #[test]
    fn what_is_missing_names_the_command_that_installs_it() {
        let text = Missing::new("no bpf-linker").to_string();
        assert!(text.contains("no bpf-linker") && text.contains("`cargo xtask setup`"), "{text}");
    }
}
