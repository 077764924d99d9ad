//! What becomes of X-Forwarded-* and its relatives, from the client's head to the backend's, against a model that reads
//! like the documentation of Traefik's `forwardedHeaders`.

use std::{collections::BTreeMap, net::SocketAddr};

use http::{HeaderName, HeaderValue, Request};
use postern_config::snapshot::SocketKey;
use postern_proxy::{
    exchange::{Connection, TlsSession, forwarded::is_managed, prepare},
    settings::Trust,
    upstream::head,
};

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
/// What a client may not have removed by naming it in `Connection`.
const IDENTITY: [&str; 5] = ["host", "authorization", "cookie", "content-length", "te"];
const HOP_BY_HOP: [&str; 7] =
    ["connection", "upgrade", "transfer-encoding", "expect", "keep-alive", "proxy-connection", "http2-settings"];
const CLIENT_HEADER: &str = "cf-connecting-ip";
const PEER: &str = "192.0.2.7";
const SERVER: &str = "gate";

/// Names and their values, in the order of their lines.
type Fields = BTreeMap<String, Vec<Vec<u8>>>;

/// What is known of the connection and the settings.
#[derive(Clone, Copy, Debug)]
struct Case {
    tls: bool,
    trusted: bool,
    /// Whether a header with the client's address is configured, and the peer may send it.
    client_header: Option<bool>,
    host: &'static str,
}

/// A byte that says who is asking, then a field a line, as `name:value`.
pub fn forwarded_headers(data: &[u8]) {
    let Some((flags, lines)) = data.split_first() else { return };
    let case = Case {
        tls: flags & 1 != 0,
        trusted: flags & 2 != 0,
        client_header: (flags & 4 != 0).then_some(flags & 8 != 0),
        host: if flags & 16 == 0 { "example.com" } else { "example.com:8080" },
    };
    let fields: Vec<_> = lines.split(|byte| *byte == b'\n').take(64).filter_map(field).collect();
    for (name, _) in &fields {
        assert_eq!(is_managed(name), MANAGED.contains(&dashed(name.as_str()).as_str()), "{name}");
    }

    let (mut parts, ()) = Request::new(()).into_parts();
    parts.headers.extend([(http::header::HOST, HeaderValue::from_static(case.host))]);
    for (name, value) in &fields {
        parts.headers.append(name, value.clone());
    }
    let server = HeaderValue::from_static(SERVER);
    let prepared = prepare(&mut parts, &connection(case), &trust(case), &server).expect("host and path are legal");

    let mut want = Fields::new();
    for (name, value) in &fields {
        want.entry(name.as_str().to_owned()).or_default().push(value.as_bytes().to_vec());
    }
    let client = model(case, &mut want);
    assert_eq!(prepared.client.to_string(), client, "{case:?} {fields:?}");
    assert_eq!(collected(&parts.headers), want, "{case:?} {fields:?}");

    // What the backend sees.
    head::clean_request(&mut parts.headers);
    head::append_forwarded_for(&mut parts.headers, &HeaderValue::from_static(PEER));
    let sent = collected(&parts.headers);
    assert!(HOP_BY_HOP.iter().all(|name| !sent.contains_key(*name)), "{sent:?}");
    assert!(matches!(sent["x-forwarded-for"].as_slice(), [one] if one.ends_with(PEER.as_bytes())), "{sent:?}");
    if !case.trusted {
        let managed = sent.keys().filter(|name| MANAGED.contains(&dashed(name).as_str()));
        let set = ["for", "host", "port", "proto", "server"].map(|name| format!("x-forwarded-{name}"));
        assert!(managed.eq(set.iter().chain([&"x-real-ip".to_owned()])), "{sent:?}");
        assert_eq!(sent["x-forwarded-for"], [PEER.as_bytes()], "nothing that an untrusted peer says is believed");
    }
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok().filter(|name| name != http::header::HOST)?;
    Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
}

