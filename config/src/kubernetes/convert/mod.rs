//! One object → what it contributes to the tables. Pure: an object, a [`View`] of the others and [`Settings`] in,
//! a [`Contribution`] out. Nothing here fails; what is wrong becomes a finding, and closes no more than itself.

pub mod annotation;
pub mod backend_tls;
mod dispatch;
pub mod exposure;
mod gateway;
pub mod ingress;
pub mod middleware;
mod namespace;
pub mod secret;
mod selector;
pub mod service;
pub mod traefik;

pub(super) use gateway::{Facts, facts, gateway_of, reason};

pub use dispatch::{certificate, certificate_object, cluster, match_field, middleware, object, own_names};

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use self::exposure::{AddressSettings, Exposed, Keeper};
use super::view::View;
use crate::{
    allocation::Pool,
    model::{
        certificate::Certificate,
        host::HostPattern,
        id::{CertificateId, ClusterId, MiddlewareId, ObjectId},
        route::Rule,
    },
    report::Finding,
    snapshot::{OwnerId, Place, SniAction, SocketKey, Transport},
};

/// What the operator decided, beside the objects. [`Settings::for_files`] is where to start from.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Sockets that exist whatever the objects say, and that Ingress-like objects are served on.
    pub entry_points: Vec<EntryPoint>,
    /// IngressClass controllers that are ours.
    pub ingress_controllers: Vec<Arc<str>>,
    /// GatewayClass controllers that are ours.
    pub gateway_controllers: Vec<Arc<str>>,
    /// Whether an Ingress without any class is ours.
    pub serve_classless_ingress: bool,
    /// Whether EndpointSlices may hold loopback addresses: yes where the operator wrote them into files on this host,
    /// no where tenants write them (the API server refuses them too).
    pub allow_loopback_endpoints: bool,
    /// Whether backends may point at names outside the cluster (Traefik's `allowExternalNameServices`).
    pub allow_external_names: bool,
    /// Whether Traefik's own kinds (a chain) may refer to middlewares of other namespaces (its `allowCrossNamespace`);
    /// annotations of an Ingress may in any case.
    pub allow_cross_namespace: bool,
    /// Who gives Services their addresses, and to which.
    pub addresses: AddressSettings,
    /// The time at which certificates are judged. Converters ask [`View::now`] instead, so that they are asked again.
    pub now: Timestamp,
}

impl Settings {
    /// What holds for `--manifests` unless said otherwise: the entry points of Traefik's chart, our own classes and
    /// those of the ingress controllers that are replaced, and Traefik's rules for everything else.
    pub fn for_files(now: Timestamp) -> Self {
        let entry_point = |name: &str, port, transport| EntryPoint {
            name: name.into(),
            socket: SocketKey { address: None, port },
            transport,
            ingress_classes: Vec::new(),
        };
        Self {
            entry_points: vec![entry_point("web", 80, Transport::Plain), entry_point("websecure", 443, Transport::Tls)],
            ingress_controllers: ["postern.dev/ingress", "traefik.io/ingress-controller", "k8s.io/ingress-nginx"]
                .map(Into::into)
                .into(),
            gateway_controllers: [
                "postern.dev/gateway",
                "traefik.io/gateway-controller",
                "kgateway.dev/kgateway",
                "gateway.envoyproxy.io/gatewayclass-controller",
            ]
            .map(Into::into)
            .into(),
            serve_classless_ingress: true,
            allow_loopback_endpoints: true,
            allow_external_names: false,
            allow_cross_namespace: false,
            addresses: AddressSettings {
                keeper: Keeper::Nobody,
                class: None,
                ignore_excluded: false,
                map: Arc::default(),
            },
            now,
        }
    }
}

/// A socket with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPoint {
    /// Traefik's names are kept: `web`, `websecure`.
    pub name: Arc<str>,
    /// Which socket.
    pub socket: SocketKey,
    /// What is spoken first.
    pub transport: Transport,
    /// The IngressClasses whose Ingresses are served here and nowhere else. Empty: those that no entry point names.
    pub ingress_classes: Vec<Arc<str>>,
}

impl EntryPoint {
    /// Those of `all` where an Ingress of `class` may be served: a class that is bound to some is kept off the others,
    /// which may be seen by other people.
    pub fn of_class<'a>(all: &'a [Self], class: Option<&str>) -> Vec<&'a Self> {
        let names = |entry: &&Self| entry.ingress_classes.iter().any(|name| Some(&**name) == class);
        let own: Vec<_> = all.iter().filter(names).collect();
        if own.is_empty() { all.iter().filter(|entry| entry.ingress_classes.is_empty()).collect() } else { own }
    }
}

