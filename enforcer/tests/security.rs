//! SECURITY.md: every claim names tests, and every test that is named is there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::path::Path;

#[test]
fn every_claim_names_tests_and_every_named_test_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let is_claim = |line: &&str| line.starts_with("| ") && !line.starts_with("| claim ");
    let mut claims = 0;
    for claim in text.lines().filter(is_claim) {
        let [_, _, tests, _] = claim.split('|').collect::<Vec<_>>()[..] else { panic!("not two columns: {claim}") };
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "a claim without a test: {claim}");
        for name in named {
            there(&root, name).unwrap_or_else(|why| panic!("{name}: {why}, in: {claim}"));
        }
        claims += 1;
    }
    assert!(claims > 10, "{claims}");
}

/// A folder with tests in it, a file with tests (or a fuzz target), or one test of a file: `FILE::TEST`.
fn there(root: &Path, name: &str) -> Result<(), String> {
    let (path, test) = name.split_once("::").map_or((name, None), |(path, test)| (path, Some(test)));
    let path = root.join(path);
    if path.is_dir() {
        let files = fs::read_dir(&path).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
        return if files.into_iter().any(|text| has_tests(&text)) { Ok(()) } else { Err("no test in it".into()) };
    }
    let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    match test {
        None if has_tests(&text) => Ok(()),
        None => Err("no test in it".into()),
        Some(test) => {
            let (before, _) = text.split_once(&format!("fn {test}(")).ok_or("no such test")?;
            let end = before.rfind("\n\n").unwrap_or(0);
            // The attributes of a test stand right above it; inside of proptest!, as everywhere.
            if before[end..].contains("#[test]") { Ok(()) } else { Err("a function, but no test".into()) }
        }
    }
}

fn has_tests(text: &str) -> bool {
    text.contains("#[test]") || text.contains("fuzz_target!")
}

#[test]
fn a_test_that_is_not_there_is_noticed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert_eq!(there(&root, "enforcer/tests/security.rs::a_test_that_is_not_there_is_noticed"), Ok(()));
    for wrong in ["enforcer/tests/gone.rs", "enforcer/tests/security.rs::gone", "enforcer/tests/security.rs::there"] {
        assert!(there(&root, wrong).is_err(), "{wrong}");
    }
}
