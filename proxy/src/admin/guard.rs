//! Who may ask. The server has no passwords: it listens on loopback, and what browsers could be tricked into is
//! refused here, namely asking by a name of the attacker's that resolves to loopback (DNS rebinding), and sending a
//! POST from another origin.

use std::net::IpAddr;

use http::{HeaderMap, Method, StatusCode, Uri, header};

use crate::settings::AdminHosts;

/// The answer to a request that may not be made: status and one sentence.
pub(super) type Refusal = (StatusCode, &'static str);

/// Judges a head before anything is done.
pub(super) fn judge(method: &Method, uri: &Uri, headers: &HeaderMap, hosts: &AdminHosts) -> Result<(), Refusal> {
    let host = host(uri, headers)?;
    if !is_known(host, hosts) {
        return Err((StatusCode::MISDIRECTED_REQUEST, "this Host is not in admin.hosts"));
    }
    match *method {
        Method::GET | Method::HEAD => Ok(()),
        Method::POST if is_same_origin(headers) => Ok(()),
        Method::POST => Err((StatusCode::FORBIDDEN, "requests from pages of another origin may change nothing")),
        _ => Err((StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and, where the reference says so, POST")),
    }
}

fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<&'a str, Refusal> {
    let mut fields = headers.get_all(header::HOST).iter();
    match (uri.authority(), fields.next(), fields.next()) {
        (_, _, Some(_)) => Err((StatusCode::BAD_REQUEST, "more than one Host field")),
        (Some(authority), ..) => Ok(authority.as_str()),
        (None, Some(field), None) => field.to_str().map_err(|_| (StatusCode::BAD_REQUEST, "invalid Host field")),
        (None, None, None) => Err((StatusCode::BAD_REQUEST, "no Host field")),
    }
}

/// Addresses are always known: they cannot be rebound.
fn is_known(authority: &str, hosts: &AdminHosts) -> bool {
    let AdminHosts::Only(names) = hosts else { return true };
    let host = without_port(authority);
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() || names.contains(&host.to_ascii_lowercase())
}

fn without_port(authority: &str) -> &str {
    if let Some(end) = authority.strip_prefix('[').and_then(|rest| rest.find(']')) {
        return authority.get(..end + 2).unwrap_or(authority);
    }
    authority.split_once(':').map_or(authority, |(host, _)| host)
}

/// Browsers send Origin with every POST; tools send none.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let (Ok(origin), Some(Ok(host))) = (origin.to_str(), headers.get(header::HOST).map(|host| host.to_str())) else {
        return false;
    };
    origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn verdict(method: Method, host: &'static str, origin: Option<&'static str>) -> u16 {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        let hosts = AdminHosts::Only(["localhost".to_owned(), "postern.lan".to_owned()].into());
        judge(&method, &Uri::from_static("/"), &headers, &hosts).map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn only_addresses_and_known_names_are_answered() {
        let table = [
            ("127.0.0.1:9000", 200),
            ("[::1]:9000", 200),
            ("[::1]", 200),
            ("localhost:9000", 200),
            ("LOCALHOST", 200),
            ("postern.lan", 200),
            ("attacker.example", 421),
            ("127.0.0.1.attacker.example:9000", 421),
            ("localhost.attacker.example", 421),
            ("", 421),
        ];
        for (host, status) in table {
            assert_eq!(verdict(Method::GET, host, None), status, "{host}");
        }
    }

    #[test]
    fn a_page_of_another_origin_may_not_post() {
        assert_eq!(verdict(Method::POST, "127.0.0.1:9000", None), 200);
        assert_eq!(verdict(Method::POST, "127.0.0.1:9000", Some("http://127.0.0.1:9000")), 200);
        assert_eq!(verdict(Method::POST, "127.0.0.1:9000", Some("http://attacker.example")), 403);
        assert_eq!(verdict(Method::POST, "127.0.0.1:9000", Some("null")), 403);
        assert_eq!(verdict(Method::DELETE, "127.0.0.1:9000", None), 405);
    }
}
