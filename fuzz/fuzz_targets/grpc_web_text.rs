//! Fuzzes `postern_fuzz_targets::grpc_web_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| postern_fuzz_targets::grpc_web_text(data));
