//! Text of others on its way to a terminal or a log. A process, a file, a DNS name or a YAML value may contain what a terminal obeys
//! (escape sequences), what hides other text (bidirectional controls, zero width), or what begins a line of its own.
//!
//! Three layers, so that a new message is safe without a thought: tables and findings escape what they are given; [`Guard`] stands in
//! front of standard output and standard error; log lines and error messages are indented from their second line on. JSON, HTML and
//! what is written for another program escape by their own rules: see [`verbatim`].

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Characters of a text of others that are shown.
const LONGEST: usize = 4096;

/// Whether a terminal or a reader may be deceived by this character: control characters (C0, DEL, C1), line and paragraph separators,
/// bidirectional controls, and what has no width.
#[must_use]
pub const fn is_hostile(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// A text of others in one line: hostile characters are written as Rust writes them (`\n`, `\u{1b}`), and what is very long is cut.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// A message that may have several lines, and parts of others in them: as [`line`], but each line stays one, indented from the second
/// on, so that none looks like a message of its own.
#[must_use]
pub fn message(text: &str) -> Cow<'_, str> {
    let text = escaped(text, |c| matches!(c, '\n' | '\t'));
    if !text.trim_end().contains('\n') {
        return text;
    }
    // An empty line is no message, and has no blanks that nobody sees.
    let indented = |line: &str| if line.is_empty() { String::new() } else { format!("  {line}") };
    let mut lines = text.trim_end().split('\n');
    let first = lines.next().unwrap_or_default().to_owned();
    Cow::Owned(lines.fold(first, |all, line| all + "\n" + &indented(line)))
}

/// A page of HTML, whose own rules keep text apart from markup: control characters and those that turn the direction of what follows are
/// written out.
#[must_use]
pub fn page(html: String) -> String {
    let is_bad = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !html.contains(is_bad) {
        return html;
    }
    html.chars().fold(String::with_capacity(html.len() + 64), |mut safe, c| {
        if is_bad(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
        safe
    })
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_bad = |c: char| is_hostile(c) && !stays(c);
    let is_long = text.len() > LONGEST && text.chars().nth(LONGEST).is_some();
    if !is_long && !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len().min(LONGEST) + 16);
    for c in text.chars().take(LONGEST) {
        if is_bad(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    if is_long {
        safe.push('…');
    }
    Cow::Owned(safe)
}

thread_local! {
    static VERBATIM: Cell<bool> = const { Cell::new(false) };
}

/// Lets what is written meanwhile pass a [`Guard`] as it is: for what is not read by a person, and has rules of its own.
pub fn verbatim<T>(write: impl FnOnce() -> T) -> T {
    let before = VERBATIM.replace(true);
    let result = write();
    VERBATIM.set(before);
    result
}

/// Stands in front of a stream that a person reads, and escapes what no message of ours contains: everything hostile but line breaks,
/// tabs and, where they are expected, sequences that set colours.
#[derive(Debug)]
pub struct Guard<W> {
    to: W,
    has_colors: bool,
}

impl<W: Write> Guard<W> {
    /// In front of this stream.
    pub const fn new(to: W, has_colors: bool) -> Self {
        Self { to, has_colors }
    }
}

impl<W: Write> Write for Guard<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if VERBATIM.get() {
            return self.to.write_all(bytes);
        }
        let mut safe = String::new();
        for chunk in bytes.utf8_chunks() {
            let mut rest = chunk.valid();
            while let Some(at) = rest.find(|c| is_hostile(c) && !matches!(c, '\n' | '\t')) {
                safe.push_str(&rest[..at]);
                rest = &rest[at..];
                let color = if self.has_colors { color(rest) } else { 0 };
                if color > 0 {
                    safe.push_str(&rest[..color]);
                    rest = &rest[color..];
                } else {
                    let mut chars = rest.chars();
                    safe.extend(chars.next().into_iter().flat_map(char::escape_default));
                    rest = chars.as_str();
                }
            }
            safe.push_str(rest);
            for byte in chunk.invalid() {
                // Writing into memory does not fail.
                let _ = write!(safe, "\\x{byte:02x}");
            }
        }
        self.to.write_all(safe.as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Bytes of a sequence at the beginning of a text that sets colours and the like (SGR of ECMA-48: ESC `[` numbers `m`); 0: it is none.
fn color(text: &str) -> usize {
    let Some(numbers) = text.strip_prefix("\x1b[") else { return 0 };
    match numbers.find(|c: char| !c.is_ascii_digit() && c != ';') {
        Some(end) if numbers[end..].starts_with('m') && end <= 32 => 2 + end + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_and_what_hides_is_written_out() {
        for (text, expected) in [
            ("sshd", "sshd"),
            ("Köln 株式 é", "Köln 株式 é"),
            ("\x1b[1A\x1b[2K", r"\u{1b}[1A\u{1b}[2K"),
            ("a\nb\rc\td\0", r"a\nb\rc\td\u{0}"),
            ("\u{9b}2J\u{7f}", r"\u{9b}2J\u{7f}"),
            ("\u{202e}exe.\u{2066}", r"\u{202e}exe.\u{2066}"),
            ("a\u{200b}b\u{feff}\u{2028}", r"a\u{200b}b\u{feff}\u{2028}"),
        ] {
            assert_eq!(line(text), expected);
        }
        let long = "é".repeat(LONGEST + 1);
        assert_eq!(line(&long).chars().count(), LONGEST + 1);
        assert!(line(&long).ends_with('…'));
        assert_eq!(line(&long[2..]), long[2..]);
    }

    #[test]
    fn no_line_of_a_message_but_the_first_begins_at_the_margin() {
        assert_eq!(message("cannot read x\nerror: all is well\n"), "cannot read x\n  error: all is well");
        assert_eq!(message("why:\n\nallow:\n"), "why:\n\n  allow:");
        assert_eq!(message("one\r\x1b[2K"), r"one\r\u{1b}[2K");
        assert_eq!(message("plain\n"), "plain\n");
    }

    fn guarded(has_colors: bool, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        Guard::new(&mut out, has_colors).write_all(bytes).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_guard_lets_through_lines_tabs_and_expected_colours() {
        assert_eq!(guarded(false, b"a\tb\n"), "a\tb\n");
        assert_eq!(guarded(true, b"\x1b[1;31mred\x1b[0m\x1b[2J\x1b[m"), "\x1b[1;31mred\x1b[0m\\u{1b}[2J\x1b[m");
        assert_eq!(guarded(false, b"\x1b[31m"), "\\u{1b}[31m");
        assert_eq!(guarded(true, b"\x1b[31"), "\\u{1b}[31", "an unfinished sequence would take what comes next");
        assert_eq!(guarded(true, "\u{9b}31m\u{202e}\r".as_bytes()), r"\u{9b}31m\u{202e}\r");
        assert_eq!(guarded(true, b"\xff\x9b"), r"\xff\x9b");
    }

    #[test]
    fn a_guard_leaves_alone_what_is_not_for_a_person() {
        let mut out = Vec::new();
        let mut guard = Guard::new(&mut out, false);
        verbatim(|| guard.write_all("{\"name\":\"\u{202e}\"}\r\n".as_bytes()).unwrap());
        guard.write_all(b"\r").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "{\"name\":\"\u{202e}\"}\r\n\\r");
    }
}
