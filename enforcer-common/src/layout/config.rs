//! What a program is told: constants at load, and the modes at any time.

/// The modes of the programs of one generation, looked at only when a packet is about to be dropped, and until when what was in force before
/// has a say. Each field is written by itself, in one store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Control {
    /// Bit 0: inbound enforces. Bit 1: outbound enforces.
    pub modes: u64,
    /// Nanoseconds of the boot clock after which [`Control::modes_after`] counts; 0: never.
    pub deadline: u64,
    /// The modes past the deadline.
    pub modes_after: u64,
    /// Jiffies until which the memory of denials is looked at although inbound enforces: a little beyond the moment at which that
    /// began or, in a change window, will begin.
    pub memory_until: u64,
    /// Jiffies until which [`Entry::ENDED`](crate::Entry::ENDED) counts.
    pub ended_until: u64,
    /// Jiffies from which the programs that were confirmed last judge again; 0: never. The dispatcher compares it for every packet, so it is
    /// a count of the cheapest clock.
    pub way_back: u64,
}

/// What a program is told once, at load. The verifier sees constants and removes what a policy does not use.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "user", derive(serde::Deserialize, serde::Serialize))]
#[repr(C)]
pub struct Config {
    /// [`Config::SCOPED_IN`] and so on.
    pub features: u32,
    /// Index of the interface this program judges for.
    pub interface: u32,
    /// Columns of the inbound matrix.
    pub columns_in: u32,
    /// Columns of the outbound matrix.
    pub columns_out: u32,
    /// Jiffies a second.
    pub hz: u32,
    /// Timeouts in jiffies.
    pub timeout_tcp: u32,
    /// Both sides closed, or reset by us.
    pub timeout_tcp_closing: u32,
    /// UDP and SCTP.
    pub timeout_udp: u32,
    /// ICMP echo.
    pub timeout_icmp: u32,
    /// First port of the host's ephemeral range (`net.ipv4.ip_local_port_range`).
    pub ephemeral_first: u32,
    /// Last port of it.
    pub ephemeral_last: u32,
    /// Denied packets a second and CPU that are told in full.
    pub events_per_second: u32,
    /// For how long after the last packet that left inbound datagrams prolong a flow, in jiffies.
    pub one_way: u32,
    /// Slot of the protected host; 0: this machine.
    pub slot: u32,
    /// An IPv4 address of the guest as it stands in the packet, mostly its only one; 0: none is known.
    pub address4: u32,
    /// The same of IPv6.
    pub address6: [u32; 4],
    /// The first four bytes of the guest's hardware address, as they stand in the frame.
    pub mac_start: u32,
    /// The last two bytes of it.
    pub mac_end: u32,
}

impl Config {
    /// The highest slot: a machine protects so many guest ports at most.
    pub const LAST_SLOT: u32 = 255;

    /// Some inbound service depends on the source.
    pub const SCOPED_IN: u32 = 1;
    /// Some outbound service depends on the destination.
    pub const SCOPED_OUT: u32 = 1 << 1;
    /// Outbound is judged by the connections of the roles.
    pub const OUTBOUND_JUDGED: u32 = 1 << 2;
    /// Outbound is not judged, but the site has outbound deny rules.
    pub const OUTBOUND_DENIES: u32 = 1 << 3;
    /// Some outbound service answers from another port.
    pub const ANSWER_ANY: u32 = 1 << 4;
    /// What is addressed to somebody else is not judged.
    pub const SCOPE_HOST: u32 = 1 << 5;
    /// The interface is a bridge port.
    pub const BRIDGE_PORT: u32 = 1 << 6;
    /// Somebody may send IPsec to this host, and the kernel tells what it decrypted.
    pub const DECRYPTS: u32 = 1 << 7;
    /// The protected host is behind this interface: the packet's ingress interface says nothing.
    pub const GUEST: u32 = 1 << 8;
    /// The programs write lines about what they judge.
    pub const LOG: u32 = 1 << 9;
    /// Some inbound rule is in audit by itself.
    pub const RULES_IN_AUDIT: u32 = 1 << 10;
    /// The kernel gives XDP programs frames of several buffers (Linux 5.18).
    pub const FRAGS: u32 = 1 << 11;
    /// The guest has a table of addresses that it may claim.
    pub const CLAIMS: u32 = 1 << 12;
    /// All of its addresses are in that table.
    pub const CLAIMS_COMPLETE: u32 = 1 << 13;
    /// What the guest claims may be an address of somebody else who is known.
    pub const CLAIMS_OF_OTHERS: u32 = 1 << 14;
    /// The hardware address of the guest is known.
    pub const CLAIMS_MAC: u32 = 1 << 15;
    /// The guest is a router or a switch.
    pub const ROUTER: u32 = 1 << 16;
    /// The guest is a DHCP server.
    pub const DHCP_SERVER: u32 = 1 << 17;

    /// Whether any of these features is on. Read as volatile: the value is written into the object at load.
    #[must_use]
    #[inline(always)]
    pub fn has(&self, feature: u32) -> bool {
        load(&self.features) & feature != 0
    }
}

/// Reads a field of [`Config`] that is written into the object at load and so must not be folded at compile time.
#[inline(always)]
pub fn load<T: Copy>(field: &T) -> T {
    // SAFETY: a reference is valid, aligned and initialised.
    unsafe { core::ptr::read_volatile(field) }
}
