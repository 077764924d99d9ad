//! Upgrades (RFC 9110 section 7.8) and WebSockets over HTTP/2 (RFC 8441): the backend is asked in HTTP/1.1; when it
//! answers 101 the two connections become one tunnel, which is not HTTP any more.

use std::{io, time::Duration};

use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use hyper::{
    body::Incoming,
    ext::Protocol,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use sha1::Digest as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf},
    time::timeout,
};

use super::{head, live::InFlight};
use crate::{exchange::Body, middleware::Permit, respond::Failure};

const WEBSOCKET_KEY: HeaderName = header::SEC_WEBSOCKET_KEY;
/// RFC 6455 section 1.3.
const WEBSOCKET_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const BUFFER: usize = 16 * 1024;

/// A client's wish to speak another protocol.
pub(super) struct Upgrade {
    client: OnUpgrade,
    protocol: HeaderValue,
    /// Set when the client spoke HTTP/2: the key that we made in its place.
    extended: Option<HeaderValue>,
}

impl Upgrade {
    /// The wish of a request, taken out of it. HTTP itself is no protocol to change to: such wishes are passed over.
    pub(super) fn take(parts: &mut Parts) -> Result<Option<Self>, Failure> {
        let client = parts.extensions.remove::<OnUpgrade>();
        let protocol = parts.extensions.remove::<Protocol>();
        if parts.method == Method::CONNECT || protocol.is_some() {
            let (Some(protocol), Some(client)) = (protocol, client) else {
                return Err(Failure::BadRequest("CONNECT is not served"));
            };
            let protocol = HeaderValue::from_str(protocol.as_str());
            let protocol = protocol.map_err(|_| Failure::BadRequest("invalid :protocol"))?;
            return Ok(Some(Self { client, protocol, extended: Some(websocket_key()) }));
        }
        let Some(client) = client else { return Ok(None) };
        let wanted = parts.headers.get(header::UPGRADE).filter(|protocol| !is_http(protocol)).cloned();
        Ok(wanted.map(|protocol| Self { client, protocol, extended: None }))
    }

    /// Writes the wish into the head that the backend gets.
    pub(super) fn ask(&self, parts: &mut Parts) {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(header::UPGRADE, self.protocol.clone());
        if let Some(key) = &self.extended {
            parts.method = Method::GET;
            parts.headers.insert(WEBSOCKET_KEY, key.clone());
        }
    }

    /// Whether the backend changes to the protocol.
    pub(super) fn is_granted(&self, response: &Response<Incoming>) -> bool {
        response.status() == StatusCode::SWITCHING_PROTOCOLS
    }

    /// An answer that does not grant the wish is passed on as it is, but for one: an HTTP/2 client would take success
    /// for a tunnel.
    pub(super) fn check_refusal(&self, response: &Response<Incoming>) -> Result<(), Failure> {
        if self.extended.is_some() && response.status().is_success() {
            return Err(Failure::BackendBroke("it answered an upgrade with success but without upgrading".into()));
        }
        Ok(())
    }

    /// Joins the two connections as soon as both sides are out of HTTP, and makes the client's answer. What is `held` is
    /// so until the tunnel has ended.
    pub(super) fn join(
        self,
        mut response: Response<Incoming>,
        held: (Option<InFlight>, Vec<Permit>),
        half_closed: Duration,
    ) -> Result<Response<Body>, Failure> {
        self.check_grant(response.headers())?;
        let backend = hyper::upgrade::on(&mut response);
        head::clean_answer(&mut response);
        let (mut parts, _) = response.into_parts();
        parts.headers.remove(header::CONTENT_LENGTH);
        match &self.extended {
            Some(_) => {
                parts.status = StatusCode::OK;
                parts.headers.remove(header::SEC_WEBSOCKET_ACCEPT);
            }
            None => {
                parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                parts.headers.insert(header::UPGRADE, self.protocol.clone());
            }
        }
        let client = self.client;
        tokio::task::spawn_local(async move {
            let _held = held;
            let joined = async { tokio::try_join!(client, backend) }.await;
            match joined {
                Ok((client, backend)) => tunnel(TokioIo::new(client), TokioIo::new(backend), half_closed).await,
                Err(error) => tracing::debug!(%error, "an upgrade was not completed"),
            }
        });
        Ok(Response::from_parts(parts, Body::Empty))
    }

