//! What the commands about running programs share: which interfaces, which modes, and what their errors mean.

use std::io::Write as _;
use std::time::Duration;

use clap_complete::engine::ArgValueCompleter;
use enforcer_common::Mode;

use crate::cli::completions;
use crate::dataplane::{Protected, of_other_versions, protected, reading, secure_folders};
use crate::failure::{Failure, require_capabilities};
use crate::text::decimal;

/// The interfaces of a command; every protected interface if none is named.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct InterfaceArgs {
    /// Interfaces. Default: every protected interface.
    #[arg(long, value_name = "IF[,IF]", value_delimiter = ',', add = ArgValueCompleter::new(completions::interfaces))]
    pub interface: Vec<String>,
}

impl InterfaceArgs {
    /// Returns the protected interfaces that the options select.
    ///
    /// # Errors
    /// A named interface is not protected, or the pins cannot be read.
    pub fn protected(&self) -> Result<Vec<Protected>, Failure> {
        require_root()?;
        // Half of an `apply` that is going on would look like no protection.
        let _reading = reading()?;
        Ok(protected(&self.interface)?)
    }

    /// Like [`Self::protected`], but fails if no interface is protected.
    ///
    /// # Errors
    /// As [`Self::protected`], or no interface is protected.
    pub fn some_protected(&self) -> Result<Vec<Protected>, Failure> {
        let found = self.protected()?;
        if found.is_empty() {
            if let [other, ..] = other_versions()?.as_slice() {
                return Err(Failure::Failed(anyhow::anyhow!("{other}")));
            }
            return Err(Failure::Failed(anyhow::anyhow!(
                "no interface in this network namespace is protected; `enforcer apply` protects one"
            )));
        }
        Ok(found)
    }
}

/// Returns a sentence for each interface that another version of enforcer protects.
///
/// # Errors
/// When the pins cannot be read.
pub fn other_versions() -> Result<Vec<String>, Failure> {
    let others = of_other_versions()?.into_iter().map(|(interface, layout)| {
        format!(
            "{interface} is protected by another version of enforcer (layout {layout}), whose counters and modes this version cannot \
             read; `enforcer apply` takes the interface over, `enforcer detach --interface {interface}` detaches it"
        )
    });
    Ok(others.collect())
}

/// A mode on the command line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum ModeArg {
    /// Count refused packets, and let them pass.
    Audit,
    /// Drop refused packets.
    Enforce,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Audit => Self::Audit,
            ModeArg::Enforce => Self::Enforce,
        }
    }
}

/// Parses a duration on the command line: `60s`, `2h`, `1h 30m`.
///
/// # Errors
/// The text is no duration, or less than a second.
pub fn duration(text: &str) -> Result<Duration, String> {
    if let Some(hint) = decimal::leading_zero(text) {
        return Err(hint);
    }
    let length = humantime::parse_duration(text).map_err(|error| format!("{error}; write it like `60s` or `2h`"))?;
    if length < Duration::from_secs(1) {
        return Err("the time must be at least one second".to_owned());
    }
    Ok(length)
}

/// Makes sure that this process may load programs and change interfaces, and that nobody else can touch what is pinned.
///
/// # Errors
/// [`Failure::NotAllowed`], naming the capabilities that are missing.
pub fn require_root() -> Result<(), Failure> {
    require_capabilities()?;
    // Takes over folders of pins that others own, and says so whatever `--quiet` says.
    let mut stderr = std::io::stderr().lock();
    for sentence in secure_folders()? {
        writeln!(stderr, "ATTENTION: {sentence}")?;
    }
    Ok(())
}
