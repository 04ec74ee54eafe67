//! Ports as the documents print them: numbers, ranges, formulas over the ICM instance, and words.

use std::fmt;
use std::ops::RangeInclusive;

use serde::Serialize;

use super::Condition;
use super::EvalError::*;
use super::parameter::{Setting, Settings};
use crate::policy::catalogue::port_ranges::{format_ranges, parse_range};
use crate::policy::ruleset::SourceRow;
use crate::text::decimal;

/// A printed port.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Protocol as printed.
    pub protocol: Protocol,
    /// What is printed.
    pub port: PortExpression,
    /// A range that starts at a formula ends so many ports further.
    pub length: Option<u16>,
    /// The parameter that replaces what is printed.
    pub parameter: Option<String>,
    /// The row.
    pub source: SourceRow,
    /// The parameters' values for which it exists.
    pub when: Condition,
    /// What is doubtful in the source.
    pub doubt: Option<String>,
}

/// Protocol as printed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// None is printed: it is taken for TCP, with a doubt.
    Unspecified,
}

impl Protocol {
    /// All of them with the words used in files.
    pub const WORDS: [(&'static str, Self); 3] =
        [("tcp", Self::Tcp), ("udp", Self::Udp), ("unspecified", Self::Unspecified)];

    /// The word used in files and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Unspecified => "unspecified",
        }
    }

    /// The IP protocol number it compiles to.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp | Self::Unspecified => 6,
            Self::Udp => 17,
        }
    }
}

/// A printed port, before any instance or parameter is known.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum PortExpression {
    /// `N` or `A-B`.
    Range(RangeInclusive<u16>),
    /// `BASE + FACTOR * instance`.
    Formula {
        /// A number, or the parameter that holds it.
        base: Base,
        /// How far the next instance is.
        factor: u16,
    },
    /// A word instead of a number.
    Word(Word),
}

/// What a formula starts from.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Base {
    /// A number.
    Number(u16),
    /// A parameter.
    Parameter(String),
}

/// A word that is printed instead of a number. It permits nothing.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Word {
    /// `random`.
    Random,
    /// `any`.
    Any,
    /// `dynamic`.
    Dynamic,
    /// `ephemeral`.
    Ephemeral,
}

impl Word {
    /// All of them with the words used in files.
    pub const WORDS: [(&'static str, Self); 4] =
        [("random", Self::Random), ("any", Self::Any), ("dynamic", Self::Dynamic), ("ephemeral", Self::Ephemeral)];
}

/// Why a port cannot be evaluated.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EvalError {
    /// The formula leaves the range of ports.
    #[error("`{formula}` is {value} for instance {instance}, and ports end at 65535")]
    TooHigh {
        /// The formula as printed.
        formula: String,
        /// Its value.
        value: i64,
        /// The instance.
        instance: i64,
    },
    /// A parameter has no value, or one that is no number.
    #[error("the parameter `{0}` has no value")]
    Unset(String),
}

impl Port {
    /// The ports it stands for with these settings; none for a word.
    ///
    /// # Errors
    ///
    /// A formula that leaves the range of ports, or whose parameter is not set.
    pub fn ranges(&self, settings: &Settings) -> Result<Vec<RangeInclusive<u16>>, EvalError> {
        if let Some(name) = &self.parameter {
            return match settings.get(name) {
                Some(Setting::Ports(ranges)) => Ok(ranges.clone()),
                Some(Setting::Integer(_) | Setting::Choice(_)) | None => Err(Unset(name.clone())),
            };
        }
        match &self.port {
            PortExpression::Word(_) => Ok(Vec::new()),
            PortExpression::Range(range) => Ok(vec![range.clone()]),
            PortExpression::Formula { base, factor } => {
                let base = match base {
                    Base::Number(number) => i64::from(*number),
                    Base::Parameter(name) => number(settings, name)?,
                };
                let instance = number(settings, "instance")?;
                let start = base + i64::from(*factor) * instance;
                let end = start + i64::from(self.length.unwrap_or(0));
                match (u16::try_from(start), u16::try_from(end)) {
                    (Ok(start), Ok(end)) => Ok(vec![start..=end]),
                    _ => Err(TooHigh { formula: self.port.to_string(), value: end, instance }),
                }
            }
        }
    }

    /// The instance with which a formula has a port; none for what does not follow the instance.
    #[must_use]
    pub fn instance_with(&self, wanted: u16, settings: &Settings) -> Option<i64> {
        let PortExpression::Formula { factor, .. } = self.port else { return None };
        let at = |instance: i64| {
            let mut settings = settings.clone();
            settings.insert("instance".to_owned(), Setting::Integer(instance));
            self.ranges(&settings).ok()?.first().cloned()
        };
        let first = at(0)?;
        let instance = i64::from(wanted.checked_sub(*first.start())?) / i64::from(factor.max(1));
        at(instance)?.contains(&wanted).then_some(instance)
    }

