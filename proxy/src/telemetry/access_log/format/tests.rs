//! What lines say, and that no client can break or forge one (log injection).

use http::{HeaderValue, Method, StatusCode};

use super::*;
use crate::settings::access_log::HeaderPolicy;

fn record(target: &str, agent: &[u8]) -> Record {
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_bytes(agent).expect("a field value"));
    headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer secret"));
    Record {
        user: Some("eve\" - [x]\n".into()),
        request: Some(Box::new(Request {
            method: Method::GET,
            target: target.parse().expect("a target"),
            version: Version::HTTP_11,
            authority: HeaderValue::from_static("Example.com:8080"),
            headers,
        })),
        endpoint: Some(([10, 0, 0, 1], 80).into()),
        cluster: Some("default/web:80".into()),
        ..Record::default()
    }
}

fn finish() -> Finish<'static> {
    Finish {
        entry_point: "web",
        client: [192, 0, 2, 1].into(),
        peer: ([192, 0, 2, 1], 4711).into(),
        scheme: "http",
        tls: None,
        server_name: None,
        route: None,
        status: StatusCode::OK,
        response_headers: None,
        bytes_in: 0,
        bytes_out: 5,
        duration: std::time::Duration::from_millis(12),
    }
}

fn written(format: LineFormat, record: &Record) -> String {
    let mut out = Vec::new();
    let names = [(header::USER_AGENT, Keep::Keep), (header::AUTHORIZATION, Keep::Redact)].into();
    let shape = Shape { format, headers: HeaderPolicy { default: Keep::Drop, names }, ..Shape::default() };
    line(&mut out, &shape, record, &finish());
    String::from_utf8(out).expect("lines are UTF-8 whatever the client sends")
}

#[test]
fn a_json_line_is_one_object_with_traefiks_names() {
    let text = written(LineFormat::Json, &record("/a?b=1", b"curl/8"));
    assert_eq!(text.matches('\n').count(), 1);
    let json: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
    let table = [
        ("ClientHost", "192.0.2.1"),
        ("RequestHost", "Example.com"),
        ("RequestPath", "/a?b=1"),
        ("RequestProtocol", "HTTP/1.1"),
        ("ServiceName", "default/web:80"),
        ("request_user-agent", "curl/8"),
        ("request_authorization", "REDACTED"),
        ("ClientUsername", "eve\" - [x]\n"),
    ];
    for (field, value) in table {
        assert_eq!(json.get(field).and_then(serde_json::Value::as_str), Some(value), "{field}");
    }
    assert_eq!(json.get("DownstreamStatus"), Some(&200.into()));
    assert_eq!(json.get("Duration"), Some(&12_000_000.into()));
    assert!(!text.contains("secret"));
}

#[test]
fn a_common_line_has_the_fields_of_the_common_log_format_and_traefiks_after_them() {
    let text = written(LineFormat::Common, &record("/a", b"curl/8"));
    assert!(text.starts_with("192.0.2.1 - eve\\\"\\x20-\\x20\\x5bx\\x5d\\x0a ["), "{text}");
    assert!(text.ends_with("\"GET /a HTTP/1.1\" 200 5 \"-\" \"curl/8\" \"-\" \"10.0.0.1:80\" 12ms\n"), "{text}");
}

#[test]
fn what_a_client_sends_is_escaped() {
    let table: [(&[u8], &str, &str); 5] = [
        (b"a\"b", "a\\\"b", "a\\\"b"),
        (b"a\\b", "a\\\\b", "a\\\\b"),
        (b"a\tb", "a\\u0009b", "a\\x09b"),
        (b"a\xc2\x9bb", "a\\u009bb", "a\\xc2\\x9bb"),
        (b"a\xffb", "a\u{fffd}b", "a\\xffb"),
    ];
    for (value, json, common) in table {
        let record = record("/", value);
        assert!(written(LineFormat::Json, &record).contains(&format!("\"request_user-agent\":\"{json}\"")), "{json}");
        assert!(written(LineFormat::Common, &record).contains(&format!("\"{common}\" \"-\"")), "{common}");
    }
}

#[test]
fn line_breaks_and_controls_never_reach_a_line() {
    for control in (0..0x20_u8).chain([0x7f]) {
        let (mut json, mut common) = (Vec::new(), Vec::new());
        escape_json(&mut json, &[b'a', control]);
        escape_common(&mut common, &[b'a', control], false);
        assert!(!json.contains(&control) && !common.contains(&control), "{control:#x}");
    }
}
