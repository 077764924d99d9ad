//! Fuzzes `postern_fuzz_targets::condition`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postern_fuzz_targets::condition(data));
