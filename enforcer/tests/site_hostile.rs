//! Files that are made to hurt are refused quickly, within bounded memory, with one clear sentence or a bounded list.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use enforcer::host::trusted::Pipes;
use enforcer::policy::catalogue::embedded;
use enforcer::policy::compile::compile;
use enforcer::policy::site;
use enforcer::text::diagnostic::Text;
use jiff::civil::date;

const HEAD: &str = "interfaces: [eth0]\nroles: [vvb]\n";

#[test]
fn deep_nesting() {
    refused(&format!("{HEAD}peers: {}", "[".repeat(100_000)), "");
    refused(&format!("{HEAD}peers: {}", "{a: ".repeat(100_000)), "");
    let block: String = (0..1000).fold(HEAD.to_owned(), |mut text, depth| {
        writeln!(text, "{}a:", " ".repeat(depth)).unwrap();
        text
    });
    refused(&block, "");
    refused(&"- ".repeat(100_000), "");
}

#[test]
fn alias_bombs() {
    let mut text = "a: &a [x, x]\n".to_owned();
    for (inner, outer) in ('a'..='y').zip('b'..='z') {
        writeln!(text, "{outer}: &{outer} [*{inner}, *{inner}, *{inner}, *{inner}]").unwrap();
    }
    refused(&text, "aliases are not used here");
}

#[test]
fn huge_scalars() {
    refused(&format!("{HEAD}release: {}\n", "x".repeat(3 << 20)), "more than the 2048");
    refused(&format!("{HEAD}release: \"{}\"\n", "x".repeat(3 << 20)), "more than the 2048");
    refused(&format!("{HEAD}release: |\n  {}\n", "x".repeat(3 << 20)), "more than the 2048");
    refused(&format!("{HEAD}{}: 1\n", "x".repeat(3 << 20)), "");
    refused(&"\n".repeat(3 << 20), "the file is empty");
    refused(&"#".repeat(3 << 20), "the file is empty");
}

#[test]
fn huge_files() {
    refused(&"a: 1\n".repeat(1 << 20), "more than the 4194304 that are read");
    refused(&format!("{HEAD}peers: {{phones: [{}]}}", "1,".repeat(1 << 20)), "more than 200000 values");
}

#[test]
fn many_errors_are_cut_short() {
    let list = |item: &str| item.repeat(60_000);
    refused(&format!("interfaces: [eth0]\nroles: [{}]\n", list("unity-conection, ")), "more than 100 errors");
    refused(&format!("interfaces: [{}]\nroles: [vvb]\n", list("lo, ")), "more than 100 errors");
    refused(&format!("{HEAD}peers: {{phones: [{}]}}\n", list("fones, ")), "more than 100 errors");
    refused(&format!("{HEAD}allow: [{}]\n", list("{}, ")), "more than 100 errors");
    let keys: String = (0..60_000).map(|n| format!("key{n}: 1\n")).collect();
    refused(&format!("{HEAD}{keys}"), "more than 100 errors");
    let same: String = (0..60_000).map(|_| "mode: audit\n").collect();
    refused(&format!("{HEAD}{same}"), "");
}

#[test]
fn peers_that_multiply() {
    // Each is made of the one before and of an address: all together they stand for n²/2.
    let mut text = format!("{HEAD}peers:\n  p0: [10.0.0.1]\n");
    for n in 1..30_000 {
        writeln!(text, "  p{n}: [p{}, 10.{}.{}.1]", n - 1, n / 250, n % 250).unwrap();
    }
    refused(&text, "more than 300000 prefixes");
    let mut circle = format!("{HEAD}peers:\n");
    for n in 0..30_000 {
        writeln!(circle, "  p{n}: [p{}]", (n + 1) % 30_000).unwrap();
    }
    refused(&circle, "is made of itself");
}

#[test]
fn too_many_rules() {
    let rules: String = (0..20_000).map(|n| format!("  - {{name: r{n}, protocol: esp}}\n")).collect();
    refused(&format!("{HEAD}allow:\n{rules}"), "more than 10000 rules");
}

