//! Traefik's routes (`traefik.io/v1alpha1`): IngressRoute and what it shares with its siblings. Every field is here, so
//! that what is not carried can be told by name. What they mean is decided by the converter.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    field::{Unused, or_default},
    traefik::{IntOrString, MiddlewareRef},
};

/// An IngressRoute.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressRoute {
    /// What is asked for.
    #[serde(deserialize_with = "or_default")]
    pub spec: IngressRouteSpec,
}

/// `spec` of an IngressRoute.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressRouteSpec {
    /// Whose it is; an annotation says so where the field is absent.
    pub ingress_class_name: Option<Arc<str>>,
    /// Names of entry points; all of them where there is none.
    #[serde(deserialize_with = "or_default")]
    pub entry_points: Vec<Arc<str>>,
    /// Routes whose middlewares go before.
    #[serde(deserialize_with = "or_default")]
    pub parent_refs: Vec<Unused>,
    /// Rules.
    #[serde(deserialize_with = "or_default")]
    pub routes: Vec<Route>,
    /// Served over TLS alone, and how.
    pub tls: Option<RouteTls>,
}

/// One of `routes`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Route {
    /// `Rule`.
    #[serde(deserialize_with = "or_default")]
    pub kind: Arc<str>,
    /// In the rule language.
    #[serde(rename = "match", deserialize_with = "or_default")]
    pub rule: Arc<str>,
    /// 0 stands for the length of `match`.
    #[serde(deserialize_with = "or_default")]
    pub priority: i64,
    /// Version of the rule language.
    #[serde(deserialize_with = "or_default")]
    pub syntax: Arc<str>,
    /// Backends.
    #[serde(deserialize_with = "or_default")]
    pub services: Vec<ServiceRef>,
    /// Outermost first.
    #[serde(deserialize_with = "or_default")]
    pub middlewares: Vec<MiddlewareRef>,
    /// Not carried.
    pub observability: Option<Unused>,
}

/// A backend, and how it is reached.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceRef {
    /// Name.
    #[serde(deserialize_with = "or_default")]
    pub name: Arc<str>,
    /// `Service`, also where empty, or `TraefikService`.
    #[serde(deserialize_with = "or_default")]
    pub kind: Arc<str>,
    /// Namespace; the referring object's where absent.
    pub namespace: Option<Arc<str>>,
    /// Number or name.
    pub port: Option<IntOrString>,
    /// `http`, `https` or `h2c`.
    pub scheme: Option<Arc<str>>,
    /// How an endpoint is chosen.
    pub strategy: Option<Arc<str>>,
    /// Share.
    pub weight: Option<i64>,
    /// Whether the backend sees the client's Host.
    pub pass_host_header: Option<bool>,
    /// When parts of an answer are sent on.
    pub response_forwarding: Option<Unused>,
    /// How the backend is spoken to.
    pub servers_transport: Option<Arc<str>>,
    /// Clients keep their endpoint.
    pub sticky: Option<Sticky>,
    /// Not carried.
    #[serde(rename = "nativeLB")]
    pub native_lb: Option<bool>,
    /// Not carried.
    #[serde(rename = "nodePortLB")]
    pub node_port_lb: Option<bool>,
    /// Middlewares of this backend alone.
    #[serde(deserialize_with = "or_default")]
    pub middlewares: Vec<MiddlewareRef>,
    /// Not carried.
    pub health_check: Option<Unused>,
    /// Not carried.
    pub passive_health_check: Option<Unused>,
}

/// `sticky`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Sticky {
    /// By a cookie.
    pub cookie: Option<Cookie>,
}

/// `sticky.cookie`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Cookie {
    /// Name.
    pub name: Option<Arc<str>>,
    /// Secure.
    pub secure: Option<bool>,
    /// HttpOnly.
    pub http_only: Option<bool>,
    /// SameSite.
    pub same_site: Option<Arc<str>>,
    /// Max-Age in seconds.
    pub max_age: Option<i64>,
    /// Path.
    pub path: Option<Arc<str>>,
    /// Domain.
    pub domain: Option<Arc<str>>,
}

/// `tls` of a route.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RouteTls {
    /// Secret with the certificate, in the route's namespace.
    pub secret_name: Option<Arc<str>>,
    /// Whether the backend ends TLS; of connections alone.
    pub passthrough: Option<bool>,
    /// TLSOption: which clients are let in, and how.
    pub options: Option<TlsRef>,
    /// TLSStore.
    pub store: Option<TlsRef>,
    /// Who orders certificates.
    pub cert_resolver: Option<Arc<str>>,
    /// For which names.
    #[serde(deserialize_with = "or_default")]
    pub domains: Vec<Unused>,
}

/// A reference to a TLSOption or a TLSStore.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TlsRef {
    /// Name.
    #[serde(deserialize_with = "or_default")]
    pub name: Arc<str>,
    /// Namespace; the referring object's where absent.
    pub namespace: Option<Arc<str>>,
}

/// An IngressRouteTCP.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressRouteTcp {
    /// What is asked for.
    #[serde(deserialize_with = "or_default")]
    pub spec: IngressRouteTcpSpec,
}

/// `spec` of an IngressRouteTCP.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressRouteTcpSpec {
    /// Whose it is; an annotation says so where the field is absent.
    pub ingress_class_name: Option<Arc<str>>,
    /// Names of entry points; all of them where there is none.
    #[serde(deserialize_with = "or_default")]
    pub entry_points: Vec<Arc<str>>,
    /// Rules.
    #[serde(deserialize_with = "or_default")]
    pub routes: Vec<RouteTcp>,
    /// Connections are TLS, and where it ends.
    pub tls: Option<RouteTls>,
}

/// One of `routes`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RouteTcp {
    /// In the rule language.
    #[serde(rename = "match", deserialize_with = "or_default")]
    pub rule: Arc<str>,
    /// 0 stands for the length of `match`.
    #[serde(deserialize_with = "or_default")]
    pub priority: i64,
    /// Version of the rule language.
    #[serde(deserialize_with = "or_default")]
    pub syntax: Arc<str>,
    /// Backends.
    #[serde(deserialize_with = "or_default")]
    pub services: Vec<ServiceTcpRef>,
    /// MiddlewareTCPs, outermost first.
    #[serde(deserialize_with = "or_default")]
    pub middlewares: Vec<MiddlewareRef>,
}

/// A backend of connections.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceTcpRef {
    /// Name.
    #[serde(deserialize_with = "or_default")]
    pub name: Arc<str>,
    /// Namespace; the referring object's where absent.
    pub namespace: Option<Arc<str>>,
    /// Number or name.
    pub port: Option<IntOrString>,
    /// Share.
    pub weight: Option<i64>,
    /// Not carried: TLS towards the backend.
    pub tls: Option<bool>,
    /// Not carried: how the backend is spoken to.
    pub servers_transport: Option<Arc<str>>,
    /// Not carried: the backend is told the client's address.
    pub proxy_protocol: Option<Unused>,
    /// Not carried.
    pub termination_delay: Option<i64>,
    /// Not carried.
    #[serde(rename = "nativeLB")]
    pub native_lb: Option<bool>,
    /// Not carried.
    #[serde(rename = "nodePortLB")]
    pub node_port_lb: Option<bool>,
}
