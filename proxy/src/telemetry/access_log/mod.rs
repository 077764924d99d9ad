//! The access log: one line per request, made on the worker into a recycled buffer, written elsewhere.
//!
//! A worker formats a line straight from what it has at hand (no copies of fields), pushes the buffer onto its bounded
//! lock-free queue and goes on; one thread writes. When the queue is full the line is dropped and counted: logging
//! never slows a request. What a line says and how it is escaped is [`mod@format`].

mod format;
mod writer;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use crossbeam_queue::ArrayQueue;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use postern_config::model::route::RuleSource;

pub use writer::{Reopener, Writer, WriterError};

use crate::{
    settings::access_log::{AccessLog, Shape},
    telemetry::metrics::Shard,
};

/// What is known of one request, in the terms of Traefik's access log.
#[derive(Debug, Default)]
pub struct Record {
    /// User that a middleware authenticated.
    pub user: Option<String>,
    /// Why Postern answered itself (`Failure::reason`).
    pub reason: Option<&'static str>,
    /// The failure in full, never shown to the client.
    pub detail: Option<String>,
    /// Address of the endpoint that answered.
    pub endpoint: Option<SocketAddr>,
    /// Cluster that answered.
    pub cluster: Option<Arc<str>>,
    /// Tries after the first.
    pub retries: u32,
    /// From the last try's start to the first byte of its answer.
    pub origin_duration: Duration,
    /// The status of the backend, before response steps.
    pub origin_status: Option<StatusCode>,
    /// The request as the client sent it; `None` while the log is off.
    pub request: Option<Box<Request>>,
}

/// What the client asked for, kept before middlewares change it. Clones share their bytes with the request.
#[derive(Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Path and query as they came.
    pub target: http::Uri,
    /// Version.
    pub version: Version,
    /// The Host field or `:authority`.
    pub authority: HeaderValue,
    /// Fields, only those that are logged.
    pub headers: HeaderMap,
}

/// What is known at the end of a request.
#[derive(Debug)]
pub struct Finish<'a> {
    /// Listener's name.
    pub entry_point: &'a str,
    /// Address that limits and lists judged.
    pub client: IpAddr,
    /// The connection's other end.
    pub peer: SocketAddr,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// TLS version and cipher.
    pub tls: Option<(&'a str, &'a str)>,
    /// Server name of the handshake.
    pub server_name: Option<&'a str>,
    /// The rule that won.
    pub route: Option<&'a RuleSource>,
    /// Status that the client got.
    pub status: StatusCode,
    /// Fields of the answer.
    pub response_headers: Option<&'a HeaderMap>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// From the first header byte to the last byte of the answer.
    pub duration: Duration,
}

/// A worker's end of the log.
#[derive(Clone, Debug, Default)]
pub struct Queue(Option<Arc<Channel>>);

/// What a worker and the writer share.
#[derive(Debug)]
struct Channel {
    shape: Arc<Shape>,
    /// Lines on their way to the writer.
    lines: ArrayQueue<Vec<u8>>,
    /// Empty buffers on their way back.
    spare: ArrayQueue<Vec<u8>>,
    /// Whether the writer sleeps and must be woken.
    asleep: Arc<AtomicBool>,
    writer: std::thread::Thread,
}

impl Queue {
    /// Whether requests are logged at all.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Keeps what the log will say of a request, before middlewares change it. Nothing while the log is off.
    pub fn begin(&self, record: &mut Record, head: &http::request::Parts, authority: &HeaderValue) {
        let Some(channel) = &self.0 else { return };
        record.request = Some(Box::new(Request {
            method: head.method.clone(),
            target: head.uri.clone(),
            version: head.version,
            authority: authority.clone(),
            headers: channel.shape.kept_request_headers(&head.headers),
        }));
    }

