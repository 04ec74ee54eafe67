//! The dispatchers that go back to the confirmed programs when nobody confirms a change.

use super::switch::Staged;
use crate::dataplane::change::applied::AtDeadline;
use crate::dataplane::change::confirm_within::last_good;
use crate::dataplane::hook::programs::{Wanted, load_dispatchers};
use crate::dataplane::kinds::hook_of;
use crate::dataplane::load::object::Object;

/// Loads the dispatchers of these objects. Where the kernel does not take one, audit remains.
pub(super) fn load_ways<'s>(
    objects: &mut [(Object, Vec<Wanted>)],
    staged: impl ExactSizeIterator<Item = &'s mut Staged>,
) {
    // The last ones: those before them are loaded already.
    let before = staged.len() - objects.len();
    for ((object, _), one) in objects.iter_mut().zip(staged.skip(before)) {
        let Staged { pins, generation, inbound, outbound, old, at_deadline, .. } = one;
        let AtDeadline::Confirmed { .. } = at_deadline else { continue };
        let Some(before) = old.as_ref().and_then(last_good) else { continue };
        let (folder, confirmed) = (pins.generation(*generation), pins.generation(before.record.generation));
        let hooks = [hook_of(inbound.attach_mode), hook_of(outbound.attach_mode)];
        if let Err(error) = load_dispatchers(object, &folder, &confirmed, hooks) {
            *at_deadline = AtDeadline::Audit(format!("{:#}", anyhow::Error::from(error)));
        }
    }
}
