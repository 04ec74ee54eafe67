//! An XDP program of somebody else, attached to an interface: what makes a hook busy.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use aya::programs::tc::{self, NlOptions, TcAttachOptions, TcHandle};
use aya::programs::{SchedClassifier, TcAttachType};

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
    /// Attaches it to an interface of a namespace. Waits where a link that was just removed still holds the hook, because
    /// somebody who lists links has it open.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[must_use]
    #[track_caller]
    pub fn attach(namespace: &Namespace, interface: &str) -> Self {
        let give_up = Instant::now() + Duration::from_secs(10);
        loop {
            match namespace.run(|| attach(interface)) {
                Ok(foreign) => return foreign,
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < give_up => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("attaching a program to {interface}: {error}"),
            }
        }
    }
}

/// Programs of somebody else at tc, which pass everything on: one by a link where the kernel has them, one by a filter of a
/// clsact qdisc. They stay until the interface is gone.
#[derive(Debug)]
pub struct ForeignTc {
    link: Option<OwnedFd>,
}

/// Handle and priority of the filter.
const FILTER: u16 = 7;

impl ForeignTc {
    /// Attaches both to the ingress of an interface.
    ///
    /// # Panics
    /// When the kernel refuses the filter.
    #[must_use]
    #[track_caller]
    pub fn attach(namespace: &Namespace, interface: &str) -> Self {
        // r0 = -1 (TC_ACT_UNSPEC); exit
        let code = [bpf::instruction(0xb7, [0, 0], 0, -1), bpf::instruction(0x95, [0, 0], 0, 0)];
        let program = bpf::load(Kind::Tc, NAME, &code).expect("a program of two instructions loads");
        let pin = Path::new("/sys/fs/bpf").join(format!("enforcer-test-{interface}"));
        bpf::pin(&program, &pin).expect("bpffs takes a pin");
        let link = namespace.run(|| {
            let mut classifier = SchedClassifier::from_pin(&pin).expect("it was just pinned");
            // Where it is there already, the filter can be added; where it cannot be made, adding that fails.
            let _ = tc::qdisc_add_clsact(interface);
            let options = NlOptions { priority: FILTER, handle: TcHandle::new(0, FILTER), ..NlOptions::default() };
            let id = classifier
                .attach_with_options(interface, TcAttachType::Ingress, TcAttachOptions::Netlink(options))
                .expect("a filter is added");
            // Dropping it would take the filter off.
            std::mem::forget(classifier.take_link(id).expect("it is there"));
            bpf::attach_tcx(&program, interface, false).ok()
        });
        std::fs::remove_file(&pin).expect("it is ours");
        Self { link }
    }

    /// Whether there is one by a link.
    #[must_use]
    pub fn has_link(&self) -> bool {
        self.link.is_some()
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
