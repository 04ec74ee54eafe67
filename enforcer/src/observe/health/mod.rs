//! The state of this host in one line, as monitoring plugins report it (Nagios, Icinga, Checkmk).

mod past;

use std::fmt::{self, Write as _};
use std::time::Duration;

use enforcer_common::{Direction, Mode};
use jiff::Timestamp;

use crate::dataplane::{DeadlineKind, InterfaceStatus, Judging};
use crate::failure::PluginState;
use crate::text::escape::line;

pub use past::DeniedRate;

/// Interfaces that the line names; of more it says how many.
const NAMED: usize = 4;
/// Findings that the line repeats.
const MOST_FINDINGS: usize = 6;

/// The facts about this host.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Every protected interface.
    pub interfaces: Vec<InterfaceHealth>,
    /// Interfaces that another version of enforcer protects.
    pub of_other_versions: usize,
    /// The agent of this network namespace.
    pub agent: AgentHealth,
    /// Refused packets a second, of all interfaces together.
    pub denied: DeniedRate,
}

/// The facts about one interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InterfaceHealth {
    /// Its name.
    pub name: String,
    /// The modes of the directions that are judged.
    pub modes: [Option<Mode>; 2],
    /// The programs or tables in the kernel are not those that were applied.
    pub drift: bool,
    /// Packets come in, and the program counts none of them.
    pub is_blind: bool,
    /// Problems that `enforcer status` describes, drift and blindness included.
    pub problems: usize,
    /// Enforcement is held against the site file.
    pub is_held: bool,
    /// The armed deadline.
    pub deadline: Option<(DeadlineKind, Timestamp)>,
}

/// The facts about the agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AgentHealth {
    /// No agent runs.
    Absent,
    /// An agent runs.
    Running {
        /// Time since it last finished its periodic check.
        age: Duration,
        /// The interval of that check; `None`: unknown.
        every: Option<Duration>,
        /// Why the site file is not applied.
        trouble: Option<String>,
    },
}

/// What the operator expects.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The mode that inbound must have.
    pub mode: Option<Mode>,
    /// Whether an agent must run.
    pub needs_agent: bool,
    /// Age of the agent's last check from which it is stale; `None`: 4 and 20 intervals.
    pub agent_age: Option<(Duration, Duration)>,
    /// Refused packets a second that are always fine.
    pub denied_floor: f64,
    /// Multiple of the usual rate that is still fine.
    pub denied_factor: f64,
}

/// The result.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// The worst of the findings.
    pub state: PluginState,
    findings: Vec<(PluginState, String)>,
    summary: String,
    data: Vec<Datum>,
}

/// A value for graphs: name, value, unit, warning and critical threshold.
type Datum = (&'static str, Option<f64>, &'static str, Option<f64>, Option<f64>);

impl From<&InterfaceStatus> for InterfaceHealth {
    fn from(status: &InterfaceStatus) -> Self {
        let mode = |direction| status.record.direction(direction).map(|_| status.modes.of(direction));
        let deadline = status.pending.as_ref().filter(|pending| pending.is_armed());
        Self {
            name: status.record.interface.clone(),
            modes: Direction::ALL.map(mode),
            drift: status.drift,
            is_blind: matches!(status.judging, Judging::No(_)),
            problems: status.problems.len(),
            is_held: !status.held.is_empty(),
            deadline: deadline.map(|pending| (pending.kind(), pending.at())),
        }
    }
}

impl Evidence {
    /// Compares the facts with what the operator expects.
    #[must_use]
    pub fn judge(&self, limits: &Limits) -> Health {
        let mut findings = Vec::new();
        if self.interfaces.is_empty() {
            findings.push((PluginState::Critical, "no interface is protected".to_owned()));
        }
        if self.of_other_versions > 0 {
            let count = self.of_other_versions;
            findings.push((PluginState::Warning, format!("{count} interfaces belong to another version of enforcer")));
        }
        self.interfaces.iter().for_each(|one| one.judge(limits, &mut findings));
        let age = self.agent.judge(limits, &mut findings);
        let most = self.denied.usual.map(|usual| limits.denied_floor + limits.denied_factor * usual);
        if let (Some(now), Some(most)) = (self.denied.now, most)
            && now > most
        {
            let text = format!("{now:.1} packets/s are refused, more than {most:.1} (this host's own past)");
            findings.push((PluginState::Warning, text));
        }
        let (now, usual) = (self.denied.now, self.denied.usual);
        let data = vec![
            ("interfaces", Some(count(self.interfaces.len())), "", None, None),
            ("enforcing", Some(self.number(|one| one.modes[0] == Some(Mode::Enforce))), "", None, None),
            ("drift", Some(self.number(|one| one.drift)), "", None, Some(0.0)),
            ("not_judging", Some(self.number(|one| one.is_blind)), "", None, Some(0.0)),
            ("problems", Some(count(self.interfaces.iter().map(|one| one.problems).sum())), "", Some(0.0), None),
            ("deadlines", Some(self.number(|one| one.deadline.is_some())), "", Some(0.0), None),
            age,
            ("denied_rate", now, "", most, None),
            ("denied_rate_usual", usual, "", None, None),
        ];
        Health::new(findings, self.summary(), data)
    }

    fn number(&self, is: impl Fn(&InterfaceHealth) -> bool) -> f64 {
        count(self.interfaces.iter().filter(|one| is(one)).count())
    }

