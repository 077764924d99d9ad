//! A client that asks without a pause, on a new connection each time and on one that it keeps, and says for how long
//! nobody answered. It runs in the client's namespace, as a process of its own.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    manifests::HOST,
    result::{Context, Error, Result},
};

/// Clients that ask by turns: one whose SYN is lost waits for the whole of its limit.
const CLIENTS: u32 = 8;
/// Between two requests of one.
const PACE: Duration = Duration::from_millis(40);
/// What a connection and its answer may take; a lost SYN is sent again after a second.
const LIMIT: Duration = Duration::from_millis(200);

/// What a client saw.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Requests that were answered, each on a connection of its own.
    pub(crate) answered: usize,
    /// The others, by what went wrong.
    pub(crate) failed: BTreeMap<String, usize>,
    /// The longest time between two answers, in milliseconds.
    pub(crate) longest: f64,
    /// Requests on the kept connection without an answer, though none had said that it was the last.
    pub(crate) broken: usize,
}

/// Watches until standard input ends.
pub(crate) fn run(target: SocketAddr) -> Result<()> {
    let over = Arc::new(AtomicBool::new(false));
    let anew: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let over = over.clone();
            thread::spawn(move || {
                thread::sleep(LIMIT * number / CLIENTS);
                ask_anew(target, &over)
            })
        })
        .collect();
    let kept = thread::spawn({
        let over = over.clone();
        move || keep_asking(target, &over)
    });
    let mut nothing = Vec::new();
    io::stdin().read_to_end(&mut nothing).context("waiting for the end of standard input")?;
    over.store(true, Relaxed);
    let panicked = |_| Error::Unexpected("the watch has panicked".to_owned());
    let anew = anew.into_iter().map(|client| client.join().map_err(panicked)).collect::<Result<Vec<Asked>>>()?;
    let seen = told(anew, kept.join().map_err(panicked)?);
    let text = serde_json::to_string(&seen).map_err(|error| Error::Unexpected(error.to_string()))?;
    writeln!(io::stdout(), "{text}").context("writing to standard output")
}

/// What one client saw.
#[derive(Default)]
struct Asked {
    answered: Vec<Instant>,
    failed: BTreeMap<String, usize>,
}

fn told(clients: Vec<Asked>, broken: usize) -> Seen {
    let mut failed = BTreeMap::<String, usize>::new();
    clients.iter().flat_map(|asked| &asked.failed).for_each(|(why, count)| {
        *failed.entry(why.clone()).or_default() += count;
    });
    let mut answered: Vec<Instant> = clients.into_iter().flat_map(|asked| asked.answered).collect();
    answered.sort_unstable();
    let waits = answered.iter().zip(answered.iter().skip(1)).map(|(before, after)| *after - *before);
    let longest = waits.max().unwrap_or_default().as_secs_f64() * 1e3;
    Seen { answered: answered.len(), failed, longest, broken }
}

fn ask_anew(target: SocketAddr, over: &AtomicBool) -> Asked {
    let mut asked = Asked::default();
    while !over.load(Relaxed) {
        match connect(target).and_then(|mut stream| ask(&mut stream, "Connection: close\r\n")) {
            Ok(_) => asked.answered.push(Instant::now()),
            Err(error) => *asked.failed.entry(error.to_string()).or_default() += 1,
        }
        thread::sleep(PACE);
    }
    asked
}

fn keep_asking(target: SocketAddr, over: &AtomicBool) -> usize {
    let mut broken = 0;
    while !over.load(Relaxed) {
        let Ok(mut stream) = connect(target) else { continue };
        while !over.load(Relaxed) {
            match ask(&mut stream, "") {
                Ok(is_last) if is_last => break,
                Ok(_) => thread::sleep(PACE),
                Err(_) => {
                    broken += 1;
                    break;
                }
            }
        }
    }
    broken
}

fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// Whether the answer says that it is the last.
fn ask(stream: &mut TcpStream, field: &str) -> io::Result<bool> {
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{field}\r\n").as_bytes())?;
    let mut response = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        response.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let text = String::from_utf8_lossy(&response).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if length.is_some_and(|length: usize| body.len() >= length) && head.starts_with("http/1.1 200") {
                return Ok(head.lines().any(|line| line.trim() == "connection: close"));
            }
        }
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
