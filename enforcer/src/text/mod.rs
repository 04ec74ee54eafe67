//! Texts that people write and read: places in them, near names, YAML trees. Knows nothing else of this program.

pub mod decimal;
pub mod diagnostic;
pub mod escape;
pub(crate) mod line;
pub mod nearest;
pub mod yaml;
