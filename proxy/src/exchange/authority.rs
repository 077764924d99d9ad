//! Which host a request is for. Decided once; everything later asks the answer, never the header.
//!
//! RFC 9110 section 7.2 and RFC 9113 section 8.3.1: an authority in the request target must not contradict Host.

use std::{net::Ipv6Addr, rc::Rc};

use http::{
    HeaderValue, Version,
    header::{self, Entry},
    request::Parts,
    uri::Authority,
};

use crate::respond::Failure;

/// The host of a request, as written and as compared.
#[derive(Clone, Debug)]
pub struct RequestHost {
    /// As the client wrote it, with port: what the backend gets as Host.
    pub written: HeaderValue,
    /// Lower-case, without port and trailing dot; empty when an HTTP/1.0 client named none.
    pub name: Rc<str>,
    /// The port, where one was written.
    pub port: Option<u16>,
}

/// Finds the host, and removes it from `parts`: the URI keeps path and query, the Host field goes.
pub(super) fn take(parts: &mut Parts) -> Result<RequestHost, Failure> {
    let field = match parts.headers.entry(header::HOST) {
        Entry::Vacant(_) => None,
        Entry::Occupied(fields) if fields.iter().nth(1).is_some() => {
            return Err(Failure::BadRequest("more than one Host field"));
        }
        Entry::Occupied(field) => Some(field.remove()),
    };
    match (parts.uri.authority(), field) {
        (Some(target), Some(field)) if !target.as_str().as_bytes().eq_ignore_ascii_case(field.as_bytes()) => {
            Err(Failure::BadRequest("the request target's authority and the Host field differ"))
        }
        (Some(target), _) => from_authority(target),
        (None, Some(field)) => from_field(field),
        (None, None) if parts.version < Version::HTTP_11 => {
            Ok(RequestHost { written: HeaderValue::from_static(""), name: "".into(), port: None })
        }
        (None, None) => Err(Failure::BadRequest("no Host field")),
    }
}

fn from_authority(authority: &Authority) -> Result<RequestHost, Failure> {
    let written = HeaderValue::from_str(authority.as_str()).map_err(|_| Failure::BadRequest("invalid authority"))?;
    from_field(written)
}

fn from_field(written: HeaderValue) -> Result<RequestHost, Failure> {
    let invalid = Failure::BadRequest("invalid Host field");
    let Ok(text) = written.to_str() else { return Err(invalid) };
    let Some((name, port)) = split_port(text) else { return Err(invalid) };
    let bare = name.strip_suffix('.').unwrap_or(name);
    let upper = bare.bytes().any(|b| class(b) == UPPER);
    let name: Rc<str> = if upper { bare.to_ascii_lowercase().into() } else { bare.into() };
    Ok(RequestHost { written, name, port })
}

/// What each byte is in a name; a table, because each byte of each request's host is asked for.
static CLASS: [u8; 256] = classes();
/// No part of a name.
const NONE: u8 = 0;
const UPPER: u8 = 1;
const OTHER: u8 = 2;

const fn classes() -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_uppercase() {
            table[byte] = UPPER;
        } else if b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_') {
            table[byte] = OTHER;
        }
        byte += 1;
    }
    table
}

fn class(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or(NONE)
}

/// Splits `host[:port]`; `None` where it is neither a registered name nor an IP literal with a fitting port.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let end = if text.starts_with('[') {
        let end = text.find(']')?;
        text.get(1..end)?.parse::<Ipv6Addr>().ok()?;
        end + 1
    } else {
        text.bytes().position(|b| class(b) == NONE).unwrap_or(text.len())
    };
    let (name, rest) = text.split_at_checked(end)?;
    match rest.as_bytes().split_first() {
        None | Some((b':', [])) => Some((name, None)),
        Some((b':', port)) => Some((name, Some(decimal(port)?))),
        Some(_) => None,
    }
}

fn decimal(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |value, b| {
        let digit = b.is_ascii_digit().then(|| u16::from(b - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn host(uri: &str, fields: &[&str]) -> Result<RequestHost, Failure> {
        let mut builder = Request::builder().uri(uri);
        for field in fields {
            builder = builder.header("host", *field);
        }
        take(&mut builder.body(()).expect("a valid request").into_parts().0)
    }

    #[test]
    fn the_host_is_compared_without_case_port_and_trailing_dot() {
        for (field, name, port) in [
            ("a.example.com", "a.example.com", None),
            ("A.Example.COM:8080", "a.example.com", Some(8080)),
            ("a.example.com.", "a.example.com", None),
            ("a.example.com.:80", "a.example.com", Some(80)),
            ("[::1]:443", "[::1]", Some(443)),
            ("10.0.0.1:", "10.0.0.1", None),
        ] {
            let host = host("/", &[field]).expect(field);
            assert_eq!((&*host.name, host.port), (name, port), "{field}");
            assert_eq!(host.written, field);
        }
    }

    #[test]
    fn a_host_that_is_none_is_refused() {
        for field in [
            "a b", "a/b", "a@b", "a:b", "a:99999", "[::1", "[::1]x", "a,b", "a?b", "a#b", "a\\b", "[a]", "a]b", "a[b",
            "[::1].",
        ] {
            assert!(host("/", &[field]).is_err(), "{field}");
        }
        assert!(host("/", &["a", "a"]).is_err());
        assert!(host("/", &[]).is_err());
    }

    #[test]
    fn the_target_may_not_contradict_the_field() {
        assert!(host("http://a/x", &["b"]).is_err());
        assert_eq!(&*host("http://A/x", &["a"]).expect("equal but for case").name, "a");
        assert!(host("http://user@a/x", &[]).is_err());
    }
}
