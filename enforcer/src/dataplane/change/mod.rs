//! Changes of the active policy: staging, switching, taking over, deadlines, reverting, detaching.

pub(super) mod applied;
pub(super) mod apply;
pub(super) mod confirm;
pub(super) mod confirm_within;
pub(super) mod counting;
pub(super) mod deadline;
pub(super) mod detach;
mod dispatchers;
pub(super) mod gone;
pub(super) mod leave_native;
pub(super) mod outlook;
pub(super) mod refresh;
pub(super) mod renamed;
pub(super) mod restorer;
pub(super) mod seed;
pub(super) mod stage;
pub(super) mod straighten;
pub(super) mod switch;
pub(super) mod takeover;
pub(super) mod way_back;
