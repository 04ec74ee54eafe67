//! `enforcer apply`: compiles a policy and applies it.

use std::collections::BTreeSet;
use std::time::Duration;

use enforcer_common::{Direction, Mode};

use crate::cli::args::interfaces::{ModeArg, duration, require_root};
use crate::cli::args::live::{LiveArgs, ask, is_terminal};
use crate::cli::args::policy::PolicyArgs;
use crate::cli::output::Output;
use crate::cli::print::note::note;
use crate::cli::print::usage::Usage;
use crate::dataplane::{
    self, Applied, BpfLog, Caller, Ending, HookChoice, Plan, PlannedInterface, Resulting, refuse_bridge_ports,
};
use crate::failure::Failure;
use crate::host::links::{children, links};
use crate::policy::compile::Compiled;
use crate::policy::site::{self, Site};
use crate::policy::source::Policy;
use crate::protect::interfaces::{Planned, planned, refuse_unscoped_forwarding};
use crate::protect::judging::{Found, after_apply};
use crate::protect::live::moment::Moment;
use crate::protect::preflight::refusal_for_children;
use crate::protect::replaced::refuse_other_host;
use crate::protect::say::{ended, sentences};
use crate::state::history::Event;

/// Apply a policy to its interfaces.
///
/// The interfaces stay protected when the command exits. If neither `--mode` nor the site sets a mode, a new interface is in audit: no packet is
/// dropped.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A protected interface keeps its mode, unless the site file sets another mode than when it was \
                  last applied. A site file that would end enforcement needs a yes: on a terminal apply asks; \
                  elsewhere it needs --mode audit or --yes, and otherwise exits with 4.\n\n\
                  Connections that this host opened continue when enforcement begins. Connections that peers \
                  opened continue only if a rule permits them. apply lists those that would be cut; on a terminal \
                  it asks before it continues.\n\n\
                  With --confirm-within, the kernel itself judges by the last confirmed policy past the deadline, \
                  even if every process of enforcer is dead. Where it cannot, apply says why: the new policy is in \
                  audit then, and a background process restores the last confirmed policy if there is one. Applying again with --confirm-within starts a new deadline. Applying without it makes the \
                  policy permanent and clears the deadline. Only a permanent or confirmed policy is saved for the \
                  next boot. An open change window (`enforcer mode audit --for`) continues unless you set a mode.\n\n\
                  Exit code 4: refused for safety; nothing was changed.\n\n\
                  Examples:\n  \
                  enforcer apply site.yaml\n  \
                  enforcer apply --role unity-connection --interface eth0 --peer cluster=10.1.1.10,10.1.1.11\n  \
                  enforcer apply site.yaml --mode enforce --hook native\n  \
                  enforcer apply estate.yaml --host cuc1 --confirm-within 60s"
)]
pub struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Mode of both directions. Default: the mode of the site if the interface is new or the site file has changed its mode, else
    /// the mode in force, else audit.
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    /// Hook at which inbound packets are judged.
    #[arg(long, value_enum, default_value_t = HookChoice::Auto)]
    hook: HookChoice,
    /// Revert this change unless `enforcer confirm` follows within this time, such as 60s.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    confirm_within: Option<Duration>,
    /// Load programs that log each refused packet (debug) or every packet (trace). `enforcer events --bpf-log` shows the log.
    /// Use this only for diagnosis, because each line costs time.
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = BpfLog::Off)]
    bpf_log: BpfLog,
    /// Replace the policy of another host of an estate.
    #[arg(long)]
    replace: bool,
    /// Print what apply would do, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    live: LiveArgs,
}

impl Args {
    /// Whether nothing is to be changed.
    pub(super) const fn is_dry_run(&self) -> bool {
        self.dry_run
    }
}

