//! The words of a command line, in an order in which the parser finds them.

use std::ffi::OsString;

use clap::{Arg, Command};

/// The words with those of SITE and TUPLE together, as the parser wants them where SITE may be left out: it would take the first word before an
/// option for the last one (`explain SITE --host X TUPLE`).
#[must_use]
pub(super) fn in_order(words: impl IntoIterator<Item = OsString>, whole: Command) -> Vec<OsString> {
    let words: Vec<OsString> = words.into_iter().collect();
    // Behind `--` everything is positional, and stays where it is.
    if words.iter().any(|word| word == "--") {
        return words;
    }
    let mut whole = whole;
    whole.build();
    let is_word = |word: &&OsString| !word.to_string_lossy().starts_with('-');
    let Some(at) = words.iter().skip(1).position(|word| is_word(&word)).map(|at| at + 1) else { return words };
    let Some(command) = whole.find_subcommand(&words[at]).filter(|one| one.is_allow_missing_positional_set()) else {
        return words;
    };
    let mut rest = words[at + 1..].iter().peekable();
    let (mut positional, mut options) = (Vec::new(), Vec::new());
    while let Some(word) = rest.next() {
        let text = word.to_string_lossy();
        if text == "-" || !text.starts_with('-') {
            positional.push(word.clone());
            continue;
        }
        options.push(word.clone());
        let values = named(command, &text).and_then(Arg::get_num_args);
        let (least, most) = values.map_or((0, 0), |values| (values.min_values(), values.max_values()));
        let is_value = |next: &&OsString| least > 0 || most > 0 && (is_word(next) || *next == "-");
        options.extend(rest.next_if(|next| is_value(next)).cloned());
    }
    let mut ordered = words;
    ordered.truncate(at + 1);
    ordered.append(&mut positional);
    ordered.append(&mut options);
    ordered
}

/// The option of a word that does not bring its value along.
fn named<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let long = word.strip_prefix("--");
    let short = word.strip_prefix('-').filter(|rest| rest.chars().count() == 1).and_then(|rest| rest.chars().next());
    command.get_arguments().find(|arg| match long {
        Some(long) => arg.get_long() == Some(long),
        None => short.is_some() && arg.get_short() == short,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    fn ordered(line: &[&str]) -> Vec<String> {
        let words = ["enforcer"].iter().chain(line).map(OsString::from);
        let found = in_order(words, <Cli as clap::CommandFactory>::command());
        found.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn options_may_stand_between_a_site_and_what_follows_it() {
        let tuple = "in icmp 10.0.0.5 ->";
        for (line, wanted) in [
            (&["explain", "a.yaml", "--host", "x", tuple][..], &["explain", "a.yaml", tuple, "--host", "x"][..]),
            (&["-v", "explain", "a.yaml", "--host=x", tuple], &["-v", "explain", "a.yaml", tuple, "--host=x"]),
            (&["explain", "--role", "vvb", tuple], &["explain", tuple, "--role", "vvb"]),
            (&["explain", "a.yaml", tuple, "--live"], &["explain", "a.yaml", tuple, "--live"]),
            (&["explain", "--live", "--host", "x", "-", tuple], &["explain", "-", tuple, "--live", "--host", "x"]),
            (&["simulate", "a.yaml", "--local", "10.0.0.1", "-"], &["simulate", "a.yaml", "-", "--local", "10.0.0.1"]),
            (&["explain", "a.yaml", "--host", "x", "--", tuple], &["explain", "a.yaml", "--host", "x", "--", tuple]),
            // Other commands find their words by themselves.
            (&["diff", "a", "--format", "json", "b"], &["diff", "a", "--format", "json", "b"]),
        ] {
            assert_eq!(ordered(line), wanted);
        }
    }
}
