//! What a machine's console tells: each test by name, and whether all of them came to their end.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::test::Tally;

#[derive(Debug, Default)]
pub(super) struct Results {
    /// What the machine says it runs; nothing, if it did not come so far.
    release: Option<String>,
    announced: usize,
    passed: Vec<String>,
    failed: Vec<String>,
    ignored: usize,
    /// Tests that said why they skip, and why: libtest calls them passed.
    skipped: BTreeMap<String, String>,
    /// What tests said they have done.
    told: BTreeMap<String, String>,
    /// What init and the kernel complained of.
    complaints: Vec<String>,
    exit: Option<i32>,
    /// What follows are stories of failures, not tests.
    all_told: bool,
    pub(super) out_of_time: bool,
    pub(super) seconds: u64,
}

impl Results {
    /// A line of the console.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(said) = line.strip_prefix("vm: ") {
            match said.split_once(' ') {
                Some(("kernel", release)) => self.release = Some(release.to_owned()),
                Some(("exit", code)) => self.exit = code.parse().ok(),
                Some(("complaint:", what)) => self.complaints.push(what.to_owned()),
                _ => {}
            }
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.all_told = true;
        } else if self.all_told {
        } else if let Some(rest) = line.strip_prefix("running ") {
            self.announced = rest.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        } else if let Some((name, how)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            let name = name.trim_end_matches(" - should panic").to_owned();
            match how.split([' ', ',']).next() {
                Some("ok") => self.passed.push(name),
                Some("FAILED") => self.failed.push(name),
                Some("ignored") => self.ignored += 1,
                _ => {}
            }
        }
    }

    /// A line of the tests' standard error.
    pub(super) fn read_error(&mut self, line: &str) {
        if let Some((name, reason)) = line.strip_prefix("skipped: ").and_then(|rest| rest.split_once(": ")) {
            self.skipped.insert(name.to_owned(), reason.to_owned());
        } else if let Some((name, what)) =
            line.split_once(": ").filter(|(name, _)| name.contains("::") && !name.contains(' '))
        {
            self.told.insert(name.to_owned(), what.to_owned());
        }
    }

    /// Whether tests ran, and none failed or was left.
    pub(super) fn held(&self) -> bool {
        self.failed.is_empty() && self.trouble().is_empty()
    }

    fn passed(&self) -> usize {
        self.passed.iter().filter(|name| !self.skipped.contains_key(*name)).count()
    }

    fn skipped(&self) -> usize {
        self.passed.len() - self.passed() + self.ignored
    }

    /// Tests that have neither passed nor failed.
    fn unfinished(&self) -> usize {
        self.announced.saturating_sub(self.passed.len() + self.failed.len() + self.ignored)
    }

    /// What went wrong beside tests that failed.
    fn trouble(&self) -> Vec<String> {
        let mut trouble = Vec::new();
        if self.release.is_none() {
            trouble.push("the machine did not come to the tests".to_owned());
        } else if self.out_of_time {
            trouble.push("its time was over".to_owned());
        } else if self.exit.is_none() {
            trouble.push("the machine went off before the tests had ended".to_owned());
        } else if self.announced == 0 {
            trouble.push("no test has such a name".to_owned());
        } else if self.exit != Some(0) && self.failed.is_empty() {
            trouble.push(format!("the tests ended with {}", self.exit.unwrap_or_default()));
        }
        if self.announced > 0 && self.skipped() == self.announced {
            trouble.push("every test was skipped: nothing was tested".to_owned());
        }
        if self.unfinished() > 0 {
            trouble.push(format!("{} tests did not come to their end", self.unfinished()));
        }
        trouble
    }

    /// The numbers of it. Whatever else went wrong counts as a failure, and so does a test that did not come to its end.
    pub(super) fn tally(&self) -> Tally {
        let failed = self.failed.len().max(usize::from(!self.held()));
        let [passed, failed, skipped] = [self.passed(), failed, self.skipped()].map(|number| number as u64);
        Tally::of(passed, failed, skipped)
    }

    pub(super) fn figures(&self) -> Value {
        json!({
            "kernel": self.release,
            "passed": self.passed(),
            "failed": self.failed.len(),
            "skipped": self.skipped(),
            "unfinished": self.unfinished(),
            "seconds": self.seconds,
            "failed_tests": self.failed,
            "skipped_tests": self.skipped,
            "told": self.told,
            "complaints": self.complaints,
            "trouble": self.trouble(),
        })
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, failed, skipped) = (self.passed(), self.failed.len(), self.skipped());
        let kernel = self.release.as_deref().unwrap_or("no kernel");
        writeln!(f, "{passed} passed, {failed} failed, {skipped} skipped ({kernel}, {} s)", self.seconds)?;
        self.failed.iter().try_for_each(|name| writeln!(f, "  failed: {name}"))?;
        self.skipped.iter().try_for_each(|(name, reason)| writeln!(f, "  skipped: {name}: {reason}"))?;
        self.told.iter().try_for_each(|(name, what)| writeln!(f, "  {name}: {what}"))?;
        self.complaints.iter().try_for_each(|what| writeln!(f, "  complaint: {what}"))?;
        self.trouble().iter().try_for_each(|what| writeln!(f, "  {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Results {
        let mut results = Results::default();
        lines.iter().for_each(|line| results.read(line));
        results
    }

    #[test]
    fn tests_are_told_by_name_and_a_skip_is_no_pass() {
        let mut results = of(&[
            "vm: kernel 6.1.0-50-cloud-amd64",
            "running 4 tests",
            "test a::one ... ok",
            "test a::two has been running for over 60 seconds",
            "test a::two ... FAILED",
            "test a::three ... ok",
            "test a::four ... ignored, an hour",
            "failures:",
            "test a::two ... ok",
            "vm: exit 101",
        ]);
        results.read_error("skipped: a::three: this kernel has no TCX");
        results.read_error("a::one: 6 packets");
        assert_eq!((results.passed(), results.failed.len(), results.skipped(), results.unfinished()), (1, 1, 2, 0));
        assert!(!results.held());
        assert_eq!(results.tally().to_string(), "1 passed, 1 failed, 2 skipped");
        assert_eq!(results.told["a::one"], "6 packets");
    }

    #[test]
    fn what_did_not_run_does_not_hold() {
        let whole = ["vm: kernel 6.1.0", "running 2 tests", "test a ... ok", "test b ... ok", "vm: exit 0"];
        assert!(of(&whole).held());
        for end in 0..whole.len() {
            assert!(!of(&whole[..end]).held(), "cut off after {end} lines");
            assert_eq!(of(&whole[..end]).tally().failed, 1, "cut off after {end} lines");
        }
        assert!(!of(&["vm: kernel 6.1.0", "running 0 tests", "vm: exit 0"]).held(), "no test");
        let mut skipped = of(&whole);
        skipped.read_error("skipped: a: no TCX");
        assert!(skipped.held(), "one of two was skipped");
        skipped.read_error("skipped: b: no TCX");
        assert!(!skipped.held(), "both were skipped");
        assert!(
            !of(&["vm: kernel 6.1.0", "running 1 test", "test a ... ok", "vm: exit 134"]).held(),
            "a crash at the end"
        );
    }
}
