//! From a file in place to the first request that is served by it, among 10,000 routes and under load.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::Bench;
use crate::{
    contender::Postern,
    load::Load,
    manifests::{self, HOST, World},
    measure::{rounds::quantile, table},
    result::{Context, Error, Result},
};

const ROUTES: usize = 10_000;
const CHANGES: usize = 100;
const DEADLINE: Duration = Duration::from_secs(10);

pub(super) fn answer(bench: &Bench<'_>) -> Result<Value> {
    let postern =
        Postern::with(&bench.setting(), "postern", World::new(bench.backend.address).only_named().routes(ROUTES))?;
    let manifests = postern.manifests().to_owned();
    let started = Instant::now();
    let contender = postern.start()?;
    let start = started.elapsed();
    let load = Load::plain(contender.plain, HOST, bench.rate(2_000.0)).background();
    let mut milliseconds = Vec::new();
    for number in 0..CHANGES {
        let host = format!("new-{number}.example.com");
        let probe = Probe::new(contender.plain, &host);
        let text = manifests::ingress(&format!("new-{number}"), &host, "");
        manifests::replace(&manifests.join(format!("new-{number}.yaml")), &text)?;
        milliseconds.push(probe.wait(Instant::now())?.as_secs_f64() * 1e3);
    }
    let outcome = load.stop()?;
    let figures = [
        ("start to ports open".to_owned(), start.as_secs_f64() * 1e3, "ms"),
        ("median".to_owned(), quantile(&milliseconds, 0.5), "ms"),
        ("99 of 100".to_owned(), quantile(&milliseconds, 0.99), "ms"),
        ("longest".to_owned(), quantile(&milliseconds, 1.0), "ms"),
        ("requests of the load".to_owned(), outcome.requests as f64, ""),
        ("errors of the load".to_owned(), outcome.errors as f64, ""),
    ];
    table::print_figures(&figures);
    Ok(json!({
        "routes": ROUTES, "changes": CHANGES, "start_ms": figures[0].1, "p50_ms": figures[1].1,
        "max_ms": figures[3].1, "milliseconds": milliseconds, "errors": outcome.errors,
    }))
}

/// Asks for a host until it is there, over one kept connection.
struct Probe {
    target: SocketAddr,
    request: String,
}

impl Probe {
    fn new(target: SocketAddr, host: &str) -> Self {
        Self { target, request: format!("GET /propagation HTTP/1.1\r\nHost: {host}\r\nX-Probe: 1\r\n\r\n") }
    }

    fn wait(&self, since: Instant) -> Result<Duration> {
        let mut stream = None;
        while since.elapsed() < DEADLINE {
            if self.ask(&mut stream)? == 200 {
                return Ok(since.elapsed());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Err(Error::Unexpected("a new route is not served after 10 s".to_owned()))
    }

    fn ask(&self, stream: &mut Option<TcpStream>) -> Result<u16> {
        let mut open = match stream.take() {
            Some(open) => open,
            None => TcpStream::connect(self.target).context("connecting the probe")?,
        };
        open.write_all(self.request.as_bytes()).context("writing the probe")?;
        let mut answer = [0; 4096];
        let read = open.read(&mut answer).context("reading the probe")?;
        let text = String::from_utf8_lossy(answer.get(..read).unwrap_or_default()).into_owned();
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        if !text.to_ascii_lowercase().contains("connection: close") {
            *stream = Some(open);
        }
        Ok(status)
    }
}
