//! `preflight`: what on this machine would not be filtered, and what must be put right before a policy is applied. Facts come in,
//! findings go out; only [`Facts::read`] and [`Device::read`] ask the kernel.

mod children;
mod interface;
mod listeners;
#[cfg(test)]
mod tests;

use std::fs;

use serde::Serialize;

use crate::dataplane::{
    AttachMode, ExpectedHook, HookChoice, NativeXdp, OnHooks, Plan, PlannedInterface, Protects, ask_driver,
    expected_hook, kernel_note, kernel_problem, lacks_frags, lacks_tcx, on_hooks, untried_kernel,
};
use crate::host::device::Device;
use crate::host::links::{self, Child, Link};
use crate::policy::ruleset::Scope;

pub use children::refusal as refusal_for_children;
pub use listeners::{Listener, unpermitted};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// `apply` would fail or be refused, or would do harm.
    Fix,
    /// Something is not filtered, or not as one might think.
    Warning,
    /// Good to know.
    Note,
}

impl Level {
    /// The word in tables and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fix => "fix",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Something that was found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// The interface it is about; `None`: the host.
    pub interface: Option<String>,
    /// What it is about, in a word: `hook`, `mtu`, `vlan`, `bridge` and so on.
    pub topic: &'static str,
    /// What was found.
    pub message: String,
}

/// What is known of the machine.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Interfaces of this namespace.
    pub links: Vec<Link>,
    /// What keeps programs from being loaded or pinned.
    pub kernel_problem: Option<String>,
    /// What is worth knowing about the kernel.
    pub kernel_note: Option<String>,
    /// The kernel is older than those that were tried.
    pub untried_kernel: Option<String>,
    /// The kernel gives XDP no frames of several buffers, as a clause.
    pub lacks_frags: Option<&'static str>,
    /// The host forwards packets, of either family.
    pub forwards: bool,
    /// Interfaces of others that stand on those of this namespace.
    pub children: Vec<Child>,
}

/// What is known of an interface that is to be protected.
#[derive(Clone, Debug)]
pub struct InterfaceFacts {
    /// How it would be attached, or why not.
    pub expected: Result<ExpectedHook, String>,
    /// What its driver says.
    pub device: Device,
    /// Who is on its hooks.
    pub on_hooks: OnHooks,
    /// The kernel has no tc links; `None` where it does not tell.
    pub lacks_tcx: Option<bool>,
    /// What the driver answers to a native XDP program.
    pub answer: NativeXdp,
}

/// Whether drivers are asked what they take, by a program that is put on their hook and removed at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asking {
    /// Where native XDP would be tried and nothing is on the hook.
    Allowed,
    /// No driver is asked.
    Refused,
}

impl Facts {
    /// Looks at the machine.
    #[must_use]
    pub fn read(links: Vec<Link>) -> Self {
        let children = links::children(&links);
        Self {
            links,
            kernel_problem: kernel_problem(),
            kernel_note: kernel_note(),
            untried_kernel: untried_kernel(),
            lacks_frags: lacks_frags(),
            forwards: forwards(),
            children,
        }
    }
}

impl InterfaceFacts {
    /// Looks at an interface.
    #[must_use]
    pub fn read(planned: &PlannedInterface, link: &Link, hook: HookChoice, asking: Asking) -> Self {
        let expected = expected_hook(planned, link, hook).map_err(|error| error.to_string());
        let is_native = expected.as_ref().is_ok_and(|expected| expected.mode == AttachMode::Native);
        let answer = match asking {
            Asking::Allowed if is_native && link.xdp_program.is_none() => ask_driver(link.index),
            Asking::Allowed | Asking::Refused => NativeXdp::NotAsked,
        };
        Self {
            expected,
            answer,
            device: Device::read(&link.name),
            on_hooks: on_hooks(link),
            lacks_tcx: lacks_tcx(link),
        }
    }
}

/// Whether this host forwards packets, of either family.
#[must_use]
pub fn forwards() -> bool {
    let is_on = |path: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() != "0");
    is_on("/proc/sys/net/ipv4/ip_forward") || is_on("/proc/sys/net/ipv6/conf/all/forwarding")
}

/// Everything that is found about a plan, what matters most first.
#[must_use]
pub fn findings(
    plan: &Plan<'_>,
    facts: &Facts,
    look: impl Fn(&PlannedInterface, &Link) -> InterfaceFacts,
) -> Vec<Finding> {
    let mut found = of_host(plan, facts);
    let names: Vec<&str> = plan.interfaces.iter().map(|one| one.name.as_str()).collect();
    for planned in &plan.interfaces {
        match facts.links.iter().find(|link| link.name == planned.name) {
            None => found.push(Finding {
                level: Level::Fix,
                interface: Some(planned.name.clone()),
                topic: "interface",
                message: "there is no such interface in this network namespace".to_owned(),
            }),
            Some(link) => {
                interface::findings(plan.ruleset, planned, link, facts, &look(planned, link), &names, &mut found);
                children::findings(plan, planned, link, facts, &mut found);
            }
        }
    }
    interface::unprotected(facts, &names, &mut found);
    found.sort_by_key(|finding| finding.level);
    found
}

fn of_host(plan: &Plan<'_>, facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |level, topic, message: String| found.push(Finding { level, interface: None, topic, message });
    if let Some(problem) = &facts.kernel_problem {
        add(Level::Fix, "kernel", problem.clone());
    }
    if let Some(note) = &facts.untried_kernel {
        add(Level::Warning, "kernel", note.clone());
    }
    for note in [facts.kernel_note.clone(), facts.lacks_frags.map(str::to_owned)].into_iter().flatten() {
        add(Level::Note, "kernel", note);
    }
    if facts.forwards {
        let scope = |one: &PlannedInterface| one.scope.or(plan.ruleset.settings.scope);
        let of_host = || plan.interfaces.iter().filter(|one| one.protects == Protects::Host);
        if of_host().any(|one| scope(one).is_none()) {
            add(
                Level::Fix,
                "forwarding",
                "this host forwards packets and the policy does not say whose are judged: set `scope: host` or `scope: all`"
                    .to_owned(),
            );
        } else if of_host().any(|one| scope(one) == Some(Scope::Host)) {
            add(
                Level::Warning,
                "forwarding",
                "this host forwards packets, and with `scope: host` what is addressed to others is not filtered"
                    .to_owned(),
            );
        } else {
            add(
                Level::Warning,
                "forwarding",
                "this host forwards packets, and with `scope: all` what is addressed to others is judged by the roles of this host"
                    .to_owned(),
            );
        }
    }
    found
}