    /// `eth0 enforce/audit`: inbound and outbound.
    fn summary(&self) -> String {
        let mut text = String::new();
        if self.interfaces.len() > NAMED {
            let all = self.interfaces.len();
            let enforcing = self.interfaces.iter().filter(|one| one.modes[0] == Some(Mode::Enforce)).count();
            let _ = write!(text, "{all} interfaces: {enforcing} enforce, {} audit", all - enforcing);
        } else {
            let named: Vec<String> = self.interfaces.iter().map(InterfaceHealth::summary).collect();
            text.push_str(&named.join(", "));
        }
        if let AgentHealth::Running { age, .. } = &self.agent {
            let _ = write!(text, "{}agent checked {} s ago", if text.is_empty() { "" } else { "; " }, age.as_secs());
        }
        text
    }
}

impl InterfaceHealth {
    fn judge(&self, limits: &Limits, findings: &mut Vec<(PluginState, String)>) {
        let name = &self.name;
        let mut find = |state, text: String| findings.push((state, format!("{name} {text}")));
        if let Some(expected) = limits.mode
            && self.modes[0] != Some(expected)
        {
            // In audit nothing is dropped; enforcement that nobody expects is at least no hole.
            let state = if expected == Mode::Enforce { PluginState::Critical } else { PluginState::Warning };
            find(state, format!("is not in {}", expected.name()));
        }
        if self.drift {
            find(PluginState::Critical, "does not run the applied policy (drift)".to_owned());
        }
        if self.is_blind {
            find(PluginState::Critical, "receives packets that nobody judges".to_owned());
        }
        if self.problems > usize::from(self.drift) + usize::from(self.is_blind) {
            find(PluginState::Warning, "has problems; see `enforcer status`".to_owned());
        }
        match self.deadline {
            Some((DeadlineKind::Unconfirmed, at)) => {
                find(PluginState::Warning, format!("waits for `enforcer confirm` until {at:.0}"));
            }
            Some((DeadlineKind::Window, at)) => {
                find(PluginState::Warning, format!("is in a change window until {at:.0}"));
            }
            None => {}
        }
        if self.is_held {
            find(PluginState::Warning, "keeps enforcing although the site file says audit".to_owned());
        }
    }

    fn summary(&self) -> String {
        let [inbound, outbound] = self.modes.map(|mode| mode.map_or("open", Mode::name));
        format!("{} {inbound}/{outbound}", self.name)
    }
}

impl AgentHealth {
    /// The result where nothing but the agent could be asked, for this reason.
    #[must_use]
    pub fn without_answer(&self, limits: &Limits, why: String) -> Health {
        let mut findings = Vec::new();
        let age = self.judge(limits, &mut findings);
        findings.push((PluginState::Unknown, why));
        Health::new(findings, String::new(), vec![age])
    }

    /// Adds findings, and returns the age for graphs.
    fn judge(&self, limits: &Limits, findings: &mut Vec<(PluginState, String)>) -> Datum {
        let Self::Running { age, every, trouble } = self else {
            if limits.needs_agent {
                findings.push((PluginState::Warning, "no agent runs".to_owned()));
            }
            return ("agent_age", None, "s", None, None);
        };
        let (warning, critical) = limits.agent_age.unwrap_or_else(|| {
            let every = every.unwrap_or(Duration::from_secs(30));
            (every * 4, every * 20)
        });
        let stale = |state| (state, format!("the agent's last check is {} s old", age.as_secs()));
        if *age > critical {
            findings.push(stale(PluginState::Critical));
        } else if *age > warning {
            findings.push(stale(PluginState::Warning));
        }
        if let Some(trouble) = trouble {
            findings.push((PluginState::Warning, format!("the site file is not applied: {trouble}")));
        }
        ("agent_age", Some(age.as_secs_f64().floor()), "s", Some(warning.as_secs_f64()), Some(critical.as_secs_f64()))
    }
}

impl Health {
    fn new(mut findings: Vec<(PluginState, String)>, summary: String, data: Vec<Datum>) -> Self {
        // The worst first; the sort is stable.
        findings.sort_by_key(|(state, _)| std::cmp::Reverse(*state));
        let state = findings.first().map_or(PluginState::Ok, |(state, _)| *state);
        Self { state, findings, summary, data }
    }
}

impl fmt::Display for Health {
    /// The line of a plugin: state, findings, summary, `|`, performance data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said: Vec<String> = self.findings.iter().take(MOST_FINDINGS).map(|(_, text)| text.clone()).collect();
        if self.findings.len() > MOST_FINDINGS {
            said.push(format!("and {} more", self.findings.len() - MOST_FINDINGS));
        }
        if !self.summary.is_empty() {
            said.push(self.summary.clone());
        }
        write!(f, "{}", plugin_line(self.state, &said.join("; ")))?;
        f.write_str(" |")?;
        for (name, value, unit, warning, critical) in &self.data {
            let threshold = |limit: &Option<f64>| limit.map(figure).unwrap_or_default();
            let (warning, critical) = (threshold(warning), threshold(critical));
            match value {
                Some(value) => write!(f, " {name}={}{unit};{warning};{critical};0", figure(*value))?,
                // The value of which nothing is known.
                None => write!(f, " {name}=U")?,
            }
        }
        Ok(())
    }
}

/// A plugin's line without performance data. A bar would begin performance data, and a line break a second line.
#[must_use]
pub fn plugin_line(state: PluginState, text: &str) -> String {
    format!("ENFORCER {} - {}", state.name(), line(text).replace('|', "/"))
}

fn figure(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

#[expect(clippy::cast_precision_loss, reason = "there are few")]
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
