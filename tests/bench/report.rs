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
    pub(crate) unit: String,
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

impl Target {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

impl Row {
    pub(crate) fn new(group: impl Into<String>, name: impl Into<String>, value: f64, unit: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            name: name.into(),
            value: Ok(value),
            unit: unit.into(),
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

    /// A row back from JSON.
    fn from_json(json: &Value) -> Self {
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        let limit = |name: &str| json["target"][name].as_f64();
        Self {
            group: text("group"),
            name: text("name"),
            value: json["value"].as_f64().ok_or_else(|| text("not_measured")),
            unit: text("unit"),
            target: limit("at_most").map(Target::AtMost).or(limit("at_least").map(Target::AtLeast)),
            how: text("from"),
            raw: json["raw"].clone(),
        }
    }

    /// Whether the target was met; `None` where there is none, or nothing to compare with it.
    fn met(&self) -> Option<bool> {
        Some(self.target?.is_met_by(*self.value.as_ref().ok()?))
    }

    /// As many digits as a person would write down, or more: a figure that misses its target must not look as if it did not.
    pub(crate) fn number(&self, value: f64) -> String {
        // A nanosecond is three cycles or so: hundredths of it say nothing.
        let short = if self.unit == "ns" { format!("{value:.1}") } else { number(value) };
        let looks_met = |target: Target| short.parse().is_ok_and(|shown| target.is_met_by(shown));
        match self.target {
            Some(target) if self.met() == Some(false) && looks_met(target) => format!("{value:.4}"),
            _ => short,
        }
    }

    fn cells(&self) -> Vec<String> {
        let (value, from) = match &self.value {
            Ok(value) => (format!("{} {}", self.number(*value), self.unit), self.how.clone()),
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

    pub(crate) fn json(&self) -> Value {
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
            "from": self.how,
            "raw": self.raw,
        })
    }
}

/// The figures of one section, and what to know before reading them.
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

impl Section {
    pub(crate) fn new(name: &str, title: &str, rows: Vec<Row>) -> Self {
        Self { name: name.to_owned(), title: title.to_owned(), rows }
    }

    /// Its table, with its title above.
    pub(crate) fn text(&self) -> String {
        format!("{}\n\n{}", self.title, self.table())
    }

    pub(crate) fn table(&self) -> String {
        let rows: Vec<_> = self.rows.iter().map(Row::cells).collect();
        table(&["where", "what", "figure", "target", "", "from"], &rows)
    }

    /// A section back from JSON.
    pub(crate) fn from_json(json: &Value) -> Self {
        let text = |name: &str| json[name].as_str().unwrap_or_default();
        let rows = json["rows"].as_array().into_iter().flatten().map(Row::from_json).collect();
        Self::new(text("section"), text("title"), rows)
    }

    pub(crate) fn json(&self) -> Value {
        json!({"section": self.name, "title": self.title, "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>()})
    }

    /// How many targets were met, and how many there were.
    fn tally(&self) -> (usize, usize) {
        let met: Vec<_> = self.rows.iter().filter_map(Row::met).collect();
        (met.iter().filter(|met| **met).count(), met.len())
    }
}

/// Every figure that has a target, of all sections, those that were missed first.
pub(crate) fn targets(sections: &[Section]) -> String {
    let mut rows = Vec::new();
    for section in sections {
        rows.extend(section.rows.iter().filter(|row| row.target.is_some()).map(|row| {
            let mut cells = row.cells();
            cells.insert(0, section.name.clone());
            (row.met(), cells)
        }));
    }
    rows.sort_by_key(|(met, _)| met.unwrap_or_default());
    let rows: Vec<_> = rows.into_iter().map(|(_, cells)| cells).collect();
    table(&["part", "where", "what", "figure", "target", "", "from"], &rows)
}

/// Met targets, and all of them.
pub(crate) fn tally(sections: &[Section]) -> (usize, usize) {
    sections.iter().map(Section::tally).fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
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
        let row = |value, target| Row::new("", "", value, "times").target(target);
        assert_eq!(row(12.0, Some(Target::AtMost(12.0))).met(), Some(true));
        assert_eq!(row(0.8, Some(Target::AtLeast(0.9))).met(), Some(false));
        assert_eq!(row(1.0, None).met(), None);
        assert_eq!(row(0.8995, Some(Target::AtLeast(0.9))).cells()[2..5], ["0.8995 times", ">= 0.90", "NOT MET"]);
        assert_eq!(row(0.9001, Some(Target::AtLeast(0.9))).cells()[2..5], ["0.90 times", ">= 0.90", "met"]);
        let nanoseconds = |value| Row::new("", "", value, "ns").target(Some(Target::AtMost(8.0))).cells();
        assert_eq!(nanoseconds(7.96)[2..5], ["8.0 ns", "<= 8", "met"]);
        assert_eq!(nanoseconds(8.04)[2..5], ["8.0400 ns", "<= 8", "NOT MET"]);
        assert_eq!(Row::not_measured("", "", "no tool").target(Some(Target::AtMost(1.0))).met(), None);
    }

    #[test]
    fn a_section_comes_back_from_json_as_it_was() {
        let row = Row::new("where", "what", 1.5, "ns").target(Some(Target::AtMost(2.0))).how("3 - 1.5".to_owned());
        let section = Section::new("one", "(a) One", vec![row, Row::not_measured("where", "other", "no tool")]);
        assert_eq!(Section::from_json(&section.json()).text(), section.text());
    }
}
