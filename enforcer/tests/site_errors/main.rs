//! Every error of a site file, as its author sees it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod interfaces;
mod parameters;
mod rules;
mod values;
mod yaml;

use enforcer::policy::catalogue::embedded;
use enforcer::policy::site;
use enforcer::text::diagnostic::Text;
use expect_test::Expect;

/// Every finding in one text, in the order of the file.
fn check(text: &str, expected: &Expect) {
    let findings = site::read(Text::new("site.yaml", text), embedded().unwrap()).unwrap_err().0;
    let rendered: Vec<String> = findings.iter().map(|finding| finding.render(false)).collect();
    expected.assert_eq(&(rendered.join("\n\n") + "\n"));
}