    /// Logs a request. `shard` counts the line, or that it was dropped.
    pub fn write(&self, record: &Record, finish: &Finish<'_>, shard: &Shard) {
        let Some(channel) = &self.0 else { return };
        if !channel.shape.wants(record, finish) {
            return;
        }
        let mut line = channel.spare.pop().unwrap_or_default();
        line.clear();
        format::line(&mut line, &channel.shape, record, finish);
        match channel.lines.push(line) {
            Ok(()) => shard.access_log_written.add(1),
            Err(_) => shard.access_log_dropped.add(1),
        }
        channel.wake();
    }
}

impl Channel {
    fn wake(&self) {
        if self.asleep.load(Relaxed) && self.asleep.swap(false, Relaxed) {
            self.writer.unpark();
        }
    }
}

impl Shape {
    /// Fields of a request that a line shows.
    fn kept_request_headers(&self, headers: &HeaderMap) -> HeaderMap {
        let mut kept = HeaderMap::new();
        for (name, value) in headers {
            if self.headers.keeps(name) || (self.is_common() && format::COMMON_HEADERS.contains(name)) {
                kept.append(name.clone(), value.clone());
            }
        }
        kept
    }

    /// Filters are or-ed, as in Traefik; without any, every request is logged.
    fn wants(&self, record: &Record, finish: &Finish<'_>) -> bool {
        let filter = &self.filter;
        filter.is_empty()
            || filter.statuses.iter().any(|range| range.contains(&finish.status.as_u16()))
            || (filter.retried && record.retries > 0)
            || filter.min_duration.is_some_and(|least| finish.duration >= least)
    }
}

/// Starts the writer; a queue for each worker comes back with it. `None` when the log is off.
pub fn start(settings: &AccessLog, workers: usize) -> Result<(Option<Writer>, Vec<Queue>), WriterError> {
    let Some(target) = &settings.target else { return Ok((None, vec![Queue::default(); workers])) };
    let writer = Writer::start(target, &settings.shape, settings.queue, workers)?;
    let queues = writer.queues();
    Ok((Some(writer), queues))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::telemetry::metrics::Metrics;

    fn finish(status: u16) -> Finish<'static> {
        Finish {
            entry_point: "web",
            client: [192, 0, 2, 1].into(),
            peer: ([192, 0, 2, 1], 4711).into(),
            scheme: "http",
            tls: None,
            server_name: None,
            route: None,
            status: StatusCode::from_u16(status).expect("a status"),
            response_headers: None,
            bytes_in: 0,
            bytes_out: 0,
            duration: Duration::ZERO,
        }
    }

    #[test]
    fn every_queued_line_is_written_before_the_writer_ends() {
        let memory = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer::start_in_memory(memory.clone(), &Arc::default(), 2).expect("a thread");
        let metrics = Metrics::new(2);
        for (worker, queue) in writer.queues().iter().enumerate() {
            queue.write(&Record::default(), &finish(200), metrics.shard(worker));
        }
        drop(writer);
        let text = String::from_utf8(memory.lock().expect("not poisoned").clone()).expect("UTF-8");
        assert_eq!(text.lines().count(), 2, "{text}");
        assert_eq!(metrics.shard(1).access_log_written.value(), 1);
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let channel = Channel {
            shape: Arc::default(),
            lines: ArrayQueue::new(1),
            spare: ArrayQueue::new(1),
            asleep: Arc::default(),
            writer: std::thread::current(),
        };
        let (queue, metrics) = (Queue(Some(Arc::new(channel))), Metrics::new(1));
        for _ in 0..3 {
            queue.write(&Record::default(), &finish(200), metrics.shard(0));
        }
        assert_eq!(metrics.shard(0).access_log_written.value(), 1);
        assert_eq!(metrics.shard(0).access_log_dropped.value(), 2);
    }

    #[test]
    fn a_request_is_logged_when_one_condition_of_the_filter_holds() {
        let mut shape = Shape::default();
        assert!(shape.wants(&Record::default(), &finish(200)), "no condition");
        shape.filter.statuses.push(500..=599);
        assert!(!shape.wants(&Record::default(), &finish(200)));
        assert!(shape.wants(&Record::default(), &finish(503)));
        shape.filter.retried = true;
        assert!(shape.wants(&Record { retries: 1, ..Record::default() }, &finish(200)));
    }
}
