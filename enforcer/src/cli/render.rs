//! `enforcer render`: writes the site file of each host of an estate, or its export for another firewall.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::ZonedDateTime;

use crate::cli::file::replace;
use crate::cli::output::Output;
use crate::failure::Failure;
use crate::host::trusted::{Pipes, read_named};
use crate::policy::catalogue::Catalogue;
use crate::policy::chosen::chosen;
use crate::policy::compile::compile;
use crate::policy::estate::{self, By, Estate, Host, Input};
use crate::policy::export::{Target, export};
use crate::policy::source::{Error, load_catalogue};
use crate::text::diagnostic::{Findings, Text, count};
use crate::text::escape::{line, verbatim};

/// Bytes of the longest inventory that is read.
const CSV_BYTES: usize = 4 << 20;

/// Write the site file of each host of an estate.
///
/// A host with `by: windows`, `ios`, `nft` or `iptables` gets the export for that firewall. Rendering loads nothing and is stable: a change of the estate
/// changes only the files of the hosts that it concerns.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "With -o, files whose text is the same are not written again. Files of hosts that the estate no longer has are named, \
                  and left.\n\n\
                  Examples:\n  \
                  enforcer render estate.yaml -o hosts\n  \
                  enforcer render estate.yaml --host cuc1\n  \
                  enforcer render --from-csv hosts.csv > estate.yaml"
)]
pub struct Args {
    /// Estate; `-` reads standard input.
    #[arg(value_name = "ESTATE", value_hint = clap::ValueHint::FilePath, required_unless_present = "from_csv")]
    estate: Option<String>,
    /// Write the files to this directory, which is created if it does not exist. Default: standard output.
    #[arg(long, short, value_name = "DIR", value_hint = clap::ValueHint::DirPath, conflicts_with = "from_csv")]
    output: Option<PathBuf>,
    /// Only this host.
    #[arg(long, value_name = "NAME", conflicts_with = "from_csv")]
    host: Option<String>,
    /// Print a starter estate made from an inventory: a table with the columns name, addresses, roles, cluster, network, by, and
    /// parameters of roles such as instance and side.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with = "estate")]
    from_csv: Option<PathBuf>,
    /// Read the catalogue from this directory instead of the built-in one.
    #[arg(long, value_name = "DIR")]
    catalogue: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
///
/// The estate or the table is wrong, or a file cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let catalogue = load_catalogue(args.catalogue.as_deref()).map_err(Error::from)?;
    if let Some(path) = &args.from_csv {
        return starter(path, &catalogue, output);
    }
    let path = args.estate.as_deref().unwrap_or("-");
    let estate = match estate::load(path, &catalogue, Pipes::Allowed).map_err(Error::from)? {
        Input::Estate(estate) => estate,
        Input::Site(text) => {
            return Err(Failure::BadInput(anyhow::anyhow!(
                "{} is no estate: an estate lists `hosts:`",
                line(&text.name)
            )));
        }
    };
    let hosts: Vec<&Host> = match &args.host {
        Some(name) => vec![chosen(&estate, Some(name)).map_err(Error::Host)?],
        None => estate.hosts.values().collect(),
    };
    let mut written = BTreeSet::new();
    let mut changed = 0;
    for host in &hosts {
        if !estate.has_policy(host) {
            writeln!(output.err, "{}: no roles and no rules, so there is no file", line(&host.name))?;
            continue;
        }
        let (name, text) = file(&estate, &catalogue, host)?;
        match &args.output {
            Some(folder) => {
                if store(folder, &name, &text)? {
                    changed += 1;
                    writeln!(output.err, "wrote {}", line(&folder.join(&name).display().to_string()))?;
                }
                written.insert(name);
            }
            None => {
                if hosts.len() > 1 {
                    writeln!(output.out, "# ==> {name} <==")?;
                }
                verbatim(|| output.out.write_all(text.as_bytes()))?;
            }
        }
    }
    if let Some(folder) = &args.output {
        let same = written.len() - changed;
        writeln!(
            output.err,
            "{}: {} written, {same} unchanged",
            line(&folder.display().to_string()),
            count(changed, "file")
        )?;
        if args.host.is_none() {
            name_strangers(folder, &estate, &written, output)?;
        }
    }
    Ok(())
}

