//! What outlives a reboot: the last good policy of each interface, the totals, the history.

pub mod history;
pub mod last_good;
pub mod totals;
