//! Which policy judges: the applied one, or the last confirmed one to which the kernel has gone back by itself.

use crate::dataplane::error::DataplaneError;
use crate::dataplane::mode::control;
use crate::dataplane::mode::pending::Pending;
use crate::dataplane::pin::lock::Reading;
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::sys::clock;
use crate::policy::modes::Modes;

/// The active modes of a protected interface.
///
/// # Errors
/// When its control map cannot be read.
pub fn modes_in_force(protected: &Protected) -> Result<Modes, DataplaneError> {
    modes(&protected.pins)
}

/// The active modes of an interface; after the deadline, the modes for that time.
pub(in crate::dataplane) fn modes(pins: &InterfacePins) -> Result<Modes, DataplaneError> {
    let Some(record) = pins.record()? else {
        return Err(DataplaneError::NotProtected(format!("{} has no record", pins.dir().display())));
    };
    let pending = Pending::read(pins)?;
    let before = pending.as_ref().and_then(Pending::judged_by);
    match control::read(pins, before.map_or(record.generation, |before| before.record.generation)) {
        Ok(control) => Ok(control::in_force(&control, clock::since_boot())),
        // Its programs judge even if their pins are gone.
        Err(error) => before.map(|before| before.modes).ok_or(error),
    }
}

/// The record of the policy that judges, where this is the record of the one that was applied.
pub(in crate::dataplane) fn record(
    pins: &InterfacePins,
    record: InterfaceRecord,
) -> Result<InterfaceRecord, DataplaneError> {
    let pending = Pending::read(pins)?;
    Ok(pending.as_ref().and_then(Pending::judged_by).map_or(record, |before| before.record.clone()))
}

/// A protected interface as it is now, with the record of the policy that judges. The lock is held by whoever goes on to read what the
/// record speaks of: with the next policy, the tables of this one go.
pub(in crate::dataplane) fn now(protected: &Protected) -> Result<(Reading, Protected), DataplaneError> {
    let (reading, now) = protected.now()?;
    let record = record(&now.pins, now.record)?;
    Ok((reading, Protected { record, ..now }))
}
