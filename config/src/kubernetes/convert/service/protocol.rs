//! What is spoken to a Service's port: its `appProtocol`, unless Traefik's `serversscheme` says otherwise.

use std::{collections::BTreeMap, sync::Arc};

use super::port::Found;
use crate::{
    kubernetes::object::service::Service,
    model::cluster::{Protocol, UpstreamTls, Verify},
    report::Finding,
};

/// What is spoken, and under what.
#[derive(Clone, Debug)]
pub(super) struct Spoken {
    pub(super) protocol: Protocol,
    pub(super) tls: Option<Arc<UpstreamTls>>,
}

impl Spoken {
    /// Whether requests, and not bytes, are sent.
    pub(super) fn is_http(&self) -> bool {
        self.protocol != Protocol::Tcp
    }
}

/// The schemes that users may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
    H2c,
    /// Bytes.
    Tcp,
    /// Bytes that are TLS already: of variants alone.
    Tls,
}

impl Scheme {
    /// By the name that Traefik's annotation and slot variants use.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "http" => Self::Http,
            "https" => Self::Https,
            "h2c" => Self::H2c,
            "tcp" => Self::Tcp,
            "tls" => Self::Tls,
            _ => return None,
        })
    }

    /// By `appProtocol`: Kubernetes' own names, IANA's, and those in use with service meshes.
    fn of_app_protocol(text: &str) -> Option<Self> {
        Some(match text {
            "http" | "ws" | "kubernetes.io/ws" => Self::Http,
            "https" | "wss" | "kubernetes.io/wss" => Self::Https,
            "h2c" | "grpc" | "http2" | "kubernetes.io/h2c" => Self::H2c,
            "tcp" => Self::Tcp,
            _ => return None,
        })
    }

    fn spoken(self) -> Spoken {
        let protocol = match self {
            Self::Http | Self::Https => Protocol::Http,
            Self::H2c => Protocol::Http2,
            Self::Tcp | Self::Tls => Protocol::Tcp,
        };
        let verified = || UpstreamTls {
            server_name: None,
            verify: Verify::WellKnown,
            subject_alt_names: Vec::new(),
            client_certificate: None,
        };
        Spoken { protocol, tls: (self == Self::Https).then(|| Arc::new(verified())) }
    }
}

/// What is spoken to `port`. The variant `protocol` is how the user of the slot wants to speak where the Service does
/// not say; `tcp` and `tls` there always win, since they come from a route that has no requests, and `h2c` wins over
/// plain HTTP, since it comes from a route that has gRPC alone.
pub(super) fn choose(
    port: &Found<'_>,
    annotated: Option<Scheme>,
    variant: &BTreeMap<&str, &str>,
) -> Result<Spoken, String> {
    let asked = match variant.get("protocol") {
        Some(text) => Some(Scheme::parse(text).ok_or_else(|| format!("protocol {text} is not known"))?),
        None => None,
    };
    if let Some(bytes @ (Scheme::Tcp | Scheme::Tls)) = asked {
        return Ok(bytes.spoken());
    }
    let said = port.app_protocol.and_then(Scheme::of_app_protocol).filter(|scheme| *scheme != Scheme::Tcp);
    let said = said.filter(|scheme| (*scheme, asked) != (Scheme::Http, Some(Scheme::H2c)));
    Ok(annotated.or(said).or(asked).unwrap_or(Scheme::Http).spoken())
}

/// Findings for each `appProtocol` that says nothing to us.
pub(super) fn unknown(service: &Service) -> Vec<Finding> {
    let ports = service.spec.ports.iter().enumerate();
    let unknown = ports.filter_map(|(at, port)| {
        let text = port.app_protocol.as_deref().filter(|text| Scheme::of_app_protocol(text).is_none())?;
        // Names of protocols that are no HTTP are right for ports that no route refers to: nothing is ignored there.
        let message = format!("{text:?} is not known here: routes to this port speak HTTP/1.1 to it");
        Some(Finding::note(format!("spec.ports[{at}].appProtocol"), "UnknownAppProtocol", message))
    });
    unknown.collect()
}
