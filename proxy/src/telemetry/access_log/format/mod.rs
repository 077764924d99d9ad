//! What a line says: Traefik's JSON field names, or the common log format with Traefik's extension.
//!
//! Everything that a client can choose is escaped (control characters, quotes, backslashes, and what is not UTF-8),
//! so that a request can neither break a line nor forge one.

use std::io::Write as _;

use http::{HeaderMap, HeaderName, Version, header};
use jiff::{SignedDuration, Timestamp};

use super::{Finish, Record, Request};
use crate::settings::access_log::{Keep, LineFormat, Shape};

/// Fields that the common format shows whatever the settings say.
pub(super) const COMMON_HEADERS: [HeaderName; 2] = [header::REFERER, header::USER_AGENT];

/// Appends one line, line feed included.
pub(super) fn line(out: &mut Vec<u8>, shape: &Shape, record: &Record, finish: &Finish<'_>) {
    let started = Timestamp::now()
        .checked_sub(SignedDuration::try_from(finish.duration).unwrap_or(SignedDuration::ZERO))
        .unwrap_or(Timestamp::UNIX_EPOCH);
    match shape.format {
        LineFormat::Json => json(out, shape, record, finish, started),
        LineFormat::Common => common(out, record, finish, started),
    }
    out.push(b'\n');
}

fn json(out: &mut Vec<u8>, shape: &Shape, record: &Record, finish: &Finish<'_>, started: Timestamp) {
    let mut object = Object { out, first: true };
    object.out.push(b'{');
    object.display("StartUTC", &started);
    object.number("Duration", finish.duration.as_nanos());
    object.text("entryPointName", finish.entry_point.as_bytes());
    object.display("ClientHost", &finish.client);
    object.display("ClientAddr", &finish.peer);
    object.number("ClientPort", finish.peer.port());
    if let Some(user) = &record.user {
        object.text("ClientUsername", user.as_bytes());
    }
    if let Some(request) = &record.request {
        json_request(&mut object, request);
    }
    object.text("RequestScheme", finish.scheme.as_bytes());
    object.number("RequestContentSize", finish.bytes_in);
    object.number("DownstreamStatus", finish.status.as_u16());
    object.number("DownstreamContentSize", finish.bytes_out);
    json_origin(&mut object, record, finish);
    if let Some((version, cipher)) = finish.tls {
        object.text("TLSVersion", version.as_bytes());
        object.text("TLSCipher", cipher.as_bytes());
    }
    if let Some(name) = finish.server_name {
        object.text("TLSServerName", name.as_bytes());
    }
    if let Some(request) = &record.request {
        json_headers(&mut object, shape, "request_", &request.headers);
    }
    if let Some(headers) = finish.response_headers {
        json_headers(&mut object, shape, "downstream_", headers);
    }
    object.out.push(b'}');
}

fn json_request(object: &mut Object<'_>, request: &Request) {
    let authority = request.authority.as_bytes();
    object.text("RequestAddr", authority);
    object.text("RequestHost", host_of(authority));
    object.text("RequestMethod", request.method.as_str().as_bytes());
    object.text("RequestPath", target_of(request).as_bytes());
    object.text("RequestProtocol", version_of(request.version).as_bytes());
}

fn json_origin(object: &mut Object<'_>, record: &Record, finish: &Finish<'_>) {
    if let Some(route) = finish.route {
        object.display("RouterName", &format_args!("{}#{}", route.object, route.rule_index));
    }
    if let Some(cluster) = &record.cluster {
        object.text("ServiceName", cluster.as_bytes());
    }
    if let Some(endpoint) = &record.endpoint {
        object.display("ServiceAddr", endpoint);
        object.number("OriginDuration", record.origin_duration.as_nanos());
    }
    if let Some(status) = record.origin_status {
        object.number("OriginStatus", status.as_u16());
    }
    object.number("RetryAttempts", record.retries);
    object.number("Overhead", finish.duration.saturating_sub(record.origin_duration).as_nanos());
    if let Some(reason) = record.reason {
        object.text("Reason", reason.as_bytes());
    }
    if let Some(detail) = &record.detail {
        object.text("Detail", detail.as_bytes());
    }
}