/// What one object asks for. All fields are sorted by the order in which the object states them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contribution {
    /// Sockets that must exist.
    pub sockets: Vec<SocketClaim>,
    /// Rules and where they are filed.
    pub rules: Vec<(Place, Arc<Rule>)>,
    /// What happens to TLS connections by SNI.
    pub sni: Vec<SniClaim>,
    /// Cluster slots referred to.
    pub clusters: Vec<ClusterId>,
    /// Certificate slots referred to.
    pub certificates: Vec<CertificateId>,
    /// Certificates that, beside what `sni` says, answer for their own names on every TLS entry point, as in
    /// Traefik's one store for all. Each must be in `certificates` too.
    pub own_names: Vec<CertificateId>,
    /// Middleware slots referred to.
    pub middlewares: Vec<MiddlewareId>,
    /// A pool of addresses.
    pub pool: Option<Arc<Pool>>,
    /// Addresses that it wants, and who may announce them.
    pub exposed: Option<Arc<Exposed>>,
    /// Findings about the object itself.
    pub findings: Vec<Finding>,
    /// Objects that this one attached to, with the part of each (a Gateway and its listener, a Service and the Gateway
    /// that leads to it): counted in reports.
    pub attached: Vec<OwnerId>,
}

/// A socket that an object asks for. Two claims on one socket with different transports: the older object wins.
#[derive(Clone, Debug, PartialEq)]
pub struct SocketClaim {
    /// Which socket.
    pub socket: SocketKey,
    /// What is spoken first.
    pub transport: Transport,
    /// Who asks.
    pub owner: OwnerId,
    /// Since when: the older claim wins.
    pub created: Option<Timestamp>,
    /// Where the object asks, for findings.
    pub field: Arc<str>,
}

/// An SNI entry that an object asks for. Several on one pattern: the higher rank wins, then the more specific
/// `asked`, then the older, then the name. Certificates of losing Ingresses in the winner's
/// namespace (in any, where nobody named the host) stand in while the winner's own is not valid.
#[derive(Clone, Debug, PartialEq)]
pub struct SniClaim {
    /// Which socket.
    pub socket: SocketKey,
    /// Which names.
    pub pattern: HostPattern,
    /// The names that the object itself wrote, of which `pattern` may be a part (a route's hostname on a listener of
    /// a narrower one): Gateway API 1.7, GatewayRouteHostnameIntersectionPrecedence. Otherwise equal to `pattern`.
    pub asked: HostPattern,
    /// How explicitly: a name in the object beats a name that is merely in its certificate.
    pub rank: SniRank,
    /// Whom the entry is named after. Connections may be shared by hosts of one owner and of no other, so an Ingress
    /// names its Secret here. Who loses a conflict is told as the object whose contribution this is.
    pub owner: OwnerId,
    /// Since when.
    pub created: Option<Timestamp>,
    /// What happens.
    pub action: SniAction,
    /// The certificate whose own name it is, in claims of rank [`SniRank::FromCertificate`]: copies of one
    /// certificate do not compete.
    pub certificate: Option<Arc<Certificate>>,
    /// Where the object asks, for findings.
    pub field: Arc<str>,
}

/// How explicitly an SNI pattern was asked for, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SniRank {
    /// The object takes connections of the name, whatever certificates there are for it: by priority, as in Traefik,
    /// whose routes of connections go before those of requests.
    Stream(std::cmp::Reverse<i64>),
    /// The object names the host.
    Named,
    /// The host is a name of the object's certificate.
    FromCertificate,
    /// A listener has the host but says nothing of what happens: connections are closed rather than served by a
    /// wider listener.
    Reserved,
    /// Nobody asked: the entry point answers with the default certificate.
    EntryPoint,
}

/// How a slot's id spells what it is made from. Ids are text so that they can be shown; parsing stays here.
pub mod slot {
    use std::borrow::Cow;

    use super::{BTreeMap, CertificateId, ClusterId, MiddlewareId};

    /// The certificate in Secret `namespace/name`.
    pub fn certificate(namespace: &str, name: &str) -> CertificateId {
        CertificateId::new(format!("{namespace}/{name}"))
    }

    /// Middleware object `namespace/name`.
    pub fn middleware(namespace: &str, name: &str) -> MiddlewareId {
        MiddlewareId::new(format!("{namespace}/{name}"))
    }

    const TCP: &str = "tcp:";

    /// MiddlewareTCP object `namespace/name`. No namespace has a colon in it.
    pub fn tcp_middleware(namespace: &str, name: &str) -> MiddlewareId {
        MiddlewareId::new(format!("{TCP}{namespace}/{name}"))
    }

    /// Namespace and name of a MiddlewareTCP's slot.
    pub fn split_tcp(id: &MiddlewareId) -> Option<(&str, &str)> {
        split(id.as_str().strip_prefix(TCP)?)
    }