/// Runs the command.
///
/// # Errors
/// Whatever fails, what was in force before is in force still.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    if !args.dry_run {
        dataplane::read_ahead();
    }
    let (Policy { site, .. }, Compiled { ruleset, .. }) = args.policy.compile(output)?;
    let plan = Plan {
        ruleset: &ruleset,
        origin: args.policy.site.clone().unwrap_or_else(|| "command line".to_owned()),
        interfaces: planned_interfaces(&site, args.mode.map(Mode::from), output)?,
        hook: args.hook,
        ending: Ending::Allowed,
        confirm_within: args.confirm_within,
        source: args.policy.named().source(&site, args.hook),
        bpf_log: args.bpf_log,
        caller: Caller::Operator,
    };
    refuse_bridge_ports(&plan, &links()?)?;
    refuse_unscoped_forwarding(&plan)?;
    let links = links()?;
    if let Some(why) = refusal_for_children(&plan, &links, &children(&links)) {
        return Err(Failure::Refused(anyhow::Error::msg(why)));
    }
    if !args.dry_run {
        require_root()?;
    }
    let resulting = resulting(&plan)?;
    let replaced = dataplane::replaced(&plan, &links)?;
    refuse_other_host(&replaced, args.replace)?;
    let plan = Plan { ending: settle_ending(args, &resulting, output)?, ..plan };
    settle_live_connections(args, &plan, output)?;
    if args.dry_run {
        for one in &plan.interfaces {
            writeln!(output.err, "{}: {} rules would be applied", one.name, ruleset.rules.len())?;
        }
        for (interface, resulting) in &resulting {
            writeln!(output.err, "{interface}: the mode would be {}", resulting.reasons())?;
        }
        for one in &replaced {
            writeln!(output.err, "{}: would replace {one}", one.interface)?;
        }
        writeln!(output.err, "policy {}; --dry-run changed nothing", ruleset.hash)?;
        return Ok(());
    }
    let applied = dataplane::apply(&plan)?;
    for one in &applied {
        say(output, one)?;
    }
    for one in &replaced {
        writeln!(output.err, "{}: replaced {one}", one.interface)?;
    }
    let names: Vec<String> = applied.iter().map(|one| one.interface.clone()).collect();
    note(Event::Applied, &names, output)?;
    for Found { interface, text, is_problem } in after_apply(&names, args.hook) {
        if is_problem {
            writeln!(output.errors, "{interface}: PROBLEM: {text}")?;
        } else {
            writeln!(output.err, "{interface}: {text}")?;
        }
    }
    let seeded = applied.first().map_or(0, |one| one.seeded);
    if seeded > 0 {
        writeln!(output.err, "made {seeded} flows for conversations that this host had already opened")?;
    }
    say_memory(output)?;
    say_gone(output)?;
    // One that speaks of TCP and of UDP is one rule to a person.
    let rules: BTreeSet<_> = ruleset.rules.iter().map(|rule| (rule.direction, &rule.id)).collect();
    writeln!(output.err, "policy {}: {} rules active", ruleset.hash, rules.len())?;
    Ok(())
}

/// The modes that each interface would get that is there.
fn resulting(plan: &Plan<'_>) -> Result<Vec<(String, Resulting)>, Failure> {
    let found = dataplane::resulting_modes(&plan.interfaces, plan.ending, &links()?)?;
    let named = plan.interfaces.iter().zip(found);
    Ok(named.filter_map(|(planned, found)| Some((planned.name.clone(), found?.1))).collect())
}

/// Whether the site file may end enforcement: asks where somebody can answer.
fn settle_ending(args: &Args, all: &[(String, Resulting)], output: &mut Output<'_>) -> Result<Ending, Failure> {
    if args.live.yes {
        return Ok(Ending::Allowed);
    }
    let mut ends = false;
    for (interface, resulting) in all {
        let directions: Vec<&str> = resulting.ended_by_site().map(Direction::name).collect();
        if !directions.is_empty() {
            ends = true;
            writeln!(
                output.errors,
                "{interface}: the site file now says audit, and did not when it was last applied: this would end enforcement ({})",
                directions.join(" and ")
            )?;
        }
    }
    if !ends {
        return Ok(Ending::Refused);
    }
    if args.dry_run || (is_terminal() && ask("End enforcement?", output)?) {
        return Ok(Ending::Allowed);
    }
    Err(Failure::Refused(anyhow::anyhow!(
        "the site file would end enforcement; nothing was changed. If you want this, add `--mode audit` or `--yes`; otherwise remove \
         `mode: audit` from the file"
    )))
}

