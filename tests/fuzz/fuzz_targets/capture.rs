//! Any bytes as a capture: read to its end or to where it breaks; never a panic, never more memory than the file is worth.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enforcer::fixtures::fuzz::capture(bytes));
