//! `enforcer check-health`: a monitoring plugin.

use std::ffi::OsString;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use enforcer_common::Mode;
use jiff::Timestamp;

use super::status::look;
use crate::agent::heartbeat;
use crate::cli::args::interfaces::{InterfaceArgs, ModeArg, duration, other_versions};
use crate::cli::output::Output;
use crate::failure::{Failure, PluginState};
use crate::observe::health::{AgentHealth, DeniedRate, Evidence, InterfaceHealth, Limits, plugin_line};
use crate::state::history::{DirectionTotals, Log, Totals};

/// Report the state of this host as a plugin of Nagios, Icinga or Checkmk.
///
/// Prints one line with state, findings and performance data. ATTENTION: the exit codes are those of monitoring plugins, not those of
/// the other commands: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exit code 0: OK. Exit code 1: WARNING. Exit code 2: CRITICAL. Exit code 3: UNKNOWN; also a wrong command \
                  line, missing privileges, and a check that took longer than --timeout.\n\n\
                  CRITICAL: no interface is protected; programs or tables in the kernel are not those that were applied \
                  (drift); packets come in that nobody judges; inbound is in audit, with --expect enforce; the agent's last \
                  check is too old.\n\
                  WARNING: a change waits to be confirmed; a change window is open; the site file is not applied, or \
                  enforcement is held against it; no agent runs; more packets are refused than usual; other problems of \
                  `enforcer status`.\n\n\
                  The usual rate of refused packets is this host's own: what 95 of 100 samples of the last week did not \
                  exceed. The agent takes a sample every 15 minutes; without an hour of samples, the rate is not judged.\n\n\
                  The command needs root. As a plugin of an agent without privileges, permit it by sudo: \
                  `nagios ALL=(root) NOPASSWD: /usr/bin/enforcer check-health *`.\n\n\
                  Examples:\n  \
                  enforcer check-health\n  \
                  enforcer check-health --expect enforce\n  \
                  enforcer check-health --no-agent --timeout 5s"
)]
pub struct Args {
    #[command(flatten)]
    interfaces: InterfaceArgs,
    /// The mode that inbound must have. Default: any.
    #[arg(long, value_enum, value_name = "MODE")]
    expect: Option<ModeArg>,
    /// This host is meant to run without an agent.
    #[arg(long)]
    no_agent: bool,
    /// Age of the agent's last check from which the state is WARNING, and from which CRITICAL. Default: 4 and 20 intervals of the
    /// check, which are 2 and 10 minutes unless `enforcer run --check` says otherwise.
    #[arg(long, value_name = "WARNING,CRITICAL", value_parser = two_durations, conflicts_with = "no_agent")]
    agent_age: Option<(Duration, Duration)>,
    /// Refused packets a second that are never too many.
    #[arg(long, value_name = "N", default_value_t = 20.0, value_parser = not_negative)]
    denied_floor: f64,
    /// The state is WARNING if more than --denied-floor plus this many times the usual rate of packets is refused.
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = not_negative)]
    denied_factor: f64,
    /// The longest time that the check may take, for example because a change holds the lock.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    timeout: Duration,
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Plugin`] for every state but OK; every other error becomes the state UNKNOWN.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let (sender, receiver) = mpsc::channel();
    let owned = args.clone();
    // A thread that still waits for the lock when the time is over ends with the process.
    thread::Builder::new().spawn(move || sender.send(evidence(&owned.interfaces)))?;
    let (state, text) = match receiver.recv_timeout(args.timeout) {
        Ok(Ok(evidence)) => {
            let health = evidence.judge(&args.limits());
            (health.state, health.to_string())
        }
        Ok(Err(failure)) => (PluginState::Unknown, plugin_line(PluginState::Unknown, &failure.to_string())),
        Err(_) => {
            // Whoever holds the lock may be the agent, whose heartbeat takes no lock.
            let text = format!("no answer within {}", humantime::format_duration(args.timeout));
            let health = agent_health().unwrap_or(AgentHealth::Absent).without_answer(&args.limits(), text);
            (health.state, health.to_string())
        }
    };
    writeln!(output.out, "{text}")?;
    if state == PluginState::Ok { Ok(()) } else { Err(Failure::Plugin(state)) }
}

/// Whether a command line is one of this command: its errors are lines of a plugin, too.
pub(super) fn is_meant(arguments: impl IntoIterator<Item = OsString>) -> bool {
    let mut words = arguments.into_iter().skip(1).filter(|word| !word.to_string_lossy().starts_with('-'));
    words.next().is_some_and(|word| word == "check-health")
}

impl Args {
    fn limits(&self) -> Limits {
        Limits {
            mode: self.expect.map(Mode::from),
            needs_agent: !self.no_agent,
            agent_age: self.agent_age,
            denied_floor: self.denied_floor,
            denied_factor: self.denied_factor,
        }
    }
}

fn agent_health() -> Result<AgentHealth, Failure> {
    Ok(heartbeat()?.map_or(AgentHealth::Absent, |beat| AgentHealth::Running {
        age: beat.age,
        every: beat.every,
        trouble: beat.trouble,
    }))
}

fn evidence(interfaces: &InterfaceArgs) -> Result<Evidence, Failure> {
    let protected = interfaces.protected()?;
    let statuses = look(&protected)?;
    let agent = agent_health()?;
    let history = Log::default().read().map_err(anyhow::Error::from)?;
    let now = Timestamp::now();
    let rates = statuses.iter().map(|one| {
        let [inbound, outbound] = one.verdicts.map(DirectionTotals::from);
        DeniedRate::of(&history.entries, one.pins.name(), Totals { inbound, outbound }, now)
    });
    Ok(Evidence {
        interfaces: statuses.iter().map(InterfaceHealth::from).collect(),
        of_other_versions: other_versions()?.len(),
        agent,
        denied: rates.reduce(DeniedRate::plus).unwrap_or_default(),
    })
}

fn two_durations(text: &str) -> Result<(Duration, Duration), String> {
    let (warning, critical) = text.split_once(',').ok_or("expected two times, such as `2m,10m`")?;
    let (warning, critical) = (duration(warning)?, duration(critical)?);
    if critical < warning { Err("the second time must not be shorter".to_owned()) } else { Ok((warning, critical)) }
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "expected a number, 0 or more".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_recognised_wherever_options_stand() {
        let is_meant = |line: &str| is_meant(line.split(' ').map(OsString::from));
        assert!(is_meant("enforcer check-health --timeout x") && is_meant("enforcer --quiet check-health"));
        assert!(!is_meant("enforcer status check-health") && !is_meant("enforcer"));
    }

    #[test]
    fn thresholds_are_two_times_in_order() {
        assert_eq!(two_durations("2m,10m"), Ok((Duration::from_secs(120), Duration::from_secs(600))));
        assert!(two_durations("10m,2m").is_err() && two_durations("2m").is_err());
        assert!(not_negative("-1").is_err() && not_negative("inf").is_err() && not_negative("0.5") == Ok(0.5));
    }
}
