//! Any bytes as a sequence of frames: the decision code and the plain reading agree on each.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enforcer::fixtures::fuzz::packets(bytes));
