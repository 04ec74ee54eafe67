//! Any bytes as a site file: read, or refused with findings; never a panic, never slow.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enforcer::fixtures::fuzz::site(bytes));
