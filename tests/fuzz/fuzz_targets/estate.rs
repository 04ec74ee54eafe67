//! Any bytes as an estate or an inventory: read and rendered, or refused with findings; never a panic, never slow.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| enforcer::fixtures::fuzz::estate(bytes));
