//! bpf-linker, built for the LLVM of the compiler it will serve.

use std::path::Path;

use anyhow::{anyhow, bail};
use xtask::bpf_toolchain::{self, BPF_LINKER_VERSION, Rustc};

use super::debian;
use crate::shell::{self, CommandLine};

/// The LLVM releases that this bpf-linker can be built for.
pub(super) const LLVMS: [u32; 3] = [20, 21, 22];

/// What will be run, for a person to read, before the compiler is known.
pub(super) fn plan() -> String {
    format!(
        "cargo install bpf-linker --version {BPF_LINKER_VERSION}   (for the LLVM of that compiler, about a minute; for \
         Debian's compiler, its package llvm-NN-dev first)"
    )
}

/// Installs the linker unless one is there that works with this compiler.
pub(super) fn install(rustc: &Rustc, scratch: &Path) -> anyhow::Result<()> {
    let there = bpf_toolchain::find_bpf_linker();
    if there.is_ok_and(|linker| bpf_toolchain::probe(rustc, &linker, scratch).is_ok()) {
        return Ok(());
    }
    let llvm = rustc.llvm;
    if !LLVMS.contains(&llvm) {
        bail!("bpf-linker {BPF_LINKER_VERSION} can be built for LLVM 20 to 22, and {rustc} has LLVM {llvm}");
    }
    if rustc.has_own_llvm() {
        command_line(&format!("rust-llvm-{llvm}")).run()?;
    } else {
        let (llvm_dev, polly_dev) = (format!("llvm-{llvm}-dev"), format!("libpolly-{llvm}-dev"));
        debian::install(&[&llvm_dev, &polly_dev, "libzstd-dev", "zlib1g-dev", "g++"])?;
        with_debians_llvm(llvm).run()?;
    }
    let linker = bpf_toolchain::find_bpf_linker()?;
    bpf_toolchain::probe(rustc, &linker, scratch)
        .map_err(|error| anyhow!("bpf-linker was installed, but cannot link for {rustc}: {error}"))
}

/// The install command with Debian's LLVM. All three variables are needed: with the crate's own alone, the build takes
/// the libraries of whichever `llvm-config` comes first on the path.
fn with_debians_llvm(llvm: u32) -> CommandLine {
    let prefix = format!("/usr/lib/llvm-{llvm}");
    let path = std::env::var("PATH").unwrap_or_default();
    command_line(&format!("llvm-{llvm}"))
        .variable("PATH", format!("{prefix}/bin:{path}"))
        .variable("LLVM_PREFIX", &prefix)
        .variable(&format!("LLVM_SYS_{llvm}1_PREFIX"), &prefix)
}

fn command_line(feature: &str) -> CommandLine {
    CommandLine::new(&[])
        .arg(shell::cargo())
        .arg("install")
        .arg("--quiet")
        .arg("--force")
        .arg("--locked")
        .arg("bpf-linker")
        .arg("--version")
        .arg(BPF_LINKER_VERSION)
        .arg("--no-default-features")
        .arg("--features")
        .arg(feature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linker_is_built_for_the_llvm_of_the_compiler() {
        let line = with_debians_llvm(21).to_string();
        assert!(line.contains("LLVM_SYS_211_PREFIX=/usr/lib/llvm-21"), "{line}");
        assert!(line.ends_with("--features llvm-21"), "{line}");
    }
}
