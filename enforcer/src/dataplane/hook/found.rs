//! Checks before attaching: what the kernel supports, and which programs are already on the hooks.

use std::path::Path;

use aya::Btf;
use aya::programs::{SchedClassifier, TcAttachType};
use enforcer_common::Direction;

use super::attach::CLSACT_PRIORITY;
use crate::dataplane::error::DataplaneError;
use crate::dataplane::hook::choose::choose;
use crate::dataplane::hook::programs::{describe_program, program_id};
use crate::dataplane::kinds::{AttachMode, Hook, hook_of};
use crate::dataplane::pin::bpffs::wrong_bpffs_here;
use crate::dataplane::pin::protected::all_protected;
use crate::dataplane::plan::PlannedInterface;
use crate::dataplane::sys::kernel::tells_decrypted;
use crate::host::links::{Filter, Link, filters};
use crate::policy::modes::Protects;
use crate::policy::ruleset::Ruleset;
use crate::policy::source::HookChoice;

/// The attach mode that inbound would get.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedHook {
    /// The first choice.
    pub mode: AttachMode,
    /// The second choice, if the driver or the kernel does not support the first.
    pub fallback: Option<AttachMode>,
    /// The reason, in words.
    pub why: String,
}

impl ExpectedHook {
    /// Whether the first choice is XDP.
    #[must_use]
    pub fn is_xdp(&self) -> bool {
        hook_of(self.mode) == Hook::Xdp
    }
}

/// Programs on the hooks of an interface.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnHooks {
    /// An XDP program of another owner.
    pub xdp: Option<String>,
    /// tc programs by links, ingress and egress, in the order in which they run; `None` stands for ours. No lists where the kernel
    /// has no such links, or does not tell.
    pub tcx: Option<[Vec<Option<String>>; 2]>,
    /// Filters of a clsact qdisc, likewise; they run after the programs by links. `None` where the kernel does not tell.
    pub filters: Option<[Vec<OnFilter>; 2]>,
}

/// A filter of a clsact qdisc.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OnFilter {
    /// What it is; `None`: ours.
    pub name: Option<String>,
    /// Whether it runs before a filter that we would add.
    pub is_first: bool,
}

/// Why programs cannot be loaded and pinned here; `None`: no reason is visible in advance.
#[must_use]
pub fn kernel_problem() -> Option<String> {
    wrong_bpffs_here().map(|error| error.to_string())
}

/// A note about this kernel that prevents nothing; `None`: there is none.
#[must_use]
pub fn kernel_note() -> Option<String> {
    let error = Btf::from_sys_fs().err()?;
    let error = anyhow::Error::from(error);
    Some(format!("the kernel has no BTF ({error:#}), the description of its own types; enforcer works without it"))
}

/// The hook and attach mode that an interface would get.
///
/// # Errors
/// When the hook that was asked for does not suit it.
pub fn expected_hook(
    planned: &PlannedInterface,
    link: &Link,
    choice: HookChoice,
) -> Result<ExpectedHook, DataplaneError> {
    let before = all_protected().unwrap_or_default().into_iter().find(|one| one.record.index == link.index);
    let left = before.and_then(|one| one.record.left_native);
    let (mode, fallback, why) = choose(link, planned.protects, choice, left.as_deref())?;
    Ok(ExpectedHook { mode, fallback, why })
}

/// Why packets that this host decrypts are judged a second time where a policy lets IPsec in; `None`: they are not.
#[must_use]
pub fn judged_again(ruleset: &Ruleset, protects: Protects, mode: AttachMode) -> Option<&'static str> {
    if !ruleset.lets_ipsec_in() || protects == Protects::Guest {
        return None;
    }
    match mode {
        AttachMode::Native => None,
        AttachMode::Generic => Some(
            "what comes out of an IPsec tunnel is judged again: generic XDP cannot tell it from what was on the wire; use --hook tc",
        ),
        AttachMode::Tcx | AttachMode::Clsact => (tells_decrypted() == Some(false)).then_some(
            "what comes out of an IPsec tunnel is judged again: this kernel does not say which packets it decrypted (CONFIG_XFRM)",
        ),
    }
}

/// Lists the programs on the hooks of an interface.
#[must_use]
pub fn on_hooks(link: &Link) -> OnHooks {
    let ours = own_programs(link.index);
    let foreign = |id: &u32| !ours.contains(id);
    let query = |side| match SchedClassifier::query_tcx(&link.name, side) {
        Ok((_, programs)) => {
            Some(programs.iter().map(|program| Some(program.id()).filter(foreign).map(describe_program)).collect())
        }
        Err(_) => None,
    };
    let tcx = query(TcAttachType::Ingress).zip(query(TcAttachType::Egress)).map(|(ingress, egress)| [ingress, egress]);
    let name = |Filter { kind, priority, program }: &Filter| match program {
        Some(id) if !foreign(id) => None,
        Some(id) => Some(format!("{} in a filter of priority {priority}", describe_program(*id))),
        None => Some(format!("a {kind} filter of priority {priority}")),
    };
    let listed = |is_egress| {
        let found = filters(link.index, is_egress).ok()?;
        let one = |filter: &Filter| OnFilter { name: name(filter), is_first: filter.priority <= CLSACT_PRIORITY };
        let mut all: Vec<OnFilter> = found.iter().map(one).collect();
        // There may be thousands of one kind and priority.
        all.dedup();
        Some(all)
    };
    let filters = listed(false).zip(listed(true)).map(|(ingress, egress)| [ingress, egress]);
    OnHooks { xdp: link.xdp_program.filter(foreign).map(describe_program), tcx, filters }
}

fn own_programs(index: u32) -> Vec<u32> {
    let all = all_protected().unwrap_or_default();
    let Some(one) = all.into_iter().find(|one| one.record.index == index) else { return Vec::new() };
    let id = |direction| program_id(Path::new(&one.pins.program(direction)));
    Direction::ALL.into_iter().filter_map(id).collect()
}