    /// Variant: the Secret (`namespace/name`) whose certificate is presented where the port is spoken to over TLS.
    pub const CLIENT_CERTIFICATE: &str = "client-certificate";
    /// Value of [`CLIENT_CERTIFICATE`] where the one that was asked for may not be used: TLS is refused then.
    pub const NO_CERTIFICATE: &str = "refused";

    /// Port `port` (a number, or a name) of Service `namespace/name`. `variant` sets apart users of one port that
    /// must be reached differently, as `key=value` pairs; usually empty. [`CLIENT_CERTIFICATE`]
    /// is what a Gateway presents; `protocol` is `h2c` for gRPC, `tcp` for bytes that a BackendTLSPolicy may wrap
    /// in TLS, `tls` for bytes that are TLS already.
    pub fn cluster(namespace: &str, name: &str, port: &str, variant: &BTreeMap<&str, String>) -> ClusterId {
        let mut text = format!("{}/{}:{}", plain(namespace), plain(name), plain(port));
        for (key, value) in variant {
            text.push_str(&format!(";{key}={}", value.replace(';', "%3B")));
        }
        ClusterId::new(text)
    }

    /// Names are not judged where they are referred to. One with marks that an id is read by could say more than a
    /// name; with the marks replaced it names nothing that exists.
    fn plain(name: &str) -> Cow<'_, str> {
        let is_mark = |c: char| matches!(c, '/' | ':' | ';' | '=');
        if name.contains(is_mark) { name.replace(is_mark, "%").into() } else { name.into() }
    }

    /// What a cluster's id says.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ClusterRef<'a> {
        /// Namespace of the Service.
        pub namespace: &'a str,
        /// Name of the Service.
        pub name: &'a str,
        /// A number, or a name.
        pub port: &'a str,
        /// What sets it apart from other users of the port.
        pub variant: BTreeMap<&'a str, &'a str>,
    }

    /// Reads a cluster's id back.
    pub fn parse_cluster(id: &ClusterId) -> Option<ClusterRef<'_>> {
        let mut parts = id.as_str().split(';');
        let (service, port) = parts.next()?.rsplit_once(':')?;
        let (namespace, name) = service.split_once('/')?;
        let variant = parts.map(|part| part.split_once('=')).collect::<Option<_>>()?;
        Some(ClusterRef { namespace, name, port, variant })
    }

    /// `namespace/name` of a certificate or middleware slot.
    pub fn split(id: &str) -> Option<(&str, &str)> {
        id.split_once('/')
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn no_name_says_more_than_a_name() {
            let variant = BTreeMap::from([("protocol", "h2c".to_owned())]);
            for [namespace, name, port] in [
                ["ns", "web", "80"],
                ["ns", "web:443;protocol=tls;x=", "80"],
                ["ns", "web", "443;protocol=tls"],
                ["ns", "other/web", "80"],
                ["other/web:80;x=", "web", "80"],
            ] {
                let id = cluster(namespace, name, port, &variant);
                let read = parse_cluster(&id).expect("an id that was made here");
                assert_eq!(read.variant, BTreeMap::from([("protocol", "h2c")]), "{id}");
                let is_plain = [namespace, name, port].iter().all(|part| !part.contains(['/', ':', ';', '=']));
                let same = [read.namespace, read.name, read.port] == [namespace, name, port];
                assert_eq!(same, is_plain, "{id} names what was referred to, or nothing");
            }
        }
    }
}

/// What became of a slot, with what it refers to (clusters of a middleware) and what is to be said of its object.
#[derive(Clone, Debug, PartialEq)]
pub struct Filled<T> {
    /// The content.
    pub slot: T,
    /// Cluster slots that it refers to.
    pub clusters: Vec<ClusterId>,
    /// Middleware slots that it refers to (a chain). One that leads back to itself is refused and refers to none:
    /// slots live while somebody refers to them, and must not keep themselves alive.
    pub middlewares: Vec<MiddlewareId>,
    /// Findings, each about the object that it is filed by.
    pub findings: Vec<(ObjectId, Finding)>,
}

impl<T> Filled<T> {
    /// A slot that refers to nothing and of which there is nothing to say.
    pub fn new(slot: T) -> Self {
        Self { slot, clusters: Vec::new(), middlewares: Vec::new(), findings: Vec::new() }
    }
}

/// What a converter of one kind is: the object's own [`ObjectId`] is `Key::id` of it.
pub type Convert<T> = fn(&super::object::Item<T>, &View<'_>, &Settings) -> Contribution;

/// The id of `item` as any crate may show it.
pub fn object_id<T: super::object::Resource>(item: &super::object::Item<T>) -> ObjectId {
    ObjectId { kind: T::KIND.shared(), namespace: item.meta.namespace.clone(), name: item.meta.name.clone() }
}
