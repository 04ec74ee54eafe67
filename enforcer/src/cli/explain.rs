//! `enforcer explain`: prints the verdict on one packet and its reason.

use clap_complete::engine::ArgValueCompleter;
use enforcer_common::{Direction, Mode};

use super::completions;
use crate::cli::args::estate::whole_estate;
use crate::cli::args::interfaces::InterfaceArgs;
use crate::cli::args::policy::PolicyArgs;
use crate::cli::output::{Format, Output};
use crate::cli::print::explanation::print;
use crate::dataplane::{ask, modes_in_force};
use crate::estate::explain::is_conversation;
use crate::failure::Failure;
use crate::judge::explain::{self, Found};
use crate::judge::tuple::Tuple;
use crate::policy::claims::Mac;
use crate::policy::ruleset::Ruleset;

/// Explain the verdict on one packet.
///
/// Prints the verdict, the rule and its document row, and the smallest change that would reverse the verdict. Replies to conversations that the host opened
/// pass in any case.
#[derive(Debug, clap::Args)]
#[command(
    allow_missing_positional = true,
    after_help = "TUPLE is `in|out PROTOCOL SOURCE[:PORT] -> [DESTINATION][:PORT]`, with IPv6 addresses in \
                  brackets. `in` and `out` are seen from the protected host; you may leave out the host's own \
                  address. Of an estate, `PROTOCOL FROM -> TO[:PORT]` asks both ends: FROM and TO are hosts, \
                  names under `outside:` or addresses.\n\n\
                  Exit code 0, whatever the verdict. Exit code 2: a wrong tuple or site.\n\n\
                  Examples:\n  \
                  enforcer explain site.yaml 'in tcp 10.0.0.5:40000 -> :8443'\n  \
                  enforcer explain site.yaml 'in udp [2001:db8::5]:4000 -> :161'\n  \
                  enforcer explain --role finesse 'in icmp 10.0.0.5 ->'\n  \
                  enforcer explain estate.yaml 'tcp rtr-a -> cuic1:8443'"
)]
pub struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// The packet to judge.
    tuple: String,
    /// Ask the program loaded on this interface, or on the only protected interface. The test run changes no counter.
    #[arg(long, value_name = "IF", num_args = 0..=1, default_missing_value = "", add = ArgValueCompleter::new(completions::interfaces))]
    live: Option<String>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Runs the command.
///
/// # Errors
///
/// The tuple or the policy is wrong, or the output cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    if is_conversation(&args.tuple)
        && args.live.is_none()
        && let Some(whole) = whole_estate(&args.policy)?
    {
        return super::explain_estate::run(&whole, &args.tuple, args.format, output);
    }
    let tuple = match Tuple::parse(&args.tuple) {
        Ok(tuple) => tuple,
        Err(error) => {
            return Err(Failure::Invalid(vec![*error]));
        }
    };
    let policy = args.policy.load()?;
    // Its warnings are for `check`: here they would bury the answer.
    let compiled =
        match crate::policy::compile::compile(&policy.site, &policy.catalogue, jiff::ZonedDateTime::now().date()) {
            Ok(compiled) => compiled,
            Err(error) => return Err(crate::policy::source::Error::from(error).into()),
        };
    let (found, mode) = match &args.live {
        None => (explain::judge(&compiled.ruleset, &tuple), explain::mode_of(&policy.site, tuple.direction)),
        Some(interface) => ask_the_program(interface, &compiled.ruleset, &tuple, output)?,
    };
    let explanation = explain::describe(&policy.site, &policy.catalogue, &compiled.ruleset, &tuple, found);
    match args.format {
        Format::Json => output.json(&explanation),
        Format::Table => print(&explanation, mode, output),
    }
}

/// The judgement of the loaded program. What is in force may be another policy than the one that explains it: that is said.
fn ask_the_program(
    interface: &str,
    ruleset: &Ruleset,
    tuple: &Tuple,
    output: &mut Output<'_>,
) -> Result<(Found, Mode), Failure> {
    let named = if interface.is_empty() { Vec::new() } else { vec![interface.to_owned()] };
    let interfaces = InterfaceArgs { interface: named }.some_protected()?;
    let [protected] = interfaces.as_slice() else {
        let names: Vec<&str> = interfaces.iter().map(|one| one.interface.as_str()).collect();
        return Err(Failure::BadInput(anyhow::anyhow!(
            "several interfaces are protected ({}); choose one, such as `--live={}`",
            names.join(", "),
            names[0]
        )));
    };
    if protected.record.policy_hash != ruleset.hash {
        writeln!(
            output.err,
            "{}: a different policy is active; verdict and rule come from the loaded program, the other lines from the policy you named",
            protected.interface
        )?;
    }
    let mut frame = tuple.frame();
    if let (Direction::Outbound, Some(Mac(mac))) = (tuple.direction, protected.record.claims.mac) {
        frame[6..12].copy_from_slice(&mac);
    }
    let answer = ask(protected, tuple.direction, &frame)?;
    let named = answer
        .rule
        .and_then(|id| ruleset.rules.iter().position(|rule| rule.id == id && rule.direction == tuple.direction));
    // A rule that permits the port to others counts nothing: then the policy is asked which one it is.
    let by_policy = explain::judge(ruleset, tuple);
    let rule = named.or(by_policy.rule.filter(|_| by_policy.reason == answer.reason));
    let mode = modes_in_force(protected)?.of(tuple.direction);
    Ok((Found { reason: answer.reason, rule, audited: answer.audited }, mode))
}
