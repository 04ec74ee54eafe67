//! The policy of another host of an estate is not replaced by mistake.

use crate::dataplane::Replaced;
use crate::failure::Failure;

/// A policy that was made for another host is applied by mistake more often than on purpose.
pub(crate) fn refuse_other_host(replaced: &[Replaced], is_wanted: bool) -> Result<(), Failure> {
    let Some((interface, [before, now])) = replaced.iter().find_map(|one| Some((&one.interface, one.other_host()?)))
    else {
        return Ok(());
    };
    if is_wanted {
        return Ok(());
    }
    Err(Failure::Refused(anyhow::anyhow!(
        "{interface}: the active policy is that of the host `{}` (estate `{}`), and this one is for the host `{}` (estate `{}`); \
         nothing was changed. If this machine is now that host, add `--replace`",
        before.host,
        before.estate,
        now.host,
        now.estate
    )))
}
