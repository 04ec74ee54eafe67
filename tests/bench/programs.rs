//! Programs of a few instructions: what everything is compared with, and what makes traffic.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use harness::bpf::{self, Kind, instruction};
use harness::netns::Cable;

/// `XDP_DROP`.
pub(crate) const XDP_DROP: i32 = 1;
/// `XDP_PASS`.
pub(crate) const XDP_PASS: i32 = 2;
/// `XDP_TX`.
const XDP_TX: i32 = 3;
/// `TC_ACT_SHOT`.
pub(crate) const TC_DROP: i32 = 2;
/// `TCX_NEXT`.
pub(crate) const TC_NEXT: i32 = -1;

/// Where the source address of a frame without tags stands, and its destination.
pub(crate) const SOURCE: i16 = 26;
/// Likewise.
pub(crate) const DESTINATION: i16 = 30;

/// Bits of an address `10.x.x.x` that may be random.
const ALL_BITS: u32 = 24;

const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const R3: u8 = 3;
const R6: u8 = 6;
const R7: u8 = 7;

const PRANDOM: i32 = 7;
const TAIL_CALL: i32 = 12;

/// `r = value`.
const fn set(r: u8, value: i32) -> u64 {
    instruction(0xb7, [r, 0], 0, value)
}

/// `to = from`.
const fn copy(to: u8, from: u8) -> u64 {
    instruction(0xbf, [to, from], 0, 0)
}

/// `to = *(u32 *)(from + offset)`.
const fn load32(to: u8, from: u8, offset: i16) -> u64 {
    instruction(0x61, [to, from], offset, 0)
}

/// `*(u32 *)(to + offset) = from`.
const fn store32(to: u8, offset: i16, from: u8) -> u64 {
    instruction(0x63, [to, from], offset, 0)
}

/// `*(u16 *)(to + offset) = from`.
const fn store16(to: u8, offset: i16, from: u8) -> u64 {
    instruction(0x6b, [to, from], offset, 0)
}

const fn call(helper: i32) -> u64 {
    instruction(0x85, [0, 0], 0, helper)
}

const EXIT: u64 = instruction(0x95, [0, 0], 0, 0);

/// `w` instructions on 32 bits with an immediate: and, or, right shift, exclusive or.
const fn alu32(code: u8, r: u8, value: i32) -> u64 {
    instruction(code, [r, 0], 0, value)
}

const AND: u8 = 0x54;
const OR: u8 = 0x44;
const SHIFT_RIGHT: u8 = 0x74;
const XOR: u8 = 0xa4;
/// `to += from`, on 32 bits.
const ADD_REGISTER: u8 = 0x0c;

/// Returns at once: what a test run costs by itself.
pub(crate) fn empty(kind: Kind, answer: i32) -> io::Result<OwnedFd> {
    bpf::load(kind, "bench_empty", &[set(R0, answer), EXIT])
}

/// Attaches an XDP program to a cable of its own, as long as what is returned lives.
pub(crate) fn attached(program: &OwnedFd) -> io::Result<(Cable, OwnedFd)> {
    let cable = Cable::quiet();
    let link = cable.host.run(|| bpf::attach_xdp(program, &cable.near.interface))?;
    Ok((cable, link))
}

/// Puts `r7` on the first byte of the frame and `r6` on the context; ends with `otherwise` where the frame is shorter than the
/// headers of Ethernet, IPv4 and UDP.
fn prologue(kind: Kind, otherwise: i32) -> Vec<u64> {
    let [data, end] = match kind {
        Kind::Xdp => [0, 4],
        Kind::Tc => [76, 80],
    };
    vec![
        copy(R6, R1),
        load32(R7, R1, data),
        load32(R3, R1, end),
        copy(R2, R7),
        // r2 += 42
        instruction(0x07, [R2, 0], 0, 42),
        // if r2 <= r3 goto over the next two
        instruction(0xbd, [R2, R3], 2, 0),
        set(R0, otherwise),
        EXIT,
    ]
}

/// Writes a random address `10.x.x.x` at an offset of the frame: so many of its last bits are random.
fn random_address(at: i16, bits: u32) -> Vec<u64> {
    let keep = i32::from_ne_bytes(((1_u32 << bits) - 1).to_be_bytes());
    let network = i32::from_ne_bytes([10, 0, 0, 0]);
    vec![call(PRANDOM), alu32(AND, R0, keep), alu32(OR, R0, network), store32(R7, at, R0)]
}

/// A program that gives each frame another address `10.x.x.x` and jumps to a second program, which sees that frame.
pub(crate) struct Varying {
    program: OwnedFd,
    array: OwnedFd,
}

impl Varying {
    /// Varies the address at this offset. The first program it jumps to decides what programs it may jump to at all.
    pub(crate) fn new(kind: Kind, at: i16) -> io::Result<Self> {
        Self::among(kind, at, ALL_BITS)
    }

    /// Likewise, but only so many of the last bits are random: 2 to that power are the addresses that there are.
    pub(crate) fn among(kind: Kind, at: i16, bits: u32) -> io::Result<Self> {
        let array = bpf::program_array()?;
        let mut code = prologue(kind, 0);
        code.extend(random_address(at, bits));
        code.push(copy(R1, R6));
        // r2 = the array (a load of 64 bits, two slots)
        code.push(instruction(0x18, [R2, 1], 0, array.as_raw_fd()));
        code.push(0);
        code.extend([set(R3, 0), call(TAIL_CALL), set(R0, 0), EXIT]);
        let program = bpf::load(kind, "bench_varying", &code)?;
        Ok(Self { program, array })
    }

    /// The program that jumps to this one from now on.
    pub(crate) fn to(&self, next: &OwnedFd) -> io::Result<&OwnedFd> {
        bpf::update(&self.array, &[0; 4], &next.as_fd().as_raw_fd().to_ne_bytes())?;
        Ok(&self.program)
    }
}

/// Sends every frame back out of the interface it is said to have come in by.
pub(crate) fn sender() -> io::Result<OwnedFd> {
    bpf::load(Kind::Xdp, "bench_sender", &[set(R0, XDP_TX), EXIT])
}

/// The same, each frame from another source `10.x.x.x`. The identification makes up for it in the header's checksum, which
/// must have been computed with both fields zero.
pub(crate) fn spoofing_sender() -> io::Result<OwnedFd> {
    let mut code = prologue(Kind::Xdp, XDP_DROP);
    code.extend(random_address(SOURCE, ALL_BITS));
    code.extend([
        // r1 = low half + high half, folded to 16 bits; its complement goes into the identification.
        instruction(0xbc, [R1, R0], 0, 0),
        alu32(AND, R1, 0xffff),
        alu32(SHIFT_RIGHT, R0, 16),
        instruction(ADD_REGISTER, [R1, R0], 0, 0),
        instruction(0xbc, [R0, R1], 0, 0),
        alu32(SHIFT_RIGHT, R0, 16),
        instruction(ADD_REGISTER, [R1, R0], 0, 0),
        alu32(AND, R1, 0xffff),
        alu32(XOR, R1, 0xffff),
        store16(R7, 18, R1),
        set(R0, XDP_TX),
        EXIT,
    ]);
    bpf::load(Kind::Xdp, "bench_spoofing", &code)
}
