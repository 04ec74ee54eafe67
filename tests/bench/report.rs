//! Figures with their targets: a table for people, JSON for everything else.

use harness::table::table;
use serde_json::{Value, json};

/// A figure that was asked for.
pub(crate) struct Row {
    /// What it belongs to: a hook, a policy.
    pub(crate) group: String,
    /// What was measured.
    pub(crate) name: String,
    /// The figure; or why there is none.
    pub(crate) value: Result<f64, String>,
    pub(crate) unit: &'static str,
    /// What it should be.
    pub(crate) target: Option<Target>,
    /// What the figure was made from, for people.
    pub(crate) how: String,
    /// The same, for programs.
    pub(crate) raw: Value,
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Row {
    pub(crate) fn new(group: impl Into<String>, name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            group: group.into(),
            name: name.into(),
            value: Ok(value),
            unit,
            target: None,
            how: String::new(),
            raw: Value::Null,
        }
    }

    pub(crate) fn not_measured(group: impl Into<String>, name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { value: Err(why.into()), ..Self::new(group, name, 0.0, "") }
    }

    pub(crate) fn target(mut self, target: Option<Target>) -> Self {
        self.target = target;
        self
    }

    pub(crate) fn how(mut self, how: String) -> Self {
        self.how = how;
        self
    }

    pub(crate) fn raw(mut self, raw: Value) -> Self {
        self.raw = raw;
        self
    }

    /// Whether the target was met; `None` where there is none, or nothing to compare with it.
    fn met(&self) -> Option<bool> {
        let value = *self.value.as_ref().ok()?;
        Some(match self.target? {
            Target::AtMost(limit) => value <= limit,
            Target::AtLeast(limit) => value >= limit,
        })
    }

    fn cells(&self) -> Vec<String> {
        let (value, from) = match &self.value {
            Ok(value) => (format!("{} {}", number(*value), self.unit), self.how.clone()),
            Err(why) => ("-".to_owned(), format!("not measured: {why}")),
        };
        let target = match self.target {
            Some(Target::AtMost(limit)) => format!("<= {}", number(limit)),
            Some(Target::AtLeast(limit)) => format!(">= {}", number(limit)),
            None => String::new(),
        };
        let met = match self.met() {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "",
        };
        vec![self.group.clone(), self.name.clone(), value, target, met.to_owned(), from]
    }

    fn json(&self) -> Value {
        let target = match self.target {
            Some(Target::AtMost(limit)) => json!({"at_most": limit}),
            Some(Target::AtLeast(limit)) => json!({"at_least": limit}),
            None => Value::Null,
        };
        json!({
            "group": self.group,
            "name": self.name,
            "value": self.value.as_ref().ok(),
            "unit": self.unit,
            "not_measured": self.value.as_ref().err(),
            "target": target,
            "met": self.met(),
            "raw": self.raw,
        })
    }
}

/// The figures of one section, and what to know before reading them.
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) rows: Vec<Row>,
}

impl Section {
    pub(crate) fn text(&self) -> String {
        let rows: Vec<_> = self.rows.iter().map(Row::cells).collect();
        format!("{}\n\n{}", self.title, table(&["where", "what", "figure", "target", "", "from"], &rows))
    }

    pub(crate) fn json(&self) -> Value {
        json!({"section": self.name, "title": self.title, "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>()})
    }

    /// How many targets were met, and how many there were.
    pub(crate) fn tally(&self) -> (usize, usize) {
        let met: Vec<_> = self.rows.iter().filter_map(Row::met).collect();
        (met.iter().filter(|met| **met).count(), met.len())
    }
}

/// As many digits as a person would write down.
fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else if value.abs() >= 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_held_against_its_target() {
        let row = |value, target| Row::new("", "", value, "ns").target(target);
        assert_eq!(row(12.0, Some(Target::AtMost(12.0))).met(), Some(true));
        assert_eq!(row(0.8, Some(Target::AtLeast(0.9))).met(), Some(false));
        assert_eq!(row(1.0, None).met(), None);
        assert_eq!(Row::not_measured("", "", "no tool").target(Some(Target::AtMost(1.0))).met(), None);
    }
}
