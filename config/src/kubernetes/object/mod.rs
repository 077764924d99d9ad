//! Serde structs for every kind that is read, one file per API group and kind.
//!
//! Only fields that are used are declared, and each struct is what stays in memory: text is `Arc<str>`, what is
//! never read is not kept. A field that the API knows but Postern does not carry is declared too, so that the
//! converter can refuse it by name; a field that nobody knows is reported by the parser.

mod field;
mod meta;
mod record;

pub mod core;
pub mod discovery;
pub mod gateway;
pub mod metallb;
pub mod networking;
pub mod node;
pub mod selector;
pub mod service;
pub mod traefik;
pub mod traefik_route;
pub mod traefik_transport;

use std::sync::Arc;

pub use field::{Bytes, Unused};
pub use meta::{Meta, Uid};
pub use record::record;

/// An object of a known kind.
#[derive(Debug, PartialEq)]
pub struct Item<T> {
    /// `metadata`.
    pub meta: Meta,
    /// Everything else.
    pub body: T,
}

/// A kind's place in [`Object`].
pub trait Resource: Sized + 'static {
    /// The kind.
    const KIND: Kind;
    /// `object` as this kind, if it is.
    fn of(object: &Object) -> Option<&Arc<Item<Self>>>;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident($path:path): $group:literal [$($version:literal),+] $spelled:literal $scope:ident;)+) => {
        /// The kinds that are read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$doc])* $name,)+ }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The kind that a document names, if it is read. Any served version is taken.
            pub fn find(group: &str, version: &str, kind: &str) -> Option<Self> {
                match (group, kind) {
                    $(($group, $spelled) if [$($version),+].contains(&version) => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// API group; empty for the core group.
            pub fn group(self) -> &'static str {
                match self { $(Self::$name => $group,)+ }
            }

            /// Versions that are read, the preferred one first.
            pub fn versions(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($version),+],)+ }
            }

            /// The kind as documents spell it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $spelled,)+ }
            }

            /// The same as [`Kind::as_str`] for keeping: one text for all objects of the kind.
            pub fn shared(self) -> Arc<str> {
                static TEXTS: std::sync::LazyLock<Vec<Arc<str>>> =
                    std::sync::LazyLock::new(|| Kind::ALL.iter().map(|kind| kind.as_str().into()).collect());
                TEXTS.get(self as usize).cloned().unwrap_or_default()
            }

            /// Whether objects of it live in a namespace.
            pub fn is_namespaced(self) -> bool {
                match self { $(Self::$name => kinds!(@scope $scope),)+ }
            }
        }

        impl Kind {
            /// Whether such an object matters only where another refers to it by name, and of which there may be
            /// thousands that nobody refers to.
            pub fn is_by_reference(self) -> bool {
                matches!(self, Self::Secret | Self::ConfigMap)
            }

            /// Whether a request may match no rule because such objects are not known.
            pub fn is_routing(self) -> bool {
                matches!(
                    self,
                    Self::IngressClass
                        | Self::Ingress
                        | Self::GatewayClass
                        | Self::Gateway
                        | Self::HttpRoute
                        | Self::GrpcRoute
                        | Self::TlsRoute
                        | Self::IngressRoute
                        | Self::IngressRouteTcp
                )
            }
        }

        /// An object of one of the kinds that are read.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Object { $($(#[$doc])* $name(Arc<Item<$path>>),)+ }

        impl Object {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self { $(Self::$name(_) => Kind::$name,)+ }
            }

            /// Its metadata.
            pub fn meta(&self) -> &Meta {
                match self { $(Self::$name(item) => &item.meta,)+ }
            }

            /// Reads `body` (the document without `apiVersion`, `kind` and `metadata`, and of `status` only [`record()`]) as
            /// `kind`.
            pub fn deserialize<'de, D: serde::Deserializer<'de>>(kind: Kind, meta: Meta, body: D) -> Result<Self, D::Error> {
                use serde::Deserialize as _;
                Ok(match kind {
                    $(Kind::$name => Self::$name(Arc::new(Item { meta, body: <$path>::deserialize(body)? })),)+
                })
            }
        }

        $(impl Resource for $path {
            const KIND: Kind = Kind::$name;
            fn of(object: &Object) -> Option<&Arc<Item<Self>>> {
                match object { Object::$name(item) => Some(item), _ => None }
            }
        })+
    };
    (@scope namespaced) => { true };
    (@scope cluster) => { false };
}

