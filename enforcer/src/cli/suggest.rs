//! `enforcer suggest`: suggests changes of the site that would permit denied flows.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use enforcer_common::Direction;
use jiff::ZonedDateTime;

use crate::cli::args::in_force::{CompiledPolicy, chosen};
use crate::cli::args::interfaces::InterfaceArgs;
use crate::cli::args::policy::PolicyArgs;
use crate::cli::output::Output;
use crate::cli::print::table::{print, source_rows, table};
use crate::dataplane::{self, Asked, AttachMode, DeniedFlow, Protected};
use crate::failure::Failure;
use crate::host::links::addresses;
use crate::host::trusted::{Pipes, read_named};
use crate::observe::suggest::{Base, suggest};
use crate::observe::suggest::{Class, Denied, Flow, Options, Suggestion, Suggestions, Unexplained};
use crate::policy::site::COMMAND_LINE;
use crate::text::diagnostic::count;
use crate::text::escape::{line, verbatim};

/// Maximum size of a list of denied flows: twice the size of 65536 flows.
const MOST_BYTES: usize = 64 << 20;
/// Maximum number of flows and reasons in a table.
const ROWS: usize = 20;

/// Suggest changes that would permit denied flows.
///
/// A suggestion is an `allow` entry, an address for a peer, or a role. Every suggestion is compiled and tried before it is printed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "`allow` entries come first: they permit the observed traffic and nothing else. An address for a \
                  peer, or a role, may permit more; the suggestion shows how much. Port scans, ports that a \
                  document keeps for the host itself, and traffic that no site can permit get no suggestion.\n\n\
                  Without SITE, the suggestions are for the active policy. `--format yaml` prints the site file \
                  with all suggestions added, and leaves the rest unchanged: read it, and keep the suggestions \
                  that are right.\n\n\
                  Examples:\n  \
                  enforcer suggest\n  \
                  enforcer suggest site.yaml --narrow\n  \
                  enforcer suggest site.yaml --format yaml | enforcer diff site.yaml -\n  \
                  enforcer denied --format json > denied.json; enforcer suggest site.yaml --denied denied.json\n  \
                  enforcer suggest --format json | jq -r '.suggestions[] | \"\\(.packets) \\(.kind) \\(.name)\"'"
)]
pub struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Read denied flows from a file, as `enforcer denied --format json` prints them; `-` is standard input. Default: read the kernel.
    #[arg(long, value_name = "FILE")]
    denied: Option<PathBuf>,
    /// Suggest only `allow` entries, which permit nothing but the observed traffic.
    #[arg(long)]
    narrow: bool,
    /// Output format.
    #[arg(long, value_enum, default_value_t = SuggestFormat::Text)]
    format: SuggestFormat,
}

/// How suggestions are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum SuggestFormat {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
    /// The site file with all suggestions.
    Yaml,
}

/// Runs the command.
///
/// # Errors
/// The policy or the list is wrong, or there is none.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let whole = CompiledPolicy::of(&args.policy, output)?;
    let denied = match &args.denied {
        Some(path) => listed(path)?,
        None => {
            let protected = InterfaceArgs { interface: chosen(&args.policy) }.some_protected()?;
            let looped = looped_ethertypes(&protected)?;
            let is_none = |flow: &&DeniedFlow| {
                flow.direction == Direction::Inbound
                    && matches!(flow.asked, Asked::Ethertype(found) if looped.contains(&found))
            };
            dataplane::denied(&protected)?.flows.iter().filter(|flow| !is_none(flow)).filter_map(Denied::of).collect()
        }
    };
    let base = Base::new(&whole.site, &whole.tree, &whole.catalogue, &whole.ruleset, ZonedDateTime::now().date());
    let found = suggest(&base, &denied, Options { narrow: args.narrow });
    match args.format {
        SuggestFormat::Json => output.json(&found),
        SuggestFormat::Yaml => {
            for note in &found.notes {
                writeln!(output.err, "note: {note}")?;
            }
            remark(&found, output)?;
            if found.is_rewritten && whole.site.text.name != COMMAND_LINE {
                writeln!(
                    output.err,
                    "the suggestions could not be added to the text of {}; this is the same site in a new text, without its comments",
                    line(&whole.site.text.name)
                )?;
            }
            Ok(verbatim(|| output.out.write_all(found.site.as_bytes()))?)
        }
        SuggestFormat::Text => show(&found, output),
    }
}

/// What stands in the place of an ethertype in packets that this host sent to itself: at generic XDP they come without a link header,
/// and bytes of their source are read as one. Nobody needs a rule for that.
fn looped_ethertypes(protected: &[Protected]) -> Result<BTreeSet<u16>, Failure> {
    if protected.iter().all(|one| one.record.inbound.attach_mode != AttachMode::Generic) {
        return Ok(BTreeSet::new());
    }
    let own = addresses().map_err(anyhow::Error::from)?.own;
    Ok(own
        .iter()
        .map(|address| match address {
            IpAddr::V4(address) => u16::from_be_bytes([address.octets()[0], address.octets()[1]]),
            IpAddr::V6(address) => address.segments()[2],
        })
        .collect())
}

