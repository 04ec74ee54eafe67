//! Guests behind ports of one machine: time to protect 64 of them, time to change one, and the memory that each further guest takes.

use std::time::Instant;

use harness::enforcer::{enforcer, enforcer_on_host, enforcer_with_input};
use harness::netns::{Namespace, another_interface};

use crate::Effort;
use crate::report::{Row, Section, Target};

/// Ports of guests.
const PORTS: u32 = 64;
/// Seconds to protect all of them, each for another role.
const ALL: f64 = 3.0;
/// Seconds to change the policy of one of them.
const ONE: f64 = 0.5;
/// Seconds for a listing of all of them.
const LISTING: f64 = 0.3;
/// Mebibytes of the maps for each further guest.
const MEMORY: f64 = 1.0;

pub(crate) fn section(effort: Effort) -> Section {
    effort.say("guests behind many ports");
    let ports = if effort.quick { PORTS / 8 } else { PORTS };
    let mut rows = Vec::new();
    if let Err(why) = times(effort, ports, &mut rows) {
        rows.push(Row::not_measured("guests", "all", why));
    }
    Section::new("guests", "(f) Guests behind ports: time to protect and to change them, and memory of the maps", rows)
}

/// A machine with ports of guests. Dropping it detaches them.
struct Machine {
    host: Namespace,
    ports: Vec<String>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        enforcer(&self.host, &["detach"]);
    }
}

fn times(effort: Effort, ports: u32, rows: &mut Vec<Row>) -> Result<(), String> {
    let group = format!("{ports} guests");
    let machine = Machine { host: Namespace::new(), ports: (0..ports).map(|_| another_interface()).collect() };
    for port in &machine.ports {
        machine.host.batch(&format!("link add {port} type veth peer name {port}p\nlink set {port} up\n"));
    }
    let roles = roles()?;
    let site = |number: u32, more: &str| {
        let (port, role) = (&machine.ports[number as usize], &roles[number as usize % roles.len()]);
        format!("interfaces: [{{name: {port}, protects: guest}}]\nroles: [{role}]\nmode: enforce\n{more}")
    };
    let apply = |text: &str| run(&machine.host, &["apply", "-", "--yes"], text);
    let mut first = apply(&site(0, ""))?;
    let one = memory(&machine.host)?;
    for number in 1..ports {
        effort.progress(number + 1, ports);
        first += apply(&site(number, ""))?;
    }
    let row = |name: &str, value: f64, limit: f64| {
        Row::new(&*group, name, value, "s").target((!effort.quick).then_some(Target::AtMost(limit)))
    };
    rows.push(row("first apply of all, a role and a site file each", first, ALL).how("once".to_owned()));
    let rounds = effort.applies();
    let least = |times: Vec<f64>| times.into_iter().fold(f64::INFINITY, f64::min);
    let changed = (0..rounds).map(|round| {
        let port = 1024 + round;
        apply(&site(ports / 2, &format!("deny: [{{name: changed, protocol: tcp, ports: [{port}]}}]\n")))
    });
    let changed = least(changed.collect::<Result<_, _>>()?);
    rows.push(row("apply that changes the policy of one", changed, ONE).how(format!("least of {rounds}")));
    for line in [&["status"][..], &["counters"], &["counters", "--format", "prometheus"]] {
        let time = least((0..rounds).map(|_| run(&machine.host, line, "")).collect::<Result<_, _>>()?);
        rows.push(row(&format!("enforcer {}", line.join(" ")), time, LISTING).how(format!("least of {rounds}")));
    }
    let each = (memory(&machine.host)? - one) / f64::from(ports - 1);
    rows.push(
        Row::new(group, "memory of the maps for each further guest", each, "MiB")
            .target(Some(Target::AtMost(MEMORY)))
            .how(format!("{one:.1} with one")),
    );
    Ok(())
}

/// Roles that need no parameter.
fn roles() -> Result<Vec<String>, String> {
    let roles = enforcer_on_host(&["roles", "--format", "json"]).expect_code(0).json();
    let is_complete = |role: &&serde_json::Value| {
        role["parameters"].as_array().is_none_or(|all| all.iter().all(|one| one["required"] != true))
    };
    let roles = roles.as_array().ok_or("`enforcer roles` prints no array")?.iter().filter(is_complete);
    Ok(roles.filter_map(|role| role["name"].as_str().map(str::to_owned)).collect())
}

/// Mebibytes of all maps.
fn memory(host: &Namespace) -> Result<f64, String> {
    let json = enforcer(host, &["status", "--format", "json"]).json();
    let bytes = json["all"]["memory"]["total"].as_f64().ok_or("`enforcer status` prints no memory")?;
    Ok(bytes / f64::from(1 << 20))
}

/// Seconds of a command.
fn run(host: &Namespace, arguments: &[&str], input: &str) -> Result<f64, String> {
    let start = Instant::now();
    let ran = enforcer_with_input(host, arguments, input);
    let elapsed = start.elapsed().as_secs_f64();
    match ran.code {
        Some(0) => Ok(elapsed),
        _ => Err(format!("`{}`: {}", ran.line, ran.stderr.lines().next().unwrap_or("no message"))),
    }
}
