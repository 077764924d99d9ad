//! One function per parser of foreign bytes. Each takes any bytes, must not panic on them, and asserts what must hold
//! of the result. cargo-fuzz calls them with inputs that it invents; `tests/replay.rs` with those that are kept.
#![forbid(unsafe_code)]

mod arp;
mod client_hello;
mod compile;
mod condition;
mod digest_credentials;
mod flows;
mod forwarded_headers;
mod go_regex;
mod grpc_web_text;
mod handover;
mod heartbeat;
mod http1_guard;
mod manifests;
mod ndp;
mod path_normalisation;
mod peer_frame;
mod proxy_protocol;
mod request_host;
mod route_match;
mod segment;
mod traefik_rule;

pub use arp::arp;
pub use client_hello::client_hello;
pub use compile::compile;
pub use condition::condition;
pub use digest_credentials::digest_credentials;
pub use flows::flows;
pub use forwarded_headers::forwarded_headers;
pub use go_regex::go_regex;
pub use grpc_web_text::grpc_web_text;
pub use handover::handover;
pub use heartbeat::heartbeat;
pub use http1_guard::http1_guard;
pub use manifests::manifests;
pub use ndp::ndp;
pub use path_normalisation::path_normalisation;
pub use peer_frame::peer_frame;
pub use proxy_protocol::proxy_protocol;
pub use request_host::request_host;
pub use route_match::route_match;
pub use traefik_rule::traefik_rule;

/// A target: its name, and what runs one input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them; the names are those of the corpora.
pub const TARGETS: &[Target] = &[
    ("arp", arp),
    ("client_hello", client_hello),
    ("compile", compile),
    ("condition", condition),
    ("digest_credentials", digest_credentials),
    ("flows", flows),
    ("forwarded_headers", forwarded_headers),
    ("go_regex", go_regex),
    ("grpc_web_text", grpc_web_text),
    ("handover", handover),
    ("heartbeat", heartbeat),
    ("http1_guard", http1_guard),
    ("manifests", manifests),
    ("ndp", ndp),
    ("path_normalisation", path_normalisation),
    ("peer_frame", peer_frame),
    ("proxy_protocol", proxy_protocol),
    ("request_host", request_host),
    ("route_match", route_match),
    ("traefik_rule", traefik_rule),
];
