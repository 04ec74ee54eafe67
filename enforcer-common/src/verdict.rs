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

    /// Back from [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Audit, Self::Enforce].into_iter().find(|mode| mode.name() == name)
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
    ($($variant:ident = $number:literal, $name:literal, $sentence:literal;)*) => {
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

reasons! {
    Rule = 0, "rule", "A rule of a role or of the site permits it.";
    Flow = 1, "flow", "It answers a conversation that this host opened.";
    FragmentPass = 2, "fragment", "Its first fragment was permitted.";
    LinkControl = 3, "link-control", "Address resolution and link maintenance always pass.";
    Icmp = 4, "icmp", "Errors, neighbour discovery and multicast listener messages keep the host reachable.";
    Igmp = 5, "igmp", "Multicast group membership always passes.";
    Dhcp = 6, "dhcp", "An address assignment answers this host.";
    EchoPass = 7, "echo", "The site lets this source ping the host.";
    Forwarded = 8, "forwarded", "It is addressed to somebody else and the scope is `host`.";
    Open = 9, "open", "Outbound traffic is not judged here.";
    NoRule = 10, "no-rule", "No rule permits this port.";
    Peer = 11, "peer", "A rule permits this port, but not for this source.";
    Internal = 12, "internal", "The port is for the host itself and is never reached from the wire.";
    Denied = 13, "denied", "A deny rule of the site refuses it.";
    Malformed = 14, "malformed", "Its headers are truncated or contradict its length.";
    Martian = 15, "martian", "Its source address cannot come from the wire.";
    Ethertype = 16, "ethertype", "The link-layer protocol is not listed.";
    VlanDepth = 17, "vlan-depth", "It carries more than two VLAN tags.";
    ExtensionHeaders = 18, "extension-headers", "It carries more than eight IPv6 extension headers.";
    RoutingHeader = 19, "routing-header", "It carries an IPv6 routing header of type 0 (RFC 5095).";
    TinyFragment = 20, "tiny-fragment", "The first fragment does not hold the header it is judged by (RFC 1858, RFC 7112).";
    FragmentDrop = 21, "fragment", "Its first fragment was refused or has not been seen.";
    Protocol = 22, "protocol", "The IP protocol is not listed.";
    IcmpType = 23, "icmp-type", "This ICMP type is not needed by a host.";
    Redirect = 24, "redirect", "An ICMP redirect would change the host's routes.";
    EchoDrop = 25, "echo", "The site does not let this source ping the host.";
    NoConnection = 26, "no-connection", "No connection of a role or of the site permits it to leave.";
}

/// How many reasons there are: the length of a row of the reason counters.
pub const REASONS: usize = Reason::ALL.len();

impl Reason {
    /// The verdict that goes with the reason.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        if (self as u8) < Self::NoRule as u8 { Verdict::Pass } else { Verdict::Drop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_back_to_its_reason() {
        for (number, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, number);
            assert_eq!(Reason::from_number(*reason as u8), Some(*reason));
        }
        assert_eq!(Reason::from_number(27), None);
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
