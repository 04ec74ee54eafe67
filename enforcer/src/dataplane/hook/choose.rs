//! Chooses the hook and the attach mode of an interface, with the reason.

use aya::programs::{SchedClassifier, TcAttachType};
use rtnetlink::packet_route::link::InfoKind;

use crate::dataplane::error::{DataplaneError, error_number};
use crate::dataplane::hook::drivers::does_not_judge;
use crate::dataplane::kinds::AttachMode;
use crate::dataplane::sys::kernel::{NO_FRAGS, takes_frags};
use crate::host::device::Device;
use crate::host::links::Link;
use crate::policy::modes::Protects;
use crate::policy::source::HookChoice;

/// Which hook inbound gets, and why; the second one is tried where the driver cannot do the first. Where the kernel has no tc
/// links, filters take their place. `left_native` is why this interface was switched from native XDP to tc, if it was.
pub(in crate::dataplane) fn choose(
    link: &Link,
    protects: Protects,
    choice: HookChoice,
    left_native: Option<&str>,
) -> Result<(AttachMode, Option<AttachMode>, String), DataplaneError> {
    let (mode, fallback, why) = match (wanted(link, protects, choice)?, left_native) {
        ((AttachMode::Native, fallback @ Some(_), _), Some(why)) => {
            (fallback.unwrap_or(AttachMode::Tcx), Some(AttachMode::Clsact), format!("tc: {why}"))
        }
        (wanted, _) => wanted,
    };
    Ok(match (mode, fallback) {
        (AttachMode::Tcx, _) if lacks_tcx(link) == Some(true) => {
            (AttachMode::Clsact, None, format!("{why}; by a clsact filter: {NO_TCX}"))
        }
        (_, Some(AttachMode::Tcx)) if lacks_tcx(link) == Some(true) => (mode, Some(AttachMode::Clsact), why),
        (AttachMode::Native, _) if !takes_frags() => (mode, fallback, format!("{why}; {NO_FRAGS}")),
        _ => (mode, fallback, why),
    })
}

/// Which hook outbound gets, beside this one of inbound, and why.
pub(in crate::dataplane) fn choose_outbound(link: &Link, inbound: AttachMode) -> (AttachMode, String) {
    if inbound == AttachMode::Clsact {
        return (AttachMode::Clsact, String::new());
    }
    match lacks_tcx(link) {
        Some(true) => (AttachMode::Clsact, NO_TCX.to_owned()),
        _ => (AttachMode::Tcx, String::new()),
    }
}

pub(super) fn wanted(
    link: &Link,
    protects: Protects,
    choice: HookChoice,
) -> Result<(AttachMode, Option<AttachMode>, String), DataplaneError> {
    let unsuitable = |why: &str| DataplaneError::Unsuitable { name: link.name.clone(), why: why.to_owned() };
    match (choice, protects) {
        (HookChoice::Native | HookChoice::Generic, Protects::Guest) => Err(unsuitable(
            "what goes to a guest leaves by this interface, and XDP sees only what comes in; use --hook tc",
        )),
        (HookChoice::Native, Protects::Host) => {
            let but = does_not_judge(&Device::read(&link.name)).map_or_else(String::new, |why| format!(", but {why}"));
            Ok((AttachMode::Native, None, format!("native XDP, as asked{but}")))
        }
        (HookChoice::Generic, Protects::Host) => Ok((
            AttachMode::Generic,
            None,
            "generic XDP, as asked: slower than native XDP and than tc, because every packet is linearised first; what this host \
             sends to itself by multicast or broadcast cannot be told from a frame of the wire there, and may be refused"
                .to_owned(),
        )),
        (HookChoice::Tc, _) => Ok((AttachMode::Tcx, Some(AttachMode::Clsact), "tc, as asked".to_owned())),
        (HookChoice::Clsact, _) => Ok((AttachMode::Clsact, None, "tc by a clsact filter, as asked".to_owned())),
        (HookChoice::Auto, Protects::Guest) => {
            Ok((AttachMode::Tcx, Some(AttachMode::Clsact), "tc: a guest is behind this interface".to_owned()))
        }
        (HookChoice::Auto, Protects::Host) => Ok(match &link.kind {
            None => match does_not_judge(&Device::read(&link.name)) {
                Some(why) => (AttachMode::Tcx, Some(AttachMode::Clsact), format!("tc: {why}")),
                None => (AttachMode::Native, Some(AttachMode::Tcx), "native XDP: a hardware interface".to_owned()),
            },
            Some(kind) => (
                AttachMode::Tcx,
                Some(AttachMode::Clsact),
                format!("tc: on a {} interface XDP would cost the host its segmentation offload", kind_name(kind)),
            ),
        }),
    }
}

pub(super) fn kind_name(kind: &InfoKind) -> String {
    kind.to_string()
}

/// Whether this kernel lacks tc links (Linux 6.6); `None` where it does not tell us.
#[must_use]
pub fn lacks_tcx(link: &Link) -> Option<bool> {
    match SchedClassifier::query_tcx(&link.name, TcAttachType::Ingress) {
        Ok(_) => Some(false),
        Err(error) if error_number(&error) == Some(libc::EPERM) => None,
        Err(_) => Some(true),
    }
}

/// Said where a filter takes the place of a link.
pub(in crate::dataplane) const NO_TCX: &str = "the kernel has no tc links (Linux 6.6)";
