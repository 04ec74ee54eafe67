//! The only packet pointers. Every header is checked against the end of the linear data before it is read.

use core::cell::Cell;
use core::hint::cold_path;
use core::mem::MaybeUninit;

use aya_ebpf::bindings::{bpf_xfrm_state, xdp_md};
use aya_ebpf::helpers::generated::{bpf_skb_get_xfrm_state, bpf_xdp_get_buff_len};
use aya_ebpf::programs::{TcContext, XdpContext};
use enforcer_common::frame::{Frame, Header, Outer};
use enforcer_common::layout::Config;

use crate::maps::CONFIG;

/// A header whose `N` bytes have been checked to lie inside the packet.
#[derive(Clone, Copy)]
pub(crate) struct Checked<const N: usize>(usize);

impl<const N: usize> Checked<N> {
    /// The bytes at `at`, if all `N` are before `end`.
    #[inline(always)]
    fn new(data: usize, end: usize, at: usize) -> Option<Self> {
        let start = data + at;
        if start + N > end {
            cold_path();
            return None;
        }
        Some(Self(start))
    }

    /// Reads an integer at a constant offset.
    #[inline(always)]
    fn read<const AT: usize, V: Copy>(&self) -> V {
        const { assert!(AT + size_of::<V>() <= N) };
        let pointer = core::ptr::with_exposed_provenance::<V>(self.0 + AT);
        // SAFETY: `new` checked that `N` bytes from `self.0` are packet, and the assertion that this read is within them. The
        // address may be misaligned: the kernel admits misaligned packet loads where the CPU does (x86-64, arm64), and with
        // `read_unaligned` this backend would load byte by byte.
        unsafe { pointer.read() }
    }
}

impl<const N: usize> Header<N> for Checked<N> {
    #[inline(always)]
    fn u8<const AT: usize>(&self) -> u8 {
        self.read::<AT, u8>()
    }

    #[inline(always)]
    fn be16<const AT: usize>(&self) -> u16 {
        u16::from_be(self.read::<AT, u16>())
    }

    #[inline(always)]
    fn word<const AT: usize>(&self) -> u32 {
        self.read::<AT, u32>()
    }
}

/// A frame at XDP.
pub(crate) struct XdpFrame {
    ctx: *mut xdp_md,
    data: usize,
    end: usize,
    length: Cell<usize>,
}

impl XdpFrame {
    #[inline(always)]
    pub(crate) fn new(ctx: &XdpContext) -> Self {
        Self::of(ctx.ctx)
    }

    #[inline(always)]
    fn of(ctx: *mut xdp_md) -> Self {
        let context = XdpContext::new(ctx);
        let (data, end) = (context.data(), context.data_end());
        Self { ctx, data, end, length: Cell::new(end - data) }
    }
}

impl Frame for XdpFrame {
    type Header<const N: usize> = Checked<N>;

    #[inline(always)]
    fn header<const N: usize>(&self, at: usize) -> Option<Checked<N>> {
        Checked::new(self.data, self.end, at)
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.length.get()
    }

    /// A helper call, so asked only when the headers speak of more bytes than the first buffer holds; and only where the kernel has
    /// the helper, which came with such frames: elsewhere the verifier finds that the call cannot be reached, and removes it.
    #[inline(always)]
    fn whole_length(&self) -> usize {
        if !CONFIG.has(Config::FRAGS) {
            return self.length.get();
        }
        // SAFETY: the context the kernel called us with.
        self.length.set(unsafe { bpf_xdp_get_buff_len(self.ctx) } as usize);
        self.length.get()
    }

    #[inline(always)]
    fn tag_taken_out(&self) -> bool {
        // A driver that strips tags in hardware does not tell XDP; preflight does.
        false
    }

    #[inline(always)]
    fn is_super_packet(&self) -> bool {
        false
    }

    #[inline(always)]
    fn is_forwarded(&self) -> bool {
        false
    }

    #[inline(always)]
    fn is_bridged(&self) -> bool {
        false
    }

    #[inline(always)]
    fn is_looped(&self) -> bool {
        // In the driver there is nothing that was not on the wire; generic XDP cannot tell, and `apply` says so.
        false
    }

    #[inline(always)]
    fn decrypted_from(&self) -> Option<Outer> {
        None
    }

    #[inline(always)]
    fn afresh(&self) -> Self {
        Self::of(self.ctx)
    }

    #[inline(always)]
    fn keep_in_memory<V>(&self, value: &mut V) {
        keep_in_memory(value);
    }

    #[inline(always)]
    fn blur(&self, number: u32) -> u32 {
        blur(number, self.length() as u32)
    }
}

/// A packet at tc.
pub(crate) struct SkbFrame<'a> {
    ctx: &'a TcContext,
    data: usize,
    end: usize,
}

