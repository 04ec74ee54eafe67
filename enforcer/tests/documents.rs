//! The documents name commands, options and files that exist.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command as a document writes it: its words up to the first that is no word of a command, and its options.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Named {
    document: String,
    words: Vec<String>,
    options: Vec<String>,
}

#[test]
fn every_command_and_option_in_the_documents_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut documents: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "contrib/README.md"].map(|name| root.join(name)).into();
    documents.extend(fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut named = BTreeSet::new();
    for path in documents {
        let text = fs::read_to_string(&path).unwrap();
        named.extend(commands(&text).into_iter().map(|(words, options)| Named {
            document: path.file_name().unwrap().to_string_lossy().into_owned(),
            words,
            options,
        }));
    }
    assert!(named.len() > 20, "the documents name hardly any command: {named:?}");
    for one in named {
        let help = help(&one.words).unwrap_or_else(|error| panic!("{one:?}: {error}"));
        for option in &one.options {
            assert!(help.contains(option.as_str()), "{one:?}: there is no {option}");
        }
    }
}

#[test]
fn every_file_in_the_recipes_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    let (_, recipes) = text.split_once("\n## Recipes\n").unwrap();
    let (recipes, _) = recipes.split_once("\n## ").unwrap();
    let is_path = |code: &&str| code.contains('/') && !code.contains([' ', '*']) && !code.starts_with("cargo");
    // A name in capitals stands for the name that a contributor chooses.
    let is_named = |path: &&str| !path.split('/').any(|part| part.starts_with(|c: char| c.is_ascii_uppercase()));
    let paths: BTreeSet<&str> = recipes.split('`').skip(1).step_by(2).filter(is_path).filter(is_named).collect();
    assert!(paths.len() > 25, "{paths:?}");
    for path in paths {
        // Within `enforcer/src` a recipe may leave out the beginning.
        let places = [root.join(path), root.join("enforcer/src").join(path)];
        assert!(places.iter().any(|place| place.exists()), "a recipe names {path}, and there is no such file");
    }
}

/// Commands of ours in inline code and in code blocks.
fn commands(text: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.replace("\\\n", " ").lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            found.extend(line.split('#').next().and_then(command));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).filter_map(command));
        }
    }
    found
}

/// The words and options of a line that calls `enforcer`.
fn command(line: &str) -> Option<(Vec<String>, Vec<String>)> {
    let mut tokens = line.split_whitespace().skip_while(|token| *token == "sudo");
    if tokens.next() != Some("enforcer") {
        return None;
    }
    let mut rest = tokens.take_while(|token| !matches!(*token, "&&" | "|" | ">" | ";")).peekable();
    let mut words = Vec::new();
    while let Some(word) = rest.next_if(|token| token.chars().all(|c| c.is_ascii_lowercase())) {
        words.push(word.to_owned());
        // Of these alone the second word is a command, too.
        if words.len() == 2 || !matches!(word, "role" | "catalogue") {
            break;
        }
    }
    let options = rest.filter(|token| token.starts_with("--"));
    let options = options.map(|option| option.split('=').next().unwrap_or(option).to_owned()).collect();
    (!words.is_empty()).then_some((words, options))
}

fn help(words: &[String]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_enforcer")).args(words).arg("--help").output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