/// As many rules as are accepted, each over half of all ports: slow, but it ends.
#[test]
fn rules_that_overlap_everywhere_compile() {
    let rules: String = (0..400)
        .map(|n| {
            let start = 1 + n * 13;
            format!(
                "  - {{name: r{n}, protocol: tcp, ports: [{start}-{}], from: [10.{}.{}.0/24]}}\n",
                start + 32_000,
                n / 250,
                n % 250
            )
        })
        .collect();
    let site = site::read(Text::new("site.yaml", format!("{HEAD}allow:\n{rules}")), embedded().unwrap()).unwrap();
    let ruleset = compile(&site, embedded().unwrap(), date(2026, 11, 22)).unwrap().ruleset;
    assert!(ruleset.tables[0].columns == 401, "{}", ruleset.tables[0].columns);
}

#[test]
fn bytes_that_are_not_utf_8_have_a_place() {
    let error = load(b"interfaces: [eth0]\nroles: [\xff]\n");
    assert_eq!(error, "FILE:2:9: the byte 0xff is not UTF-8 (save the file as UTF-8)");
    let error = load(b"\xef\xbb\xbfinterfaces: [eth0]\nroles: [vbv]\n");
    assert!(error.ends_with("(did you mean `vvb`?)"), "a byte order mark is skipped: {error}");
}

#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let start = Instant::now();
    let long = std::env::temp_dir().join(format!("enforcer-long-{}.yaml", std::process::id()));
    let file = std::fs::File::create(&long).unwrap();
    file.set_len(1 << 40).unwrap();
    let refused = |path: &str| site::load(path, embedded().unwrap(), Pipes::Allowed).unwrap_err().to_string();
    let error = refused(long.to_str().unwrap());
    std::fs::remove_file(&long).unwrap();
    assert!(error.ends_with(": the file is longer than the 4194304 bytes that are read"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(
        refused("/nonexistent/site.yaml"),
        "cannot read /nonexistent/site.yaml: No such file or directory (os error 2)"
    );
    assert_eq!(refused("/"), "cannot read /: Is a directory (os error 21)");
    assert_eq!(refused("/dev/zero"), "cannot read /dev/zero: it is a device, not a file");
}

#[test]
fn an_escape_sequence_written_as_yaml_escape_stays_out_of_the_terminal() {
    let text = format!("{HEAD}scope: \"\\e[31mall\"\n");
    let findings = site::read(Text::new("site.yaml", text), embedded().unwrap()).unwrap_err().0;
    assert!(!findings[0].render(false).contains('\u{1b}'), "{}", findings[0].render(false));
    assert!(!findings[0].to_string().contains('\u{1b}'), "{}", findings[0]);
}

fn load(bytes: &[u8]) -> String {
    let path = std::env::temp_dir().join(format!("enforcer-hostile-{}-{}.yaml", std::process::id(), bytes.len()));
    std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    let path = path.to_str().unwrap();
    let error = site::load(path, embedded().unwrap(), Pipes::Allowed).unwrap_err().to_string();
    std::fs::remove_file(path).unwrap();
    error.replace(path, "FILE")
}

#[track_caller]
fn refused(text: &str, sentence: &str) {
    let start = Instant::now();
    let findings = site::read(Text::new("site.yaml", text), embedded().unwrap()).unwrap_err();
    let took = start.elapsed();
    let rendered = findings.to_string();
    assert!(rendered.contains(sentence), "{}", rendered.chars().take(2000).collect::<String>());
    assert!(findings.0.len() <= 101, "{} findings", findings.0.len());
    assert!(rendered.len() < 64 << 10, "{} bytes of errors", rendered.len());
    // Generous, because the tests run unoptimised and beside each other: what is quadratic takes minutes.
    assert!(took < Duration::from_secs(5), "{took:?}");
}
