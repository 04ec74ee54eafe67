//! Directions, modes, verdicts and reasons as words: in JSON, in the files of `enforcer`, and where they are printed.

use core::fmt::{self, Display, Formatter};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Direction, Mode, Reason, Verdict};

macro_rules! written_as_its_name {
    ($($type:ty),*) => {
        $(
            impl Serialize for $type {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.name())
                }
            }

            impl Display for $type {
                fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
                    formatter.pad(self.name())
                }
            }
        )*
    };
}

/// Reads one of these values from its name. (A reason cannot be read: `echo` and `fragment` are names of two reasons each.)
macro_rules! read_from_its_name {
    ($($type:ty: $values:expr),*) => {
        $(
            impl<'de> Deserialize<'de> for $type {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    struct Name;

                    impl de::Visitor<'_> for Name {
                        type Value = $type;

                        fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
                            let [first, second] = $values;
                            write!(formatter, "`{first}` or `{second}`")
                        }

                        fn visit_str<E: de::Error>(self, name: &str) -> Result<$type, E> {
                            let found = $values.into_iter().find(|value| value.name() == name);
                            found.ok_or_else(|| E::invalid_value(de::Unexpected::Str(name), &self))
                        }
                    }

                    deserializer.deserialize_str(Name)
                }
            }
        )*
    };
}

written_as_its_name!(Direction, Mode, Verdict, Reason);
read_from_its_name!(
    Direction: Direction::ALL,
    Mode: [Mode::Audit, Mode::Enforce],
    Verdict: [Verdict::Pass, Verdict::Drop]
);