fn json_headers(object: &mut Object<'_>, shape: &Shape, prefix: &str, headers: &HeaderMap) {
    for name in headers.keys() {
        let keep = shape.headers.of(name);
        if keep == Keep::Drop {
            continue;
        }
        object.key(&[prefix, name.as_str()]);
        object.out.push(b'"');
        if keep == Keep::Redact {
            object.out.extend_from_slice(b"REDACTED");
        } else {
            for (n, value) in headers.get_all(name).iter().enumerate() {
                if n > 0 {
                    object.out.extend_from_slice(b", ");
                }
                escape_json(object.out, value.as_bytes());
            }
        }
        object.out.push(b'"');
    }
}

fn common(out: &mut Vec<u8>, record: &Record, finish: &Finish<'_>, started: Timestamp) {
    let request = record.request.as_deref();
    write(out, format_args!("{} - ", finish.client));
    match record.user.as_deref().filter(|user| !user.is_empty()) {
        Some(user) => escape_common(out, user.as_bytes(), true),
        None => out.push(b'-'),
    }
    write(out, format_args!(" [{}] \"", started.strftime("%d/%b/%Y:%H:%M:%S +0000")));
    match request {
        Some(request) => {
            escape_common(out, request.method.as_str().as_bytes(), false);
            out.push(b' ');
            escape_common(out, target_of(request).as_bytes(), false);
            write(out, format_args!(" {}", version_of(request.version)));
        }
        None => out.push(b'-'),
    }
    write(out, format_args!("\" {} {}", finish.status.as_u16(), finish.bytes_out));
    for name in &COMMON_HEADERS {
        let value = request.and_then(|request| request.headers.get(name));
        quoted(out, value.map_or(b"-", |value| value.as_bytes()));
    }
    let route = finish.route.map_or_else(|| "-".to_owned(), |route| route.object.to_string());
    quoted(out, route.as_bytes());
    let endpoint = record.endpoint.map_or_else(|| "-".to_owned(), |endpoint| endpoint.to_string());
    quoted(out, endpoint.as_bytes());
    write(out, format_args!(" {}ms", finish.duration.as_millis()));
}

/// A JSON object under way.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Object<'_> {
    fn key(&mut self, parts: &[&str]) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        parts.iter().for_each(|part| escape_json(self.out, part.as_bytes()));
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, key: &str, value: &[u8]) {
        self.key(&[key]);
        self.out.push(b'"');
        escape_json(self.out, value);
        self.out.push(b'"');
    }

    /// For values that are made by us and need no escape.
    fn display(&mut self, key: &str, value: &dyn std::fmt::Display) {
        self.key(&[key]);
        write(self.out, format_args!("\"{value}\""));
    }

    fn number(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(&[key]);
        write(self.out, format_args!("{value}"));
    }
}

/// RFC 8259 section 7; bytes that are not UTF-8 become U+FFFD, DEL and C1 controls are escaped too.
fn escape_json(out: &mut Vec<u8>, value: &[u8]) {
    if value.iter().all(|b| matches!(b, 0x20..=0x7e) && !matches!(b, b'"' | b'\\')) {
        out.extend_from_slice(value);
        return;
    }
    for c in String::from_utf8_lossy(value).chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                write(out, format_args!("\\u{:04x}", u32::from(c)));
            }
            c => write(out, format_args!("{c}")),
        }
    }
}

/// As Apache does: quotes and backslashes with a backslash, everything that is not printable ASCII as `\xhh`.
/// A `bare` value stands without quotes, so its spaces and brackets are escaped too.
fn escape_common(out: &mut Vec<u8>, value: &[u8], bare: bool) {
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b' ' | b'[' | b']' if bare => write(out, format_args!("\\x{byte:02x}")),
            0x20..=0x7e => out.push(*byte),
            _ => write(out, format_args!("\\x{byte:02x}")),
        }
    }
}

fn quoted(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(b" \"");
    escape_common(out, value, false);
    out.push(b'"');
}

fn target_of(request: &Request) -> &str {
    request.target.path_and_query().map_or_else(|| request.target.path(), |target| target.as_str())
}

fn host_of(authority: &[u8]) -> &[u8] {
    match authority.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !authority.ends_with(b"]") => authority.get(..colon).unwrap_or(authority),
        _ => authority,
    }
}

fn version_of(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

fn write(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("a Vec takes every byte");
}

#[cfg(test)]
mod tests;
