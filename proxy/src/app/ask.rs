//! Questions to the admin server of a Postern that runs. The address must be one: names are not resolved, but localhost.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use http::Uri;
use serde::de::DeserializeOwned;

const DEFAULT_ADMIN: &str = "http://127.0.0.1:9000";
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer is never larger.
const MOST_BYTES: u64 = 16 << 20;

/// What `admin`, or the one on this host, answers to a GET of `target`.
pub(super) fn get<T: DeserializeOwned>(admin: Option<&str>, target: &str) -> Result<T, String> {
    ask(admin, "GET", target)
}

/// What it answers to an empty POST to `target`.
pub(super) fn post<T: DeserializeOwned>(admin: Option<&str>, target: &str) -> Result<T, String> {
    ask(admin, "POST", target)
}

fn ask<T: DeserializeOwned>(admin: Option<&str>, method: &str, target: &str) -> Result<T, String> {
    let admin = admin.unwrap_or(DEFAULT_ADMIN);
    let address = address(admin)?;
    let failed = |error: std::io::Error| format!("cannot ask {admin}: {error}; is Postern running there?");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    write!(stream, "{method} {target} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).map_err(failed)?;
    read(&answer).map_err(|why| format!("{admin} answered: {why}"))
}

fn address(url: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("--admin: {url:?} is not http://ADDRESS:PORT");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
    let host = if host == "localhost" { "127.0.0.1" } else { host.trim_matches(['[', ']']) };
    Ok(SocketAddr::new(host.parse().map_err(|_| wrong())?, uri.port_u16().unwrap_or(80)))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 2") {
        return Err(format!("{status}: {}", body.trim()));
    }
    serde_json::from_str(body).map_err(|error| format!("what this version does not understand: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_url_is_an_address() {
        for (url, expected) in [
            ("http://127.0.0.1:9000", Some("127.0.0.1:9000")),
            ("http://localhost:9000/", Some("127.0.0.1:9000")),
            ("http://[::1]:9000", Some("[::1]:9000")),
            ("http://127.0.0.1", Some("127.0.0.1:80")),
            ("https://127.0.0.1:9000", None),
            ("http://somewhere:9000", None),
            ("nonsense", None),
        ] {
            assert_eq!(address(url).ok().map(|address| address.to_string()).as_deref(), expected, "{url}");
        }
    }
}
