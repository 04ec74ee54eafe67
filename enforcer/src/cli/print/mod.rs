//! How results look on a terminal, and how waiting is interrupted.

pub mod capture;
pub mod explanation;
pub mod interrupt;
pub mod note;
pub mod table;
pub mod usage;
