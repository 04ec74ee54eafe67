//! What is in force, read back from the kernel.

use enforcer_common::Direction;

use super::attach::{AttachMode, program_id, program_in_force};
use super::control::{Modes, modes};
use super::counters::{VerdictCounts, counters, policy};
use super::error::DataplaneError;
use super::pins::{InterfacePins, Protected};
use super::record::InterfaceRecord;

/// The state of one protected interface.
#[derive(Clone, Debug)]
pub struct InterfaceStatus {
    /// Its pins.
    pub pins: InterfacePins,
    /// What was recorded at the last `apply`.
    pub record: InterfaceRecord,
    /// Modes in force.
    pub modes: Modes,
    /// Where the policy came from.
    pub origin: String,
    /// How many rules it has.
    pub rules: usize,
    /// Totals, inbound and outbound.
    pub verdicts: [VerdictCounts; 2],
    /// What the kernel holds is not what was applied.
    pub drift: bool,
    /// What is not as it should be, in sentences.
    pub problems: Vec<String>,
}

/// Looks at a protected interface.
///
/// # Errors
/// When the pins or maps cannot be read.
pub fn status(protected: &Protected) -> Result<InterfaceStatus, DataplaneError> {
    let Protected { pins, record, .. } = protected;
    let policy = policy(record)?;
    let counters = counters(protected)?;
    let mut problems = Vec::new();
    let drift = !is_attached(protected, &mut problems);
    Ok(InterfaceStatus {
        pins: pins.clone(),
        record: record.clone(),
        modes: modes(pins)?,
        origin: policy.origin,
        rules: policy.rules.len(),
        verdicts: counters.verdicts,
        drift,
        problems,
    })
}

/// Whether the programs that were applied are the ones on the hooks.
fn is_attached(protected: &Protected, problems: &mut Vec<String>) -> bool {
    let Protected { interface, pins, record } = protected;
    let before = problems.len();
    match nix::net::if_::if_nametoindex(interface.as_str()) {
        Err(_) => problems.push("the interface is gone; `enforcer detach` removes what is left".to_owned()),
        Ok(index) if index != record.index => problems
            .push("the interface was deleted and made again: nothing judges it; run `enforcer apply` again".to_owned()),
        Ok(_) => {}
    }
    for direction in Direction::ALL {
        let Some(attached) = record.direction(direction) else { continue };
        let name = direction.name();
        let applied = program_id(&pins.generation(record.generation).join(name));
        if program_id(&pins.program(direction)) != applied || applied.is_none() {
            problems.push(format!("the pin {} is not the program that was applied", pins.program(direction).display()));
        }
        if attached.attach_mode == AttachMode::Clsact {
            continue;
        }
        match program_in_force(pins, direction) {
            None => problems.push(format!("the {name} program is not on its hook: the link is gone")),
            found if found != applied => {
                problems.push(format!("another {name} program than the applied one is on the hook"));
            }
            Some(_) => {}
        }
    }
    problems.len() == before
}
