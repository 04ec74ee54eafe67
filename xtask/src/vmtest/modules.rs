//! Modules of a kernel for a machine: unpacked, each with what it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::image::Image;

/// Modules of what the tests make: cables, VLANs, bridges, filters, tunnels. What they need comes with them.
const FOR_TESTS: &[&str] = &[
    "veth",
    "sch_ingress",
    "cls_bpf",
    "8021q",
    "bridge",
    "dummy",
    "tun",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    "macvlan",
    // The check sum of a library of filters, which asks for it by name.
    "crc32c_generic",
    // Translation of addresses.
    "nf_tables",
    "nf_conntrack",
    "nf_nat",
    "nft_chain_nat",
    "nft_masq",
    // Filters that exports for iptables are loaded into.
    "nft_compat",
    // IPsec, and the cipher of its tests. The kernel asks for ciphers by name, so nothing says that they are needed.
    "xfrm_user",
    "esp4",
    "esp6",
    "authenc",
    "ghash-generic",
    "ctr",
    "gcm",
    "seqiv",
    "echainiv",
    "aes_generic",
    "sha512_generic",
    "drbg",
    "jitterentropy_rng",
];

/// Writes the modules that the tests need, and these, into a folder.
pub(super) fn copy(image: &Image, more: &[&str], into: &Path) -> anyhow::Result<()> {
    let found = files(&image.modules.join("kernel"));
    let mut wanted: Vec<String> = FOR_TESTS.iter().chain(more).map(|name| name.replace('-', "_")).collect();
    let mut done = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if !done.insert(name.clone()) {
            continue;
        }
        let Some(path) = found.get(&name) else {
            // Built in, or of another time.
            continue;
        };
        let content = unpacked(path)?;
        wanted.extend(needed(&content));
        fs::write(into.join(format!("{name}.ko")), content)?;
    }
    Ok(())
}

/// Every module below a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for path in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Some((name, _)) = path.file_name().and_then(|name| name.to_str()?.split_once(".ko")) {
            found.insert(name.replace('-', "_"), path.clone());
        }
    }
    found
}

fn unpacked(path: &Path) -> anyhow::Result<Vec<u8>> {
    let program = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(path).with_context(|| format!("cannot read {}", path.display())),
    };
    let output = Command::new(program).args(["--decompress", "--stdout"]).arg(path).output();
    let output = output.with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program} cannot unpack {}", path.display());
    }
    Ok(output.stdout)
}

/// The modules that a module says it needs: `depends=one,two`, between zeros, in its section of information.
fn needed(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|bytes| bytes == KEY) else { return Vec::new() };
    let list = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let list = String::from_utf8_lossy(list);
    list.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_stands_in_it() {
        assert_eq!(needed(b"\x7fELF\0license=GPL\0depends=stp,llc,nf-x\0retpoline=Y\0"), ["stp", "llc", "nf_x"]);
        assert_eq!(needed(b"\0license=GPL\0depends=\0name=veth\0"), [""; 0]);
        assert_eq!(needed(b"nothing"), [""; 0]);
    }
}
