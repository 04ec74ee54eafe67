//! What a source file imports: its `use` lines and the paths that it writes out, without its tests.

use std::cell::OnceCell;
use std::fs;
use std::path::Path;

/// A source file.
pub(crate) struct Source {
    /// Its path in the repository.
    pub(crate) path: String,
    /// Its module, from the root of the crate.
    pub(crate) module: Vec<String>,
    /// All of it.
    pub(crate) text: String,
    uses: OnceCell<Vec<Use>>,
}

/// A path of a `use` line, from the root of the crate: the line, whether it is passed on (`pub use`), the path.
type Use = (usize, bool, Vec<String>);

/// Something that a file uses of another.
pub(crate) struct Import {
    /// Where, from 1.
    pub(crate) line: usize,
    /// What, from the root of the crate, with re-exports followed to where they lead.
    pub(crate) path: Vec<String>,
    /// The module that this is in.
    pub(crate) module: Vec<String>,
}

impl Source {
    /// Reads a file.
    pub(crate) fn read(repository: &Path, root: &Path, file: &Path) -> Self {
        let mut module: Vec<String> = file
            .with_extension("")
            .strip_prefix(root)
            .unwrap()
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
            module.pop();
        }
        let path = file.strip_prefix(repository).unwrap().to_str().unwrap().to_owned();
        Self { path, module, text: fs::read_to_string(file).unwrap(), uses: OnceCell::new() }
    }

    /// Whether it stands below a folder of the crate, such as `policy/site`.
    pub(crate) fn is_below(&self, folder: &str) -> bool {
        let folder: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        self.module.len() >= folder.len() && self.module.iter().zip(folder).all(|(part, wanted)| part == wanted)
    }

    /// What it imports of the crate. What it only passes on (`pub use` in a `mod.rs`) is no import of its own.
    pub(crate) fn imports(&self, all: &[Self]) -> Vec<Import> {
        let passes_on = self.path.ends_with("/mod.rs") || self.path.ends_with("/lib.rs");
        let uses = self
            .uses(all)
            .iter()
            .filter(|(_, public, _)| !(*public && passes_on))
            .map(|(line, _, path)| (*line, path.clone()));
        let written =
            self.written_out().into_iter().filter_map(|(line, path)| Some((line, self.absolute(&path, all)?)));
        let mut imports = Vec::new();
        for (line, path) in uses.chain(written) {
            let (module, path) = follow(path, all);
            if module != self.module {
                imports.push(Import { line, path, module });
            }
        }
        imports
    }

    fn uses(&self, all: &[Self]) -> &[Use] {
        self.uses.get_or_init(|| self.read_uses(all))
    }

    fn read_uses(&self, all: &[Self]) -> Vec<Use> {
        let mut found = Vec::new();
        let mut statement = String::new();
        let (mut begun, mut public) = (0, false);
        for (number, line) in (1..).zip(self.code()) {
            let trimmed = line.trim();
            if statement.is_empty() {
                let Some((before, rest)) = split_use(trimmed) else { continue };
                (begun, public) = (number, before.starts_with("pub"));
                rest.clone_into(&mut statement);
            } else {
                statement.push_str(trimmed);
            }
            if let Some(tree) = statement.strip_suffix(';') {
                let leaves = leaves(tree).into_iter().filter_map(|leaf| self.absolute(&leaf, all));
                found.extend(leaves.map(|path| (begun, public, path)));
                statement.clear();
            }
        }
        found
    }

    /// Paths in the code that begin at the root of the crate or above the file: `crate::host::netns::own()`.
    fn written_out(&self) -> Vec<(usize, Vec<String>)> {
        let mut found = Vec::new();
        for (number, line) in (1..).zip(self.code()) {
            if split_use(line.trim()).is_some() {
                continue;
            }
            for start in ["crate::", "super::"] {
                for (at, _) in line.match_indices(start) {
                    let before = line[..at].chars().next_back().unwrap_or(' ');
                    // `pub(in crate::dataplane)` says who may see an item.
                    if before.is_alphanumeric() || "_:$".contains(before) || line[..at].ends_with("pub(in ") {
                        continue;
                    }
                    let path =
                        line[at..].split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).next().unwrap_or("");
                    found.push((number, path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect()));
                }
            }
        }
        found
    }

    /// Its lines without comments and without the tests at its end.
    fn code(&self) -> impl Iterator<Item = &str> {
        let end = self.text.find("\n#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        self.text[..end].lines().map(|line| line.find("//").map_or(line, |comment| &line[..comment]))
    }

    /// A path from the root of the crate; `None` for one of another crate.
    fn absolute(&self, path: &[String], all: &[Self]) -> Option<Vec<String>> {
        let mut module = self.module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "super" | "self" => {
                while let Some(word @ ("super" | "self")) = rest.first().map(String::as_str) {
                    if word == "super" {
                        module.pop()?;
                    }
                    rest = &rest[1..];
                }
            }
            child => {
                let below: Vec<String> = module.iter().cloned().chain([child.to_owned()]).collect();
                all.iter().find(|other| other.module == below)?;
            }
        }
        module.extend_from_slice(rest);
        Some(module)
    }
}

/// Where a path leads: through modules that only pass it on, to the one that has it.
fn follow(mut path: Vec<String>, all: &[Source]) -> (Vec<String>, Vec<String>) {
    const DEEPEST: usize = 8;
    for _ in 0..DEEPEST {
        let source =
            (0..=path.len()).rev().find_map(|length| all.iter().find(|source| source.module == path[..length]));
        let Some(source) = source else { break };
        let Some(name) = path.get(source.module.len()) else { break };
        let passed =
            source.uses(all).iter().find(|(_, public, to)| *public && to.last() == Some(name) && to[..] != path[..]);
        let Some((_, _, to)) = passed else { break };
        let rest = path.split_off(source.module.len() + 1);
        path = to.iter().cloned().chain(rest).collect();
    }
    let module = (0..=path.len()).rev().find(|length| all.iter().any(|source| source.module == path[..*length]));
    (path[..module.unwrap_or(0)].to_vec(), path)
}

/// What stands before and behind the word `use`.
fn split_use(line: &str) -> Option<(&str, &str)> {
    if let Some(rest) = line.strip_prefix("use ") {
        return Some(("", rest));
    }
    let (before, rest) = line.split_once(" use ")?;
    before.starts_with("pub").then_some((before, rest))
}

/// The paths of a tree such as `a::{b, c::{self, d as e}}`.
fn leaves(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some((stem, rest)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or(tree);
        return vec![name.split("::").map(|part| part.trim().to_owned()).filter(|part| part != "self").collect()];
    };
    let inner = rest.strip_suffix('}').unwrap_or(rest);
    let (mut depth, mut begin, mut parts) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[begin..]);
    let stem: Vec<String> =
        stem.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let below = parts.into_iter().filter(|part| !part.trim().is_empty()).flat_map(leaves);
    below.map(|leaf| stem.iter().cloned().chain(leaf).collect()).collect()
}