    /// The parameters that its value depends on.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        let formula = match &self.port {
            PortExpression::Formula { base: Base::Parameter(name), .. } => [Some(name.as_str()), Some("instance")],
            PortExpression::Formula { base: Base::Number(_), .. } => [Some("instance"), None],
            PortExpression::Range(_) | PortExpression::Word(_) => [None, None],
        };
        formula.into_iter().flatten().chain(self.parameter.as_deref())
    }
}

impl PortExpression {
    /// Reads what stands in a role file.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((_, word)) = Word::WORDS.iter().find(|(name, _)| *name == text) {
            return Some(Self::Word(*word));
        }
        if let Some((base, rest)) = text.split_once('+') {
            let base = base.trim();
            let base = match decimal::parse(base) {
                Some(number) => Base::Number(number),
                None if is_name(base) && base != "instance" => Base::Parameter(base.to_owned()),
                None => return None,
            };
            let factor = match rest.split_once('*') {
                None => (rest.trim() == "instance").then_some(1),
                Some((factor, name)) => decimal::parse(factor.trim()).filter(|_| name.trim() == "instance"),
            }?;
            return Some(Self::Formula { base, factor });
        }
        parse_range(text).map(Self::Range)
    }
}

/// As `catalogue export` writes it: `N`, `A-B`, `N+K*instance`, `N+instance`, `parameter+instance`, or the word.
impl fmt::Display for PortExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => f.write_str(&format_ranges(std::slice::from_ref(range))),
            Self::Formula { base, factor } => {
                match base {
                    Base::Number(number) => write!(f, "{number}")?,
                    Base::Parameter(name) => f.write_str(name)?,
                }
                if *factor == 1 { f.write_str("+instance") } else { write!(f, "+{factor}*instance") }
            }
            Self::Word(word) => {
                let name = Word::WORDS.iter().find(|(_, known)| known == word).map_or("", |(name, _)| *name);
                f.write_str(name)
            }
        }
    }
}

fn number(settings: &Settings, name: &str) -> Result<i64, EvalError> {
    match settings.get(name) {
        Some(Setting::Integer(number)) => Ok(*number),
        Some(Setting::Ports(ranges)) => {
            ranges.first().map(|range| i64::from(*range.start())).ok_or_else(|| Unset(name.to_owned()))
        }
        Some(Setting::Choice(_)) | None => Err(Unset(name.to_owned())),
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::catalogue::port_ranges::parse_ranges;

    #[test]
    fn every_form_is_read_and_printed_as_the_export_has_it() {
        for (text, printed) in [
            ("443", "443"),
            ("16384-32767", "16384-32767"),
            ("41004 + 40 * instance", "41004+40*instance"),
            ("38001 + instance", "38001+instance"),
            ("sip_dialer_port_base + instance", "sip_dialer_port_base+instance"),
            ("rtp_port_range_start + 2000 * instance", "rtp_port_range_start+2000*instance"),
            ("ephemeral", "ephemeral"),
        ] {
            let read = PortExpression::parse(text).unwrap();
            assert_eq!(read.to_string(), printed);
            assert_eq!(PortExpression::parse(printed), Some(read), "{printed} reads back");
        }
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in [
            "",
            "-1",
            "+5",
            "65536",
            "9-8",
            "1-",
            "1 +",
            "1 + 40 * side",
            "instance + 1",
            "port",
            "1,2",
            "1 + -4 * instance",
            "010",
            "443-0500",
            "041004 + 40 * instance",
            "41004 + 040 * instance",
        ] {
            assert_eq!(PortExpression::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_formula_follows_the_instance_and_ends_at_65535() {
        let port = |text, length| Port {
            protocol: Protocol::Tcp,
            port: PortExpression::parse(text).unwrap(),
            length,
            parameter: None,
            source: SourceRow { document: "cce".into(), table: "2".into(), row: 1 },
            when: Condition::new(),
            doubt: None,
        };
        let at = |instance| Settings::from([("instance".to_owned(), Setting::Integer(instance))]);
        assert_eq!(port("41004 + 40 * instance", None).ranges(&at(2)), Ok(vec![41084..=41084]));
        assert_eq!(port("60000 + 2000 * instance", Some(1999)).ranges(&at(1)), Ok(vec![62000..=63999]));
        assert!(matches!(port("60000 + 2000 * instance", Some(1999)).ranges(&at(3)), Err(TooHigh { .. })));
        assert_eq!(port("1 + instance", None).ranges(&Settings::new()), Err(Unset("instance".into())));
    }

    #[test]
    fn ranges_that_touch_are_one() {
        assert_eq!(parse_ranges("5,1-3,4,9"), Some(vec![1..=5, 9..=9]));
        assert_eq!(parse_ranges("1,,2"), None);
    }
}
