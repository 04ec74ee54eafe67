//! `enforcer preflight`: shows what would not be filtered and what would be cut, before `apply`.

use enforcer_common::Mode;
use serde::Serialize;

use super::apply::planned_interfaces;
use super::outlook::{self, ModeOutlook};
use crate::cli::args::live::cut_table;
use crate::cli::args::policy::PolicyArgs;
use crate::cli::output::{Format, Output};
use crate::cli::print::table::table;
use crate::dataplane::{Caller, Ending, HookChoice, Modes, Outlook, Plan, Protects};
use crate::failure::Failure;
use crate::host::sockets::Owners;
use crate::policy::compile::Compiled;
use crate::policy::source::Policy;
use crate::protect::live::moment::{CutConnection, Moment};
use crate::protect::preflight::{Asking, Facts, Finding, InterfaceFacts, Level, Listener, findings, unpermitted};

/// Show what would not be filtered and what would be cut.
///
/// Changes nothing. The level of a finding is `fix` if `apply` would fail or refuse (an interface is missing or unsuitable, a hook is in use, the
/// BPF file system is read-only, the host forwards and no scope is set, your own SSH session would be cut), `warning` if traffic is not filtered
/// or is filtered in an unexpected way, and `note` for other facts. Connections and listeners are judged as if both directions were in enforce.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without root, the names of processes and the programs of other software may be missing, and no driver is asked.\n\n\
                  Where native XDP would be tried and no program is attached, preflight asks the driver: it attaches a program that \
                  passes every packet, and removes it at once. Some drivers restart their queues for this, and lose the packets of \
                  that moment. With --no-probe, preflight looks the driver up in a table instead.\n\n\
                  Exit code 1: something must be fixed before apply.\n\n\
                  Examples:\n  \
                  enforcer preflight site.yaml\n  \
                  enforcer preflight site.yaml --format json | jq '.findings[] | select(.level == \"fix\")'"
)]
pub struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Hook at which inbound packets would be judged.
    #[arg(long, value_enum, default_value_t = HookChoice::Auto)]
    hook: HookChoice,
    /// Do not ask the driver whether it takes native XDP.
    #[arg(long)]
    no_probe: bool,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Serialize)]
struct Listing {
    ready: bool,
    findings: Vec<Finding>,
    cut: Vec<CutConnection>,
    listeners: Vec<Listener>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Reported`] when something must be fixed before apply.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let (Policy { site, .. }, Compiled { ruleset, .. }) = args.policy.compile(output)?;
    let plan = Plan {
        ruleset: &ruleset,
        origin: String::new(),
        interfaces: planned_interfaces(&site, Some(Mode::Enforce), output)?,
        hook: args.hook,
        ending: Ending::Allowed,
        confirm_within: None,
        source: crate::policy::source::Source::default(),
        bpf_log: crate::dataplane::BpfLog::Off,
        caller: Caller::Operator,
    };
    let moment = Moment::now()?;
    let facts = Facts::read(moment.links.clone());
    let asking = if args.no_probe { Asking::Refused } else { Asking::Allowed };
    let mut found = findings(&plan, &facts, |planned, link| InterfaceFacts::read(planned, link, args.hook, asking));
    for ModeOutlook { interface, why, .. } in outlook::of_site(&site)? {
        let message = format!("`apply` would leave it in {why}");
        found.push(Finding { level: Level::Note, interface: Some(interface), topic: "mode", message });
    }
    let outlook = outlook(&plan, &moment);
    match moment.guard_ssh(ruleset.lookup(), &outlook) {
        Err(Failure::Refused(error)) => {
            found.insert(0, Finding { level: Level::Fix, interface: None, topic: "ssh", message: error.to_string() });
        }
        other => other?,
    }
    let listing = Listing {
        ready: found.iter().all(|finding| finding.level != Level::Fix),
        findings: found,
        cut: moment.cuts(ruleset.lookup(), &ruleset, &outlook)?,
        listeners: unpermitted(&ruleset, &moment.snapshot.sockets, &Owners::read()),
    };
    match args.format {
        Format::Json => output.json(&listing)?,
        Format::Table => print(&listing, output)?,
    }
    if listing.ready { Ok(()) } else { Err(Failure::Reported) }
}

fn outlook(plan: &Plan<'_>, moment: &Moment) -> Vec<Outlook> {
    let hosts = plan.interfaces.iter().filter(|planned| planned.protects == Protects::Host);
    let links = hosts.filter_map(|planned| moment.links.iter().find(|link| link.name == planned.name));
    links.map(|link| (link.index, Modes::both(Mode::Enforce))).collect()
}

fn print(listing: &Listing, output: &mut Output<'_>) -> Result<(), Failure> {
    let mut rows = table(output.terminal, &["LEVEL", "INTERFACE", "TOPIC", "FOUND"]);
    for Finding { level, interface, topic, message } in &listing.findings {
        rows.add_row([level.name(), interface.as_deref().unwrap_or("(host)"), topic, message]);
    }
    writeln!(output.out, "{}", crate::cli::print::table::print(&rows))?;
    if listing.cut.is_empty() {
        writeln!(output.out, "No live connection would be cut.")?;
    } else {
        writeln!(output.out, "Live connections that enforcement would cut:")?;
        writeln!(output.out, "{}", cut_table(&listing.cut, output.terminal))?;
    }
    if listing.listeners.is_empty() {
        writeln!(output.out, "Every listener is reachable for some peer.")?;
    } else {
        writeln!(output.out, "Listeners that nobody can reach, because no rule permits them:")?;
        let mut rows = table(output.terminal, &["PROTOCOL", "LOCAL", "PROCESS", "WHY"]);
        for Listener { protocol, local, process, reason, rule } in &listing.listeners {
            let why = rule.as_ref().map_or_else(|| reason.to_string(), |rule| format!("{reason} ({rule})"));
            rows.add_row([protocol, local.as_str(), process.as_deref().unwrap_or("?"), why.as_str()]);
        }
        writeln!(output.out, "{}", crate::cli::print::table::print(&rows))?;
    }
    let verdict =
        if listing.ready { "nothing must be fixed before apply" } else { "something must be fixed before apply" };
    writeln!(output.err, "{verdict}")?;
    Ok(())
}
