//! Finds loops that kernels before 6.7 refuse. Their `check_cfg` accepts a backward edge only from a jump; a compiler that places the end
//! of a loop directly before its beginning makes it fall through, and the kernel refuses the program ("back-edge from insn 1375 to 1376").

use aya_obj::generated::bpf_insn;

const CLASS: u8 = 0x07;
const JMP: u8 = 0x05;
const JMP32: u8 = 0x06;
const OPERATION: u8 = 0xf0;
const JA: u8 = 0x00;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;
/// A constant of 64 bits, in two instructions.
const LD_IMM64: u8 = 0x18;

/// Backward edges that are not jumps, as pairs of instruction numbers, found by the same depth-first search as `check_cfg`.
fn refused(code: &[bpf_insn]) -> Vec<(usize, usize)> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        Unseen,
        Entered,
        Left,
    }
    let mut states = vec![State::Unseen; code.len()];
    let mut refused = Vec::new();
    // The path of the search: instructions, each with the number of its edges already followed.
    let mut stack = vec![(0, 0)];
    while let Some((at, tried)) = stack.last_mut() {
        let from = *at;
        states[from] = State::Entered;
        let Some((to, is_jump)) = ways(code, from)[*tried..].first().copied() else {
            states[from] = State::Left;
            stack.pop();
            continue;
        };
        *tried += 1;
        match states[to] {
            State::Unseen => stack.push((to, 0)),
            State::Entered if !is_jump => refused.push((from, to)),
            State::Entered | State::Left => {}
        }
    }
    refused
}

/// Successors of an instruction, each with whether it is reached by a jump. A call continues behind it; functions are searched separately.
fn ways(code: &[bpf_insn], at: usize) -> Vec<(usize, bool)> {
    let one = code[at];
    let is_jump = matches!(one.code & CLASS, JMP | JMP32);
    let target = (at + 1).wrapping_add_signed(isize::from(one.off));
    match one.code & OPERATION {
        EXIT if is_jump => vec![],
        JA if is_jump => vec![(target, true)],
        CALL if is_jump => vec![(at + 1, false)],
        _ if is_jump => vec![(at + 1, true), (target, true)],
        _ => vec![(at + if one.code == LD_IMM64 { 2 } else { 1 }, false)],
    }
}

#[test]
fn kernels_before_6_7_take_every_loop() {
    let object = aya_obj::Object::parse(crate::dataplane::load::object::OBJECT).expect("an object");
    let mut loops = 0;
    for function in object.functions.values() {
        let code = &function.instructions;
        assert_eq!(refused(code), [], "{}: the end of a loop is placed before its beginning", function.name);
        loops += (0..code.len()).filter(|at| ways(code, *at).iter().any(|(to, _)| to <= at)).count();
    }
    assert!(loops > 0, "there are loops, over extension headers for one");
}

#[test]
fn a_loop_whose_end_falls_into_its_beginning_is_found() {
    let plain = 0xb7; // r0 = 0
    let assembled = |code: &[(u8, i16)]| -> Vec<bpf_insn> {
        // SAFETY: plain numbers, all of which may be zero.
        let empty = || unsafe { std::mem::zeroed::<bpf_insn>() };
        code.iter().map(|&(code, off)| bpf_insn { code, off, ..empty() }).collect()
    };
    // Jump over the end of the loop to its beginning, and back to the end, which falls through to the beginning.
    assert_eq!(refused(&assembled(&[(JMP, 1), (plain, 0), (JMP | 0x10, -2), (JMP | EXIT, 0)])), [(1, 2)]);
    assert_eq!(refused(&assembled(&[(plain, 0), (plain, 0), (JMP | 0x10, -2), (JMP | EXIT, 0)])), []);
    assert_eq!(refused(&assembled(&[(LD_IMM64, 0), (0, 0), (JMP | EXIT, 0)])), []);
}
