//! `enforcer completions`: the script that makes a shell call this binary for completions, and the names that the binary offers.
//!
//! The shell calls the binary with `ENFORCER_COMPLETE` set. The binary offers the names of this moment: existing interfaces, and the
//! roles and peers of the built-in catalogue. It reads nothing that needs privileges.

use std::env;
use std::ffi::OsStr;

use clap::ValueEnum;
use clap::builder::StyledStr;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{Bash, CompleteEnv, EnvCompleter, Fish, Zsh};

use crate::cli::definition::command;
use crate::cli::output::Output;
use crate::failure::Failure;
use crate::host::links::links;
use crate::policy::catalogue::{Catalogue, ParameterKind, embedded};
use crate::text::escape::verbatim;

/// The variable with which a shell asks for completions. Another program might set clap's default, `COMPLETE`.
const VARIABLE: &str = "ENFORCER_COMPLETE";

/// Print shell completions.
///
/// Roles, parameters, peers and interfaces are completed with the names that exist at that moment.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                  source <(enforcer completions bash)\n  \
                  enforcer completions bash > /etc/bash_completion.d/enforcer\n  \
                  enforcer completions zsh > /usr/local/share/zsh/site-functions/_enforcer\n  \
                  enforcer completions fish > ~/.config/fish/completions/enforcer.fish")]
pub struct Args {
    /// Shell to complete for.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Runs the command.
///
/// # Errors
///
/// The output cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    // By name, not by path: what stands in the path then is asked, after an update too.
    shell.write_registration(VARIABLE, "enforcer", "enforcer", "enforcer", &mut script)?;
    Ok(verbatim(|| output.out.write_all(&script))?)
}

/// Answers a shell that asks for completions, and ends the process then. To be called before anything else.
pub(super) fn answer() {
    if env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(command).var(VARIABLE).complete();
    }
}

/// Names of roles, also in a list that has begun.
pub(super) fn roles(current: &OsStr) -> Vec<CompletionCandidate> {
    let names =
        catalogue().map(|catalogue| catalogue.roles.values().map(|role| (role.name.as_str(), role.summary.as_str())));
    in_list(current, names.into_iter().flatten())
}

/// Names of interfaces of this moment, but loopback, also in a list that has begun.
pub(super) fn interfaces(current: &OsStr) -> Vec<CompletionCandidate> {
    // A shell has nowhere to show an error.
    let links = links().unwrap_or_default();
    in_list(current, links.iter().filter(|link| !link.is_loopback).map(|link| (link.name.as_str(), "")))
}

/// Names of peers, with the `=` that comes before their addresses.
pub(super) fn peers(current: &OsStr) -> Vec<CompletionCandidate> {
    let peers = catalogue().map(|catalogue| catalogue.peers.iter()).into_iter().flatten();
    let named: Vec<_> = peers.map(|(name, peer)| (format!("{name}="), peer.summary.as_str())).collect();
    starting(current, "", named.iter().map(|(name, summary)| (name.as_str(), *summary)))
}

/// Parameters of any role with their `=`, and the words that one may have.
pub(super) fn settings(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut found: Vec<(String, &str)> = Vec::new();
    let is_value = current.to_string_lossy().contains('=');
    for (name, parameter) in catalogue().into_iter().flat_map(|c| c.roles.values()).flat_map(|role| &role.parameters) {
        match &parameter.kind {
            ParameterKind::Choice(words) if is_value => {
                found.extend(words.iter().map(|word| (format!("{name}={word}"), "")));
            }
            ParameterKind::Choice(_) | ParameterKind::Integer(_) | ParameterKind::Port | ParameterKind::Ports => {
                found.push((format!("{name}="), parameter.summary.as_str()));
            }
        }
    }
    // Several roles have parameters of one name, which mean the same.
    found.sort();
    found.dedup_by(|a, b| a.0 == b.0);
    starting(current, "", found.iter().map(|(name, summary)| (name.as_str(), *summary)))
}

fn catalogue() -> Option<&'static Catalogue> {
    embedded().ok()
}

/// The last item of a list with commas.
fn in_list<'a>(current: &OsStr, names: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<CompletionCandidate> {
    let text = current.to_string_lossy();
    let before = text.rfind(',').map_or("", |comma| &text[..=comma]);
    starting(OsStr::new(&text[before.len()..]), before, names)
}

/// Those that start as what was typed, with what stands before them in the same word.
fn starting<'a>(
    current: &OsStr,
    before: &str,
    names: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let matching = names.filter(|(name, _)| name.starts_with(&*current));
    let candidate = |(name, summary): (&str, &str)| {
        let help = (!summary.is_empty()).then(|| StyledStr::from(summary.to_owned()));
        CompletionCandidate::new(format!("{before}{name}")).help(help)
    };
    matching.map(candidate).collect()
}
