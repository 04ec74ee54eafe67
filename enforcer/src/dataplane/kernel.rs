//! Which kernels there are, and which are tested.

use nix::sys::utsname::uname;

use super::error::DataplaneError;

/// The oldest that all tests of verdicts, traffic and lifecycle were run on. Those between 5.18, which brought XDP programs for frames of
/// several buffers, and this one are not known; and a distribution's may have what its number does not tell.
const OLDEST: (u32, u32) = (6, 1);

/// Says so, where this kernel is older than those that were tried.
#[must_use]
pub fn untried_kernel() -> Option<String> {
    let name = uname().ok()?;
    let release = name.release().to_str()?;
    is_older(release)
        .then(|| format!("this is Linux {release}, and 6.1 is the oldest kernel that enforcer is tested on"))
}

/// What an old kernel refuses, it refuses in words that nobody understands.
pub(super) fn on_old_kernels(error: DataplaneError) -> DataplaneError {
    match (&error, untried_kernel()) {
        (DataplaneError::Verifier { .. } | DataplaneError::System { .. }, Some(note)) => {
            // What the verifier prints ends with a line.
            let error = format!("{:#}", anyhow::Error::from(error));
            DataplaneError::NotAllowed(format!("{}; {note}", error.trim_end()))
        }
        _ => error,
    }
}

fn is_older(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else { return false };
    (major, minor) < OLDEST
}

#[cfg(test)]
mod tests {
    use super::*;

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
