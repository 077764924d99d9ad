//! Looks on while requests are answered: counts what fails, notes when the server was heard last and what its clock
//! says, and gives up answers that bring nothing for too long.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response, header};
use http_body::{Body, Frame};
use jiff::{Timestamp, fmt::rfc2822};
use tokio::time::{Instant, Sleep, sleep};
use tower::{BoxError, Service};

use super::super::Counts;

/// Above the minute after which the API server sends a bookmark to each watch.
const SILENCE: Duration = Duration::from_secs(90);
/// As long as the API server itself gives a request that is no watch; where no ping is spoken, nobody else would notice.
const HEAD: Duration = Duration::from_secs(60);
/// Clocks this far apart are told of: certificates, tokens and times in status are judged by them.
const SKEW: f64 = 60.0;

/// Wraps the HTTP client.
#[derive(Clone, Debug)]
pub(super) struct Observe<S> {
    inner: S,
    counts: Arc<Counts>,
    told: Arc<AtomicBool>,
}

impl<S> Observe<S> {
    /// Counts into `counts`.
    pub(super) fn new(inner: S, counts: Arc<Counts>) -> Self {
        Self { inner, counts, told: Arc::default() }
    }
}

impl<S, In, Out> Service<Request<In>> for Observe<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Response<Heard<Out>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let (counts, told) = (self.counts.clone(), self.told.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = match tokio::time::timeout(HEAD, answer).await {
                Ok(answer) => answer.map_err(Into::into),
                Err(_) => Err(format!("no answer within {HEAD:?}").into()),
            };
            match answer {
                Ok(response) => {
                    look(&response, &counts, &told);
                    Ok(response.map(|inner| Heard { inner, counts, silence: Box::pin(sleep(SILENCE)) }))
                }
                Err(error) => {
                    counts.failed(0);
                    Err(error)
                }
            }
        })
    }
}

fn look<B>(response: &Response<B>, counts: &Counts, told: &AtomicBool) {
    let (now, status) = (Timestamp::now(), response.status());
    counts.contact(now);
    if status.is_client_error() || status.is_server_error() {
        counts.failed(status.as_u16());
    }
    let Some(skew) = skew(response.headers(), now) else { return };
    counts.clock_skew(skew);
    let is_far = skew.abs() > SKEW;
    if is_far != told.swap(is_far, Relaxed) {
        match is_far {
            true => tracing::warn!(
                seconds_ahead = skew,
                "the clock of this node is not that of the API server: validity of certificates and times in status \
                 are judged wrongly by one of them; set the clocks (NTP)"
            ),
            false => tracing::info!(seconds_ahead = skew, "the clock of this node is that of the API server again"),
        }
    }
}

/// How far `now` is ahead of the server's clock, which shows whole seconds: half of one is added to it.
fn skew(headers: &HeaderMap, now: Timestamp) -> Option<f64> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let server = rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(now.duration_since(server).as_secs_f64() - 0.5)
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Heard<B> {
    inner: B,
    counts: Arc<Counts>,
    silence: Pin<Box<Sleep>>,
}

impl<B> Body for Heard<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) {
            match &frame {
                Some(Ok(_)) => {
                    this.counts.contact(Timestamp::now());
                    this.silence.as_mut().reset(Instant::now() + SILENCE);
                }
                Some(Err(_)) => this.counts.failed(0),
                None => {}
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(this.silence.as_mut().poll(context));
        this.counts.failed(0);
        Poll::Ready(Some(Err(format!("nothing came for {SILENCE:?}").into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::poll_fn;
    use http::HeaderValue;

    use super::*;

    #[test]
    fn skew_is_read_from_the_date_that_a_server_sends() {
        let now: Timestamp = "2026-11-01T12:00:00.5Z".parse().expect("a time");
        for (date, expected) in [
            ("Sun, 01 Nov 2026 12:00:00 GMT", Some(0.0)),
            ("Sun, 01 Nov 2026 11:58:00 GMT", Some(120.0)),
            ("Sun, 01 Nov 2026 13:00:00 GMT", Some(-3600.0)),
            ("yesterday", None),
        ] {
            let headers = HeaderMap::from_iter([(header::DATE, HeaderValue::from_static(date))]);
            assert_eq!(skew(&headers, now), expected, "{date}");
        }
        assert_eq!(skew(&HeaderMap::new(), now), None);
    }

    /// Of which nothing comes, ever.
    #[derive(Debug)]
    struct Silent;

    impl Body for Silent {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_brings_nothing_is_given_up() {
        let counts = Arc::<Counts>::default();
        let mut body = Heard { inner: Silent, counts: counts.clone(), silence: Box::pin(sleep(SILENCE)) };
        let began = Instant::now();
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert!(matches!(frame, Some(Err(_))), "{frame:?}");
        assert_eq!((began.elapsed().as_secs(), counts.tally().errors.get(&0)), (SILENCE.as_secs(), Some(&1)));
    }
}
