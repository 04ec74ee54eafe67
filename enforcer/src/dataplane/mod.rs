//! The data plane: loads the programs, fills their maps, attaches, pins, replaces and removes them. Nothing else knows aya.
//!
//! What is in force is what the kernel holds: every command reads it back from the pins. Nothing about it is kept in files, so
//! nothing can disagree with it.

mod apply;
mod ask;
mod attach;
mod batch;
mod clock;
mod control;
mod counters;
mod deadline;
mod denied;
mod detach;
mod direct;
mod drift;
mod error;
mod events;
mod fill;
mod hooks;
mod host;
mod kernel;
mod load;
mod lock;
mod log;
#[cfg(test)]
mod loops;
mod memory;
mod outlook;
mod pending;
mod per_cpu;
mod pinned_link;
mod pins;
mod readback;
mod record;
mod renamed;
mod restorer;
mod seed;
mod slots;
mod status;
mod switch;
mod takeover;
mod totals;

pub use crate::host::netns::here;
pub use apply::{Applied, Attached, HookChoice, Plan, PlannedInterface, Protects, apply};
pub use ask::{Answer, ask};
pub use attach::{AttachMode, Hook};
pub use control::{ModeChange, Modes, modes_in_force};
pub use counters::{Count, InterfaceCounters, ReasonCount, RuleCount, VerdictCounts, counters};
pub use deadline::{Changed, Confirmation, Until, confirm, set_modes};
pub use denied::{denied, denied_use};
pub use detach::{Removed, detach, forget_kept};
pub use error::DataplaneError;
pub(crate) use error::at;
pub use events::EventStream;
pub use hooks::{ExpectedHook, OnFilter, OnHooks, expected_hook, kernel_problem, lacks_tcx, on_hooks};
pub use host::{refresh_addresses, refresh_listeners};
pub use kernel::untried_kernel;
pub use load::read_ahead;
pub use lock::{Reading, reading, run_folder};
pub use log::{BpfLog, LogLine, LogStream};
pub use memory::{FlowUse, Memory, flow_use, memory};
pub use outlook::{Outlook, cut_already, modes_after_apply, policies_after_change};
pub use pending::{Kind, Outcome, Pending, pending};
pub use pins::{InterfacePins, Protected, of_other_versions, protected};
pub use readback::{Loaded, readback};
pub use record::{DirectionRecord, InterfaceRecord, PolicyRecord, RecordedRule};
pub use renamed::once_called;
pub use restorer::restore;
pub use seed::seed_protected;
pub use status::{InterfaceStatus, detached, status};
pub use totals::save_totals;
