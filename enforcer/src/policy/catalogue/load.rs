//! Where the catalogue comes from: built in, or a directory of the operator's.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{fs, io};

use include_dir::{Dir, include_dir};

use super::resolve::resolve;
use super::{Catalogue, read};
use crate::host::trusted::{Pipes, read_named};
use crate::text::diagnostic::{Diagnostic, Findings, Text};
use crate::text::yaml::{Limits, Reader, parse};

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../policies");

/// Why there is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}: {cause}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The directory holds no role.
    #[error("{0} holds no catalogue: it has no `peers.yaml`")]
    Empty(PathBuf),
    /// The files are wrong.
    #[error(transparent)]
    Invalid(#[from] Findings),
}

/// The catalogue that is built into the program.
///
/// # Errors
///
/// What is wrong with it; the tests see to it that there is nothing.
pub fn embedded() -> Result<&'static Catalogue, &'static Findings> {
    static LOADED: LazyLock<Result<Catalogue, Findings>> = LazyLock::new(|| {
        let files = BUILT_IN.files().filter_map(|file| {
            let name = file.path().file_name()?.to_str()?;
            let stem = name.strip_suffix(".yaml")?;
            Some((stem.to_owned(), Text::new(format!("policies/{name}"), file.contents_utf8().unwrap_or_default())))
        });
        from_texts(files.collect())
    });
    LOADED.as_ref()
}

/// A catalogue in a directory: every `*.yaml` in it.
///
/// # Errors
///
/// A file that cannot be read, or everything that is wrong with what was read.
pub fn from_directory(path: &Path) -> Result<Catalogue, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| Error::Read { path, cause }
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed(path))? {
        let file = entry.map_err(failed(path))?.path();
        let Some(stem) = file.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".yaml"))
        else {
            continue;
        };
        let bytes = read_named(&file, Limits::CATALOGUE.bytes, Pipes::Refused).map_err(failed(&file))?;
        if bytes.len() > Limits::CATALOGUE.bytes {
            let message = format!("the file has more than the {} bytes that are read", Limits::CATALOGUE.bytes);
            return Err(Findings(vec![Diagnostic::of_file(file.display().to_string(), message)]).into());
        }
        let content = String::from_utf8(bytes).map_err(|_| failed(&file)(io::Error::other("it is not UTF-8")))?;
        files.push((stem.to_owned(), Text::new(file.display().to_string(), content)));
    }
    if !files.iter().any(|(stem, _)| stem == "peers") {
        return Err(Error::Empty(path.to_owned()));
    }
    Ok(from_texts(files)?)
}

/// A catalogue from texts, each with its file name without `.yaml`.
pub(super) fn from_texts(mut files: Vec<(String, Text)>) -> Result<Catalogue, Findings> {
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let mut catalogue = Catalogue::default();
    let mut findings = Vec::new();
    for (stem, text) in &files {
        let root = match parse(text, Limits::CATALOGUE) {
            Ok(root) => root,
            Err(errors) => {
                findings.extend(errors);
                continue;
            }
        };
        let reader = Reader::new(text);
        match stem.as_str() {
            "documents" => catalogue.documents = read::documents(&reader, &root),
            "peers" => catalogue.peers = read::peers(&reader, &root),
            "decisions" => catalogue.decisions = super::lint::read(&reader, &root),
            _ => {
                if let Some(role) = read::role(&reader, &root, stem) {
                    catalogue.roles.insert(role.name.clone(), role);
                }
            }
        }
        findings.extend(reader.into_findings());
    }
    // Names are looked up only in a catalogue that was read whole: a role with a typo in it would be missed everywhere.
    if findings.is_empty() {
        findings = resolve(&catalogue, &files);
    }
    if findings.is_empty() { Ok(catalogue) } else { Err(Findings(findings)) }
}
