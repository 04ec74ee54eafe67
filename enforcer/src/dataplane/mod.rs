//! The data plane: loads the programs, fills their maps, attaches, pins, replaces and removes them. Nothing else knows aya.
//!
//! What is in force is what the kernel holds: every command reads it back from the pins. Nothing about it is kept in files, so
//! nothing can disagree with it.

mod change;
mod error;
mod hook;
mod kinds;
mod load;
mod mode;
mod pin;
mod plan;
mod read;
mod sys;

pub use crate::host::netns::here;
pub use crate::policy::modes::{ModeChange, Modes, Protects};
pub use crate::policy::source::HookChoice;
pub use crate::state::totals::count::{Count, VerdictCounts};
pub use change::applied::{Applied, AtDeadline};
pub use change::apply::{apply, refuse_bridge_ports};
pub use change::confirm::{Confirmation, confirm};
pub use change::deadline::{Changed, Until, set_modes};
pub use change::detach::{Removed, detach, forget_kept};
pub use change::gone::remove_gone;
pub use change::leave_native::leave_native;
pub use change::outlook::{Outlook, Replaced, modes_after_apply, policies_after_change, replaced, resulting_modes};
pub use change::refresh::{refresh_addresses, refresh_listeners};
pub use change::restorer::restore;
pub use change::seed::{Key as SeedKey, Seed, seed_protected};
pub use change::way_back::{End, WayBack, finish_way_back, overdue};
pub use error::DataplaneError;
pub use hook::choose::lacks_tcx;
pub use hook::drivers::{Known, SINGLE_BUFFER, does_not_run, known_native, refused, takes_several_buffers};
pub use hook::found::{
    ExpectedHook, OnFilter, OnHooks, expected_hook, judged_again, kernel_note, kernel_problem, on_hooks,
};
pub use hook::renamed::{once_called, protected};
pub use kinds::{AttachMode, Attached, DirectionRecord, Hook};
pub use load::object::read_ahead;
pub use mode::active::modes_in_force;
pub use mode::pending::{DeadlineKind, DeadlineOutcome, Pending, pending};
pub use mode::resulting::{Resulting, Why, held};
pub use pin::lock::{Reading, reading, run_folder};
pub use pin::owners::secure_folders;
pub use pin::pins::InterfacePins;
pub use pin::protected::{Protected, of_other_versions};
pub use pin::record::{InterfaceRecord, PolicyRecord, RecordedRule};
pub use plan::{BpfLog, Caller, Ending, Plan, PlannedInterface, Said};
pub use read::ask::{Answer, ask};
pub use read::counted::{InterfaceCounters, ReasonCount, RuleCount};
pub use read::counters::counters;
pub use read::denied::{Asked, Denied, DeniedEvent, DeniedFlow, denied, denied_use};
pub use read::events::EventStream;
pub use read::flows::{Flow, FlowPhase, end_flows, flows};
pub use read::judging::{Caution, Judging, Patience, Sample, Watch, not_judging, sample, watch_native};
pub use read::log::{LogLine, LogStream};
pub use read::map_use::{FlowUse, MapMemory, flow_estimate, flow_use, memory};
pub use read::readback::{Loaded, readback};
pub use read::status::{InterfaceStatus, Judges, detached, status, statuses};
pub use read::totals::save_totals;
pub use sys::kernel::{lacks_frags, untried_kernel};
pub use sys::native::{NativeXdp, Refusal, ask_driver};
