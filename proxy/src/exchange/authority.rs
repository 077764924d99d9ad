//! Which host a request is for. Decided once; everything later asks the answer, never the header.
//!
//! RFC 9110 section 7.2 and RFC 9113 section 8.3.1: an authority in the request target must not contradict Host.

use std::{net::Ipv6Addr, rc::Rc};

use http::{HeaderValue, Version, header, request::Parts, uri::Authority};

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
    let mut fields = parts.headers.get_all(header::HOST).iter();
    let field = fields.next().cloned();
    if fields.next().is_some() {
        return Err(Failure::BadRequest("more than one Host field"));
    }
    let host = match (parts.uri.authority(), field) {
        (Some(target), Some(field)) if !target.as_str().as_bytes().eq_ignore_ascii_case(field.as_bytes()) => {
            return Err(Failure::BadRequest("the request target's authority and the Host field differ"));
        }
        (Some(target), _) => from_authority(target)?,
        (None, Some(field)) => from_field(field)?,
        (None, None) if parts.version < Version::HTTP_11 => {
            RequestHost { written: HeaderValue::from_static(""), name: "".into(), port: None }
        }
        (None, None) => return Err(Failure::BadRequest("no Host field")),
    };
    parts.headers.remove(header::HOST);
    Ok(host)
}

fn from_authority(authority: &Authority) -> Result<RequestHost, Failure> {
    let written = HeaderValue::from_str(authority.as_str()).map_err(|_| Failure::BadRequest("invalid authority"))?;
    from_field(written)
}

fn from_field(written: HeaderValue) -> Result<RequestHost, Failure> {
    let invalid = Failure::BadRequest("invalid Host field");
    let Some((name, port)) = split_port(written.as_bytes()) else { return Err(invalid) };
    let name = name.strip_suffix(b".").unwrap_or(name);
    let Ok(name) = std::str::from_utf8(name) else { return Err(invalid) };
    let upper = name.bytes().any(|b| b.is_ascii_uppercase());
    let name: Rc<str> = if upper { name.to_ascii_lowercase().into() } else { name.into() };
    Ok(RequestHost { written, name, port })
}

/// What a name may hold; a table, because each byte of each request's host is asked for.
static FITS: [bool; 256] = fits();

const fn fits() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        byte += 1;
    }
    table
}

/// Splits `host[:port]`; `None` where it is neither a registered name nor an IP literal with a fitting port.
fn split_port(text: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let (name, rest) = match text.strip_prefix(b"[") {
        Some(literal) => {
            let (address, _) = literal.split_at(memchr::memchr(b']', literal)?);
            std::str::from_utf8(address).ok()?.parse::<Ipv6Addr>().ok()?;
            text.split_at(address.len() + 2)
        }
        None => {
            let (name, rest) = text.split_at(memchr::memchr(b':', text).unwrap_or(text.len()));
            let is_legal = |b: &u8| FITS.get(usize::from(*b)).is_some_and(|fits| *fits);
            name.iter().all(is_legal).then_some((name, rest))?
        }
    };
    match rest.split_first() {
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
