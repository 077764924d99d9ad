//! Requests on which two parsers might disagree: each is refused with 400 and a closed connection, and nothing of it
//! becomes a request. Classes of the HTTP Garden, and the CVEs of peers.
//!
//! Each row is sent at once and byte by byte: how TCP cuts the stream must not change the verdict.

mod support;

use support::{Sent, exchange, in_pieces};

/// A message and the number of complete requests that must come of it before the connection is refused, if it is.
struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    served: usize,
    refused: Option<u16>,
}

fn refused(name: &'static str, bytes: impl AsRef<[u8]>) -> Row {
    Row { name, bytes: bytes.as_ref().to_vec(), served: 0, refused: Some(400) }
}

fn served(name: &'static str, served: usize, bytes: impl AsRef<[u8]>) -> Row {
    Row { name, bytes: bytes.as_ref().to_vec(), served, refused: None }
}

fn after_one(name: &'static str, bytes: impl AsRef<[u8]>) -> Row {
    Row { name, bytes: bytes.as_ref().to_vec(), served: 1, refused: Some(400) }
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

/// What a smuggler hopes to have read as a second request.
const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";

fn lengths() -> Vec<Row> {
    let both = |first: &str, second: &str| post(&format!("{first}\r\n{second}\r\n"), "0\r\n\r\n");
    vec![
        refused("CL then TE", both("Content-Length: 5", "Transfer-Encoding: chunked")),
        refused("TE then CL", both("Transfer-Encoding: chunked", "Content-Length: 5")),
        refused("TE then CL of zero", both("Transfer-Encoding: chunked", "Content-Length: 0")),
        refused("two different CL", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello")),
        refused("two equal CL", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")),
        refused("CL as a list", post("Content-Length: 5, 5\r\n", "hello")),
        refused("CL as a list of one", post("Content-Length: 5,\r\n", "hello")),
        refused("CL with plus", post("Content-Length: +5\r\n", "hello")),
        refused("CL with minus", post("Content-Length: -5\r\n", "hello")),
        refused("CL of minus zero", post("Content-Length: -0\r\n", "")),
        refused("CL in hexadecimal", post("Content-Length: 0x5\r\n", "hello")),
        refused("CL with underscore", post("Content-Length: 1_0\r\n", "helloworld")),
        refused("CL with space inside", post("Content-Length: 1 0\r\n", "helloworld")),
        refused("CL with fraction", post("Content-Length: 5.0\r\n", "hello")),
        refused("CL with exponent", post("Content-Length: 1e1\r\n", "hello")),
        refused("CL beyond 64 bit", post("Content-Length: 18446744073709551621\r\n", "hello")),
        refused("CL beyond 63 bit", post("Content-Length: 9223372036854775808\r\n", "hello")),
        refused("empty CL", post("Content-Length:\r\n", "")),
        refused("quoted CL", post("Content-Length: \"5\"\r\n", "hello")),
        refused("CL with non-ASCII digit", post("Content-Length: \u{0665}\r\n", "hello")),
        refused("CL with form feed", post("Content-Length: \x0c5\r\n", "hello")),
        served("CL with leading zeros", 1, post("Content-Length: 005\r\n", "hello")),
        served("CL on GET", 1, get("Content-Length: 5\r\n") + "hello"),
        served("pipelined behind CL", 2, post("Content-Length: 5\r\n", "hello") + &get("")),
        served("no body on POST", 1, post("", "")),
    ]
}

fn transfer_encodings() -> Vec<Row> {
    let te = |value: &str| post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n");
    vec![
        refused("TE identity", te("identity")),
        refused("TE gzip, chunked", te("gzip, chunked")),
        refused("TE chunked, gzip", te("chunked, gzip")),
        refused("TE chunked, identity", te("chunked, identity")),
        refused("TE chunked twice in a line", te("chunked, chunked")),
        refused("TE chunked with comma", te("chunked,")),
        refused("TE comma chunked", te(", chunked")),
        refused("TE xchunked", te("xchunked")),
        refused("TE chunkedx", te("chunkedx")),
        refused("TE quoted", te("\"chunked\"")),
        refused("TE with parameter", te("chunked;q=1")),
        refused("TE empty", te("")),
        refused("TE with vertical tab", te("\x0bchunked")),
        refused("TE on two lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        refused(
            "TE identity, then chunked",
            post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ),
        refused("space before the colon of TE", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n")),
        refused("tab before the colon of TE", post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n")),
        refused("folded TE", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n")),
        refused("TE in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        refused("NUL in the name of TE", post("Transfer\0-Encoding: chunked\r\n", "0\r\n\r\n")),
        served("TE in capitals", 1, te("CHUNKED")),
        served("TE with space around", 1, te(" \tchunked \t")),
        served("TE underscore is another field", 1, post("Transfer_Encoding: chunked\r\n", "")),
    ]
}

fn chunks() -> Vec<Row> {
    vec![
        refused("chunk size with 0x", chunked("0x5\r\nhello\r\n0\r\n\r\n")),
        refused("chunk size with plus", chunked("+5\r\nhello\r\n0\r\n\r\n")),
        refused("chunk size with minus", chunked("-5\r\nhello\r\n0\r\n\r\n")),
        refused("chunk size with leading space", chunked(" 5\r\nhello\r\n0\r\n\r\n")),
        refused("chunk size with trailing space", chunked("5 \r\nhello\r\n0\r\n\r\n")),
        refused("chunk size with underscore", chunked("1_0\r\nhellohellohello!\r\n0\r\n\r\n")),
        refused("empty chunk size", chunked("\r\nhello\r\n0\r\n\r\n")),
        refused("chunk size overflow", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n")),
        refused("chunk size of many zeros", chunked("00000000000000000005\r\nhello\r\n0\r\n\r\n")),
        refused("chunk size line ends in LF", chunked("5\nhello\r\n0\r\n\r\n")),
        refused("chunk size line with bare CR", chunked("5\rhello\r\n0\r\n\r\n")),
        refused("chunk extension ends in LF", chunked("5;a=b\nhello\r\n0\r\n\r\n")),
        refused("chunk extension with bare CR", chunked("5;a\rb\r\nhello\r\n0\r\n\r\n")),
        refused("chunk extension with NUL", chunked("5;a\0b\r\nhello\r\n0\r\n\r\n")),
        refused("over-long chunk extension", chunked(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(300)))),
        refused("chunk longer than its size", chunked("5\r\nhello!\r\n0\r\n\r\n")),
        refused("chunk ends in LF", chunked("5\r\nhello\n0\r\n\r\n")),
        refused("chunk ends in two arbitrary bytes", chunked("5\r\nhelloXX0\r\n\r\n")),
        refused("last chunk ends in LF", chunked("5\r\nhello\r\n0\n\r\n")),
        refused("chunked body ends in LF", chunked("5\r\nhello\r\n0\r\n\n")),
        refused("trailer Content-Length", chunked("0\r\nContent-Length: 5\r\n\r\n")),
        refused("trailer Transfer-Encoding", chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n")),
        refused("trailer Host", chunked("0\r\nHost: b\r\n\r\n")),
        refused("trailer line ends in LF", chunked("0\r\nX: y\n\r\n")),
        refused("trailer folded", chunked("0\r\nX: y\r\n z\r\n\r\n")),
        refused("trailer without colon", chunked("0\r\nX\r\n\r\n")),
        refused("trailer flood", chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(200)))),
        served("chunk extension", 1, chunked("5;name=\"value\"\r\nhello\r\n0\r\n\r\n")),
        served("chunk size in either case", 1, chunked("a\r\nhellohello\r\nA\r\nhellohello\r\n0\r\n\r\n")),
        served("trailers", 1, chunked("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")),
        served("pipelined behind chunks", 2, chunked("5\r\nhello\r\n0\r\n\r\n") + &get("")),
        after_one("garbage behind the last chunk", chunked("0\r\n\r\n") + "X\r\n\r\n"),
    ]
}

fn lines() -> Vec<Row> {
    vec![
        refused("bare LF everywhere", "GET / HTTP/1.1\nHost: a\n\n"),
        refused("bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        refused("bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
        refused("bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
        refused("bare LF hides a request", format!("GET / HTTP/1.1\r\nHost: a\r\nX: y\n\n{SECOND}")),
        refused("bare CR in a value", get("X: a\rb\r\n")),
        refused("bare CR hides a field", get("X: a\rContent-Length: 5\r\n")),
        refused("CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
        refused("folded field", get("X: a\r\n b\r\n")),
        refused("folded by tab", get("X: a\r\n\tb\r\n")),
        refused("space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        refused("space before a colon", get("X : a\r\n")),
        refused("empty name", get(": a\r\n")),
        refused("line without colon", get("X\r\n")),
        refused("space in a name", get("X Y: a\r\n")),
        refused("NUL in a name", get("X\0: a\r\n")),
        refused("NUL in a value", get("X: a\0b\r\n")),
        refused("control byte in a value", get("X: a\x01b\r\n")),
        refused("DEL in a value", get("X: a\x7fb\r\n")),
        refused("vertical tab in a value", get("X: a\x0bb\r\n")),
        refused("non-ASCII name", get("X\u{e9}: a\r\n")),
        refused("bracketed name", get("X(y): a\r\n")),
        served("tab in a value", 1, get("X: a\tb\r\n")),
        served("empty value", 1, get("X:\r\n")),
        served("bytes beyond ASCII in a value", 1, get("X: \u{e9}\r\n")),
        served("one empty line first", 1, format!("\r\n{}", get(""))),
        served("an empty line between", 2, format!("{}\r\n{}", get(""), get(""))),
        refused("two empty lines first", format!("\r\n\r\n{}", get(""))),
        refused("LF first", format!("\n{}", get(""))),
        refused("CR first", format!("\r{}", get(""))),
        refused("space first", format!(" {}", get(""))),
        refused("byte order mark first", format!("\u{feff}{}", get(""))),
        refused("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ]
}

fn request_lines() -> Vec<Row> {
    let line = |line: &str| format!("{line}\r\nHost: a.example\r\n\r\n");
    vec![
        refused("HTTP/0.9", "GET /\r\n\r\n"),
        refused("HTTP/0.9 with version", line("GET / HTTP/0.9")),
        refused("HTTP/2.0 without preface", line("GET / HTTP/2.0")),
        refused("HTTP/1.2", line("GET / HTTP/1.2")),
        refused("HTTP/1.10", line("GET / HTTP/1.10")),
        refused("HTTP/01.1", line("GET / HTTP/01.1")),
        refused("version in lower case", line("GET / http/1.1")),
        refused("version with comma", line("GET / HTTP/1,1")),
        refused("version without digits", line("GET / HTTP/1.")),
        refused("another protocol", line("GET / ICY/1.1")),
        refused("two spaces before the target", line("GET  / HTTP/1.1")),
        refused("two spaces before the version", line("GET /  HTTP/1.1")),
        refused("tab as separator", line("GET\t/ HTTP/1.1")),
        refused("space at the end", line("GET / HTTP/1.1 ")),
        refused("space in the target", line("GET /a b HTTP/1.1")),
        refused("two versions", line("GET / HTTP/1.1 HTTP/1.1")),
        refused("form feed as separator", line("GET\x0c/ HTTP/1.1")),
        refused("empty method", line(" / HTTP/1.1")),
        refused("colon in the method", line("GE:T / HTTP/1.1")),
        refused("NUL in the method", line("GE\0T / HTTP/1.1")),
        refused("NUL in the target", line("GET /\0 HTTP/1.1")),
        refused("fragment", line("GET /#f HTTP/1.1")),
        refused("backslash", line("GET /a\\b HTTP/1.1")),
        refused("no slash", line("GET a HTTP/1.1")),
        refused("asterisk with GET", line("GET * HTTP/1.1")),
        refused("asterisk and more", line("OPTIONS */a HTTP/1.1")),
        refused("CONNECT", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"),
        refused("CONNECT to a path", line("CONNECT / HTTP/1.1")),
        refused("authority form with GET", line("GET a.example:80 HTTP/1.1")),
        refused("absolute form of another scheme", line("GET ftp://a.example/ HTTP/1.1")),
        served("asterisk with OPTIONS", 1, line("OPTIONS * HTTP/1.1")),
        served("unknown method", 1, line("PURGE / HTTP/1.1")),
        served("query", 1, line("GET /a?b=c&d HTTP/1.1")),
        served("two slashes", 1, line("GET //b.example/ HTTP/1.1")),
    ]
}

fn hosts() -> Vec<Row> {
    let host = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let absolute = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    vec![
        refused("no Host", "GET / HTTP/1.1\r\n\r\n"),
        refused("two Host", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        refused("two equal Host", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
        refused("empty Host", host("")),
        refused("Host with comma", host("a,b")),
        refused("Host with space", host("a b")),
        refused("Host with slash", host("a/b")),
        refused("Host with user", host("u@a")),
        refused("Host with query", host("a?b")),
        refused("Host with percent", host("a%2eb")),
        refused("Host with port beyond 16 bit", host("a:65536")),
        refused("Host with empty port", host("a:")),
        refused("Host with letters as port", host("a:http")),
        refused("Host with two ports", host("a:1:2")),
        refused("Host with broken brackets", host("[::1")),
        refused("Host with text behind brackets", host("[::1]a")),
        refused("Host beyond ASCII", host("\u{e9}.example")),
        refused("absolute form differs", absolute("http://b.example/", "a.example")),
        refused("absolute form with other port", absolute("http://a.example:8080/", "a.example")),
        refused("absolute form with user", absolute("http://u@a.example/", "a.example")),
        refused("absolute form without Host", "GET http://a.example/ HTTP/1.1\r\n\r\n"),
        served("absolute form agrees", 1, absolute("http://A.example/x", "a.example")),
        served("absolute form with default port", 1, absolute("http://a.example:80/x", "a.example")),
        served("Host with port", 1, host("a.example:8080")),
        served("Host is an IPv6 address", 1, host("[2001:db8::1]:80")),
        served("Host with trailing dot", 1, host("a.example.")),
        served("HTTP/1.0 without Host", 1, "GET / HTTP/1.0\r\n\r\n"),
    ]
}

fn rows() -> impl Iterator<Item = Row> {
    [lengths(), transfer_encodings(), chunks(), lines(), request_lines(), hosts()].into_iter().flatten()
}

fn check(row: &Row, sent: &Sent, how: &str) {
    let name = row.name;
    assert_eq!(sent.requests.len(), row.served, "{name} ({how}): complete requests {:?}", sent.requests);
    let last = sent.statuses.last().copied();
    match row.refused {
        Some(_) if how == "byte by byte" && sent.begun > row.served => {
            // The head was good and the body was not: the service saw the body break off.
            assert_ne!(last, Some(200), "{name} ({how})");
        }
        Some(status) => assert_eq!(last, Some(status), "{name} ({how})"),
        None => assert_eq!(last, Some(200), "{name} ({how})"),
    }
    assert_eq!(
        sent.closed,
        row.refused.is_some() || row.bytes.starts_with(b"GET / HTTP/1.0"),
        "{name} ({how}): closed"
    );
}

#[test]
fn ambiguous_messages_are_refused_and_good_ones_served() {
    for row in rows() {
        check(&row, &exchange(&row.bytes), "at once");
    }
}

#[test]
fn the_cut_of_the_stream_does_not_change_the_verdict() {
    for row in rows() {
        check(&row, &in_pieces(&row.bytes, 1), "byte by byte");
    }
}

#[test]
fn the_corpus_is_large_enough() {
    assert!(rows().filter(|row| row.refused.is_some()).count() >= 75);
}

#[test]
fn too_large_heads_get_431() {
    let many = get(&"X: y\r\n".repeat(200));
    let long = get(&format!("X: {}\r\n", "y".repeat(80_000)));
    let endless = format!("GET /{} HTTP/1.1\r\n", "y".repeat(80_000));
    for bytes in [many, long, endless] {
        for sent in [exchange(bytes.as_bytes()), in_pieces(bytes.as_bytes(), 1000)] {
            assert_eq!((sent.requests.len(), sent.statuses.last(), sent.closed), (0, Some(&431), true));
        }
    }
}

#[test]
fn bytes_behind_a_refused_upgrade_are_requests() {
    let upgrade = get("Connection: upgrade\r\nUpgrade: websocket\r\n");
    let sent = exchange(format!("{upgrade}{}", get("")).as_bytes());
    assert_eq!((sent.requests.len(), sent.statuses.as_slice()), (2, &[200, 200][..]));
    let sent = exchange(format!("{upgrade}GET / HTTP/1.1\nHost: a\n\n").as_bytes());
    assert_eq!((sent.requests.len(), sent.statuses.as_slice()), (1, &[200, 400][..]));
}
