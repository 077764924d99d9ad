//! Fuzzes `postern_fuzz_targets::http1_guard`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postern_fuzz_targets::http1_guard(data));
