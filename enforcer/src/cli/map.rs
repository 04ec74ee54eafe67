//! `enforcer map`: writes a page that shows who may talk to whom in an estate.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use anyhow::Context as _;
use jiff::ZonedDateTime;

use crate::cli::file::replace;
use crate::cli::output::Output;
use crate::estate::ends::Ends;
use crate::estate::map::map;
use crate::failure::Failure;
use crate::host::trusted::Pipes;
use crate::policy::estate::{self, Input};
use crate::policy::source::{Error, load_catalogue};
use crate::text::diagnostic::Diagnostic;
use crate::text::escape::{line, verbatim};

/// Write a page that shows who may talk to whom.
///
/// The page has a matrix of the hosts of an estate. A cell shows the conversations that both ends permit, with the rules and document rows of each end.
/// It can be filtered by host, role, port and exposure.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The page is self-contained: it needs no network. It contains addresses and ports of your hosts, so treat it as \
                  confidential.\n\n\
                  Examples:\n  \
                  enforcer map estate.yaml -o map.html\n  \
                  enforcer map estate.yaml -o - > map.html"
)]
pub struct Args {
    /// Estate; `-` reads standard input.
    #[arg(value_name = "ESTATE", value_hint = clap::ValueHint::FilePath)]
    estate: String,
    /// Output file; `-` is standard output. An existing file is replaced atomically.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Read the catalogue from this directory instead of the built-in one.
    #[arg(long, value_name = "DIR")]
    catalogue: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
///
/// The estate is wrong, or the file cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let file = args.output.as_deref().filter(|path| path.as_os_str() != "-");
    if args.output.is_none() && io::stdout().is_terminal() {
        return Err(Failure::BadInput(anyhow::anyhow!(
            "the map is an HTML page; write it to a file: `enforcer map {} -o map.html`",
            line(&args.estate)
        )));
    }
    let catalogue = load_catalogue(args.catalogue.as_deref()).map_err(Error::from)?;
    let estate = match estate::load(&args.estate, &catalogue, Pipes::Allowed).map_err(Error::from)? {
        Input::Estate(estate) => estate,
        Input::Site(text) => {
            return Err(Failure::BadInput(anyhow::anyhow!(
                "{} is no estate: an estate lists `hosts:`",
                line(&text.name)
            )));
        }
    };
    let ends = Ends::new(&estate, &catalogue, ZonedDateTime::now().date())
        .map_err(|error| Failure::Invalid(vec![Diagnostic::of_file(estate.text.name.clone(), error.to_string())]))?;
    let text = map(&ends).context("the map cannot be written as JSON")?;
    let Some(file) = file else { return Ok(verbatim(|| output.out.write_all(text.as_bytes()))?) };
    let name = file.to_string_lossy();
    replace(file, text.as_bytes()).with_context(|| format!("cannot write {}", line(&name)))?;
    Ok(writeln!(output.err, "{} written, {} bytes", line(&name), text.len())?)
}