/// Reads what `enforcer denied --format json` printed.
fn listed(path: &std::path::Path) -> Result<Vec<Denied>, Failure> {
    let failed = |error: io::Error| Failure::BadInput(anyhow::anyhow!("cannot read {}: {error}", path.display()));
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().lock().take(MOST_BYTES as u64).read_to_string(&mut text).map(|_| text)
    } else {
        let bytes = read_named(path, MOST_BYTES, Pipes::Allowed).map_err(failed)?;
        String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
    };
    let text = text.map_err(failed)?;
    Denied::from_json(&text).map_err(|error| {
        let what = "is not a list of denied flows as `enforcer denied --format json` prints it";
        Failure::BadInput(anyhow::anyhow!("{} {what}: {error}", path.display()))
    })
}

/// What a person should know of the result, beside it.
fn remark(found: &Suggestions, output: &mut Output<'_>) -> Result<(), Failure> {
    let (flows, packets) = found.explained();
    let left = found.unexplained.iter().filter(|one| one.class != Class::Permitted).count();
    writeln!(
        output.err,
        "{} for {} ({}); {left} unexplained",
        count(found.suggestions.len(), "suggestion"),
        count(flows, "denied flow"),
        count(packets, "packet")
    )?;
    if found.also_opens.ports > 0 {
        let to = if found.also_opens.to_anybody { ", some of them to every source" } else { "" };
        writeln!(output.err, "all suggestions together also open {}{to}", count(found.also_opens.ports, "more port"))?;
    }
    Ok(())
}

fn show(found: &Suggestions, output: &mut Output<'_>) -> Result<(), Failure> {
    for one in &found.suggestions {
        describe(one, output)?;
    }
    let (permitted, rest): (Vec<_>, Vec<_>) = found.unexplained.iter().partition(|one| one.class == Class::Permitted);
    let (answers, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|one| one.class == Class::Answer);
    if !rest.is_empty() {
        writeln!(output.out, "Unexplained")?;
        let mut rows = table(output.terminal, &["FLOW", "PACKETS", "WHY"]);
        for Unexplained { flow, why, .. } in rest.iter().take(ROWS) {
            rows.add_row([words(flow), flow.packets.to_string(), why.clone()]);
        }
        write!(output.out, "{}", print(&rows))?;
        if rest.len() > ROWS {
            writeln!(output.out, "... and {} more; --format json lists all", rest.len() - ROWS)?;
        }
    }
    for note in &found.notes {
        writeln!(output.out, "Note: {note}\n")?;
    }
    if !permitted.is_empty() {
        writeln!(output.err, "denied flows that the policy now permits: {}", permitted.len())?;
    }
    if found.suggestions.is_empty() && rest.is_empty() && answers.is_empty() {
        writeln!(output.err, "no flow was refused that the policy still refuses; there is nothing to suggest")?;
        return Ok(());
    }
    remark(found, output)
}

fn describe(one: &Suggestion, output: &mut Output<'_>) -> Result<(), Failure> {
    let flows = count(one.flows.len(), "flow");
    writeln!(
        output.out,
        "{} {}: {flows}, {}, risk {}",
        one.kind.name(),
        one.name,
        count(one.packets, "packet"),
        one.risk.level.name()
    )?;
    indented(&one.yaml, "    ", output)?;
    for flow in one.flows.iter().take(3) {
        writeln!(output.out, "  {}, {}", words(flow), count(flow.packets, "packet"))?;
    }
    if one.flows.len() > 3 {
        writeln!(output.out, "  and {} more", count(one.flows.len() - 3, "flow"))?;
    }
    if !one.rules.is_empty() && !one.sources.is_empty() {
        writeln!(output.out, "  permitted by {} ({})", one.rules.join(", "), source_rows(&one.sources))?;
    }
    if one.also_opens.ports > 0 {
        let more = if one.also_opens.examples.len() > 3 { ", ..." } else { "" };
        let examples: Vec<&str> = one.also_opens.examples.iter().take(3).map(String::as_str).collect();
        writeln!(output.out, "  also opens {}{more}", examples.join(", "))?;
    }
    writeln!(output.out, "  {}", one.risk.note)?;
    if let Some(narrower) = &one.narrower {
        writeln!(output.out, "  alternative for exactly these flows:")?;
        indented(narrower, "    ", output)?;
    }
    Ok(writeln!(output.out)?)
}

fn indented(text: &str, indent: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    text.lines().try_for_each(|line| Ok(writeln!(output.out, "{indent}{line}")?))
}

/// A flow in the words of `explain`, as far as they are known.
fn words(flow: &Flow) -> String {
    let direction = if flow.direction == Direction::Inbound { "in" } else { "out" };
    let remote = flow.remote.map_or_else(|| "-".to_owned(), |remote| remote.to_string());
    let port = flow.port.map_or_else(String::new, |port| format!(" {port}"));
    let way = if flow.direction == Direction::Inbound { "from" } else { "to" };
    format!("{direction} {}{port} {way} {remote}", flow.protocol)
}
