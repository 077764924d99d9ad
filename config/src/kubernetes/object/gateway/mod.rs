//! Kinds of `gateway.networking.k8s.io`, as version 1.7.0 of its CRDs (the experimental channel) states them.
//!
//! Enumerations of the schema are enumerations here, so that the parser refuses other values as an API server does.
//! What Postern does not carry is declared as [`Unused`]: present or not, without its content.

mod backend_tls_policy;
mod common;
mod filter;
mod gateway_class;
mod grpc_route;
mod http_route;
mod listener;
mod reference_grant;
mod tls_route;

pub use super::field::Unused;
pub use backend_tls_policy::*;
pub use common::*;
pub use filter::*;
pub use gateway_class::*;
pub use grpc_route::*;
pub use http_route::*;
pub use listener::*;
pub use reference_grant::*;
pub use tls_route::*;
