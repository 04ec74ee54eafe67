//! YAML as a tree that knows where each of its nodes stands, read within fixed bounds.
//!
//! Policies need a small part of YAML: mappings, lists and scalars. What else it offers (anchors and aliases, tags, several
//! documents, merge keys) is refused with a sentence, and with it the documents that grow while they are read.

mod fields;
mod places;
mod tree;
mod write;

pub use fields::{Fields, Reader};
pub use places::{Place, Shape, places};
pub use tree::{Limits, Node, Value, parse};
pub use write::{inline, write};
