//! The data plane: loads the programs, fills their maps, attaches, pins, replaces and removes them. Nothing else knows aya.
//!
//! What is in force is what the kernel holds: every command reads it back from the pins. Nothing about it is kept in files, so
//! nothing can disagree with it.

mod change;
mod error;
mod hook;
mod load;
mod mode;
mod pin;
mod read;
mod sys;

pub use crate::host::netns::here;
pub use change::apply::{Applied, Attached, HookChoice, Plan, PlannedInterface, Protects, apply};
pub use change::deadline::{Changed, Confirmation, Until, confirm, set_modes};
pub use change::detach::{Removed, detach, forget_kept};
pub use change::gone::remove_gone;
pub use change::outlook::{Outlook, cut_already, modes_after_apply, policies_after_change};
pub use change::renamed::once_called;
pub use change::restorer::restore;
pub use change::seed::seed_protected;
pub use error::DataplaneError;
pub(crate) use error::at;
pub use hook::attach::{AttachMode, Hook};
pub use hook::found::{ExpectedHook, OnFilter, OnHooks, expected_hook, kernel_problem, lacks_tcx, on_hooks};
pub use load::object::read_ahead;
pub use load::own::{refresh_addresses, refresh_listeners};
pub use mode::control::{ModeChange, Modes, modes_in_force};
pub use mode::pending::{Kind, Outcome, Pending, pending};
pub use pin::folders::secure_folders;
pub use pin::lock::{Reading, reading, run_folder};
pub use pin::pins::{InterfacePins, Protected, of_other_versions, protected};
pub use pin::record::{DirectionRecord, InterfaceRecord, PolicyRecord, RecordedRule};
pub use read::ask::{Answer, ask};
pub use read::counters::{Count, InterfaceCounters, ReasonCount, RuleCount, VerdictCounts, counters};
pub use read::denied::{denied, denied_use};
pub use read::events::EventStream;
pub use read::log::{BpfLog, LogLine, LogStream};
pub use read::map_use::{FlowUse, Memory, flow_use, memory};
pub use read::readback::{Loaded, readback};
pub use read::status::{InterfaceStatus, detached, status};
pub use read::totals::save_totals;
pub use sys::kernel::untried_kernel;
