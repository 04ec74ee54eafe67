//! Estates from files, and telling an estate from a site file.

use super::{Estate, read as reading};
use crate::host::trusted::Pipes;
use crate::policy::catalogue::Catalogue;
use crate::policy::site::{Error, decode, named_bytes};
use crate::text::diagnostic::{Findings, Text};
use crate::text::yaml::{Limits, Node, Value, parse};

/// What a file turned out to be.
#[derive(Debug)]
pub enum Input {
    /// An estate.
    Estate(Box<Estate>),
    /// Anything else, to be read as a site file.
    Site(Text),
}

/// Reads a file that may be an estate; `-` is standard input.
///
/// # Errors
///
/// The file cannot be read, or everything that is wrong with the estate in it.
pub fn load(path: &str, catalogue: &Catalogue, pipes: Pipes) -> Result<Input, Error> {
    let bytes = named_bytes(path, Limits::ESTATE.bytes, pipes)?;
    let text = decode(path, bytes, Limits::ESTATE.bytes).map_err(|finding| Findings(vec![finding]))?;
    // What is not YAML, or too large, is complained about as what it looks like.
    if looks_like_estate(&text.content) {
        let root = parse(&text, Limits::ESTATE).map_err(Findings)?;
        if is_estate(&root) {
            return Ok(Input::Estate(Box::new(reading::estate(text, &root, catalogue)?)));
        }
    }
    let text =
        decode(path, text.content.into_bytes(), Limits::SITE.bytes).map_err(|finding| Findings(vec![finding]))?;
    Ok(Input::Site(text))
}

/// Makes an estate of a text.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn read(text: Text, catalogue: &Catalogue) -> Result<Estate, Findings> {
    let root = parse(&text, Limits::ESTATE).map_err(Findings)?;
    reading::estate(text, &root, catalogue)
}

/// Whether a document is an estate: it lists hosts, or is named as one and is not the site file of one of its hosts.
#[must_use]
pub fn is_estate(root: &Node) -> bool {
    let Value::Mapping(entries) = &root.value else { return false };
    let has =
        |name: &str| entries.iter().any(|(key, _)| matches!(&key.value, Value::Scalar { text, .. } if text == name));
    has("hosts") || has("estate") && !has("host") && !has("interfaces")
}

/// Whether a line begins with a key that an estate has: a cheap look, before a large site file is parsed twice.
fn looks_like_estate(text: &str) -> bool {
    let keys = ["hosts", "estate", "\"hosts\"", "'hosts'", "\"estate\"", "'estate'"];
    let is_key = |line: &str| {
        let line = line.trim_start_matches(['\u{feff}', ' ', '{']);
        keys.iter().any(|key| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':')))
    };
    text.lines().any(is_key) || text.trim_start().starts_with('{') && text.contains("hosts")
}
