//! What the kernel would do with a packet, by its routes.

use core::ffi::c_void;
use core::ptr::write_volatile;

use aya_ebpf::bindings::bpf_fib_lookup as FibLookup;
use aya_ebpf::helpers::generated::bpf_fib_lookup;
use enforcer_common::layout::load;

use super::statics::CONFIG;

/// Whether the kernel would forward a packet between these addresses.
#[inline(always)]
pub(super) fn would_forward(context: *mut c_void, family: u8, source: [u32; 4], destination: [u32; 4]) -> bool {
    const AF_INET: u8 = 2;
    const AF_INET6: u8 = 10;
    const SUCCESS: i64 = 0;
    const NO_NEIGHBOUR: i64 = 7;
    const FRAGMENTATION_NEEDED: i64 = 8;
    // Word by word: `zeroed` would become a call to a byte loop.
    let mut words = [0_u64; size_of::<FibLookup>() / 8];
    for word in &mut words {
        // SAFETY: a reference is valid. Volatile: so that the stores are not merged into that call.
        unsafe { write_volatile(word, 0) };
    }
    // SAFETY: as large, and aligned as strictly; any bits are a valid value of this structure of integers.
    let question = unsafe { &mut *words.as_mut_ptr().cast::<FibLookup>() };
    question.ifindex = load(&CONFIG.interface);
    if family == 4 {
        question.family = AF_INET;
        question.__bindgen_anon_3.ipv4_src = source[3];
        question.__bindgen_anon_4.ipv4_dst = destination[3];
    } else {
        question.family = AF_INET6;
        question.__bindgen_anon_3.ipv6_src = source;
        question.__bindgen_anon_4.ipv6_dst = destination;
    }
    // SAFETY: the context is the program's, the structure lives on the stack and its size is given.
    let answer = unsafe { bpf_fib_lookup(context, question, size_of::<FibLookup>() as i32, 0) } as i64;
    matches!(answer, SUCCESS | NO_NEIGHBOUR | FRAGMENTATION_NEEDED)
}
