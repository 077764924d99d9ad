//! Requests that Postern makes for its own purposes (forward-auth), on the worker's own pools.
//!
//! Names of Services resolve from the clusters at hand before DNS, as a pod's names would.

use std::{rc::Rc, sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response, Uri, header};
use postern_config::model::{
    cluster::{
        Balance, Cluster as Spec, ClusterSlot, Endpoint, EndpointAddress, PassiveHealth, Protocol, UpstreamTls, Verify,
    },
    id::ClusterId,
    route::Timeouts,
};
use tokio::time::Instant;

use super::{
    again::Fields,
    attempt::{FirstByte, host_of},
    cluster::{Cluster, Ready},
    forward::{Parcel, Sending, first_byte},
    head,
    pool::OriginMap,
    retry::Policy,
};
use crate::{
    exchange::{Body, Exchange},
    plan::Plan,
    respond::Failure,
    telemetry::access_log::Record,
    worker::Worker,
};

/// How to make a request.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// From the begin to the last byte of the answer; `None` is no limit.
    pub timeout: Option<Duration>,
    /// TLS for `https` origins; `None` verifies the URI's host against the roots that ship with Postern.
    pub tls: Option<Arc<UpstreamTls>>,
}

/// Clusters made for URIs, one per origin and TLS setting.
#[derive(Default)]
pub(super) struct Origins(OriginMap<OriginKey, Made>);

struct Made {
    cluster: Rc<Cluster>,
    /// Keeps the address that the key holds from being another setting's.
    _tls: Option<Arc<UpstreamTls>>,
}

impl std::fmt::Debug for Origins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origins").field("len", &self.0.borrow().len()).finish()
    }
}

#[derive(PartialEq, Eq, Hash)]
struct OriginKey {
    https: bool,
    authority: Box<str>,
    /// The identity of the setting.
    tls: usize,
}

/// Origins are configuration, not input; this only bounds what a history of changes leaves behind.
const MOST_ORIGINS: usize = 1024;

/// Sends `request` to the origin of `uri` and returns its answer, hop-by-hop fields removed both ways. The target's
/// path and query are those of `uri`; method, header fields and body are `request`'s. Redirects are not followed.
pub async fn fetch(
    worker: &Rc<Worker>,
    uri: &Uri,
    request: Request<Body>,
    options: &Options,
) -> Result<Response<Body>, Failure> {
    let origin = Origin::of(uri)?;
    let (mut parts, body) = request.into_parts();
    parts.uri = Uri::from(uri.path_and_query().cloned().unwrap_or_else(|| http::uri::PathAndQuery::from_static("/")));
    head::clean_request(&mut parts.headers);
    let authority = parts.headers.remove(header::HOST).unwrap_or(origin.authority.clone());
    let plan = worker.plan();
    let made;
    let cluster = match origin.in_plan(&plan, options) {
        Some(ready) => ready,
        None => {
            made = worker.upstream.origins.cluster(&origin, options, worker);
            made.ready().map_err(|reason| Failure::Unreachable(reason.to_string()))?
        }
    };
    let sending = Sending {
        cluster,
        worker,
        method: &parts.method,
        uri: &parts.uri,
        authority: &authority,
        client: None,
        stuck: None,
        policy: Policy::new(None, &worker.shared.settings.upstream),
        first_byte: FirstByte::Unlimited,
        deadline: options.timeout.filter(|timeout| !timeout.is_zero()).map(|timeout| Instant::now() + timeout),
        http1: false,
    };
    let mut parcel = Parcel {
        fields: Fields::new(parts.headers),
        payload: sending.payload(body),
        record: &mut Record::default(),
        trial: None,
    };
    let accepted = sending.send(&mut parcel).await?;
    sending.finish(accepted, None, &mut Vec::new())
}

/// A request of our own to a cluster, made while a client waits.
pub struct Asked<'a> {
    /// Whom to ask.
    pub cluster: &'a ClusterId,
    /// Its URI is path and query.
    pub request: Request<Body>,
    /// Host, unless the cluster wants its own.
    pub authority: HeaderValue,
    /// Of the client.
    pub exchange: &'a Exchange,
}

/// Asks a cluster of the plan, and returns its answer as [`super::forward()`] would.
pub async fn ask(worker: &Rc<Worker>, asked: Asked<'_>) -> Result<Response<Body>, Failure> {
    let Asked { cluster, request, authority, exchange } = asked;
    let plan = exchange.plan.clone();
    let ready =
        plan.clusters.get(cluster).ok_or_else(|| Failure::Unreachable(format!("cluster {cluster} is not there")))?;
    let ready = ready.ready().map_err(|reason| Failure::Unreachable(reason.to_string()))?;
    let (mut parts, body) = request.into_parts();
    head::clean_request(&mut parts.headers);
    head::append_forwarded_for(&mut parts.headers, &exchange.connection.peer_text);
    let settings = &worker.shared.settings.upstream;
    let sending = Sending {
        cluster: ready,
        worker,
        method: &parts.method,
        uri: &parts.uri,
        authority: &authority,
        client: Some(exchange.client),
        stuck: None,
        policy: Policy::new(None, settings),
        first_byte: first_byte(&Timeouts::default(), settings),
        deadline: None,
        http1: false,
    };
    let mut parcel = Parcel {
        fields: Fields::new(parts.headers),
        payload: sending.payload(body),
        record: &mut Record::default(),
        trial: None,
    };
    let accepted = sending.send(&mut parcel).await?;
    sending.finish(accepted, None, &mut Vec::new())
}

