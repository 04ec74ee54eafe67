//! How `apply` and `mode enforce` treat live connections: list those that would be cut, ask, and protect the operator's own
//! session.

use std::io::{self, IsTerminal as _};

use crate::cli::output::{Output, Terminal};
use crate::cli::print::table::{print, table};
use crate::failure::Failure;
use crate::protect::live::moment::CutConnection;

/// Options about live connections.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[command(next_help_heading = "Live connections")]
pub struct LiveArgs {
    /// Do not ask if live connections would be cut, or if the site file ends enforcement.
    #[arg(long)]
    pub yes: bool,
    /// Stop with exit code 4 if a live connection would be cut.
    #[arg(long, conflicts_with = "yes")]
    pub abort_if_cut: bool,
    /// Continue even if this cuts your own SSH session.
    #[arg(long)]
    pub force: bool,
}

impl LiveArgs {
    /// Says which connections would be cut, and asks where somebody can answer.
    ///
    /// # Errors
    /// [`Failure::Refused`] when they must not be cut.
    pub fn settle(self, cut: &[CutConnection], may_ask: bool, output: &mut Output<'_>) -> Result<(), Failure> {
        if cut.is_empty() {
            return Ok(());
        }
        let connections = if cut.len() == 1 { "1 live connection" } else { &format!("{} live connections", cut.len()) };
        writeln!(output.errors, "{connections} would be cut:\n{}", cut_table(cut, output.terminal))?;
        let refused =
            |why: &str| Failure::Refused(anyhow::anyhow!("{connections} would be cut, and {why}; nothing was changed"));
        if self.abort_if_cut {
            return Err(refused("--abort-if-cut was given"));
        }
        if self.yes || !may_ask || !is_terminal() || ask("Continue?", output)? {
            return Ok(());
        }
        Err(refused("you did not answer yes"))
    }
}

/// Whether somebody is there who can answer.
pub(in crate::cli) fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question, and says whether the answer is yes.
pub(in crate::cli) fn ask(question: &str, output: &mut Output<'_>) -> Result<bool, Failure> {
    write!(output.errors, "{question} [y/N] ")?;
    output.errors.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The list, for a person. Messages go to standard error, whose width nobody knows when results go elsewhere.
pub(in crate::cli) fn cut_table(cut: &[CutConnection], terminal: Terminal) -> String {
    let terminal = Terminal { color_out: terminal.color_err, ..terminal };
    let mut rows = table(terminal, &["PROTOCOL", "LOCAL", "REMOTE", "PROCESS", "WHY"]);
    for one in cut {
        let why = match &one.rule {
            Some(rule) => format!("{} ({rule})", one.reason),
            None => one.reason.to_string(),
        };
        let process = one.process.clone().unwrap_or_else(|| "?".to_owned());
        rows.add_row([one.protocol.to_owned(), one.local.clone(), one.remote.clone(), process, why]);
    }
    print(&rows)
}
