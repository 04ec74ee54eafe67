//! The hooks.
//!
//! Each is inlined into what the macro makes of it: as a function of its own, which the compiler prefers for one so large, every
//! packet costs some 7 ns more (a call, and registers saved).

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use enforcer_common::frame::Frame as _;
use enforcer_common::{Direction, decide};

use crate::frame::{SkbFrame, XdpFrame};
use crate::log::tell;
use crate::maps::Maps;

/// Towards the host, at the driver. `frags`: frames of several buffers (MTU above a page) are judged too.
#[xdp(frags)]
#[inline(always)]
fn inbound_xdp(ctx: XdpContext) -> u32 {
    let frame = XdpFrame::new(&ctx);
    let maps = Maps::new(ctx.ctx.cast());
    let judgement = decide::inbound(&frame, &maps, 1);
    tell(&ctx, &maps, Direction::Inbound, &judgement, frame.length() as u32);
    const { assert!(xdp_action::XDP_PASS - 1 == xdp_action::XDP_DROP) };
    xdp_action::XDP_PASS - judgement.dropped
}

/// Towards the host, at tc ingress (or at tc egress of the port a guest stands behind).
#[classifier]
#[inline(always)]
fn inbound_tc(ctx: TcContext) -> i32 {
    let frame = SkbFrame::new(&ctx);
    let maps = Maps::new(ctx.skb.skb.cast());
    let judgement = decide::inbound(&frame, &maps, frame.segments());
    tell(&ctx, &maps, Direction::Inbound, &judgement, frame.length() as u32);
    tc_action(judgement.dropped)
}

/// From the host, at tc egress (or at tc ingress of the port a guest stands behind).
#[classifier]
#[inline(always)]
fn outbound_tc(ctx: TcContext) -> i32 {
    let frame = SkbFrame::new(&ctx);
    let maps = Maps::new(ctx.skb.skb.cast());
    let judgement = decide::outbound(&frame, &maps, frame.segments());
    tell(&ctx, &maps, Direction::Outbound, &judgement, frame.length() as u32);
    tc_action(judgement.dropped)
}

/// What goes on is left to the next program of the chain: we permit nothing on behalf of others.
#[inline(always)]
const fn tc_action(dropped: u32) -> i32 {
    TC_ACT_UNSPEC + dropped as i32 * (TC_ACT_SHOT as i32 - TC_ACT_UNSPEC)
}

/// Tells jiffies and the monotonic clock at one moment, so that the loader can convert between them.
#[classifier]
fn clock(_: TcContext) -> i32 {
    crate::maps::tell_time();
    TC_ACT_UNSPEC
}
