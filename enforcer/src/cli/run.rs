//! `enforcer run`: the agent.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::agent;
use crate::cli::args::interfaces::{duration, require_root};
use crate::cli::args::policy::PolicyArgs;
use crate::dataplane::{BpfLog, HookChoice};
use crate::failure::Failure;

/// Puts a policy in force and follows what changes: the site file, interfaces, addresses.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A site file that is wrong is logged, and the policy before stays in force; when the agent starts with one, the \
                  policies that were good last are. An interface that appears later is protected when it does. What somebody \
                  has removed or changed behind our back is put back. A mode that was set with `enforcer mode` stays: the \
                  site's own counts again when the site file says another one than before; but a file never ends enforcement by \
                  itself (`mode held`). What was detached with `enforcer \
                  detach` is left alone until the next reload. A renamed interface stays protected; the policy follows where the \
                  site file knows the new name.\n\n\
                  SIGHUP reads everything anew. SIGTERM ends the agent and leaves the policy in force, as killing it does. A \
                  second agent in the same network namespace is refused with exit code 4.\n\n\
                  Examples:\n  enforcer run /etc/enforcer/site.yaml\n  enforcer run /etc/enforcer/site.yaml --metrics\n  \
                  enforcer run site.yaml --events /var/log/enforcer/events.json\n  enforcer run site.yaml --confirm-within 2m\n  enforcer run --role finesse --interface eth0 --detach-on-exit"
)]
pub struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Where inbound packets are judged.
    #[arg(long, value_enum, default_value_t = HookChoice::Auto)]
    hook: HookChoice,
    /// A change of the site file has to be confirmed with `enforcer confirm` within this time (like 60s), or is undone.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    confirm_within: Option<Duration>,
    /// Write refused packets as JSON lines to this file; `-` is standard output. It is opened anew after SIGHUP, for logrotate; one
    /// that nobody rotates is put aside at 64 MiB, as FILE.old.
    #[arg(long, value_name = "FILE|-")]
    events: Option<PathBuf>,
    /// Serve metrics for Prometheus at /metrics of this address.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:9464")]
    metrics: Option<SocketAddr>,
    /// How often everything in force is compared with what should be.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    check: Duration,
    /// Take protection away when the agent ends.
    #[arg(long)]
    detach_on_exit: bool,
    /// Load the programs so that they write a line about each refused packet (debug) or every packet (trace), which `enforcer
    /// events --bpf-log` shows. For diagnosis: each line costs time.
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = BpfLog::Off)]
    bpf_log: BpfLog,
    /// Go on even if that cuts the SSH session that the agent was started from.
    #[arg(long)]
    force: bool,
}

/// Runs the command.
///
/// # Errors
/// When the agent cannot start.
pub fn run(args: &Args) -> Result<(), Failure> {
    require_root()?;
    let Args { policy, hook, confirm_within, events, metrics, check, detach_on_exit, bpf_log, force } = args;
    let options = agent::Options {
        policy: policy.named(),
        hook: *hook,
        confirm_within: *confirm_within,
        bpf_log: *bpf_log,
        events: events.clone(),
        metrics: *metrics,
        check: *check,
        detach_on_exit: *detach_on_exit,
        force: *force,
    };
    agent::run(&options)
}
