//! The errors of the data plane, with messages for the operator.

use std::io;
use std::path::PathBuf;

use aya::EbpfError;
use aya::maps::MapError;
use aya::pin::PinError;
use aya::programs::ProgramError;
use aya::programs::links::LinkError;

use crate::failure::{Failure, is_permission};
use crate::host::netns::NetnsError;

/// An error of the data plane. The active policy is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// The named interface does not exist.
    #[error("there is no interface `{name}` in this network namespace{hint}")]
    NoInterface {
        /// The name, as the operator wrote it.
        name: String,
        /// "; did you mean ..", or the list of existing interfaces.
        hint: String,
    },
    /// The interface cannot be protected.
    #[error("interface `{name}` cannot be protected: {why}")]
    Unsuitable {
        /// Name of the interface.
        name: String,
        /// The reason.
        why: String,
    },
    /// The policies have more rules than there are counters.
    #[error("{0}")]
    TooManyRules(String),
    /// The interface is not protected, or its pins are missing.
    #[error("{0}")]
    NotProtected(String),
    /// The driver of an interface does not take native XDP.
    #[error("{0}; use --hook tc")]
    NoNative(String),
    /// The kernel or the privileges do not allow it.
    #[error("{0}")]
    NotAllowed(String),
    /// Another program holds the hook.
    #[error("the {hook} hook of `{interface}` is taken by {by}; remove it first, or choose another hook with --hook")]
    Busy {
        /// Interface.
        interface: String,
        /// Hook.
        hook: &'static str,
        /// The other program: its id and name.
        by: String,
    },
    /// Another process holds what only one process can hold, such as a lock.
    #[error("{0}")]
    Taken(String),
    /// The operation was refused for safety.
    #[error("{0}")]
    Refused(String),
    /// The kernel refused a program.
    #[error("the kernel refused the program {program}: {error}\n{log}")]
    Verifier {
        /// Name of the program.
        program: &'static str,
        /// The error of the load.
        error: io::Error,
        /// The end of what the verifier printed.
        log: String,
    },
    /// A system call failed.
    #[error("{context}")]
    System {
        /// The step that failed, such as "cannot pin the map at ..".
        context: String,
        /// The error of the system call or of the library.
        #[source]
        source: anyhow::Error,
    },
}

impl DataplaneError {
    /// The error of the step that `context` names.
    pub(super) fn system(context: impl Into<String>, source: impl Into<anyhow::Error>) -> Self {
        Self::System { context: context.into(), source: source.into() }
    }
}

/// Puts the name of the failed step before an error of aya or of the system.
pub(super) trait Context<T> {
    /// The value, or an error whose text is `context` ("cannot pin the map at ..") and whose source is the error.
    fn with_context(self, context: impl FnOnce() -> String) -> Result<T, DataplaneError>;
}

impl<T, E: Into<AnyError>> Context<T> for Result<T, E> {
    fn with_context(self, context: impl FnOnce() -> String) -> Result<T, DataplaneError> {
        self.map_err(|error| {
            let AnyError(source) = error.into();
            DataplaneError::System { context: context(), source }
        })
    }
}

/// An error of the system or of a library below.
#[derive(Debug)]
pub(super) struct AnyError(anyhow::Error);

impl AnyError {
    /// The system's error number, if there is one.
    pub(super) fn number(&self) -> Option<i32> {
        error_number(self.0.as_ref())
    }
}

macro_rules! any_error {
    ($($type:ty),*) => {
        $(impl From<$type> for AnyError {
            fn from(error: $type) -> Self {
                Self(error.into())
            }
        })*
    };
}

any_error!(
    EbpfError,
    MapError,
    PinError,
    ProgramError,
    LinkError,
    io::Error,
    serde_json::Error,
    crate::host::links::LinksError,
    crate::state::last_good::StateError
);
any_error!(crate::host::snapshot::LiveError, aya_log::Error);

impl From<NetnsError> for DataplaneError {
    fn from(error: NetnsError) -> Self {
        let context = error.to_string();
        Self::system(context, error.into_source())
    }
}

impl From<DataplaneError> for Failure {
    fn from(error: DataplaneError) -> Self {
        match &error {
            DataplaneError::NoInterface { .. }
            | DataplaneError::Unsuitable { .. }
            | DataplaneError::TooManyRules(_) => Self::BadInput(error.into()),
            DataplaneError::NoNative(_) | DataplaneError::NotAllowed(_) | DataplaneError::Verifier { .. } => {
                Self::NotAllowed(error.into())
            }
            DataplaneError::Busy { .. } | DataplaneError::Refused(_) => Self::Refused(error.into()),
            DataplaneError::NotProtected(_) | DataplaneError::Taken(_) => Self::Failed(error.into()),
            DataplaneError::System { .. } if is_permission(&error) => Self::NotAllowed(error.into()),
            DataplaneError::System { .. } => Self::Failed(error.into()),
        }
    }
}

/// The system's error number in the chain of sources of an error, if there is one.
pub(super) fn error_number(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut error = Some(error);
    while let Some(current) = error {
        if let Some(number) = current.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(number);
        }
        error = current.source();
    }
    None
}

/// Adds the path to an I/O error.
pub(crate) fn at(path: PathBuf) -> impl FnOnce(io::Error) -> DataplaneError {
    move |error| DataplaneError::system(format!("cannot use {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_rules_are_bad_input() {
        assert_eq!(Failure::from(DataplaneError::TooManyRules(String::new())).exit_code(), 2);
    }
}
