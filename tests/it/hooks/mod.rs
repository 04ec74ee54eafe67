//! The hooks: XDP in the driver and behind it, tc by links and by filters, towards the host and from it.

mod fixtures;
pub(crate) mod forward;
mod frames;
mod judging;
mod native;
mod others;
mod reasons;
