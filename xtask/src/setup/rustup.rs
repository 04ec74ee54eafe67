//! The first way to a compiler for the BPF side: rustup adds the library's source to a toolchain.

use xtask::bpf_toolchain;

use super::linker;
use crate::shell::{self, CommandLine};

/// The release that is installed where the active toolchain will not do. Not nightly: its LLVM runs ahead of the
/// bpf-linker that this project is built with.
const RELEASE: &str = "1.95.0";

/// What adds the source: to the active toolchain if it is one of rustup's and new enough, else to a toolchain of its own.
/// `None` where there is no rustup.
pub(super) fn command_line() -> Option<CommandLine> {
    shell::find("rustup")?;
    Some(active().map_or_else(pinned, |name| {
        CommandLine::new(&["rustup", "component", "add", "rust-src", "--toolchain"]).arg(name)
    }))
}

/// What installs a toolchain of its own.
pub(super) fn pinned() -> CommandLine {
    CommandLine::new(&["rustup", "toolchain", "install", RELEASE, "--profile", "minimal", "--component", "rust-src"])
        .arg("--no-self-update")
}

/// The name of the active toolchain, if the BPF side can be built with it.
fn active() -> Option<String> {
    let rustc = bpf_toolchain::describe("rustc".as_ref())?;
    let name = rustc.sysroot.file_name()?.to_str()?.to_owned();
    let of_rustup = rustc.sysroot.parent()?.ends_with("toolchains");
    (of_rustup && rustc.is_new_enough() && linker::LLVMS.contains(&rustc.llvm)).then_some(name)
}
