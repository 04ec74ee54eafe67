//! `--quiet` and `--verbose`, of every command.

use std::io::{self, Write};
use std::time::Instant;

use crate::text::escape::{Guard, message};

/// How much is said beside results.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Verbosity {
    /// Print only results and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = HEADING)]
    pub quiet: bool,
    /// Print version and kernel, every cause of an error, and the duration as well.
    #[arg(short, long, global = true, help_heading = HEADING)]
    pub verbose: bool,
}

const HEADING: &str = "Messages";

impl Verbosity {
    /// Where messages go that are no errors.
    pub(in crate::cli) fn messages(self, has_colors: bool) -> Box<dyn Write> {
        if self.quiet { Box::new(io::sink()) } else { Box::new(Guard::new(io::stderr(), has_colors)) }
    }

    /// What anybody wants to know who helps from afar.
    pub(in crate::cli) fn begin(self, err: &mut dyn Write) -> io::Result<Instant> {
        if self.verbose {
            let kernel = nix::sys::utsname::uname().map_err(io::Error::from)?;
            writeln!(
                err,
                "enforcer {}, {} {} {}, state folder {}",
                env!("CARGO_PKG_VERSION"),
                kernel.sysname().to_string_lossy(),
                kernel.release().to_string_lossy(),
                kernel.machine().to_string_lossy(),
                crate::state::folder().display()
            )?;
        }
        Ok(Instant::now())
    }

    /// How it ended.
    pub(in crate::cli) fn end(self, since: Instant, code: u8, err: &mut dyn Write) {
        if self.verbose {
            // Nothing is left to be done if standard error is closed.
            let _ = writeln!(err, "exit code {code} after {:.3} s", since.elapsed().as_secs_f64());
        }
    }

    /// An error, in a line, or with each of its causes in a line of its own.
    pub(in crate::cli) fn error(self, error: &crate::failure::Failure) -> String {
        match error.chain() {
            Some(chain) if self.verbose => {
                let causes: Vec<String> = chain.map(|cause| message(&cause.to_string()).into_owned()).collect();
                causes.join("\n  because: ")
            }
            _ => message(&error.to_string()).into_owned(),
        }
    }
}
