//! From a clean byte stream to requests: HTTP/1 and HTTP/2 servers on hyper's connection level.
//!
//! What a request means is not decided here; the service that gets it is a parameter. TLS and sockets come before.

pub mod http;
pub mod http1_guard;
