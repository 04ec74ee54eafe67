//! The release and features of the running kernel.

use std::sync::OnceLock;

use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported};
use aya_obj::generated::BPF_F_XDP_HAS_FRAGS;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::utsname::uname;

use crate::dataplane::error::{DataplaneError, error_number};
use crate::dataplane::sys::native::load_with;
use crate::failure::require_capabilities;

/// The oldest release that was tested. It is only used in messages: features are probed, because a distribution's kernel may have
/// features that its number does not show.
const OLDEST: (u32, u32) = (5, 10);

/// The release of this kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::dataplane) struct Release {
    /// The text that `uname -r` prints.
    pub(in crate::dataplane) text: String,
    /// The first two numbers.
    pub(in crate::dataplane) number: (u32, u32),
}

/// The release of this kernel; `None`: it cannot be parsed.
pub(in crate::dataplane) fn release() -> Option<Release> {
    let name = uname().ok()?;
    let text = name.release().to_str()?;
    Some(Release { text: text.to_owned(), number: number(text)? })
}

/// A warning if this kernel is older than the tested ones.
#[must_use]
pub fn untried_kernel() -> Option<String> {
    let name = uname().ok()?;
    let release = name.release().to_str()?;
    let (major, minor) = OLDEST;
    is_older(release).then(|| {
        format!("this is Linux {release}, and {major}.{minor} is the oldest kernel that enforcer is tested on")
    })
}

/// Whether programs can tell which packets this kernel decrypted (`CONFIG_XFRM`); `None`: probing is not permitted.
pub(in crate::dataplane) fn tells_decrypted() -> Option<bool> {
    static ANSWER: OnceLock<Option<bool>> = OnceLock::new();
    *ANSWER
        .get_or_init(|| is_helper_supported(ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_skb_get_xfrm_state).ok())
}

/// Whether this kernel accepts XDP programs for frames of several buffers (Linux 5.18). True if probing is not permitted: the attachment
/// then fails with the kernel's own error.
pub(in crate::dataplane) fn takes_frags() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(
        || !matches!(load_with(BPF_F_XDP_HAS_FRAGS), Err(error) if error.raw_os_error() == Some(libc::EINVAL)),
    )
}

/// A clause for messages if this kernel does not pass frames of several buffers to XDP.
#[must_use]
pub fn lacks_frags() -> Option<&'static str> {
    (!takes_frags()).then_some(NO_FRAGS)
}

/// A note for native XDP on such a kernel.
pub(in crate::dataplane) const NO_FRAGS: &str =
    "the kernel gives XDP no frames of several buffers (Linux 5.18), so a driver refuses native XDP with a large MTU";

/// Raises this process's limit of locked memory: kernels before 5.11 count maps and programs against it. Under systemd the unit sets it.
/// Must be called before the first map is created.
pub(in crate::dataplane) fn allow_memory() {
    if setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).is_err()
        && let Ok((_, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK)
    {
        // Without CAP_SYS_RESOURCE this fails. If the limit is too low, a later error names it.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, hard, hard);
    }
}

/// A hint about the limit of locked memory, if this kernel applies it to maps and the limit is finite.
fn memory_limit() -> Option<String> {
    let (soft, _) = getrlimit(Resource::RLIMIT_MEMLOCK).ok().filter(|(soft, _)| *soft != RLIM_INFINITY)?;
    Some(format!(
        "this process may lock {} KiB of memory (RLIMIT_MEMLOCK), and kernels before 5.11 count BPF maps and programs against that: run it \
         after `ulimit -l unlimited`, or with LimitMEMLOCK=infinity in its unit",
        soft / 1024
    ))
}

/// Adds a note about the kernel's age to an error, because old kernels refuse programs with obscure messages.
pub(in crate::dataplane) fn on_old_kernels(error: DataplaneError) -> DataplaneError {
    // A missing capability gives the same error number.
    let error = match (require_capabilities().is_ok() && error_number(&error) == Some(libc::EPERM))
        .then(memory_limit)
        .flatten()
    {
        Some(note) => noted(error, &note),
        None => error,
    };
    match untried_kernel() {
        Some(note) => noted(error, &note),
        None => error,
    }
}

/// Adds a note to an error and keeps its exit code.
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
        for old in ["4.19.0-27-amd64", "5.9", "5.4.0"] {
            assert!(is_older(old), "{old}");
        }
        for tried in ["5.10.0-32-amd64", "6.1.0-56-cloud-amd64", "6.10.0", "10.0", "unheard of"] {
            assert!(!is_older(tried), "{tried}");
        }
    }
}
