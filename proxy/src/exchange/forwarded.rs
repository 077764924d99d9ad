//! X-Forwarded-* and its relatives: believed from trusted peers, removed from all others, then completed.
//!
//! The behaviour is Traefik's `forwardedHeaders`: thirteen managed fields, also in spellings with `_`, are deleted
//! when an untrusted peer sends them; what is absent is then set. The peer is appended to X-Forwarded-For by
//! `upstream`, as the last step. `Forwarded` (RFC 7239) passes untouched.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use ipnet::IpNet;

use super::{Connection, authority::RequestHost};
use crate::settings::Trust;

/// `X-Forwarded-For`.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`.
pub const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Host`.
pub const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Forwarded-Port`.
pub const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// `X-Forwarded-Server`.
pub const FORWARDED_SERVER: HeaderName = HeaderName::from_static("x-forwarded-server");
/// `X-Real-Ip`.
pub const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Among a request's extensions: the peer is not to be appended to X-Forwarded-For, which a middleware was told to keep
/// from the backend.
#[derive(Clone, Copy, Debug)]
pub struct WithholdForwardedFor;

/// The fields that only Postern or a trusted peer may set, without their leading `x-`.
const MANAGED: [&[u8]; 13] = [
    b"forwarded-for",
    b"forwarded-host",
    b"forwarded-method",
    b"forwarded-port",
    b"forwarded-prefix",
    b"forwarded-proto",
    b"forwarded-scheme",
    b"forwarded-server",
    b"forwarded-tls-client-cert",
    b"forwarded-tls-client-cert-info",
    b"forwarded-uri",
    b"real-ip",
    b"scheme",
];

/// Whether `name` is a managed field, `_` counting as `-`.
pub fn is_managed(name: &HeaderName) -> bool {
    let [b'x', b'-' | b'_', rest @ ..] = name.as_str().as_bytes() else { return false };
    let same = |managed: &[u8]| {
        managed.len() == rest.len() && managed.iter().zip(rest).all(|(a, b)| a == b || (*a == b'-' && *b == b'_'))
    };
    MANAGED.iter().any(|managed| same(managed))
}

/// Which fields a head holds that must be looked at: one walk over the names in place of a look-up for each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    managed: bool,
    connection: bool,
    /// Known once the head is clean: `Connection` says upgrade and `Upgrade` says websocket.
    websocket: bool,
}

impl Held {
    pub(super) fn by(headers: &HeaderMap) -> Self {
        let mut held = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "connection" => held.connection = true,
                _ => held.managed |= is_managed(name),
            }
        }
        held
    }
}

/// Whether `peer` may speak for clients.
pub fn is_trusted(peer: IpAddr, trust: &Trust) -> bool {
    trust.forwarded_insecure || contains(&trust.forwarded, peer)
}

/// Deletes what the peer may not say, and what `Connection` names; returns the client's address.
pub(super) fn clean(parts: &mut Parts, held: &mut Held, connection: &Connection, trust: &Trust) -> IpAddr {
    let peer = connection.peer.ip().to_canonical();
    if held.managed && !is_trusted(peer, trust) {
        remove_managed(&mut parts.headers);
        held.managed = false;
    }
    let client = client_address(&mut parts.headers, peer, trust);
    if held.connection {
        drop_connection_named(&mut parts.headers);
        held.websocket = tokens(&parts.headers, header::UPGRADE).any(|token| token.eq_ignore_ascii_case(b"websocket"));
    }
    client
}

/// Sets what is absent.
pub(super) fn complete(
    headers: &mut HeaderMap,
    held: Held,
    connection: &Connection,
    host: &RequestHost,
    server: &HeaderValue,
) {
    let tls = connection.tls.is_some();
    if !held.managed {
        // The usual case: nothing has to be looked for before it is set.
        headers.append(REAL_IP, connection.peer_text.clone());
        headers.append(FORWARDED_PROTO, proto(tls, held.websocket));
        headers.append(FORWARDED_PORT, port(host.port, tls));
        headers.append(FORWARDED_HOST, host.written.clone());
        headers.append(FORWARDED_SERVER, server.clone());
        return;
    }
    merge_forwarded_for(headers);
    headers.entry(REAL_IP).or_insert_with(|| connection.peer_text.clone());
    headers.entry(FORWARDED_PROTO).or_insert_with(|| proto(tls, held.websocket));
    let said_tls = headers.get(FORWARDED_PROTO).is_some_and(|proto| proto == "https" || proto == "wss");
    headers.entry(FORWARDED_PORT).or_insert_with(|| port(host.port, said_tls));
    headers.entry(FORWARDED_HOST).or_insert_with(|| host.written.clone());
    headers.insert(FORWARDED_SERVER, server.clone());
}

