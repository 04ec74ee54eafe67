//! Site files: from a path or standard input, within bounds, to a [`Site`].

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Site, from_tree};
use crate::host::trusted::{Pipes, read_named};
use crate::policy::catalogue::Catalogue;
use crate::text::diagnostic::{Diagnostic, Findings, Position, Text};
use crate::text::yaml::{Limits, parse};

/// Why there is no site.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file is wrong.
    #[error(transparent)]
    Invalid(#[from] Findings),
}

/// Reads a site file; `-` is standard input.
///
/// # Errors
///
/// The file cannot be read, or everything that is wrong with it.
pub fn load(path: &str, catalogue: &Catalogue, pipes: Pipes) -> Result<Site, Error> {
    let bytes = named_bytes(path, Limits::SITE.bytes, pipes)?;
    let text = decode(path, bytes, Limits::SITE.bytes).map_err(|finding| Findings(vec![finding]))?;
    Ok(read(text, catalogue)?)
}

/// Makes a site of a text.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn read(text: Text, catalogue: &Catalogue) -> Result<Site, Findings> {
    let root = parse(&text, Limits::SITE).map_err(Findings)?;
    from_tree(text, &root, catalogue, Vec::new(), true)
}

/// What a file or standard input (`-`) has: at most one byte more than is accepted, so that a longer text is known to be one.
pub(in crate::policy) fn named_bytes(path: &str, most: usize, pipes: Pipes) -> Result<Vec<u8>, Error> {
    let bytes = match path {
        "-" => bounded(io::stdin().lock(), most),
        _ => read_named(Path::new(path), most, pipes),
    };
    bytes.map_err(|cause| Error::Read { path: path.into(), cause })
}

fn bounded(source: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file that is named so, if it is no longer than this and UTF-8.
pub(in crate::policy) fn decode(path: &str, bytes: Vec<u8>, most: usize) -> Result<Text, Diagnostic> {
    let name = if path == "-" { "<stdin>" } else { path };
    if bytes.len() > most {
        let message = format!("the file is longer than the {most} bytes that are read");
        return Err(Diagnostic::of_file(name, message));
    }
    String::from_utf8(bytes).map(|content| Text::new(name, content)).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let at = Position { line: number(line), column: number(column), length: 1 };
        let message = format!("the byte 0x{:02x} is not UTF-8", error.as_bytes()[valid]);
        Text::new(name, before).error(at, message).with_hint("save the file as UTF-8")
    })
}
