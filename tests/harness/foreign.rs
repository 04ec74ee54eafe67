//! An XDP program of somebody else, attached to an interface: what makes a hook busy.

use std::io;
use std::os::fd::OwnedFd;

use crate::bpf::{self, Kind};
use crate::netns::Namespace;

/// The name under which the kernel lists it.
pub const NAME: &str = "somebody_else";

/// A program that passes everything. It is detached when this is dropped.
#[derive(Debug)]
pub struct ForeignXdp {
    _program: OwnedFd,
    link: OwnedFd,
}

impl Drop for ForeignXdp {
    fn drop(&mut self) {
        // Fails where the interface is gone already, and the attachment with it.
        let _ = bpf::detach(&self.link);
    }
}

impl ForeignXdp {
    /// Attaches it to an interface of a namespace.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[must_use]
    #[track_caller]
    pub fn attach(namespace: &Namespace, interface: &str) -> Self {
        match namespace.run(|| attach(interface)) {
            Ok(foreign) => foreign,
            Err(error) => panic!("attaching a program to {interface}: {error}"),
        }
    }
}

fn attach(interface: &str) -> io::Result<ForeignXdp> {
    // r0 = 2 (XDP_PASS); exit
    let code = [bpf::instruction(0xb7, [0, 0], 0, 2), bpf::instruction(0x95, [0, 0], 0, 0)];
    let program = bpf::load(Kind::Xdp, NAME, &code)?;
    let link = bpf::attach_xdp(&program, interface)?;
    Ok(ForeignXdp { _program: program, link })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::Cable;

    #[test]
    fn it_is_attached_until_it_is_dropped() {
        let cable = Cable::new();
        let foreign = ForeignXdp::attach(&cable.host, &cable.near.interface);
        assert!(attach_again(&cable).is_err());
        drop(foreign);
        attach_again(&cable).unwrap();
    }

    fn attach_again(cable: &Cable) -> io::Result<ForeignXdp> {
        cable.host.run(|| attach(&cable.near.interface))
    }
}