fn contains(nets: &[IpNet], address: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&address))
}

fn remove_managed(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| is_managed(name)).cloned() {
        headers.remove(name);
    }
}

/// The configured header where its peer is one of those that may send it, the peer itself otherwise; from any other
/// peer the header is deleted, since backends read it too.
fn client_address(headers: &mut HeaderMap, peer: IpAddr, trust: &Trust) -> IpAddr {
    let Some((name, nets)) = &trust.client_ip_header else { return peer };
    if !contains(nets, peer) {
        headers.remove(name);
        return peer;
    }
    let said = headers.get(name).and_then(|value| value.to_str().ok()?.trim().parse::<IpAddr>().ok());
    said.map_or(peer, |address| address.to_canonical())
}

/// RFC 9110 section 7.6.1, but managed fields cannot be named away. What is left of `Connection` is `upgrade`.
fn drop_connection_named(headers: &mut HeaderMap) {
    let mut upgrade = false;
    let mut named: Vec<HeaderName> = Vec::new();
    for token in tokens(headers, header::CONNECTION) {
        if token.eq_ignore_ascii_case(b"upgrade") {
            upgrade = true;
        } else if let Ok(name) = HeaderName::from_bytes(token)
            && !is_kept(&name)
        {
            named.push(name);
        }
    }
    for name in named {
        headers.remove(name);
    }
    if upgrade && is_upgrade_kept(headers) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    } else {
        headers.remove(header::CONNECTION);
        headers.remove(header::UPGRADE);
        headers.remove("http2-settings");
    }
}

/// Upgrades to HTTP/2 end here: passed on, they would open a tunnel past every rule ("h2c smuggling").
fn is_upgrade_kept(headers: &HeaderMap) -> bool {
    let is_http2 = |token: &[u8]| token.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"h2"));
    headers.contains_key(header::UPGRADE) && !tokens(headers, header::UPGRADE).any(is_http2)
}

/// The members of a list that may be spread over several field lines.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(name).into_iter();
    values.flat_map(|value| value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii))
}

/// Fields that `Connection` may not name away: ours, and those that carry who the client is.
fn is_kept(name: &HeaderName) -> bool {
    is_managed(name)
        || [header::HOST, header::AUTHORIZATION, header::COOKIE, header::CONTENT_LENGTH, header::TE].contains(name)
}

