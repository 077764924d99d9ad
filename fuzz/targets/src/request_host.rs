//! Whom a request is for: what is accepted is a name or an address that everybody reads in the same way.

use std::net::Ipv6Addr;

use http::{HeaderValue, Request, header};
use postern_config::snapshot::SocketKey;
use postern_proxy::{
    exchange::{Connection, RequestHost, prepare},
    settings::Trust,
};

/// A Host field, or after a `@` the authority of an absolute request target.
pub fn request_host(data: &[u8]) {
    let (mut parts, ()) = Request::new(()).into_parts();
    let written = data.strip_prefix(b"@").unwrap_or(data);
    if written.len() < data.len() {
        let Ok(uri) = http::Uri::builder().scheme("http").authority(written).path_and_query("/").build() else {
            return;
        };
        parts.uri = uri;
    } else {
        let Ok(field) = HeaderValue::from_bytes(written) else { return };
        parts.headers.insert(header::HOST, field);
    }
    let ends = ([192, 0, 2, 1], 80).into();
    let connection = Connection::new(ends, ends, SocketKey { address: None, port: 80 }, "web".into(), None);
    let Ok(prepared) = prepare(&mut parts, &connection, &Trust::default(), &HeaderValue::from_static("gate")) else {
        return;
    };
    assert!(
        parts.uri.authority().is_none() && !parts.headers.contains_key(header::HOST),
        "it is asked for in one place"
    );
    check(written, &prepared.host);
}

fn check(written: &[u8], host: &RequestHost) {
    let RequestHost { written: kept, name, port } = host;
    assert_eq!(kept.as_bytes(), written, "the backend gets what the client wrote");
    let text = std::str::from_utf8(written).expect("what is accepted is text");
    let (before, after) = match text.rsplit_once(':') {
        Some((before, after)) if !after.ends_with(']') => (before, Some(after)),
        _ => (text, None),
    };
    assert_eq!(before.strip_suffix('.').unwrap_or(before).to_ascii_lowercase(), **name);
    assert_eq!(after.filter(|port| !port.is_empty()).map(|port| port.parse().expect("a port is a number")), *port);
    match name.strip_prefix('[') {
        Some(literal) => {
            let address = literal.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
            assert!(address.is_some(), "{name:?} is an address in brackets");
        }
        None => {
            let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
            assert!(name.bytes().all(legal), "{name:?} is a name");
        }
    }
}
