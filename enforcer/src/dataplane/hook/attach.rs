//! Hooks: where a program is attached, how, and how it is replaced without a packet passing in between.

use std::path::Path;
use std::{fs, io};

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode};
use enforcer_common::Direction;

use crate::dataplane::error::{AnyError, Context as _, DataplaneError, at, error_number};
use crate::dataplane::hook::drivers::refused;
use crate::dataplane::hook::programs::describe_program;
use crate::dataplane::kinds::{AttachMode, DirectionRecord, hook_of};
use crate::dataplane::pin::folder::{names_in, remove_dir};
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::sys::native::{Refusal, is_refusal, refusal_sentence};
use crate::dataplane::sys::pinned_link::{end, end_by_id, held};
use crate::host::device::Device;
use crate::host::links::{Link, has_clsact_filter, remove_clsact_if_unused};
use crate::policy::modes::Protects;

/// Name of the file that marks a clsact qdisc as created by enforcer.
pub(in crate::dataplane) const MADE_CLSACT: &str = "made_clsact";

/// Priority and handle of enforcer's filters on a clsact qdisc. The handle identifies them.
pub(in crate::dataplane) const CLSACT_PRIORITY: u16 = 1;
const CLSACT_HANDLE: u16 = 0xe4f0;

/// How to undo an attachment or a replacement.
#[derive(Debug)]
pub(in crate::dataplane) enum Undo {
    /// The program was newly attached: detach it.
    Remove(DirectionRecord),
    /// Another program was replaced: attach the program pinned at this path again.
    PutBack(DirectionRecord),
}

/// Attaches the pinned program at `program` to a hook: by one update if a link already exists, otherwise by a new link or filter.
pub(in crate::dataplane) fn put_in_force(
    link: &Link,
    pins: &InterfacePins,
    direction: Direction,
    protects: Protects,
    mode: AttachMode,
    program: &Path,
) -> Result<Undo, DataplaneError> {
    let record = DirectionRecord { hook: hook_of(mode), attach_mode: mode };
    let context = || format!("cannot attach to {}", link.name);
    match mode {
        AttachMode::Native | AttachMode::Generic => {
            let mut xdp = Xdp::from_pin(program, aya_obj::programs::XdpAttachType::Interface).with_context(context)?;
            let replaced = replace(link, pins, direction, |old| {
                let id = xdp.attach_to_link(old.try_into()?)?;
                drop(xdp.take_link(id)?);
                Ok(())
            });
            if replaced.map_err(|error| explain_update(error, link, mode))? {
                return Ok(Undo::PutBack(record));
            }
            let asked = if mode == AttachMode::Native { XdpMode::Driver } else { XdpMode::Skb };
            let id = xdp.attach_to_if_index(link.index, asked).map_err(|error| explain_xdp(error, link, mode))?;
            let new: FdLink = xdp.take_link(id).with_context(context)?.try_into().with_context(context)?;
            pin_link(new, &pins.link(direction)).with_context(context)?;
        }
        AttachMode::Tcx => {
            let mut classifier = SchedClassifier::from_pin(program).with_context(context)?;
            if replace(link, pins, direction, |old| {
                let id = classifier.attach_to_link(old.try_into()?)?;
                drop(classifier.take_link(id)?);
                Ok(())
            })? {
                return Ok(Undo::PutBack(record));
            }
            let first = TcAttachOptions::TcxOrder(LinkOrder::first());
            let id =
                classifier.attach_with_options(&link.name, side(direction, protects), first).with_context(context)?;
            let new: FdLink = classifier.take_link(id).with_context(context)?.try_into().with_context(context)?;
            pin_link(new, &pins.link(direction)).with_context(context)?;
        }
        AttachMode::Clsact => {
            let mut classifier = SchedClassifier::from_pin(program).with_context(context)?;
            let side = side(direction, protects);
            let handle = TcHandle::new(0, CLSACT_HANDLE);
            if pins.clsact_marker(direction).exists()
                && has_filter(link.index, direction, protects)
                && let Ok(old) = SchedClassifierLink::attached(&link.name, side, CLSACT_PRIORITY, handle, None)
            {
                let id = classifier.attach_to_link(old).with_context(context)?;
                // The filter must outlive this process: forget the handle instead of dropping it.
                std::mem::forget(classifier.take_link(id).with_context(context)?);
                return Ok(Undo::PutBack(record));
            }
            make_clsact(link, pins)?;
            // Write the marker first: a filter without a marker would never be removed.
            let marker = pins.clsact_marker(direction);
            let was_marked = marker.exists();
            crate::dataplane::pin::folder::make_dir(&marker)?;
            let options = NlOptions { priority: CLSACT_PRIORITY, handle, ..NlOptions::default() };
            let attached = classifier
                .attach_with_options(&link.name, side, TcAttachOptions::Netlink(options))
                .and_then(|id| classifier.take_link(id));
            match attached {
                Ok(filter) => std::mem::forget(filter),
                Err(error) => {
                    // The filter may still have been added; remove it.
                    if !was_marked {
                        let _ = fs::remove_dir(marker);
                    }
                    return Err(error).with_context(context);
                }
            }
        }
    }
    Ok(Undo::Remove(record))
}

