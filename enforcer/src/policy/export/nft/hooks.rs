//! Where packets come in: base chains, by the interface that a packet is met at.
//!
//! What passes between two interfaces is met twice, and judged at each. An accept ends the base chain that it is in and no
//! other, so the two sides of a packet have one each.

use enforcer_common::{Direction, Reason};

use super::rules::refusal;
use super::text::Text;
use crate::policy::export::ordered::{Guarded, Plan};

/// The base chains of one table: for the hosts among the interfaces, or for the guests.
pub(super) fn hooks(plan: &Plan<'_>, guests: bool, text: &mut Text) {
    if !guests {
        text.block("chain input", |text| {
            text.line("type filter hook input priority filter; policy accept;");
            // The routing code has thrown most of these away before.
            let own = format!("fib saddr type {{ local, broadcast }} {}", refusal(Direction::Inbound, Reason::Martian));
            let judged = plan.met(|interface| !interface.guest);
            for (interface, is_judged) in judged {
                for pattern in interface.patterns(true) {
                    if is_judged {
                        text.line(&format!("{pattern} {own}"));
                    }
                    text.line(&format!("{pattern} {}", verdict(Direction::Inbound, is_judged)));
                }
            }
            if plan.interfaces.is_empty() {
                text.line("iifname != \"lo\" jump inbound");
            }
        });
    }
    for received in [true, false] {
        let direction = if received == guests { Direction::Outbound } else { Direction::Inbound };
        if direction == Direction::Outbound && !plan.has_outbound() {
            continue;
        }
        let judged = plan.met(|interface| interface.guest == guests && interface.forwards);
        if judged.is_empty() {
            continue;
        }
        text.block(&format!("chain forward_{}", if received { "received" } else { "sent" }), |text| {
            text.line("type filter hook forward priority filter; policy accept;");
            for (interface, is_judged) in judged {
                for pattern in interface.patterns(received) {
                    text.line(&format!("{pattern} {}", verdict(direction, is_judged)));
                }
            }
        });
    }
    if !guests && plan.has_outbound() {
        text.block("chain output", |text| {
            text.line("type filter hook output priority filter; policy accept;");
            for (interface, is_judged) in plan.met(|interface| !interface.guest) {
                for pattern in interface.patterns(false) {
                    text.line(&format!("{pattern} {}", verdict(Direction::Outbound, is_judged)));
                }
            }
            if plan.interfaces.is_empty() {
                text.line("oifname != \"lo\" jump outbound");
            }
        });
    }
}

fn verdict(direction: Direction, is_judged: bool) -> String {
    if is_judged { format!("jump {}", direction.name()) } else { "accept comment \"not judged here\"".to_owned() }
}

impl Guarded {
    /// The interface and its VLANs, as a packet meets them that it receives or sends.
    pub(super) fn patterns(&self, received: bool) -> Vec<String> {
        let side = if received { "iifname" } else { "oifname" };
        if self.is_pattern {
            return vec![format!("{side} != \"lo\" {side} \"{}*\"", self.name)];
        }
        vec![format!("{side} \"{}\"", self.name), format!("{side} \"{}.*\"", self.name)]
    }
}
