//! Parameters: what an operator sets for a role, with type, range and default.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use serde::{Serialize, Serializer};

use crate::policy::catalogue::port_ranges::{format_ranges, parse_ranges};
use crate::text::decimal;

/// A parameter of a role.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parameter {
    /// What may be set.
    pub kind: ParameterKind,
    /// What holds if nothing is set; without it the parameter is required.
    pub default: Option<Setting>,
    /// What it means.
    pub summary: String,
}

/// What a parameter may be set to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ParameterKind {
    /// A number in a range.
    Integer(RangeInclusive<i64>),
    /// One of these words.
    Choice(Vec<String>),
    /// One port.
    Port,
    /// Ports and ranges.
    Ports,
}

/// What a parameter is set to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Setting {
    /// A number.
    Integer(i64),
    /// A word.
    Choice(String),
    /// Ports, ascending; a single one for [`ParameterKind::Port`].
    Ports(Vec<RangeInclusive<u16>>),
}

/// Every parameter of a role and its value.
pub type Settings = BTreeMap<String, Setting>;

impl Parameter {
    /// Reads a value as it stands in a file or on the command line.
    ///
    /// # Errors
    ///
    /// What was expected instead.
    pub fn parse(&self, text: &str) -> Result<Setting, String> {
        let setting = match &self.kind {
            ParameterKind::Integer(range) => {
                decimal::parse(text).filter(|number| range.contains(number)).map(Setting::Integer)
            }
            ParameterKind::Choice(values) => values.iter().find(|value| *value == text).cloned().map(Setting::Choice),
            ParameterKind::Port => {
                decimal::parse(text).filter(|port| *port > 0).map(|port: u16| Setting::Ports(vec![port..=port]))
            }
            ParameterKind::Ports => {
                parse_ranges(text).filter(|ranges| ranges.iter().all(|r| *r.start() > 0)).map(Setting::Ports)
            }
        };
        setting.ok_or_else(|| self.kind.to_string())
    }
}

/// What is expected, for "expected X, found Y".
impl fmt::Display for ParameterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(range) => write!(f, "a number from {} to {}", range.start(), range.end()),
            Self::Choice(values) => {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                f.write_str(&crate::text::nearest::one_of(&values))
            }
            Self::Port => f.write_str("a port from 1 to 65535"),
            Self::Ports => f.write_str("ports such as `5060`, `5060-5199` or `5060,5070-5080`"),
        }
    }
}

/// A number where it is one, else a text.
impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Ports(ranges) => match ranges.as_slice() {
                [one] if one.start() == one.end() => serializer.serialize_u16(*one.start()),
                _ => serializer.serialize_str(&self.to_string()),
            },
            Self::Choice(word) => serializer.serialize_str(word),
        }
    }
}

/// As it is written in files.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Choice(word) => f.write_str(word),
            Self::Ports(ranges) => f.write_str(&format_ranges(ranges)),
        }
    }
}