    /// A backend must change to what it was asked for, and have read the key that we made.
    fn check_grant(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let broke = |text: &str| Err(Failure::BackendBroke(text.into()));
        let same = headers
            .get(header::UPGRADE)
            .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(self.protocol.as_bytes()));
        if !same {
            return broke("it switches to another protocol than it was asked to");
        }
        match &self.extended {
            Some(key) if self.protocol.as_bytes().eq_ignore_ascii_case(b"websocket") => {
                if headers.get(header::SEC_WEBSOCKET_ACCEPT) == Some(&websocket_accept(key)) {
                    return Ok(());
                }
                broke("its Sec-WebSocket-Accept is wrong")
            }
            _ => Ok(()),
        }
    }
}

fn is_http(protocol: &HeaderValue) -> bool {
    let http = |token: &[u8]| {
        let token = token.trim_ascii();
        token.eq_ignore_ascii_case(b"h2c") || token.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"http/"))
    };
    protocol.as_bytes().split(|b| *b == b',').any(http)
}

fn websocket_key() -> HeaderValue {
    let key = base64::engine::general_purpose::STANDARD.encode(rand::random::<[u8; 16]>());
    HeaderValue::try_from(key).expect("base64 is a valid field value")
}

pub(super) fn websocket_accept(key: &HeaderValue) -> HeaderValue {
    let digest = sha1::Sha1::new().chain_update(key.as_bytes()).chain_update(WEBSOCKET_GUID).finalize();
    let text = base64::engine::general_purpose::STANDARD.encode(digest);
    HeaderValue::try_from(text).expect("base64 is a valid field value")
}

type Io = TokioIo<Upgraded>;

/// Copies both ways for as long as both sides live, however idle. When one side has said its last, the other may go
/// on as long as it makes progress (a shell whose input has ended); when one breaks, both are dropped.
async fn tunnel(client: Io, backend: Io, half_closed: Duration) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_backend, mut to_backend) = tokio::io::split(backend);
    let (first, rest) = {
        let up = pump(&mut from_client, &mut to_backend, None);
        let down = pump(&mut from_backend, &mut to_client, None);
        let (up, down) = (std::pin::pin!(up), std::pin::pin!(down));
        match futures_util::future::select(up, down).await {
            futures_util::future::Either::Left((ended, _)) => (ended, Side::Backend),
            futures_util::future::Either::Right((ended, _)) => (ended, Side::Client),
        }
    };
    if first.is_err() {
        return;
    }
    let limit = Some(half_closed);
    let last = match rest {
        Side::Backend => pump(&mut from_backend, &mut to_client, limit).await,
        Side::Client => pump(&mut from_client, &mut to_backend, limit).await,
    };
    if let Err(error) = last {
        tracing::debug!(%error, "a half-closed tunnel ended");
    }
}

/// The side that has not said its last.
enum Side {
    Client,
    Backend,
}

/// Copies until the end, then says so to the other side.
async fn pump<S>(from: &mut ReadHalf<S>, to: &mut WriteHalf<S>, idle: Option<Duration>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer);
        let count = match idle {
            None => read.await?,
            Some(idle) => timeout(idle, read).await.map_err(|_| io::ErrorKind::TimedOut)??,
        };
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return to.shutdown().await;
        };
        to.write_all(bytes).await?;
        to.flush().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_of_a_key_is_that_of_the_specification() {
        // RFC 6455 section 1.3.
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(websocket_accept(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn http_is_no_protocol_to_upgrade_to() {
        for (protocol, http) in
            [("h2c", true), ("websocket, H2C", true), ("HTTP/2.0", true), ("websocket", false), ("SPDY/3.1", false)]
        {
            assert_eq!(is_http(&HeaderValue::from_static(protocol)), http, "{protocol}");
        }
    }
}