/// Headers that are read at the most without a chain of long extension headers; more is pulled into the linear part.
const LINEAR: usize = 320;

impl<'a> SkbFrame<'a> {
    #[inline(always)]
    pub(crate) fn new(ctx: &'a TcContext) -> Self {
        let length = ctx.len() as usize;
        if ctx.data_end() - ctx.data() < length && ctx.data_end() - ctx.data() < LINEAR {
            // Fails where memory is short; then the headers do not fit and the packet is malformed: closed, not open.
            let _ = ctx.pull_data(if length < LINEAR { length as u32 } else { LINEAR as u32 });
        }
        Self { ctx, data: ctx.data(), end: ctx.data_end() }
    }

    /// Segments of a super-packet; 1 for a plain one.
    #[inline(always)]
    pub(crate) fn segments(&self) -> u32 {
        // SAFETY: the kernel rewrites this access to a field of the sk_buff.
        let segments = unsafe { (*self.ctx.skb.skb).gso_segs };
        if segments == 0 { 1 } else { segments }
    }
}

impl Frame for SkbFrame<'_> {
    type Header<const N: usize> = Checked<N>;

    #[inline(always)]
    fn header<const N: usize>(&self, at: usize) -> Option<Checked<N>> {
        Checked::new(self.data, self.end, at)
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.ctx.len() as usize
    }

    #[inline(always)]
    fn tag_taken_out(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.ctx.skb.skb).vlan_present != 0 }
    }

    #[inline(always)]
    fn is_super_packet(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.ctx.skb.skb).gso_size != 0 }
    }

    #[inline(always)]
    fn is_forwarded(&self) -> bool {
        // SAFETY: as above. Locally made packets have no ingress interface.
        unsafe { (*self.ctx.skb.skb).ingress_ifindex != 0 }
    }

    #[inline(always)]
    fn is_bridged(&self) -> bool {
        /// `PACKET_HOST` (`include/uapi/linux/if_packet.h`). `ip_forward` and `ip6_forward` take nothing else.
        const TO_THIS_HOST: u32 = 0;
        // SAFETY: as above.
        unsafe { (*self.ctx.skb.skb).pkt_type != TO_THIS_HOST }
    }

    #[inline(always)]
    fn is_looped(&self) -> bool {
        /// `PACKET_LOOPBACK`: set by `dev_loopback_xmit`, after it has taken the link header off.
        const LOOPED: u32 = 5;
        // SAFETY: as above.
        unsafe { (*self.ctx.skb.skb).pkt_type == LOOPED }
    }

    #[inline(always)]
    fn decrypted_from(&self) -> Option<Outer> {
        const AF_INET: u32 = 2;
        let mut state = MaybeUninit::<bpf_xfrm_state>::uninit();
        let size = size_of::<bpf_xfrm_state>() as u32;
        // SAFETY: the context the kernel called us with; the helper writes the whole structure, or fails.
        if unsafe { bpf_skb_get_xfrm_state(self.ctx.skb.skb, 0, state.as_mut_ptr(), size, 0) } != 0 {
            return None;
        }
        // SAFETY: it was written.
        let state = unsafe { state.assume_init_ref() };
        if u32::from(state.family) == AF_INET {
            // SAFETY: integers, of which any bits are valid.
            return Some(Outer { family: 4, remote: [0, 0, 0, unsafe { state.__bindgen_anon_1.remote_ipv4 }] });
        }
        // SAFETY: as above.
        Some(Outer { family: 6, remote: unsafe { state.__bindgen_anon_1.remote_ipv6 } })
    }

    #[inline(always)]
    fn afresh(&self) -> Self {
        Self { ctx: self.ctx, data: self.ctx.data(), end: self.ctx.data_end() }
    }

    #[inline(always)]
    fn keep_in_memory<V>(&self, value: &mut V) {
        keep_in_memory(value);
    }

    #[inline(always)]
    fn blur(&self, number: u32) -> u32 {
        blur(number, self.length() as u32)
    }
}

/// Adds and takes away a number that the verifier does not know: two instructions, and it no longer knows the sum either.
#[inline(always)]
pub(crate) fn blur(mut number: u32, unknown: u32) -> u32 {
    // SAFETY: arithmetic on registers.
    unsafe {
        core::arch::asm!("{0} += {1}", "{0} -= {1}", inout(wreg) number, in(wreg) unknown, options(pure, nomem, nostack));
    }
    number
}

/// Does nothing, but for all the compiler knows it reads and writes the value. (Not an empty statement: the kernel refuses debug
/// information with two lines at one instruction.)
#[inline(always)]
fn keep_in_memory<V>(value: &mut V) {
    // SAFETY: a register is copied to itself.
    unsafe { core::arch::asm!("{0} = {0}", in(reg) value, options(nostack)) };
}
