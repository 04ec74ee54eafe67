//! Any bytes as the file that the next boot reads: a policy, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enforcer::fixtures::fuzz::state(bytes));