fn connection(case: Case) -> Connection {
    let peer: SocketAddr = format!("{PEER}:40000").parse().expect("an address");
    let local = SocketAddr::from(([198, 51, 100, 1], 443));
    let session = || TlsSession {
        server_name: None,
        entry: None,
        version: "1.3",
        cipher: "any",
        client_certificates: Vec::new(),
    };
    let tls = case.tls.then(session);
    Connection::new(peer, local, SocketKey { address: None, port: 443 }, "websecure".into(), tls)
}

fn trust(case: Case) -> Trust {
    let peers = |ours: bool| vec![if ours { "192.0.2.0/24" } else { "10.0.0.0/8" }.parse().expect("a network")];
    Trust {
        forwarded: peers(case.trusted),
        client_ip_header: case.client_header.map(|ours| (HeaderName::from_static(CLIENT_HEADER), peers(ours))),
        ..Trust::default()
    }
}

fn collected(headers: &http::HeaderMap) -> Fields {
    let values = |name| headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect();
    headers.keys().map(|name| (name.as_str().to_owned(), values(name))).collect()
}

fn dashed(name: &str) -> String {
    name.replace('_', "-")
}

/// The documented steps, one after the other; returns the client's address.
fn model(case: Case, fields: &mut Fields) -> String {
    if !case.trusted {
        fields.retain(|name, _| !MANAGED.contains(&dashed(name).as_str()));
    }
    let client = match case.client_header {
        None => None,
        Some(false) => {
            fields.remove(CLIENT_HEADER);
            None
        }
        Some(true) => fields.get(CLIENT_HEADER).and_then(|values| address(&values[0])),
    };

    let upgrade = connection_named(fields);
    let websocket = upgrade && list(fields, "upgrade").contains(&b"websocket".to_vec());

    absent(fields, "x-real-ip", PEER);
    let proto = ["http", "ws", "https", "wss"][usize::from(case.tls) * 2 + usize::from(websocket)];
    absent(fields, "x-forwarded-proto", proto);
    let secure = matches!(fields["x-forwarded-proto"][0].as_slice(), b"https" | b"wss");
    let port = case.host.split_once(':').map_or(if secure { "443" } else { "80" }, |(_, port)| port);
    absent(fields, "x-forwarded-port", port);
    absent(fields, "x-forwarded-host", case.host);
    fields.insert("x-forwarded-server".to_owned(), vec![SERVER.as_bytes().to_vec()]);
    if let Some(lines) = fields.get_mut("x-forwarded-for") {
        *lines = vec![lines.join(&b", "[..])];
    }
    client.unwrap_or_else(|| PEER.to_owned())
}

/// Removes what `Connection` names, and says whether an upgrade is left.
fn connection_named(fields: &mut Fields) -> bool {
    if !fields.contains_key("connection") {
        return false;
    }
    let named = list(fields, "connection");
    for token in named.iter().filter(|token| *token != b"upgrade") {
        let name = String::from_utf8_lossy(token).into_owned();
        if !MANAGED.contains(&dashed(&name).as_str()) && !IDENTITY.contains(&name.as_str()) {
            fields.remove(&name);
        }
    }
    let http2 = list(fields, "upgrade").iter().any(|token| token.starts_with(b"h2"));
    if named.contains(&b"upgrade".to_vec()) && fields.contains_key("upgrade") && !http2 {
        fields.insert("connection".to_owned(), vec![b"upgrade".to_vec()]);
        return true;
    }
    for gone in ["connection", "upgrade", "http2-settings"] {
        fields.remove(gone);
    }
    false
}

/// The members of a list in lower case.
fn list(fields: &Fields, name: &str) -> Vec<Vec<u8>> {
    let lines = fields.get(name).into_iter().flatten();
    lines
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(|token| token.trim_ascii().to_ascii_lowercase())
        .collect()
}

fn absent(fields: &mut Fields, name: &str, value: &str) {
    fields.entry(name.to_owned()).or_insert_with(|| vec![value.as_bytes().to_vec()]);
}

fn address(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
    Some(text.trim().parse::<std::net::IpAddr>().ok()?.to_canonical().to_string())
}
