//! What operators look at: denied flows and their names, metrics, rates. Plain data, read by [`dataplane`](crate::dataplane) and shown by
//! [`cli`](crate::cli).

pub mod denied;
pub mod events;
pub mod flows;
pub mod health;
pub mod metrics;
pub mod names;
pub mod rates;
pub mod readiness;
pub mod report;
pub mod suggest;
pub mod syslog;
pub mod told;
pub mod top;
