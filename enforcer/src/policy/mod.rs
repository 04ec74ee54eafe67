//! From YAML to a ruleset: the catalogue, the site, the compiler, and what is made of a ruleset. Pure but for reading files.

pub mod catalogue;
pub mod chosen;
pub mod claims;
pub mod compile;
pub mod diff;
pub mod estate;
pub mod export;
pub mod modes;
pub mod ranges;
pub mod ruleset;
pub mod schema;
pub mod site;
pub mod source;
