//! One request and its answer, from the first header byte to the last body byte.

mod authority;
mod body;
mod completion;
pub mod filter;
pub mod forwarded;
pub(crate) mod internal;
pub mod normalise;
mod rest;
mod serve;
mod trial;
mod unwind;

use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
};

use http::{HeaderValue, Response, request::Parts};
use postern_config::{
    model::route::Rule,
    snapshot::{SniEntry, SocketKey},
};
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;

pub use authority::RequestHost;
pub use body::{Body, BodyError};
pub use rest::Rest;
pub(crate) use serve::choose;
pub use serve::{Prepared, prepare, serve};
pub use trial::{Saved, Trial};

use crate::{
    middleware::Permit,
    telemetry::{access_log::Record, metrics::EntryPointIndex},
    worker::{PlanRef, Worker},
};

/// What is known of the connection that a request came on; shared by all its requests.
#[derive(Debug)]
pub struct Connection {
    /// The client's end, after a trusted PROXY protocol header.
    pub peer: SocketAddr,
    /// Our end, after a trusted PROXY protocol header.
    pub local: SocketAddr,
    /// The listener that accepted it.
    pub socket: SocketKey,
    /// The listener's name: a metric label and an access-log field.
    pub entry_point: Arc<str>,
    /// `None` on plaintext.
    pub tls: Option<TlsSession>,
    /// `peer`'s address as forwarded headers spell it, made once per connection.
    pub peer_text: HeaderValue,
    /// The entry point's place in the metrics.
    pub metrics: EntryPointIndex,
}

impl Connection {
    /// What is known of a connection once its handshake is over.
    pub fn new(
        peer: SocketAddr,
        local: SocketAddr,
        socket: SocketKey,
        entry_point: Arc<str>,
        tls: Option<TlsSession>,
    ) -> Self {
        let text = peer.ip().to_canonical().to_string();
        let peer_text = HeaderValue::try_from(text).expect("an address is a valid header value");
        Self { peer, local, socket, entry_point, tls, peer_text, metrics: EntryPointIndex::default() }
    }

    /// The same, counted under `index`; without it under `other`.
    #[must_use]
    pub fn counted_as(self, index: EntryPointIndex) -> Self {
        Self { metrics: index, ..self }
    }
}

/// What the handshake settled.
#[derive(Debug)]
pub struct TlsSession {
    /// Lower-case server name without trailing dot, where the client sent one.
    pub server_name: Option<Arc<str>>,
    /// The entry that the server name chose: a request for a host of another entry is misdirected (421).
    pub entry: Option<Arc<SniEntry>>,
    /// For logs: `1.2`, `1.3`.
    pub version: &'static str,
    /// For logs: the IANA name.
    pub cipher: &'static str,
    /// The certificates that the client has shown and TLS has accepted, its own first; usually none.
    pub client_certificates: Vec<CertificateDer<'static>>,
}

/// One request under way. Middlewares change it in place; what remains is forwarded.
pub struct Exchange {
    /// Head as the backend will see it. `uri` is always path and query only; the authority lives in `host`.
    pub parts: Parts,
    /// Body as the backend will see it.
    pub body: Body,
    /// The Host the backend will see, as the client wrote it (with port); rewrites change it.
    pub authority: HeaderValue,
    /// Lower-case host without port: what was matched.
    pub host: Rc<str>,
    /// Address that limits and lists judge: the peer, or what a trusted peer says in a configured header.
    pub client: IpAddr,
    /// Scheme the client used: `http` or `https`, as forwarded headers report it.
    pub scheme: &'static str,
    /// The connection.
    pub connection: Rc<Connection>,
    /// The plan that this request sees for its whole life.
    pub plan: PlanRef,
    /// The rule that won.
    pub rule: Arc<Rule>,
    /// When the head was complete.
    pub started: Instant,
    /// What the access log will say; middlewares fill in what they know (user, …).
    pub record: Record,
    /// What is left to do to the answer, run last pushed first.
    pub response_steps: Vec<ResponseStep>,
    /// Given back when the answer has ended, or the tunnel that it became.
    pub permits: Vec<Permit>,
    /// What becomes of tries, where a middleware asks for it; it counts and repeats them then.
    pub trial: Option<Box<Trial>>,
}

/// A change of the answer that was decided when the request was seen.
pub enum ResponseStep {
    /// Header changes, straight from the snapshot.
    Headers(Arc<Rule>, FilterSite),
    /// What a middleware does: a shared pointer and a few words, so that it costs no allocation.
    Middleware(crate::middleware::AnswerStep),
    /// Anything else.
    Custom(CustomStep),
}

/// A change of the answer that only its author knows.
pub type CustomStep = Box<dyn FnOnce(&mut Response<Body>, &Worker)>;

/// Where in a rule's action a filter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterSite {
    /// `action.steps[i]`.
    Step(usize),
    /// `backends[i].filters[j]` of the forward.
    Backend(usize, usize),
}

/// Whether a request goes on.
pub enum Flow {
    /// To the next step.
    Continue,
    /// Answered here; later steps and the backend do not see it. Steps pushed before still change the answer.
    Answer(Response<Body>),
}
