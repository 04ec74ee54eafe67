//! What is on a hook while a change waits for confirmation: until the deadline the new program judges, and past it the one that was
//! confirmed last, whatever has become of our processes. Confirming puts the new program itself on the hook.
//!
//! Both programs stand in an array of programs. The kernel empties such an array when its last pin goes, although programs still use it. So
//! no call into it is certain, and what follows the last one drops: nothing is left that could judge.

use core::arch::asm;
use core::ffi::c_void;

use aya_ebpf::bindings::{TC_ACT_SHOT, xdp_action};
use aya_ebpf::helpers::generated::bpf_tail_call;
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use enforcer_common::Direction;
use enforcer_common::way_back::{self, Way};

use crate::maps::{deadline_of_change, now};

#[xdp(frags)]
#[inline(always)]
fn pending_in_xdp(ctx: XdpContext) -> u32 {
    dispatch::<{ Direction::Inbound as u32 }>(ctx.ctx.cast());
    xdp_action::XDP_DROP
}

#[classifier]
#[inline(always)]
fn pending_in_tc(ctx: TcContext) -> i32 {
    dispatch::<{ Direction::Inbound as u32 }>(ctx.skb.skb.cast());
    TC_ACT_SHOT as i32
}

#[classifier]
#[inline(always)]
fn pending_out_tc(ctx: TcContext) -> i32 {
    dispatch::<{ Direction::Outbound as u32 }>(ctx.skb.skb.cast());
    TC_ACT_SHOT as i32
}

/// Goes over to the program that judges now, and comes back only if there is none.
#[inline(always)]
fn dispatch<const DIRECTION: u32>(context: *mut c_void) {
    way_back::dispatch(now(), deadline_of_change(), |way| go_on::<DIRECTION>(context, way));
}

/// Goes over to a program, and comes back where there is none.
#[inline(always)]
fn go_on<const DIRECTION: u32>(context: *mut c_void, way: Way) {
    // SAFETY: the context is that of this program, and the loader has put the array in the place of its placeholder.
    unsafe { bpf_tail_call(context, array::<DIRECTION>(), way as u32) };
}

/// The array of a direction.
#[inline(always)]
fn array<const DIRECTION: u32>() -> *mut c_void {
    let array: *mut c_void;
    // SAFETY: a constant.
    unsafe {
        asm!(
            "{} = {} ll",
            out(reg) array,
            const Way::placeholder(DIRECTION),
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    array
}
