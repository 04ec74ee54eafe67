//! The outcome of an operation, and the exit code that goes with it. Exit codes are decided here and nowhere else.

use std::io;

use crate::text::diagnostic::Diagnostic;

/// The exit codes and their meaning, as in the manual and in docs/operating.md.
pub(crate) const EXIT_CODES: [(u8, &str); 5] = [
    (0, "Success."),
    (1, "The operation failed, or the check found a problem."),
    (2, "The command line, a YAML file or a capture is wrong. The active policy is unchanged."),
    (3, "The kernel or the privileges do not allow it."),
    (4, "Refused for safety. The message says what to do instead."),
];

/// The states of a monitoring plugin, from good to bad, with the exit codes of the plugin convention of Nagios. Only `enforcer
/// check-health` ends with them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum PluginState {
    /// Everything is as it should be.
    Ok,
    /// An operator should look at it.
    Warning,
    /// It could not be checked.
    Unknown,
    /// This host is not protected as it should be.
    Critical,
}

impl PluginState {
    /// The word of the convention.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Unknown => "UNKNOWN",
            Self::Critical => "CRITICAL",
        }
    }

    /// The exit code of the convention.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }
}

/// Why a command did not do what it was asked, and with it the exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Exit code 1: the operation failed, or `status` found something that is not as it should be.
    #[error("{0:#}")]
    Failed(anyhow::Error),
    /// Exit code 1 as well, but everything that there is to say has been printed.
    #[error("")]
    Reported,
    /// The exit code of a monitoring plugin, whose line has been printed.
    #[error("")]
    Plugin(PluginState),
    /// Exit code 2: the command line, a YAML file or a capture is wrong. What was running is untouched.
    #[error("{0:#}")]
    BadInput(anyhow::Error),
    /// Exit code 2: what is wrong with a text, with file, line and column.
    #[error("{}", .0.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Diagnostic>),
    /// Exit code 2 as well, but the findings have been printed as the result.
    #[error("")]
    BadInputReported,
    /// Exit code 3: the kernel or the privileges do not allow it.
    #[error("{0:#}")]
    NotAllowed(anyhow::Error),
    /// Exit code 4: refused for safety; says what to do instead.
    #[error("{0:#}")]
    Refused(anyhow::Error),
}

impl Failure {
    /// The documented exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::Reported => 1,
            Self::BadInput(_) | Self::Invalid(_) | Self::BadInputReported => 2,
            Self::NotAllowed(_) => 3,
            Self::Refused(_) => 4,
            Self::Plugin(state) => state.code(),
        }
    }

    /// The error and its causes, if there is something to say.
    pub(crate) fn chain(&self) -> Option<anyhow::Chain<'_>> {
        match self {
            Self::Failed(error) | Self::BadInput(error) | Self::NotAllowed(error) | Self::Refused(error) => {
                Some(error.chain())
            }
            Self::Reported | Self::Plugin(_) | Self::Invalid(_) | Self::BadInputReported => None,
        }
    }
}

/// An error that nobody judged more closely: the operation failed.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Makes sure that this process may load programs and change interfaces.
///
/// # Errors
/// [`Failure::NotAllowed`], naming the capabilities that are missing.
pub fn require_capabilities() -> Result<(), Failure> {
    use caps::{CapSet, Capability};
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    if has(Capability::CAP_SYS_ADMIN) && has(Capability::CAP_NET_ADMIN) {
        return Ok(());
    }
    let wanted = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];
    let missing: Vec<String> = wanted.into_iter().filter(|one| !has(*one)).map(|one| one.to_string()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::NotAllowed(anyhow::anyhow!(
        "this command needs root, or the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; {} {} missing",
        missing.join(", "),
        if missing.len() == 1 { "is" } else { "are" }
    )))
}

pub(crate) fn is_permission(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(current) = error {
        let number = current.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        if matches!(number, Some(libc::EPERM | libc::EACCES)) {
            return true;
        }
        error = current.source();
    }
    false
}
