//! Numbers that a person wrote. A leading zero makes a number octal to some and decimal to others, so none has one.

use std::str::FromStr;

/// The number that stands here in decimal digits alone; none for a sign, a leading zero, or a number that is too large.
#[must_use]
pub fn parse<T: FromStr>(text: &str) -> Option<T> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain && !has_leading_zero(text)).then(|| text.parse().ok()).flatten()
}

/// The same for the command line.
///
/// # Errors
///
/// What was expected instead.
pub fn argument<T: FromStr>(text: &str) -> Result<T, String> {
    parse(text).ok_or_else(|| leading_zero(text).unwrap_or_else(|| "expected a number".to_owned()))
}

/// What to write instead of the first number in a text that has a leading zero.
#[must_use]
pub fn leading_zero(text: &str) -> Option<String> {
    let numbers = text.split(|c: char| !c.is_ascii_alphanumeric());
    let digits = |word: &&str| word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let found = numbers.map(|word| &word[..digits(&word)]).find(|number| has_leading_zero(number))?;
    let number = found.trim_start_matches('0');
    let number = if number.is_empty() { "0" } else { number };
    Some(format!("`{found}` is octal to some programs and decimal to others: write `{number}` if it is decimal"))
}

fn has_leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_without_a_leading_zero() {
        assert_eq!(parse::<u16>("0"), Some(0));
        assert_eq!(parse::<u16>("65535"), Some(65535));
        for text in ["", "010", "00", "+5", "-5", "0x50", "65536", " 5"] {
            assert_eq!(parse::<u16>(text), None, "{text}");
        }
    }

    #[test]
    fn the_hint_names_the_number_that_is_not_clear() {
        assert!(leading_zero("20-0443").unwrap().contains("write `443`"));
        assert!(leading_zero("00").unwrap().contains("write `0`"));
        assert!(leading_zero("090s").unwrap().contains("write `90`"));
        for text in ["0", "100", "0x0800", "a0b", "10.0.0.1"] {
            assert_eq!(leading_zero(text), None, "{text}");
        }
    }
}
