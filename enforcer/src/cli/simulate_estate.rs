//! `enforcer simulate` on an estate: a capture from a mirror port, each packet judged for each host that it concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use jiff::ZonedDateTime;
use serde::Serialize;

use crate::cli::args::estate::WholeEstate;
use crate::cli::output::{Format, Output};
use crate::cli::print::capture::{finish, read, show};
use crate::failure::Failure;
use crate::host::trusted::Pipes;
use crate::judge::capture::{End, Packet};
use crate::judge::explain::Known;
use crate::judge::host::Host;
use crate::judge::simulate::{Report, Simulation, ends_of};
use crate::policy::compile::{Compiled, compile};
use crate::policy::estate::site;
use crate::policy::site::Site;
use crate::policy::source::Error;
use crate::text::escape::line;

#[derive(Serialize)]
struct Listing {
    complete: bool,
    hosts: BTreeMap<String, Report>,
}

struct Concerned {
    name: String,
    site: Site,
    compiled: Compiled,
    machine: Host,
}

/// Judges a capture.
///
/// # Errors
///
/// The capture is wrong, no packet in it is to or from a host, or the output cannot be written.
pub(super) fn run(
    capture: &Path,
    local: &[IpAddr],
    format: Format,
    whole: &WholeEstate,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let WholeEstate { estate, catalogue } = whole;
    if !local.is_empty() {
        return Err(Failure::BadInput(anyhow::anyhow!(
            "`--local` names the addresses of one host; an estate has those of all (`--host` chooses one)"
        )));
    }
    let mut seen: BTreeSet<IpAddr> = BTreeSet::new();
    let known: BTreeSet<IpAddr> = estate.hosts.values().flat_map(|host| host.addresses.iter().copied()).collect();
    read(capture, Pipes::Refused, "looking for hosts", output, |packet| {
        seen.extend(ends_of(packet).into_iter().flatten().filter(|address| known.contains(address)));
    })?;
    let today = ZonedDateTime::now().date();
    let mut concerned = Vec::new();
    for host in estate.hosts_with(&seen).into_iter().filter(|host| estate.has_policy(host)) {
        let site = site(estate, catalogue, host);
        let compiled = compile(&site, catalogue, today).map_err(Error::from)?;
        let machine = Host::with_addresses(host.addresses.iter().copied());
        concerned.push(Concerned { name: host.name.clone(), site, compiled, machine });
    }
    if concerned.is_empty() {
        return Err(Failure::BadInput(anyhow::anyhow!(
            "no packet of {} is to or from a host of the estate `{}`",
            capture.display(),
            estate.name
        )));
    }
    let mut simulations: Vec<(BTreeSet<IpAddr>, Simulation<'_>)> = Vec::new();
    for one in &concerned {
        let known = Known { site: &one.site, catalogue, ruleset: &one.compiled.ruleset };
        simulations.push((one.machine.addresses.clone(), Simulation::new(known, &one.machine)));
    }
    let (end, _) = read(capture, Pipes::Refused, "judging", output, |packet| {
        let Some(ends) = ends_of(packet) else { return };
        for (addresses, simulation) in &mut simulations {
            if ends.iter().any(|end| addresses.contains(end)) {
                // A mirror port sees packets of all hosts: the direction at its own interface means nothing to them.
                simulation.packet(&Packet { direction: None, ..*packet });
            }
        }
    })?;
    let reports: Vec<(&str, Report)> = concerned
        .iter()
        .zip(&simulations)
        .map(|(one, (_, simulation))| (one.name.as_str(), simulation.report()))
        .collect();
    match format {
        Format::Json => {
            let hosts = reports.into_iter().map(|(name, report)| (name.to_owned(), report)).collect();
            output.json(&Listing { complete: end == End::Complete, hosts })?;
        }
        Format::Table => {
            for (number, (name, report)) in reports.iter().enumerate() {
                writeln!(output.out, "{}{}", if number > 0 { "\n" } else { "" }, line(name))?;
                show(report, output)?;
            }
        }
    }
    finish(capture, &end)
}
