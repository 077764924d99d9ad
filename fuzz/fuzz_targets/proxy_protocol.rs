//! Fuzzes `postern_fuzz_targets::proxy_protocol`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postern_fuzz_targets::proxy_protocol(data));
