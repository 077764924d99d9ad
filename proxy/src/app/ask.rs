//! Questions to the admin server of a Postern that runs: at its Unix socket, or at an address, which must be one: names are
//! not resolved, but localhost.

use std::{
    io::{self, Read as _},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use http::Uri;
use serde::de::DeserializeOwned;

const DEFAULT_ADMIN: &str = "http://127.0.0.1:9000";
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer is never larger.
const MOST_BYTES: u64 = 16 << 20;

/// Where a Postern is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whom<'a> {
    /// At this URL.
    Url(&'a str),
    /// At this Unix socket.
    Socket(&'a Path),
}

impl<'a> Whom<'a> {
    /// At `url` if there is one, else at `socket`, else on this host.
    pub(super) fn of(url: Option<&'a str>, socket: Option<&'a Path>) -> Self {
        match (url, socket) {
            (Some(url), _) => Self::Url(url),
            (None, Some(socket)) => Self::Socket(socket),
            (None, None) => Self::Url(DEFAULT_ADMIN),
        }
    }
}

/// What it answers to a GET of `target`.
pub(super) fn get<T: DeserializeOwned>(whom: Whom<'_>, target: &str) -> Result<T, String> {
    ask(whom, "GET", target)
}

/// What it answers to an empty POST to `target`.
pub(super) fn post<T: DeserializeOwned>(whom: Whom<'_>, target: &str) -> Result<T, String> {
    ask(whom, "POST", target)
}

fn ask<T: DeserializeOwned>(whom: Whom<'_>, method: &str, target: &str) -> Result<T, String> {
    let (shown, answer) = match whom {
        Whom::Url(url) => (url.to_owned(), at_address(address(url)?, method, target)),
        Whom::Socket(path) => (path.display().to_string(), at_socket(path, method, target)),
    };
    let answer = answer.map_err(|error| format!("cannot ask {shown}: {error}; is Postern running there?"))?;
    read(&answer).map_err(|why| format!("{shown} answered: {why}"))
}

fn at_address(address: SocketAddr, method: &str, target: &str) -> io::Result<Vec<u8>> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, method, target, &address.to_string())
}

fn at_socket(path: &Path, method: &str, target: &str) -> io::Result<Vec<u8>> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // An address is answered to whatever admin.hosts says.
    exchange(stream, method, target, "127.0.0.1")
}

fn exchange(mut stream: impl io::Read + io::Write, method: &str, target: &str, host: &str) -> io::Result<Vec<u8>> {
    write!(stream, "{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer)?;
    Ok(answer)
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