/// Prints a starter estate.
fn starter(path: &Path, catalogue: &Catalogue, output: &mut Output<'_>) -> Result<(), Failure> {
    let name = path.display().to_string();
    let bad = |error: anyhow::Error| Failure::BadInput(error.context(format!("cannot read {}", line(&name))));
    let bytes = read_named(path, CSV_BYTES, Pipes::Allowed).map_err(|error| bad(error.into()))?;
    if bytes.len() > CSV_BYTES {
        return Err(bad(anyhow::anyhow!("it is longer than the {CSV_BYTES} bytes that are read")));
    }
    // Inventories often come in an older encoding: names and addresses are ASCII in all of them.
    let text = Text::new(name.clone(), String::from_utf8_lossy(&bytes).into_owned());
    match estate::from_csv(&text, catalogue) {
        Ok(estate) => Ok(verbatim(|| output.out.write_all(estate.as_bytes()))?),
        Err(Findings(findings)) => Err(Failure::Invalid(findings)),
    }
}

/// The name and the text of a host's file.
fn file(estate: &Estate, catalogue: &Catalogue, host: &Host) -> Result<(String, String), Failure> {
    let (target, suffix, comment) = match host.by {
        By::Enforcer => return Ok((format!("{}.yaml", host.name), estate::render(estate, catalogue, host))),
        By::Windows => (Target::Windows, "ps1", '#'),
        By::Ios => (Target::IosAcl, "acl", '!'),
        By::Nft => (Target::Nft, "nft", '#'),
        By::Iptables => (Target::Iptables, "sh", '#'),
    };
    let site = estate::site(estate, catalogue, host);
    let compiled = compile(&site, catalogue, ZonedDateTime::now().date()).map_err(Error::from)?;
    let exported = export(target, &site, &compiled, None).map_err(|error| Failure::BadInput(error.into()))?;
    let whose = format!("{comment} {}\n", sign(estate, host));
    // The line that names the interpreter of a script stays the first.
    let begin = if exported.text.starts_with("#!") { exported.text.find('\n').map_or(0, |end| end + 1) } else { 0 };
    let mut text = exported.text;
    text.insert_str(begin, &whose);
    Ok((format!("{}.{suffix}", host.name), text))
}

fn sign(estate: &Estate, host: &Host) -> String {
    format!("The host `{}` of the estate `{}`, as `enforcer render` writes it.", host.name, estate.name)
}

/// Writes a file where its text differs. Says whether it was written.
fn store(folder: &Path, name: &str, text: &str) -> Result<bool, Failure> {
    let path = folder.join(name);
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", line(&folder.display().to_string())))?;
    if fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(false);
    }
    replace(&path, text.as_bytes()).with_context(|| format!("cannot write {}", line(&path.display().to_string())))?;
    Ok(true)
}

/// Names files that an earlier estate of this name has left, and that no host has any more.
fn name_strangers(
    folder: &Path,
    estate: &Estate,
    written: &BTreeSet<String>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !written.contains(name) && !name.starts_with('.'));
    names.sort();
    let ours = format!("of the estate `{}`, as `enforcer render` writes it.", estate.name);
    for name in names {
        let Ok(text) = read_named(&folder.join(&name), 4096, Pipes::Refused) else { continue };
        if String::from_utf8_lossy(&text).lines().take(2).any(|line| line.ends_with(&ours)) {
            let path = folder.join(&name).display().to_string();
            writeln!(output.err, "{}: no host of the estate has this file any more; remove it", line(&path))?;
        }
    }
    Ok(())
}
