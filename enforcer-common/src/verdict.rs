//! Verdicts and reasons: what is done with a packet, and why. The list of reasons is closed.

/// Which way a packet goes, always seen from the protected host.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Direction {
    /// Towards the protected host.
    Inbound = 0,
    /// From the protected host.
    Outbound = 1,
}

impl Direction {
    /// Both, in the order in which they are listed everywhere.
    pub const ALL: [Self; 2] = [Self::Inbound, Self::Outbound];

    /// The word used in JSON, in pins and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// Whether what the policy refuses is dropped or counted.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Mode {
    /// Count what would be dropped, and let it pass.
    Audit = 0,
    /// Drop it.
    Enforce = 1,
}

impl Mode {
    /// The word used in JSON, in site files and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Enforce => "enforce",
        }
    }
}

/// What the policy says of a packet.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Verdict {
    /// It may pass.
    Pass = 0,
    /// It is refused: dropped in `enforce`, counted in `audit`.
    Drop = 1,
}

impl Verdict {
    /// The word used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
        }
    }
}

macro_rules! reasons {
    ($($variant:ident = $number:literal, $verdict:ident, $name:literal, $sentence:literal;)*) => {
        /// Why a packet got its verdict. `echo` and `fragment` exist as a pass and as a drop.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum Reason {
            $(#[doc = $sentence] $variant = $number,)*
        }

        impl Reason {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name used in JSON and in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// One sentence for a person.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)*
                }
            }

            /// A bit for each reason to drop, by its number.
            pub(crate) const DROPS: u32 = 0 $(| (Verdict::$verdict as u32) << $number)*;

            /// The verdict that goes with the reason.
            #[must_use]
            #[inline(always)]
            pub const fn verdict(self) -> Verdict {
                if Self::DROPS >> self as u32 & 1 == 0 { Verdict::Pass } else { Verdict::Drop }
            }

            /// The reason with this number, if there is one.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

// A number is given once: counters and denied flows of earlier versions carry it. New reasons get the next number, and a row in the
// test below; the number of a reason that is removed stays unused.
reasons! {
    Rule = 0, Pass, "rule", "A rule of a role or of the site permits it.";
    Flow = 1, Pass, "flow", "It answers a conversation that this host opened.";
    FragmentPass = 2, Pass, "fragment", "Its first fragment was permitted.";
    LinkControl = 3, Pass, "link-control", "Address resolution and link maintenance always pass.";
    Icmp = 4, Pass, "icmp", "Errors, neighbour discovery and multicast listener messages keep the host reachable.";
    Igmp = 5, Pass, "igmp", "Multicast group membership always passes.";
    Dhcp = 6, Pass, "dhcp", "An address assignment answers this host.";
    EchoPass = 7, Pass, "echo", "The site lets this source ping the host.";
    Forwarded = 8, Pass, "forwarded", "It is addressed to somebody else and the scope is `host`.";
    Open = 9, Pass, "open", "Outbound traffic is not judged here.";
    NoRule = 10, Drop, "no-rule", "No rule permits this port.";
    Peer = 11, Drop, "peer", "A rule permits this port, but not for this source.";
    Internal = 12, Drop, "internal", "The port is for the host itself and is never reached from the wire.";
    Denied = 13, Drop, "denied", "A deny rule of the site refuses it.";
    Malformed = 14, Drop, "malformed", "Its headers are truncated or contradict its length.";
    Martian = 15, Drop, "martian", "Its source address cannot come from the wire.";
    Ethertype = 16, Drop, "ethertype", "The link-layer protocol is not listed.";
    VlanDepth = 17, Drop, "vlan-depth", "It carries more than two VLAN tags.";
    ExtensionHeaders = 18, Drop, "extension-headers", "It carries more than eight IPv6 extension headers.";
    RoutingHeader = 19, Drop, "routing-header", "It carries an IPv6 routing header of type 0 (RFC 5095).";
    TinyFragment = 20, Drop, "tiny-fragment", "The first fragment does not hold the header it is judged by (RFC 1858, RFC 7112).";
    FragmentDrop = 21, Drop, "fragment", "Its first fragment was refused or has not been seen.";
    Protocol = 22, Drop, "protocol", "The IP protocol is not listed.";
    IcmpType = 23, Drop, "icmp-type", "This ICMP type is not needed by a host.";
    Redirect = 24, Drop, "redirect", "An ICMP redirect would change the host's routes.";
    EchoDrop = 25, Drop, "echo", "The site does not let this source ping the host.";
    NoConnection = 26, Drop, "no-connection", "No connection of a role or of the site permits it to leave.";
    Loopback = 27, Pass, "loopback", "This machine sent it to itself: it was never on the wire.";
    Decrypted = 28, Pass, "decrypted", "This machine decrypted it, and IPsec from that peer is permitted.";
    Spoofed = 29, Drop, "spoofed", "The guest claims an address or a part in the network that is not its own.";
}

/// How many reasons there are: the length of a row of the reason counters.
pub const REASONS: usize = Reason::ALL.len();

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reason there has ever been. Rows are added, never changed or removed.
    #[rustfmt::skip]
    const EVER: [(u8, Verdict, &str); 30] = [
        (0, Verdict::Pass, "rule"),
        (1, Verdict::Pass, "flow"),
        (2, Verdict::Pass, "fragment"),
        (3, Verdict::Pass, "link-control"),
        (4, Verdict::Pass, "icmp"),
        (5, Verdict::Pass, "igmp"),
        (6, Verdict::Pass, "dhcp"),
        (7, Verdict::Pass, "echo"),
        (8, Verdict::Pass, "forwarded"),
        (9, Verdict::Pass, "open"),
        (10, Verdict::Drop, "no-rule"),
        (11, Verdict::Drop, "peer"),
        (12, Verdict::Drop, "internal"),
        (13, Verdict::Drop, "denied"),
        (14, Verdict::Drop, "malformed"),
        (15, Verdict::Drop, "martian"),
        (16, Verdict::Drop, "ethertype"),
        (17, Verdict::Drop, "vlan-depth"),
        (18, Verdict::Drop, "extension-headers"),
        (19, Verdict::Drop, "routing-header"),
        (20, Verdict::Drop, "tiny-fragment"),
        (21, Verdict::Drop, "fragment"),
        (22, Verdict::Drop, "protocol"),
        (23, Verdict::Drop, "icmp-type"),
        (24, Verdict::Drop, "redirect"),
        (25, Verdict::Drop, "echo"),
        (26, Verdict::Drop, "no-connection"),
        (27, Verdict::Pass, "loopback"),
        (28, Verdict::Pass, "decrypted"),
        (29, Verdict::Drop, "spoofed"),
    ];

    #[test]
    fn no_number_is_given_to_another_reason() {
        for (number, row) in EVER.iter().enumerate() {
            assert_eq!(usize::from(row.0), number, "rows are added at the end");
        }
        for reason in Reason::ALL {
            let row = EVER.get(*reason as usize).expect("a new reason has the next number, and a row above");
            assert_eq!(*row, (*reason as u8, reason.verdict(), reason.name()), "this number is another reason's");
        }
    }

    #[test]
    fn every_number_leads_back_to_its_reason() {
        for number in 0..=u8::MAX {
            let reason = Reason::ALL.iter().find(|reason| **reason as u8 == number);
            assert_eq!(Reason::from_number(number), reason.copied());
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_once_a_pass_and_once_a_drop() {
        for (i, a) in Reason::ALL.iter().enumerate() {
            for b in &Reason::ALL[i + 1..] {
                assert!(a.name() != b.name() || a.verdict() != b.verdict(), "{}", a.name());
            }
        }
    }
}
