//! `enforcer report`: writes a page about the active policy and its traffic.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::readiness::ThresholdArgs;
use crate::cli::args::evidence::Evidence;
use crate::cli::args::policy::PolicyArgs;
use crate::cli::output::Output;
use crate::cli::print::table::source_rows;
use crate::failure::Failure;
use crate::observe::report::{CutPart, Parts, PolicyPart, Report, span_parts};
use crate::state::history::{Entry, Event, spans, this_boot};
use crate::text::escape::{line, verbatim};

/// Write a report page about this host.
///
/// The page shows modes and their history, traffic by rule and document row, refused traffic, permitted services without traffic, drift, and
/// readiness.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The page is self-contained: it needs no network and has no scripts. It has a light and a dark \
                  theme, and can be printed. It contains addresses and ports of this host, so treat it as \
                  confidential.\n\n\
                  Examples:\n  \
                  enforcer report -o report.html\n  \
                  enforcer report -o - > report.html\n  \
                  enforcer report --format json | jq '.readiness.ready'"
)]
pub struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Output file; `-` is standard output. An existing file is replaced atomically.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    thresholds: ThresholdArgs,
    /// Output format.
    #[arg(long, value_enum, default_value_t = ReportFormat::Html)]
    format: ReportFormat,
}

/// Format of a report.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum ReportFormat {
    /// A page.
    Html,
    /// JSON for programs.
    Json,
}

/// Runs the command.
///
/// # Errors
/// When nothing is protected, or the file cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let file = args.output.as_deref().filter(|path| path.as_os_str() != "-");
    if args.output.is_none() && args.format == ReportFormat::Html && io::stdout().is_terminal() {
        return Err(Failure::BadInput(anyhow::anyhow!(
            "the report is an HTML page; write it to a file: `enforcer report -o report.html`"
        )));
    }
    let report = report(args, output)?;
    let text = match args.format {
        ReportFormat::Html => report.html()?,
        ReportFormat::Json => serde_json::to_string_pretty(&report).map_err(io::Error::from)? + "\n",
    };
    let Some(file) = file else { return Ok(verbatim(|| output.out.write_all(text.as_bytes()))?) };
    replace(file, text.as_bytes()).map_err(|error| anyhow::anyhow!("cannot write {}: {error}", file.display()))?;
    Ok(writeln!(output.err, "{} written, {} bytes", line(&file.to_string_lossy()), text.len())?)
}

fn report(args: &Args, output: &mut Output<'_>) -> Result<Report, Failure> {
    let evidence = Evidence::look(&args.policy, output)?;
    let readiness = evidence.judge(args.thresholds.into());
    let hash = evidence.policy_hash().to_owned();
    let Evidence { whole, protected, interfaces, denied, suggestions, cut, history, at } = evidence;
    let parts = Parts { interfaces: &interfaces, history: &history.entries, denied: &denied.flows };
    let boot = this_boot();
    let of = |one: &crate::dataplane::Protected| {
        span_parts(&one.interface, spans(&history.entries, one.pins.name(), &boot, at))
    };
    // The history knows interfaces by the names of their pins, people by their own.
    let change = |entry: &Entry| {
        let one = protected.iter().find(|one| one.pins.name() == entry.interface)?;
        (entry.event != Event::Sample).then(|| Entry { interface: one.interface.clone(), ..entry.clone() })
    };
    let changes: Vec<Entry> = history.entries.iter().rev().filter_map(change).collect();
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        host: nix::unistd::gethostname()
            .map_or_else(|_| "this host".to_owned(), |name| name.to_string_lossy().into_owned()),
        at,
        policy: PolicyPart {
            hash,
            origin: interfaces.first().map(|one| one.status.origin.clone()).unwrap_or_default(),
            roles: whole.site.roles.iter().map(|role| role.role.clone()).collect(),
            rules: interfaces.first().map_or(0, |one| one.status.rules),
            outbound_judged: whole.ruleset.settings.outbound_judged,
        },
        interfaces: parts.interfaces(),
        rules: parts.rules(source_rows),
        readiness,
        cut: cut
            .into_iter()
            .map(|one| CutPart {
                connection: format!("{} {} - {}", one.protocol, one.local, one.remote),
                process: one.process,
                why: one.rule.map_or_else(|| one.reason.to_string(), |rule| format!("{} ({rule})", one.reason)),
            })
            .collect(),
        suggestions,
        spans: protected.iter().flat_map(of).collect(),
        changes,
        over_time: parts.over_time(at),
        last_seen: parts.last_seen(at),
    })
}

/// Writes a file beside the one that is meant and puts it in its place: who reads meanwhile reads the old or the new one. A link to
/// another file is replaced, and the file stays as it is. A device or a pipe stays what it is, and is written to.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a link stands for is not asked: it may be somebody else's. But /dev/stdout and its like are links of the kernel.
    let found = if is_of_kernel(path) { fs::metadata(path) } else { fs::symlink_metadata(path) };
    match found {
        Ok(meta) if meta.is_dir() => return Err(io::Error::from_raw_os_error(libc::EISDIR)),
        Ok(meta) if !(meta.is_file() || meta.is_symlink()) || is_of_kernel(path) => {
            // Nobody waits until somebody reads a pipe; once it is read, it is written to its end.
            let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_APPEND;
            let mut file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
            fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
            return file.write_all(bytes);
        }
        Ok(_) | Err(_) => {}
    }
    let name = path.file_name().ok_or_else(|| io::Error::other("it has no name"))?.to_string_lossy().into_owned();
    let new = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).custom_flags(libc::O_NOFOLLOW).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().inspect_err(|_| {
        // Part of a page is of no use to anybody.
        let _ = fs::remove_file(&new);
    })
}

/// Whether a path is in a folder that the kernel fills.
fn is_of_kernel(path: &Path) -> bool {
    let folder = path.parent().and_then(|folder| fs::canonicalize(folder).ok());
    folder.is_some_and(|folder| ["/dev", "/proc"].iter().any(|of_kernel| folder.starts_with(of_kernel)))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_device_stays_one_and_a_link_to_a_file_is_replaced() {
        let folder = std::env::temp_dir().join(format!("enforcer-report-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (page, link, nothing) = (folder.join("page"), folder.join("link"), folder.join("nothing"));
        symlink(&page, &link).unwrap();
        symlink("/dev/null", &nothing).unwrap();
        for text in ["first", "second"] {
            replace(&page, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&page).unwrap(), text);
        }
        replace(&link, b"third").unwrap();
        assert_eq!(fs::read_to_string(&link).unwrap(), "third");
        assert_eq!(fs::read_to_string(&page).unwrap(), "second", "what the link led to is left alone");
        assert!(!fs::symlink_metadata(&link).unwrap().is_symlink());
        replace(&nothing, b"no device").unwrap();
        assert!(fs::symlink_metadata(&nothing).unwrap().is_file());
        // As /dev/stdout is for a command whose output goes to a file.
        let open = File::create(folder.join("redirected")).unwrap();
        let descriptor = Path::new("/proc/self/fd").join(open.as_raw_fd().to_string());
        replace(&descriptor, b"there").unwrap();
        assert_eq!(fs::read_to_string(folder.join("redirected")).unwrap(), "there");
        let pipe = folder.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(replace(&pipe, b"nobody reads").is_err());
        assert!(replace(&folder, b"x").is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 5, "nothing is left beside it");
        fs::remove_dir_all(folder).unwrap();
    }
}
