//! `postern explain`: from manifests at hand, or from a running Postern.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use postern_config::publish::load_once;

use super::{GOOD, REFUSED, USAGE, check::json, complain, print, serve::text_pair, settings};
use crate::{
    args::{self, Output},
    explain::{Answer, Outcome, Question, explain, text::Text},
    settings::Said,
    view::cluster::Health,
};

const DEFAULT_ADMIN: &str = "http://127.0.0.1:9000";
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer is never larger.
const MOST_BYTES: u64 = 16 << 20;

/// Explains; returns the exit code: 1 when the request would be refused.
pub(super) fn run(asked: &args::Explain) -> u8 {
    let question = match Question::parse(&asked.method, &asked.url, &asked.headers, asked.from) {
        Ok(question) => question,
        Err(wrong) => return complain([wrong], USAGE),
    };
    let answer = match &asked.manifests {
        Some(directory) => offline(asked, directory, &question),
        None => online(asked).map_err(|why| complain([why], REFUSED)),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    match asked.output {
        Output::Text => print(Text(&answer)),
        Output::Json => print(json(&answer)),
    }
    if matches!(answer.outcome, Outcome::Refused { .. }) { REFUSED } else { GOOD }
}

fn offline(asked: &args::Explain, directory: &std::path::Path, question: &Question) -> Result<Answer, u8> {
    let variables = std::env::vars_os().filter_map(text_pair).collect();
    let settings = settings(&Said { file: asked.config.clone(), variables, flags: Vec::new() })?;
    let published = load_once(directory, settings.for_compiler(jiff::Timestamp::now()))
        .map_err(|error| complain([error], REFUSED))?;
    Ok(explain(question, &published.snapshot, &settings, &Health::default()))
}

/// One GET to the admin API. The address must be one: this command resolves no names but localhost.
fn online(asked: &args::Explain) -> Result<Answer, String> {
    let admin = asked.admin.as_deref().unwrap_or(DEFAULT_ADMIN);
    let address = admin_address(admin)?;
    let failed = |error: std::io::Error| format!("cannot ask {admin}: {error}; is Postern running there?");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let target = target(asked);
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).map_err(failed)?;
    read_answer(&answer).map_err(|why| format!("{admin} answered: {why}"))
}

fn admin_address(url: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("--admin: {url:?} is not http://ADDRESS:PORT");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
    let host = if host == "localhost" { "127.0.0.1" } else { host.trim_matches(['[', ']']) };
    Ok(SocketAddr::new(host.parse().map_err(|_| wrong())?, uri.port_u16().unwrap_or(80)))
}

fn target(asked: &args::Explain) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut target = format!("/api/v1/explain?method={}&url={}", encode(&asked.method), encode(&asked.url));
    target.push_str(&format!("&from={}", encode(&asked.from.to_string())));
    for header in &asked.headers {
        target.push_str(&format!("&header={}", encode(header)));
    }
    target
}

fn read_answer(bytes: &[u8]) -> Result<Answer, String> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        return Err(format!("{status}: {}", body.trim()));
    }
    serde_json::from_str(body).map_err(|error| format!("what this version does not understand: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_url_is_an_address() {
        for (url, address) in [
            ("http://127.0.0.1:9000", Some("127.0.0.1:9000")),
            ("http://localhost:9000/", Some("127.0.0.1:9000")),
            ("http://[::1]:9000", Some("[::1]:9000")),
            ("http://127.0.0.1", Some("127.0.0.1:80")),
            ("https://127.0.0.1:9000", None),
            ("http://somewhere:9000", None),
            ("nonsense", None),
        ] {
            assert_eq!(admin_address(url).ok().map(|address| address.to_string()).as_deref(), address, "{url}");
        }
    }
}
