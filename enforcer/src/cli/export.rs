//! `enforcer export`: writes the same policy for another firewall.

use std::path::PathBuf;

use anyhow::Context as _;
use enforcer_common::Mode;

use crate::cli::args::interfaces::ModeArg;
use crate::cli::args::policy::PolicyArgs;
use crate::cli::file::replace;
use crate::cli::output::Output;
use crate::failure::Failure;
use crate::policy::export::{Target, export};
use crate::text::escape::verbatim;

/// Write a policy for another firewall.
///
/// Loads nothing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The header of the output, and a warning, say what the target does differently or cannot express.\n\n\
                  Examples:\n  \
                  enforcer export nft site.yaml -o site.nft && nft -c -f site.nft\n  \
                  enforcer export iptables site.yaml --mode enforce -o firewall.sh && sudo sh firewall.sh\n  \
                  enforcer export windows --role cce-logger --set side=a > firewall.ps1\n  \
                  enforcer export ios-acl site.yaml"
)]
pub struct Args {
    /// The other firewall.
    #[arg(value_enum)]
    target: Target,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Mode of every interface. Default: the mode of the site, else audit.
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
            replace(path, exported.text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => verbatim(|| output.out.write_all(exported.text.as_bytes()))?,
    }
    Ok(())
}