/// Several field lines become one, since readers differ in which line they take.
fn merge_forwarded_for(headers: &mut HeaderMap) {
    let mut values = headers.get_all(FORWARDED_FOR).iter();
    let (Some(first), Some(second)) = (values.next(), values.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for value in std::iter::once(second).chain(values) {
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(value.as_bytes());
    }
    if let Ok(value) = HeaderValue::from_bytes(&joined) {
        headers.insert(FORWARDED_FOR, value);
    }
}

fn proto(tls: bool, websocket: bool) -> HeaderValue {
    HeaderValue::from_static(match (tls, websocket) {
        (false, false) => "http",
        (false, true) => "ws",
        (true, false) => "https",
        (true, true) => "wss",
    })
}

fn port(written: Option<u16>, tls: bool) -> HeaderValue {
    match written {
        Some(port) => HeaderValue::from(port),
        None if tls => HeaderValue::from_static("443"),
        None => HeaderValue::from_static("80"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a valid name");
            headers.append(name, HeaderValue::from_str(value).expect("a valid value"));
        }
        headers
    }

    #[test]
    fn the_thirteen_managed_fields_are_removed_in_any_spelling() {
        let mut headers = map(&[
            ("X-Forwarded-For", "1.2.3.4"),
            ("x_forwarded_for", "1.2.3.4"),
            ("X-Forwarded_Proto", "https"),
            ("X-Real-Ip", "1.2.3.4"),
            ("X_Real-IP", "1.2.3.4"),
            ("X-Scheme", "https"),
            ("X-Forwarded-Tls-Client-Cert-Info", "x"),
            ("X-Forwarded-Prefix", "/x"),
            ("X-Custom", "stays"),
            ("Forwarded", "for=1.2.3.4"),
        ]);
        remove_managed(&mut headers);
        assert_eq!(headers, map(&[("x-custom", "stays"), ("forwarded", "for=1.2.3.4")]));
    }

    #[test]
    fn connection_cannot_name_managed_or_identity_fields_away() {
        let mut headers = map(&[
            ("connection", "close, X-Forwarded-Host, x-real-ip, authorization, X-Hop"),
            ("connection", "cookie"),
            ("x-forwarded-host", "a"),
            ("x-real-ip", "1.1.1.1"),
            ("authorization", "Basic x"),
            ("cookie", "a=b"),
            ("x-hop", "gone"),
        ]);
        drop_connection_named(&mut headers);
        let want =
            [("x-forwarded-host", "a"), ("x-real-ip", "1.1.1.1"), ("authorization", "Basic x"), ("cookie", "a=b")];
        assert_eq!(headers, map(&want));
    }

    #[test]
    fn an_upgrade_survives_only_with_both_of_its_fields() {
        let mut headers = map(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket"), ("keep-alive", "5")]);
        drop_connection_named(&mut headers);
        assert_eq!(headers, map(&[("connection", "upgrade"), ("upgrade", "websocket")]));
        let mut headers = map(&[("connection", "keep-alive"), ("upgrade", "h2c")]);
        drop_connection_named(&mut headers);
        assert_eq!(headers, HeaderMap::new());
    }

    #[test]
    fn an_upgrade_to_http2_is_not_passed_on() {
        for upgrade in ["h2c", "H2C", "websocket, h2c"] {
            let mut headers =
                map(&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", upgrade), ("http2-settings", "AAMAAABk")]);
            drop_connection_named(&mut headers);
            assert_eq!(headers, HeaderMap::new(), "{upgrade}");
        }
    }

    #[test]
    fn only_a_websocket_upgrade_is_told_as_ws() {
        for (fields, want) in [
            (&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")][..], "ws"),
            (&[("upgrade", "websocket")], "http"),
            (&[("connection", "upgrade"), ("upgrade", "tls/1.0")], "http"),
            (&[("connection", "close"), ("upgrade", "websocket")], "http"),
        ] {
            let (mut parts, ()) = http::Request::new(()).into_parts();
            parts.headers = map(fields);
            parts.headers.insert(header::HOST, HeaderValue::from_static("a"));
            let ends = ([192, 0, 2, 1], 80).into();
            let socket = postern_config::snapshot::SocketKey { address: None, port: 80 };
            let connection = Connection::new(ends, ends, socket, "web".into(), None);
            let server = HeaderValue::from_static("gate");
            crate::exchange::prepare(&mut parts, &connection, &Trust::default(), &server).expect("a legal head");
            assert_eq!(parts.headers[FORWARDED_PROTO], want, "{fields:?}");
        }
    }

    #[test]
    fn several_lines_of_x_forwarded_for_become_one() {
        let mut headers = map(&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2, 3.3.3.3")]);
        merge_forwarded_for(&mut headers);
        assert_eq!(headers, map(&[("x-forwarded-for", "1.1.1.1, 2.2.2.2, 3.3.3.3")]));
    }

    #[test]
    fn a_client_address_header_is_believed_from_its_peers_alone() {
        let name = HeaderName::from_static("cf-connecting-ip");
        let nets = vec!["173.245.48.0/20".parse().expect("a network")];
        let trust = Trust { client_ip_header: Some((name, nets)), ..Trust::default() };
        let cloudflare: IpAddr = "173.245.48.9".parse().expect("an address");
        let other: IpAddr = "198.51.100.7".parse().expect("an address");
        let said: IpAddr = "203.0.113.5".parse().expect("an address");

        let mut headers = map(&[("cf-connecting-ip", "203.0.113.5")]);
        assert_eq!(client_address(&mut headers, cloudflare, &trust), said);
        assert_eq!(client_address(&mut headers, other, &trust), other);
        assert!(headers.is_empty(), "an untrusted peer's header does not reach the backend");
        let mut headers = map(&[("cf-connecting-ip", "not an address")]);
        assert_eq!(client_address(&mut headers, cloudflare, &trust), cloudflare);
    }
}
