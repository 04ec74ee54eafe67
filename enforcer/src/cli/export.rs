//! `enforcer export`: the same policy for another firewall.

use std::path::PathBuf;

use anyhow::Context as _;
use enforcer_common::Mode;

use crate::cli::args::interfaces::ModeArg;
use crate::cli::args::policy::PolicyArgs;
use crate::cli::output::Output;
use crate::failure::Failure;
use crate::policy::export::{Target, export};

/// Writes a policy for another firewall. Loads nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  enforcer export nft site.yaml -o site.nft && nft -c -f site.nft\n  \
                        enforcer export iptables site.yaml --mode enforce -o firewall.sh && sudo sh firewall.sh\n  \
                        enforcer export windows --role cce-logger --set side=a > firewall.ps1\n  \
                        enforcer export ios-acl site.yaml\n\nWhat a target does otherwise, or cannot express, stands in the header of what is \
                  written, and is said as a warning.")]
pub struct Args {
    /// What to write it for.
    #[arg(value_enum)]
    target: Target,
    #[command(flatten)]
    policy: PolicyArgs,
    /// The mode of every interface; without it what the site says, else audit.
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    /// Write to a file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
///
/// The policy is wrong, cannot be written for the target, or the output cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let (policy, compiled) = args.policy.compile(output)?;
    let exported = export(args.target, &policy.site, &compiled, args.mode.map(Mode::from))
        .map_err(|error| Failure::BadInput(error.into()))?;
    for warning in &exported.warnings {
        writeln!(output.err, "warning: {warning}")?;
    }
    match &args.output {
        Some(path) => {
            std::fs::write(path, &exported.text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => output.out.write_all(exported.text.as_bytes())?,
    }
    Ok(())
}
