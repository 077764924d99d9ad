//! The load generator: fixed rate or closed loop over kept connections, on one pinned thread.
//!
//! A fixed rate is what CPU time per request is measured at: a closed loop would let a faster proxy do more work in
//! larger batches, and compare two different things. A request that falls due while the one before it on its
//! connection is still under way is sent as soon as that has ended; none is left out.

mod client;
pub(crate) mod command;
mod h1;
mod tls;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

pub(crate) use client::Protocol;
use client::{Client, ClientError};
pub(crate) use tls::Trust;

use crate::{
    measure::pin,
    result::{Context, Error, Result},
};

/// What is sent where.
#[derive(Clone)]
pub(crate) struct Load {
    /// The proxy's socket.
    pub(crate) target: SocketAddr,
    /// Host header, and server name.
    pub(crate) host: String,
    /// Path.
    pub(crate) path: String,
    /// Bytes sent with each request, by POST; 0 is a GET.
    pub(crate) upload: usize,
    /// What is spoken.
    pub(crate) protocol: Protocol,
    /// Whom TLS trusts.
    pub(crate) trust: Trust,
    /// Kept connections.
    pub(crate) connections: usize,
    /// Concurrent requests on each; more than 1 with HTTP/2 only.
    pub(crate) streams: usize,
    /// Requests a second, over all connections; 0 is a closed loop.
    pub(crate) rate: f64,
}

/// When it ends.
#[derive(Clone)]
pub(crate) enum Limit {
    /// After a time.
    For(Duration),
    /// After so many requests.
    Requests(u64),
    /// When told.
    Until(Arc<AtomicBool>),
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Answered with 200.
    pub(crate) requests: u64,
    /// Everything else.
    pub(crate) errors: u64,
    /// How many errors were answers, by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// What the first errors were.
    pub(crate) complaints: Vec<String>,
}

/// Load in the background.
pub(crate) struct Background {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Outcome>>,
}

impl Load {
    /// One hundred bytes over kept plain connections.
    pub(crate) fn plain(target: SocketAddr, host: &str, rate: f64) -> Self {
        Self {
            target,
            host: host.to_owned(),
            path: "/".to_owned(),
            upload: 0,
            protocol: Protocol::H1,
            trust: Trust::default(),
            connections: 32,
            streams: 1,
            rate,
        }
    }

    /// Connects, asks once on each connection, and then runs to `limit`; `probe` is read when all connections stand
    /// and again when the last request has ended.
    pub(crate) fn run<T>(&self, limit: Limit, mut probe: impl FnMut() -> T) -> Result<(Outcome, T, T)> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
        runtime.block_on(async {
            let clients = self.connect().await?;
            let before = probe();
            let outcome = self.drive(clients, limit).await;
            Ok((outcome, before, probe()))
        })
    }

    /// Connects, asks once on each connection, reads `probe` while all of them stand idle, and leaves.
    pub(crate) fn stand<T>(&self, probe: impl FnOnce() -> T) -> Result<T> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
        let _standing = runtime.block_on(self.connect())?;
        Ok(probe())
    }

    /// Starts it on a thread of its own, on the load's core.
    pub(crate) fn background(self) -> Background {
        let stop = Arc::new(AtomicBool::new(false));
        let until = stop.clone();
        let thread = std::thread::spawn(move || {
            pin::this_thread(pin::load());
            Ok(self.run(Limit::Until(until), || ())?.0)
        });
        Background { stop, thread }
    }

    async fn connect(&self) -> Result<Vec<Client>> {
        let mut clients = Vec::new();
        for _ in 0..self.connections {
            let mut client = Client::new(self).await.map_err(|error| self.complain(&error))?;
            client.request().await.map_err(|error| self.complain(&error))?;
            clients.extend((1..self.streams.max(1)).filter_map(|_| client.stream()));
            clients.push(client);
        }
        Ok(clients)
    }

    fn complain(&self, error: &ClientError) -> Error {
        Error::Unexpected(format!("{} at {}: {error}", self.host, self.target))
    }

    async fn drive(&self, clients: Vec<Client>, limit: Limit) -> Outcome {
        let run = Arc::new(Run::new(self.rate, clients.len(), limit));
        let tasks: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(index, client)| tokio::spawn(run.clone().one_client(index, client)))
            .collect();
        let mut outcome = Outcome::default();
        for task in tasks {
            if let Ok(part) = task.await {
                outcome.add(part);
            }
        }
        outcome
    }
}

impl Background {
    /// Ends it and says what came of it.
    pub(crate) fn stop(self) -> Result<Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| Error::Unexpected("the load generator panicked".to_owned()))?
    }
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.complaints.extend(other.complaints);
        self.complaints.truncate(5);
    }

    fn count(&mut self, result: std::result::Result<usize, ClientError>) -> bool {
        match result {
            Ok(_) => {
                self.requests += 1;
                true
            }
            Err(error) => {
                self.errors += 1;
                if let ClientError::Status(status) = error {
                    *self.statuses.entry(status).or_default() += 1;
                }
                if self.complaints.len() < 5 {
                    self.complaints.push(error.to_string());
                }
                false
            }
        }
    }
}

/// One run of all clients.
struct Run {
    start: Instant,
    /// Between two requests of one client; zero is a closed loop.
    interval: Duration,
    clients: usize,
    limit: Limit,
    sent: AtomicU64,
}

impl Run {
    fn new(rate: f64, clients: usize, limit: Limit) -> Self {
        let interval = if rate > 0.0 { Duration::from_secs_f64(clients as f64 / rate) } else { Duration::ZERO };
        Self { start: Instant::now(), interval, clients, limit, sent: AtomicU64::new(0) }
    }

    async fn one_client(self: Arc<Self>, index: usize, mut client: Client) -> Outcome {
        let mut outcome = Outcome::default();
        let mut due = self.start + self.interval.mul_f64(index as f64 / self.clients as f64);
        loop {
            if !self.interval.is_zero() {
                sleep_until(due).await;
                due += self.interval;
            }
            if self.is_over() {
                return outcome;
            }
            let result = client.request().await;
            if !outcome.count(result) && client.reconnect().await.is_err() {
                // Refused while connecting: the next request says so again, at the pace of the load.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    fn is_over(&self) -> bool {
        match &self.limit {
            Limit::For(duration) => self.start.elapsed() >= *duration,
            Limit::Requests(count) => self.sent.fetch_add(1, Ordering::Relaxed) >= *count,
            Limit::Until(stop) => stop.load(Ordering::Relaxed),
        }
    }
}
