//! Which header fields only Postern or a trusted peer may set, against the list as people read it.

use http::HeaderName;
use postern_proxy::exchange::forwarded::is_managed;

/// Traefik's list.
const MANAGED: [&str; 13] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-tls-client-cert",
    "x-forwarded-tls-client-cert-info",
    "x-forwarded-uri",
    "x-real-ip",
    "x-scheme",
];

/// One field name a line. A backend that takes `_` for `-` must not be told what an untrusted peer said.
pub fn forwarded_headers(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(name) = HeaderName::from_bytes(line) else { continue };
        let plain = name.as_str().replace('_', "-");
        assert_eq!(is_managed(&name), MANAGED.contains(&plain.as_str()), "{name}");
    }
}
