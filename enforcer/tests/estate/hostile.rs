//! Estates that are made to hurt: refused quickly, and in little memory.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use enforcer::policy::catalogue::embedded;
use enforcer::policy::estate::read;
use enforcer::text::diagnostic::Text;

/// Generous for a debug build on a busy machine; what is not bounded takes minutes.
const QUICKLY: Duration = Duration::from_secs(20);

#[track_caller]
fn refused(text: String, why: &str) {
    let begun = Instant::now();
    let findings = read(Text::new("estate.yaml", text), embedded().unwrap()).unwrap_err();
    assert!(begun.elapsed() < QUICKLY, "{:?}", begun.elapsed());
    assert!(findings.0.len() <= 101);
    assert!(findings.0.iter().any(|one| one.message.contains(why)), "{why}: {findings}");
}

#[test]
fn a_hundred_thousand_hosts_are_refused() {
    let mut text = "estate: e\nhosts:\n".to_owned();
    for number in 0..100_000 {
        let _ =
            writeln!(text, "  h{number}: {{addresses: [10.{}.{}.{}]}}", number >> 16, number >> 8 & 255, number & 255);
    }
    refused(text, "values in one file");
    let mut text = "estate: e\nhosts:\n".to_owned();
    for number in 0..50_000 {
        let _ = writeln!(text, "  h{number}:");
    }
    refused(text, "the estate has 50000 hosts; 2048 are the most");
}

#[test]
fn names_that_multiply_are_refused() {
    // Each name stands for the one before it twice over, and for addresses of its own.
    let mut text = "estate: e\nhosts: {h: {addresses: [10.0.0.1]}}\noutside:\n  n0: [10.1.0.0/24]\n".to_owned();
    for number in 1..2_000 {
        let all: Vec<String> = (0..number.min(60)).map(|back| format!("n{}", number - 1 - back)).collect();
        let _ = writeln!(text, "  n{number}: [{}, 10.{}.{}.0/24]", all.join(", "), 2 + number / 250, number % 250);
    }
    refused(text, "the names stand for more than");
}

#[test]
fn loops_are_refused() {
    let text =
        "estate: e\nhosts: {h: {addresses: [10.0.0.1], behind: [h]}}\noutside: {x-1: [x-2], x-2: [x-3], x-3: [x-1]}\n";
    refused(text.to_owned(), "is made of itself");
    refused(text.to_owned(), "`h` runs behind itself");
}