/// Scheme, host and port of a URI.
struct Origin<'a> {
    https: bool,
    host: &'a str,
    port: u16,
    authority: HeaderValue,
}

impl<'a> Origin<'a> {
    fn of(uri: &'a Uri) -> Result<Self, Failure> {
        let unusable = || Failure::Unreachable(format!("{uri} is not an http or https address"));
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(unusable()),
        };
        let authority = uri.authority().ok_or_else(unusable)?;
        let host = host_of(uri.host().ok_or_else(unusable)?);
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let own = authority.as_str().rsplit('@').next().unwrap_or_default();
        let authority = HeaderValue::from_str(own).map_err(|_| unusable())?;
        Ok(Self { https, host, port, authority })
    }

    /// The cluster of the Service that the host names, when some route has it in use and it speaks as the URI asks.
    fn in_plan<'p>(&self, plan: &'p Plan, options: &Options) -> Option<&'p Ready> {
        let (name, namespace) = service_of(self.host)?;
        let id = format!("{namespace}/{name}:{}", self.port);
        let ready = plan.clusters.get(id.as_str())?.ready().ok()?;
        let usable = !self.https && options.tls.is_none() && ready.tls.is_none() && !ready.members.is_empty();
        usable.then_some(ready)
    }

    /// A cluster of this origin alone, whose endpoint is looked up by name.
    fn spec(&self, options: &Options, id: &ClusterId) -> Spec {
        let tls = self.https.then(|| options.tls.clone().unwrap_or_else(|| self.well_known()));
        Spec {
            id: id.clone(),
            endpoints: vec![Endpoint {
                address: EndpointAddress::Name(self.host.trim_matches(['[', ']']).into(), self.port),
                weight: 1,
                draining: false,
            }],
            protocol: Protocol::Http,
            tls,
            balance: Balance::RoundRobin,
            sticky: None,
            health: None,
            // There is no other endpoint to go to.
            passive: PassiveHealth { failures: 0, ..PassiveHealth::default() },
            pass_host: true,
            connect_timeout: None,
        }
    }

    fn well_known(&self) -> Arc<UpstreamTls> {
        Arc::new(UpstreamTls {
            server_name: Some(self.host.trim_matches(['[', ']']).into()),
            verify: Verify::WellKnown,
            subject_alt_names: Vec::new(),
            client_certificate: None,
        })
    }
}

impl Origins {
    fn cluster(&self, origin: &Origin<'_>, options: &Options, worker: &Worker) -> Rc<Cluster> {
        let tls = options.tls.as_ref().map_or(0, |tls| Arc::as_ptr(tls) as usize);
        let authority = format!("{}:{}", origin.host, origin.port).into_boxed_str();
        let key = OriginKey { https: origin.https, authority, tls };
        let mut origins = self.0.borrow_mut();
        if let Some(made) = origins.get(&key) {
            return made.cluster.clone();
        }
        if origins.len() >= MOST_ORIGINS {
            origins.clear();
        }
        let scheme = if origin.https { "https" } else { "http" };
        // One state per setting: connections made with one are not for another.
        let id = ClusterId::new(format!("origin:{scheme}://{}#{tls:x}", key.authority));
        let mut spec = origin.spec(options, &id);
        if let Some(setting) = &mut spec.tls
            && setting.server_name.is_none()
        {
            let named =
                UpstreamTls { server_name: Some(origin.host.trim_matches(['[', ']']).into()), ..(**setting).clone() };
            *setting = Arc::new(named);
        }
        let slot = Arc::new(ClusterSlot::Ready(spec));
        let cluster = Rc::new(Cluster::build(&id, &slot, &worker.shared.live.upstream));
        origins.insert(key, Made { cluster: cluster.clone(), _tls: options.tls.clone() });
        cluster
    }
}

/// Name and namespace of `name.namespace.svc[.cluster.local]`.
fn service_of(host: &str) -> Option<(&str, &str)> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let host = host.strip_suffix(".cluster.local").unwrap_or(host);
    let (name, namespace) = host.strip_suffix(".svc")?.split_once('.')?;
    (!namespace.contains('.')).then_some((name, namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names_are_those_of_cluster_dns() {
        for (host, want) in [
            ("auth.sso.svc.cluster.local", Some(("auth", "sso"))),
            ("auth.sso.svc.cluster.local.", Some(("auth", "sso"))),
            ("auth.sso.svc", Some(("auth", "sso"))),
            ("auth.sso", None),
            ("pod.auth.sso.svc", None),
            ("auth.example.com", None),
        ] {
            assert_eq!(service_of(host), want, "{host}");
        }
    }
}