/// Says which live connections the plan would cut, and refuses to cut the operator's own.
fn settle_live_connections(args: &Args, plan: &Plan<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
    let moment = Moment::now()?;
    let outlook = dataplane::modes_after_apply(plan, &moment.links)?;
    if !args.live.force {
        moment.guard_ssh(plan.ruleset.lookup(), &outlook)?;
    }
    let cut = moment.cuts(plan.ruleset.lookup(), plan.ruleset, &outlook)?;
    args.live.settle(&cut, !args.dry_run, output)
}

/// The interfaces of a site, each with the mode that it gives them or with this one. Says what a pattern stands for now.
///
/// # Errors
/// When it names none, or only patterns that nothing fits.
pub(super) fn planned_interfaces(
    site: &Site,
    mode: Option<Mode>,
    output: &mut Output<'_>,
) -> Result<Vec<PlannedInterface>, Failure> {
    let wrong = |text: String| Err(Failure::BadInput(anyhow::Error::msg(text)));
    if let Some(of) = site.estate.as_ref().filter(|_| site.interfaces.is_empty()) {
        return wrong(format!(
            "no port of this machine is known to lead to the guest `{}`; start the guest, or name its port as `interface` under `behind`",
            of.host
        ));
    }
    if site.interfaces.is_empty() {
        return wrong(
            "the policy names no interface; add `interfaces: [eth0]` to the site file, or `--interface eth0`"
                .to_owned(),
        );
    }
    let Planned { interfaces, unmatched } = planned(site, mode, &links()?);
    if interfaces.is_empty() {
        return wrong(format!("no interface in this network namespace matches {}", unmatched.join(", ")));
    }
    for pattern in unmatched {
        writeln!(
            output.err,
            "no interface matches {pattern} now; `enforcer run` protects interfaces when they appear"
        )?;
    }
    let by_pattern: Vec<&str> = interfaces
        .iter()
        .filter(|one| site.interface(&one.name).is_some_and(site::Interface::is_pattern))
        .map(|one| one.name.as_str())
        .collect();
    if !by_pattern.is_empty() {
        writeln!(
            output.err,
            "the patterns match these interfaces now: {}; `enforcer run` protects interfaces that appear later",
            by_pattern.join(", ")
        )?;
    }
    Ok(interfaces)
}

/// What the maps take. The policy is in force: that this cannot be read is no failure of `apply`.
fn say_memory(output: &mut Output<'_>) -> Result<(), Failure> {
    let all = dataplane::protected(&[]).and_then(|protected| {
        let each = protected.iter().map(Usage::of_memory).collect::<Result<Vec<_>, _>>()?;
        Ok(Usage::together(&protected, &each))
    });
    match all {
        Ok(Some(usage)) => writeln!(output.err, "{}", usage.memory_line())?,
        Ok(None) => {}
        Err(error) => writeln!(output.err, "cannot read the memory use of the maps: {:#}", anyhow::Error::from(error))?,
    }
    Ok(())
}

/// Removes what network namespaces have left that are gone, and says so.
pub(super) fn say_gone(output: &mut Output<'_>) -> Result<(), Failure> {
    let said = dataplane::remove_gone().unwrap_or_else(|error| {
        let error = anyhow::Error::from(error);
        vec![format!("cannot remove the pins of a deleted network namespace: {error:#}")]
    });
    Ok(said.iter().try_for_each(|sentence| writeln!(output.err, "{sentence}"))?)
}

pub(super) fn say(output: &mut Output<'_>, applied: &Applied) -> Result<(), Failure> {
    if let Some(text) = ended(&applied.interface, applied.resulting.before, applied.resulting.modes) {
        writeln!(output.errors, "{text}")?;
    }
    for sentence in sentences(applied) {
        writeln!(output.err, "{}: {sentence}", applied.interface)?;
    }
    Ok(())
}
