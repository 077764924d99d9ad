//! Clients that ask too much of a connection: the limit that they break refuses them, and is counted.

mod support;

use std::{cell::RefCell, rc::Rc};

use postern_proxy::{
    lifecycle::drain::Drain,
    protocol::http::Spoken,
    settings::Settings,
    telemetry::metrics::{FailureReason, Limit, Metrics},
};
use support::{Sent, run, serve_pipe_on, worker};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What came of `bytes`: the first line of the answer, and whether the service was asked. `judge` sees what was counted.
fn sent(spoken: Spoken, bytes: &[u8], judge: impl FnOnce(&Metrics)) -> (String, usize) {
    run(async {
        let (log, worker, drain) =
            (Rc::new(RefCell::new(Sent::default())), worker(Settings::default()), Drain::default());
        let mut client = serve_pipe_on(worker.clone(), &drain, spoken, log.clone());
        let (mut reader, mut writer) = tokio::io::split(&mut client);
        let mut answer = Vec::new();
        let write = async {
            // What is refused is not read to its end.
            let _ = writer.write_all(bytes).await;
            let _ = writer.shutdown().await;
        };
        let (_, read) = tokio::join!(write, reader.read_to_end(&mut answer));
        read.expect("an orderly end");
        drain.finished().await;
        judge(&worker.shared.metrics);
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        let begun = log.borrow().begun;
        (line, begun)
    })
}

fn counted(metrics: &Metrics) -> Vec<(&'static str, u64)> {
    let all = Limit::ALL.iter().map(|limit| (limit.as_str(), metrics.limited(*limit)));
    all.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn heads_that_are_too_large_are_answered_431_and_counted() {
    let head = |line: String, fields: String| format!("GET {line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let fields = |count: usize, size: usize| (0..count).map(|n| format!("x-{n}: {}\r\n", "a".repeat(size))).collect();
    for (what, bytes, limit) in [
        ("bytes in many fields", head("/".into(), fields(66, 1000)), "header-bytes"),
        ("bytes in one field", head("/".into(), fields(1, 70_000)), "header-bytes"),
        ("bytes in the target", head(format!("/{}", "a".repeat(70_000)), String::new()), "header-bytes"),
        ("bytes without an end", format!("GET /{}", "a".repeat(200_000)), "header-bytes"),
        ("fields", head("/".into(), fields(100, 1)), "header-count"),
    ] {
        let judge = |metrics: &Metrics| {
            assert_eq!(counted(metrics), [(limit, 1)], "{what}");
            assert_eq!(metrics.failed(FailureReason::BadRequest), 1, "{what}");
        };
        let (line, begun) = sent(Spoken::Unknown, bytes.as_bytes(), judge);
        assert_eq!((&*line, begun), ("HTTP/1.1 431 Request Header Fields Too Large", 0), "{what}");
    }
}

#[test]
fn a_head_of_the_largest_size_passes() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nx: \r\n\r\n";
    let room = Settings::default().limits.header_bytes - head.len();
    for (extra, status) in [(0, "HTTP/1.1 200 OK"), (1, "HTTP/1.1 431 Request Header Fields Too Large")] {
        let head = head.replace("x: ", &format!("x: {}", "a".repeat(room + extra)));
        assert_eq!(sent(Spoken::Http1, head.as_bytes(), |_| {}).0, status);
    }
}

#[test]
fn malformed_messages_are_counted_as_failures() {
    let judge = |metrics: &Metrics| {
        assert_eq!(metrics.failed(FailureReason::BadRequest), 1);
        assert_eq!(counted(metrics), []);
    };
    let (line, _) = sent(Spoken::Http1, b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", judge);
    assert_eq!(line, "HTTP/1.1 400 Bad Request");
}

/// RFC 9113 section 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET / http a`, by the static table and two literals (RFC 7541).
const FIELDS: &[u8] = &[0x82, 0x84, 0x86, 0x01, 0x01, b'a'];

fn streams(count: u32, each: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|n| each(2 * n + 1)).collect()
}

#[test]
fn floods_that_end_an_http2_connection_are_counted() {
    let [headers, reset, window, continuation] = [1, 3, 8, 9];
    let request = |stream| frame(headers, 0x5, stream, FIELDS);
    for (what, flood) in [
        ("CONTINUATION", [frame(headers, 0, 1, FIELDS), frame(continuation, 0, 1, b"").repeat(100)].concat()),
        ("rapid reset", streams(1000, |stream| [request(stream), frame(reset, 0, stream, &[0, 0, 0, 8])].concat())),
        (
            "resets that we are made to send",
            streams(5000, |stream| [request(stream), frame(window, 0, stream, &[0x7f, 0xff, 0xff, 0xff])].concat()),
        ),
    ] {
        let bytes = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, b""), flood].concat();
        let judge = |metrics: &Metrics| assert_eq!(counted(metrics), [("http2-abuse", 1)], "{what}");
        sent(Spoken::Unknown, &bytes, judge);
    }
}