kinds! {
    /// Labels that listeners select routes by.
    Namespace(core::Namespace): "" ["v1"] "Namespace" cluster;
    /// Ports and protocol of a backend.
    Service(service::Service): "" ["v1"] "Service" namespaced;
    /// Certificates and credentials.
    Secret(core::Secret): "" ["v1"] "Secret" namespaced;
    /// Authorities.
    ConfigMap(core::ConfigMap): "" ["v1"] "ConfigMap" namespaced;
    /// Endpoints of a Service.
    EndpointSlice(discovery::EndpointSlice): "discovery.k8s.io" ["v1"] "EndpointSlice" namespaced;
    /// Whose an Ingress is.
    IngressClass(networking::IngressClass): "networking.k8s.io" ["v1"] "IngressClass" cluster;
    /// Routes by host and path.
    Ingress(networking::Ingress): "networking.k8s.io" ["v1"] "Ingress" namespaced;
    /// Whose a Gateway is.
    GatewayClass(gateway::GatewayClass): "gateway.networking.k8s.io" ["v1", "v1beta1"] "GatewayClass" cluster;
    /// Listeners.
    Gateway(gateway::Gateway): "gateway.networking.k8s.io" ["v1", "v1beta1"] "Gateway" namespaced;
    /// Consent to references from other namespaces.
    ReferenceGrant(gateway::ReferenceGrant): "gateway.networking.k8s.io" ["v1", "v1beta1"] "ReferenceGrant" namespaced;
    /// HTTP routes.
    HttpRoute(gateway::HttpRoute): "gateway.networking.k8s.io" ["v1", "v1beta1"] "HTTPRoute" namespaced;
    /// gRPC routes.
    GrpcRoute(gateway::GrpcRoute): "gateway.networking.k8s.io" ["v1", "v1alpha2"] "GRPCRoute" namespaced;
    /// TLS routes.
    TlsRoute(gateway::TlsRoute): "gateway.networking.k8s.io" ["v1", "v1alpha3", "v1alpha2"] "TLSRoute" namespaced;
    /// TLS towards backends.
    BackendTlsPolicy(gateway::BackendTlsPolicy): "gateway.networking.k8s.io" ["v1", "v1alpha3"] "BackendTLSPolicy" namespaced;
    /// Traefik's routes by rule.
    IngressRoute(traefik_route::IngressRoute): "traefik.io" ["v1alpha1"] "IngressRoute" namespaced;
    /// Traefik's routes of connections.
    IngressRouteTcp(traefik_route::IngressRouteTcp): "traefik.io" ["v1alpha1"] "IngressRouteTCP" namespaced;
    /// How Traefik speaks to backends of requests.
    ServersTransport(traefik_transport::ServersTransport): "traefik.io" ["v1alpha1"] "ServersTransport" namespaced;
    /// A middleware of Traefik's.
    Middleware(traefik::Middleware): "traefik.io" ["v1alpha1"] "Middleware" namespaced;
    /// A middleware of Traefik's for TCP connections.
    MiddlewareTcp(traefik::MiddlewareTcp): "traefik.io" ["v1alpha1"] "MiddlewareTCP" namespaced;
    /// Labels by which addresses are announced, and whether the network is there.
    Node(node::Node): "" ["v1"] "Node" cluster;
    /// Addresses to give out.
    IpAddressPool(metallb::IpAddressPool): "metallb.io" ["v1beta1"] "IPAddressPool" namespaced;
    /// Who announces the addresses of a pool, and where.
    L2Advertisement(metallb::L2Advertisement): "metallb.io" ["v1beta1"] "L2Advertisement" namespaced;
}
