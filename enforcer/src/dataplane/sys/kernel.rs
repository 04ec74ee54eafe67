//! Whether this kernel is one of those that were tried.

use std::sync::OnceLock;

use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported};
use nix::sys::utsname::uname;

use crate::dataplane::error::DataplaneError;

/// The oldest that all tests of verdicts, traffic and lifecycle were run on. Those between 5.18, which brought XDP programs for frames of
/// several buffers, and this one are not known; and a distribution's may have what its number does not tell.
const OLDEST: (u32, u32) = (6, 1);

/// The release of this kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::dataplane) struct Release {
    /// As `uname -r` prints it.
    pub(in crate::dataplane) text: String,
    /// Its first two numbers.
    pub(in crate::dataplane) number: (u32, u32),
}

/// The release of this kernel; `None` where it is no number.
pub(in crate::dataplane) fn release() -> Option<Release> {
    let name = uname().ok()?;
    let text = name.release().to_str()?;
    Some(Release { text: text.to_owned(), number: number(text)? })
}

/// Says so, where this kernel is older than those that were tried.
#[must_use]
pub fn untried_kernel() -> Option<String> {
    let name = uname().ok()?;
    let release = name.release().to_str()?;
    let (major, minor) = OLDEST;
    is_older(release).then(|| {
        format!("this is Linux {release}, and {major}.{minor} is the oldest kernel that enforcer is tested on")
    })
}

/// Whether this kernel says which packets it decrypted (`CONFIG_XFRM`); `None` where it does not let us ask.
pub(in crate::dataplane) fn tells_decrypted() -> Option<bool> {
    static ANSWER: OnceLock<Option<bool>> = OnceLock::new();
    *ANSWER
        .get_or_init(|| is_helper_supported(ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_skb_get_xfrm_state).ok())
}

/// What an old kernel refuses, it refuses in words that nobody understands.
pub(in crate::dataplane) fn on_old_kernels(error: DataplaneError) -> DataplaneError {
    match untried_kernel() {
        Some(note) => noted(error, &note),
        None => error,
    }
}

/// The same error, which has the same exit code, with a note.
fn noted(mut error: DataplaneError, note: &str) -> DataplaneError {
    if let DataplaneError::Verifier { log, .. } = &mut error {
        *log = format!("{log}\n{note}").trim_start().to_owned();
    } else if let DataplaneError::System { context, .. } = &mut error {
        *context = format!("{context} ({note})");
    }
    error
}

fn is_older(release: &str) -> bool {
    number(release).is_some_and(|number| number < OLDEST)
}

fn number(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    Some((numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_leaves_the_kind_and_the_cause_of_an_error() {
        let cause = || std::io::Error::from_raw_os_error(libc::EINVAL);
        let verifier = DataplaneError::Verifier { program: "inbound_xdp", error: cause(), log: String::new() };
        let noted_verifier = noted(verifier, "this is old");
        assert!(matches!(noted_verifier, DataplaneError::Verifier { .. }));
        let text = noted_verifier.to_string();
        assert_eq!(text, "the kernel refused the program inbound_xdp: Invalid argument (os error 22)\nthis is old");
        let system = DataplaneError::System { context: "cannot write".to_owned(), source: cause().into() };
        let text = format!("{:#}", anyhow::Error::from(noted(system, "this is old")));
        assert_eq!(text, "cannot write (this is old): Invalid argument (os error 22)");
    }

    #[test]
    fn releases_are_compared_by_number() {
        for old in ["5.10.0-32-cloud-amd64", "5.9", "6.0.19"] {
            assert!(is_older(old), "{old}");
        }
        for tried in ["6.1.0-56-cloud-amd64", "6.10.0", "10.0", "unheard of"] {
            assert!(!is_older(tried), "{tried}");
        }
    }
}