/// Creates the clsact qdisc if it is missing, and marks it as created by enforcer.
fn make_clsact(link: &Link, pins: &InterfacePins) -> Result<(), DataplaneError> {
    match tc::qdisc_add_clsact(&link.name) {
        Ok(()) => crate::dataplane::pin::folder::make_dir(&pins.map(MADE_CLSACT)).inspect_err(|_| {
            // A qdisc without the marker would never be removed.
            let _ = remove_clsact(&link.name);
        }),
        Err(error) if error_number(&error) == Some(libc::EEXIST) => Ok(()),
        Err(error) => Err(DataplaneError::system(format!("cannot attach to {}", link.name), error)),
    }
}

/// Detaches a program from its hook.
pub(in crate::dataplane) fn take_off(
    interface: &str,
    pins: &InterfacePins,
    direction: Direction,
    protects: Protects,
    mode: AttachMode,
) -> Result<(), DataplaneError> {
    let context = || format!("cannot take the {} program off {interface}", direction.name());
    match mode {
        AttachMode::Native | AttachMode::Generic | AttachMode::Tcx => {
            end(&pins.link(direction)).with_context(context)?;
        }
        AttachMode::Clsact => {
            let handle = TcHandle::new(0, CLSACT_HANDLE);
            if pins.clsact_marker(direction).exists()
                && nix::net::if_::if_nametoindex(interface).is_ok_and(|index| has_filter(index, direction, protects))
                && let Ok(link) =
                    SchedClassifierLink::attached(interface, side(direction, protects), CLSACT_PRIORITY, handle, None)
            {
                aya::programs::links::Link::detach(link).with_context(context)?;
            }
            let _ = fs::remove_dir(pins.clsact_marker(direction));
        }
    }
    Ok(())
}

/// Renames the pin of a link, or the marker of a filter. A missing file is not an error.
pub(in crate::dataplane) fn rename_link(from: &Path, to: &Path) -> Result<(), DataplaneError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.with_context(|| format!("cannot rename the link {}", from.display())),
    }
}

/// Pins a new link. If this fails, the link is closed, which detaches its program.
fn pin_link(link: FdLink, path: &Path) -> Result<(), AnyError> {
    let id = link.info()?.id();
    link.pin(path).map(drop).map_err(|error| {
        end_by_id(id);
        error.into()
    })
}

/// Detaches the programs of all links in a folder, of every layout, and removes the folder.
pub(in crate::dataplane) fn remove_pins(folder: &Path) -> Result<(), DataplaneError> {
    let layouts = names_in(folder).into_iter().map(|name| folder.join(name));
    for place in std::iter::once(folder.to_owned()).chain(layouts) {
        for name in names_in(&place).into_iter().filter(|name| name.contains("link_")) {
            let path = place.join(name);
            // A pin that cannot be opened as a link is something else; it is removed with the folder.
            if held(&path).is_some() {
                end(&path)
                    .with_context(|| format!("cannot take the program off that the link {} holds", path.display()))?;
            }
        }
    }
    remove_dir(folder).map_err(at(folder.to_owned()))
}

