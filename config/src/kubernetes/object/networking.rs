//! The networking group: IngressClass, Ingress.

use std::sync::Arc;

use serde::Deserialize;

use super::field::{Unused, or_default};

/// Whose an Ingress is.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressClass {
    /// What is asked for.
    #[serde(deserialize_with = "or_default")]
    pub spec: IngressClassSpec,
}

/// `spec` of an IngressClass.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressClassSpec {
    /// Who serves Ingresses of the class, for example `postern.dev/ingress`.
    #[serde(deserialize_with = "or_default")]
    pub controller: Arc<str>,
    /// Reference to parameters; Postern has none.
    pub parameters: Option<Unused>,
}

/// Routes by host and path.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Ingress {
    /// What is asked for.
    #[serde(deserialize_with = "or_default")]
    pub spec: IngressSpec,
}

/// `spec` of an Ingress.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressSpec {
    /// The class.
    pub ingress_class_name: Option<Arc<str>>,
    /// Where requests go that no rule is for.
    pub default_backend: Option<IngressBackend>,
    /// Certificates.
    #[serde(deserialize_with = "or_default")]
    pub tls: Vec<IngressTls>,
    /// Rules.
    #[serde(deserialize_with = "or_default")]
    pub rules: Vec<IngressRule>,
}

/// A certificate and the hosts that it is for.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressTls {
    /// Hosts; none: the certificate's own names.
    #[serde(deserialize_with = "or_default")]
    pub hosts: Vec<Arc<str>>,
    /// Secret in the namespace of the Ingress; none: the default certificate.
    pub secret_name: Option<Arc<str>>,
}

/// The paths of one host.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressRule {
    /// The host, `*.example.com` for one label more, or empty for all.
    #[serde(deserialize_with = "or_default")]
    pub host: Arc<str>,
    /// Paths; absent: everything goes to the default backend.
    pub http: Option<HttpPaths>,
}

/// `http` of a rule.
#[derive(Debug, PartialEq, Deserialize)]
pub struct HttpPaths {
    /// Paths.
    pub paths: Vec<HttpPath>,
}

/// A path and where it leads.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpPath {
    /// The path; empty counts as `/`.
    #[serde(default, deserialize_with = "or_default")]
    pub path: Arc<str>,
    /// How it is compared.
    pub path_type: PathType,
    /// Where it leads.
    pub backend: IngressBackend,
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum PathType {
    /// As a whole.
    Exact,
    /// Element by element.
    Prefix,
    /// As the controller likes.
    ImplementationSpecific,
}

/// Where requests go: one of the two.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressBackend {
    /// A Service in the namespace of the Ingress.
    pub service: Option<ServiceBackend>,
    /// Another object; Postern knows none.
    pub resource: Option<ResourceBackend>,
}

/// A Service and its port.
#[derive(Debug, PartialEq, Deserialize)]
pub struct ServiceBackend {
    /// Name.
    pub name: Arc<str>,
    /// Port, by name or number.
    #[serde(default, deserialize_with = "or_default")]
    pub port: ServiceBackendPort,
}

/// A port, by name or number: one of the two.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ServiceBackendPort {
    /// Name.
    pub name: Option<Arc<str>>,
    /// Number.
    pub number: Option<u16>,
}

/// A reference to any object.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceBackend {
    /// API group; absent is the core group.
    #[serde(default)]
    pub api_group: Option<Arc<str>>,
    /// Kind.
    pub kind: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}
