//! The host of an estate that a command is about, and its site.

use crate::host::links;
use crate::policy::catalogue::Catalogue;
use crate::policy::estate::{self, Behind, Estate, Host};
use crate::policy::site::{self, Site};
use crate::text::diagnostic::{Diagnostic, Findings, Text};
use crate::text::nearest::did_you_mean;

/// The host of an estate that a command is about: the one that is named, or the only one with an address of this machine.
///
/// # Errors
///
/// The estate has no host of this name, or none or several have an address of this machine.
pub fn chosen<'e>(estate: &'e Estate, name: Option<&str>) -> Result<&'e Host, Findings> {
    let all = || estate.hosts.keys().map(String::as_str);
    let wrong = |message: String, hint: String| Findings(vec![Diagnostic::plain(message).with_hint(hint)]);
    if let Some(name) = name {
        return estate.hosts.get(name).ok_or_else(|| {
            let hint = did_you_mean(name, all()).unwrap_or_else(|| format!("it has {}", listed(all())));
            wrong(format!("the estate `{}` has no host `{name}`", estate.name), hint)
        });
    }
    let own = links::addresses().map(|addresses| addresses.own).unwrap_or_default();
    match estate.hosts_with(&own).as_slice() {
        [host] => Ok(host),
        [] => Err(wrong(
            format!("no host of the estate `{}` has an address of this machine", estate.name),
            format!("choose one with `--host`: {}", listed(all())),
        )),
        several => Err(wrong(
            format!("several hosts of the estate `{}` have addresses of this machine", estate.name),
            format!("choose one with `--host`: {}", listed(several.iter().map(|host| host.name.as_str()))),
        )),
    }
}

/// The host as it is on this machine, if it runs here: only the ports here are its own, and one that the estate does not name is found by the hardware
/// address of the guest. Elsewhere it is as the estate says.
#[must_use]
pub fn placed(estate: &Estate, host: &Host) -> Host {
    let mut placed = host.clone();
    let own = links::addresses().map(|addresses| addresses.own).unwrap_or_default();
    let machines = estate.hosts_with(&own);
    placed.behind.retain(|behind| machines.iter().any(|machine| machine.name == behind.host));
    if placed.behind.is_empty() {
        return host.clone();
    }
    placed.behind = placed.behind.into_iter().flat_map(with_port).collect();
    placed
}

/// The ports behind which a guest is: the one that is named, or those that are found by the guest's hardware address.
fn with_port(behind: Behind) -> Vec<Behind> {
    let (None, Some(mac)) = (&behind.interface, behind.mac) else { return vec![behind] };
    // Where nobody can be asked, nothing is found, and that is said by who needs a port.
    let ports = links::ports_of_guest(mac.0).unwrap_or_default();
    if ports.is_empty() {
        return vec![behind];
    }
    ports.into_iter().map(|port| Behind { interface: Some(port), ..behind.clone() }).collect()
}

/// The site of a host, read from its rendered file, so that what is said of it can be found there.
///
/// # Errors
///
/// The host has neither roles nor rules.
pub fn site_of_host(estate: &Estate, catalogue: &Catalogue, host: &Host) -> Result<Site, Findings> {
    if !estate.has_policy(host) {
        let guests: Vec<&str> = estate.guests_of(&host.name).into_iter().map(|guest| guest.name.as_str()).collect();
        let hint = match guests.as_slice() {
            [] => "give it roles, or name it under `hosts:` of a rule".to_owned(),
            guests => format!("it carries guests; choose one with `--host`: {}", listed(guests.iter().copied())),
        };
        let message = format!("the host `{}` of the estate has no roles and no rules, so it has no policy", host.name);
        return Err(Findings(vec![estate.text.error(host.at, message).with_hint(hint)]));
    }
    let name = format!("{} (host {})", estate.text.name, host.name);
    site::read(Text::new(name, estate::render(estate, catalogue, host)), catalogue)
}

/// Names in a sentence, at most forty.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 40;
    let names: Vec<&str> = names.collect();
    let more = if names.len() > MOST { format!(" and {} more", names.len() - MOST) } else { String::new() };
    format!("{}{more}", names[..names.len().min(MOST)].join(", "))
}
