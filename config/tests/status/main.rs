//! Objects in, conditions out: the real compiler reports, and the status that comes of it is compared with what the
//! Gateway API 1.7 and its conformance suite ask for. `merge` is tested by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot read its own objects must fail")]

mod address;
mod backend_tls_policy;
mod gateway;
mod gateway_class;
mod ingress;
mod merge;
mod route;
mod world;
