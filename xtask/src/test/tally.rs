//! Counting, from what libtest prints.

use std::fmt;

use anyhow::bail;

/// How many tests there were of each kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// Tests that said at run time why they skip: libtest counts them as passed.
    said_skipped: u64,
}

impl Tally {
    /// What somebody else has counted.
    pub(crate) const fn of(passed: u64, failed: u64, skipped: u64) -> Self {
        Self { passed, failed, skipped, said_skipped: 0 }
    }

    /// Reads one line of a test program's output.
    pub(crate) fn read(&mut self, line: &str) {
        if line.starts_with("skipped: ") {
            self.said_skipped += 1;
        } else if let Some(rest) = line.strip_prefix("test result: ") {
            self.passed += number_before(rest, " passed");
            self.failed += number_before(rest, " failed");
            self.skipped += number_before(rest, " ignored");
        }
    }

    /// Adds what another program counted.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.said_skipped += other.said_skipped;
    }

    /// Whether there was no test at all.
    pub(crate) const fn is_empty(&self) -> bool {
        self.passed + self.failed + self.skipped == 0
    }

    /// Whether the run as a whole is a success: something passed and nothing failed.
    ///
    /// # Errors
    /// A test failed, or no test did anything.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        if self.failed > 0 {
            bail!("some tests failed");
        }
        if self.passed == 0 {
            bail!("nothing was tested: no test passed, {} skipped", self.skipped);
        }
        Ok(())
    }

    /// Moves the tests that said they skip from the passed to the skipped. Once, when all of a program was read.
    pub(crate) fn settle(&mut self) {
        let said = self.said_skipped.min(self.passed);
        self.passed -= said;
        self.skipped += said;
        self.said_skipped = 0;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().filter(|before| before.len() < text.len());
    before.and_then(|before| before.rsplit([' ', '.']).next()).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_which_every_test_skipped_is_no_success() {
        let mut tally = Tally::default();
        tally.read("skipped: against_nft::native: there is no nft");
        tally.read("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        tally.settle();
        assert_eq!(tally.verdict().unwrap_err().to_string(), "nothing was tested: no test passed, 1 skipped");
        assert!(Tally::of(1, 0, 1).verdict().is_ok());
        assert!(Tally::of(1, 1, 0).verdict().is_err());
    }

    #[test]
    fn results_add_up_and_skips_are_not_passes() {
        let mut tally = Tally::default();
        tally.read("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 312 filtered out; finished in 0.00s");
        assert!(tally.is_empty());
        tally
            .read("test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 1.19s");
        tally.read("skipped: traffic::jumbo: this kernel has no veth");
        tally.read("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        tally.settle();
        assert_eq!(tally.to_string(), "14 passed, 2 failed, 2 skipped");
        assert!(!tally.is_empty());
    }
}
