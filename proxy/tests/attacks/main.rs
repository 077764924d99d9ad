//! Known attacks on edges, each tried on a whole node over real sockets. Numbers and classes are those of the list that
//! SECURITY.md keeps; a test is named after its class and fails on the behaviour that made the class known.
//!
//! | class | here | further tests |
//! |---|---|---|
//! | S1 hop-by-hop abuse, S2 aliases, S3 spoofing, S4 spelling | `fields.rs` | fuzz target `forwarded_headers` |
//! | S5 path views, S6 rewrite after match | `paths.rs` | fuzz target `path_normalisation` |
//! | S7 TLS selection, S13 upstream TLS | `tls.rs` | `proxy/tests/tls.rs`, tests of `proxy/src/upstream` |
//! | S8 injection, S9 fail closed, S10 tenant escape, S16 health checks | `objects.rs` | golden cases of `config` |
//! | S11 exhaustion, S12 leaks, S18 log injection | `leaks.rs` | `slow_clients.rs`, `limits.rs`, tests of `basic_auth` and `rate_limit` |
//! | S14 smuggling, S17 upgrades | `messages.rs` | `smuggling.rs` |
//! | S15 address controls | `addresses.rs` | tests of `proxy/src/middleware/source.rs` |

mod addresses;
mod digest;
mod fields;
mod leaks;
mod messages;
mod objects;
mod paths;
mod tls;
mod world;
