//! `enforcer run`: the agent.

use std::net::SocketAddr;
use std::time::Duration;

use crate::agent;
use crate::cli::args::estate::whole_estate;
use crate::cli::args::interfaces::{duration, require_root};
use crate::cli::args::policy::PolicyArgs;
use crate::dataplane::{BpfLog, HookChoice};
use crate::failure::Failure;
use crate::observe::syslog::Destination;
use crate::policy::chosen::chosen;
use crate::policy::source::Error;

/// Run the agent: apply a policy and follow changes.
///
/// The agent follows the site file, the interfaces and their addresses, and restores what somebody removes or changes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "If the site file is wrong, the agent logs the error and keeps the previous policy. If the file \
                  is wrong when the agent starts, the last confirmed policies stay active. An interface that \
                  appears later is protected when it appears. A mode set with `enforcer mode` stays until the site \
                  file changes its mode; but a site file never ends enforcement by itself (`mode held`). An \
                  interface detached with `enforcer detach` stays detached until the next reload. A renamed \
                  interface stays protected; the policy applies to the new name if the site file matches it. A site \
                  file of another host of the estate than the active policy is not applied without `--replace`.\n\n\
                  SIGHUP makes the agent read everything again. SIGTERM ends the agent; the policy stays active, \
                  as it does if the agent is killed. A second agent in the same network namespace is refused with \
                  exit code 4.\n\n\
                  Examples:\n  \
                  enforcer run /etc/enforcer/site.yaml\n  \
                  enforcer run /etc/enforcer/site.yaml --metrics\n  \
                  enforcer run site.yaml --events /var/log/enforcer/events.json\n  \
                  enforcer run site.yaml --events tls://siem.example.com\n  \
                  enforcer run site.yaml --confirm-within 2m\n  \
                  enforcer run --role finesse --interface eth0 --detach-on-exit"
)]
pub struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Hook at which inbound packets are judged.
    #[arg(long, value_enum, default_value_t = HookChoice::Auto)]
    hook: HookChoice,
    /// Revert a change of the site file unless `enforcer confirm` follows within this time, such as 60s.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    confirm_within: Option<Duration>,
    /// Write refused packets as JSON lines to this file; `-` is standard output. SIGHUP opens the file again, for logrotate. At
    /// 64 MiB the agent renames the file to FILE.old. Or send them as syslog (RFC 5424): `udp://HOST[:PORT]`, `tcp://HOST[:PORT]`,
    /// `tls://HOST[:PORT][?ca=FILE]`, or as fields of the journal: `journald`.
    #[arg(long, value_name = "FILE|-|URL|journald", value_parser = Destination::parse)]
    events: Option<Destination>,
    /// Serve Prometheus metrics at /metrics on this address.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:9464")]
    metrics: Option<SocketAddr>,
    /// Interval at which the agent compares the kernel with the applied policy.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    check: Duration,
    /// Detach when the agent exits.
    #[arg(long)]
    detach_on_exit: bool,
    /// Load programs that log each refused packet (debug) or every packet (trace). `enforcer events --bpf-log` shows the log.
    /// Use this only for diagnosis, because each line costs time.
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = BpfLog::Off)]
    bpf_log: BpfLog,
    /// Replace the policy of another host of an estate.
    #[arg(long)]
    replace: bool,
    /// Continue even if this cuts the SSH session that started the agent.
    #[arg(long)]
    force: bool,
}

/// Runs the command.
///
/// # Errors
/// When the agent cannot start.
pub fn run(args: &Args) -> Result<(), Failure> {
    require_root()?;
    let Args { policy, hook, confirm_within, events, metrics, check, detach_on_exit, bpf_log, replace, force } = args;
    let mut named = policy.named();
    if let Some(whole) = whole_estate(policy)? {
        // The estate and the addresses may change while the agent runs: it stays the agent of this host.
        let host = chosen(&whole.estate, None).map_err(Error::Host)?;
        named.host = Some(host.name.clone());
    }
    let options = agent::Options {
        policy: named,
        hook: *hook,
        confirm_within: *confirm_within,
        bpf_log: *bpf_log,
        events: events.clone(),
        metrics: *metrics,
        check: *check,
        detach_on_exit: *detach_on_exit,
        replace: *replace,
        force: *force,
    };
    agent::run(&options)
}
