//! Arguments that several commands share, and what they stand for.

pub mod estate;
pub mod evidence;
pub mod in_force;
pub mod interfaces;
pub mod live;
pub mod policy;
pub mod verbosity;