/// Removes the clsact qdisc that enforcer created, unless it has filters of other programs.
pub(in crate::dataplane) fn remove_clsact(interface: &str) -> Result<bool, DataplaneError> {
    let index = nix::net::if_::if_nametoindex(interface)
        .map_err(|errno| DataplaneError::system(format!("cannot look at {interface}"), io::Error::from(errno)))?;
    remove_clsact_if_unused(index).with_context(|| format!("cannot remove the clsact qdisc of {interface}"))
}

/// Whether the filter of a direction is on its qdisc.
pub(in crate::dataplane) fn has_filter(index: u32, direction: Direction, protects: Protects) -> bool {
    let is_egress = side(direction, protects) == TcAttachType::Egress;
    // A missing qdisc has no filter.
    has_clsact_filter(index, is_egress, CLSACT_HANDLE).unwrap_or(false)
}

/// Replaces the program of a pinned link. Returns `false` if there is no link or its interface was deleted; a new interface with the
/// same name needs a new link.
fn replace(
    link: &Link,
    pins: &InterfacePins,
    direction: Direction,
    update: impl FnOnce(FdLink) -> Result<(), AnyError>,
) -> Result<bool, DataplaneError> {
    let path = pins.link(direction);
    let context = || format!("cannot replace the program of the link {}", path.display());
    if let Some(held) = held(&path).filter(|held| held.interface != 0 && held.interface != link.index) {
        return Err(DataplaneError::Refused(format!(
            "the link {} is not on {} but on the interface with index {}; run `enforcer detach --interface {}` first",
            path.display(),
            link.name,
            held.interface,
            link.name
        )));
    }
    let pinned = match PinnedLink::from_pin(&path) {
        Ok(pinned) => FdLink::from(pinned),
        Err(error) if error_number(&error) == Some(libc::ENOENT) => return Ok(false),
        Err(error) => return Err(error).with_context(context),
    };
    match update(pinned) {
        Ok(()) => Ok(true),
        Err(error) if error.number() == Some(libc::ENOLINK) => {
            fs::remove_file(&path).with_context(context)?;
            Ok(false)
        }
        Err(error) => Err(error).with_context(context),
    }
}

/// The side of tc that sees a direction. Traffic to a guest leaves by the host's end of its port, so inbound is egress there.
const fn side(direction: Direction, protects: Protects) -> TcAttachType {
    match (direction, protects) {
        (Direction::Inbound, Protects::Host) | (Direction::Outbound, Protects::Guest) => TcAttachType::Ingress,
        (Direction::Outbound, Protects::Host) | (Direction::Inbound, Protects::Guest) => TcAttachType::Egress,
    }
}

/// Converts an XDP error into a message for the operator.
fn explain_xdp(error: ProgramError, link: &Link, mode: AttachMode) -> DataplaneError {
    let hook = if mode == AttachMode::Native { "native XDP" } else { "generic XDP" };
    match error_number(&error) {
        // EBUSY: the same mode, EEXIST: the other one.
        Some(libc::EBUSY | libc::EEXIST) => {
            let by = link.xdp_program.map_or_else(|| "another program".to_owned(), describe_program);
            DataplaneError::Busy { interface: link.name.clone(), hook: "XDP", by }
        }
        Some(number) if mode == AttachMode::Native && is_refusal(number) => {
            no_native(link, number, refusal_sentence(link.index))
        }
        _ => DataplaneError::system(format!("cannot attach {hook} to {}", link.name), error),
    }
}

/// The same for the update of a link: the driver is asked again, and the MTU may be another by now. Its sentence cannot be had: as long as
/// our link is on the hook, netlink answers only that it is.
fn explain_update(error: DataplaneError, link: &Link, mode: AttachMode) -> DataplaneError {
    match error_number(&error) {
        Some(number) if mode == AttachMode::Native && is_refusal(number) => no_native(link, number, None),
        _ => error,
    }
}

/// Says how the driver refuses native XDP, in its own words where it has any.
fn no_native(link: &Link, number: i32, sentence: Option<String>) -> DataplaneError {
    let refusal = Refusal { number, sentence };
    DataplaneError::NoNative(refused(link, &Device::read(&link.name), &refusal))
}
