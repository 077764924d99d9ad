//! ServersTransport → how backends are spoken to and judged. One that asks for what cannot be done closes the backends
//! that use it; it never falls back to less.

use std::{sync::Arc, time::Duration};

use rustls_pki_types::{CertificateDer, ServerName};

use super::reference;
use crate::{
    kubernetes::{
        convert::{Contribution, Settings, secret, slot},
        object::{
            Item,
            core::{ConfigMap, Secret},
            traefik::IntOrString,
            traefik_transport::{ForwardingTimeouts, RootCa, ServersTransport},
        },
        view::View,
    },
    model::{
        certificate::Certificate,
        cluster::{SubjectAltName, UpstreamTls, Verify},
        duration::parse_go,
    },
    report::{Finding, Severity},
};

/// What a ServersTransport asks for that is carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Transport {
    /// Where TLS is spoken: how. None: it says nothing of TLS.
    pub tls: Option<Arc<UpstreamTls>>,
    /// Whether HTTP/2 is not offered over TLS.
    pub http1: bool,
    /// How long a connection may take.
    pub connect_timeout: Option<Duration>,
}

/// What is wrong with a ServersTransport by itself; backends read the rest.
pub fn convert(item: &Item<ServersTransport>, view: &View<'_>) -> Contribution {
    Contribution { findings: read(item, view).1, ..Contribution::default() }
}

/// The ServersTransport `namespace/name`; otherwise why its backends are closed.
pub fn find(view: &View<'_>, namespace: &str, name: &str) -> Result<Transport, String> {
    let Some(item) = view.get::<ServersTransport>(namespace, name) else {
        return Err(format!("there is no ServersTransport {namespace}/{name}"));
    };
    match read(item, view) {
        (Some(transport), _) => Ok(transport),
        (None, findings) => {
            let worst = findings.iter().find(|finding| finding.severity == Severity::Refused);
            let why = worst.map_or_else(String::new, |finding| format!(": {}: {}", finding.field, finding.message));
            Err(format!("ServersTransport {namespace}/{name} cannot be honoured{why}"))
        }
    }
}

/// The one that an annotation of a Service in `own` names, as `namespace-name@kubernetescrd`.
pub fn annotated<'t>(
    view: &View<'_>,
    settings: &Settings,
    own: &'t str,
    text: &'t str,
) -> Result<(&'t str, &'t str), String> {
    let Some(joined) = text.strip_suffix(reference::PROVIDER) else {
        return Err(format!("{text:?} is not of the form namespace-name{}", reference::PROVIDER));
    };
    if !settings.allow_cross_namespace {
        let name = joined.strip_prefix(own).and_then(|rest| rest.strip_prefix('-'));
        return name.map(|name| (own, name)).ok_or_else(|| {
            format!("{text:?} leads out of namespace {own}, and references across namespaces are not allowed")
        });
    }
    let exists = |(namespace, name): &(&str, &str)| view.get::<ServersTransport>(namespace, name).is_some();
    let found: Vec<_> = reference::splits(joined).filter(exists).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(format!("there is no ServersTransport {joined:?}")),
        _ => Err(format!("{joined:?} may be any of several ServersTransports: rename all but one of them")),
    }
}

fn read(item: &Item<ServersTransport>, view: &View<'_>) -> (Option<Transport>, Vec<Finding>) {
    let mut reader = Reader { item, view, findings: Vec::new(), closed: false };
    reader.not_carried();
    let transport = Transport {
        tls: reader.tls().map(Arc::new),
        http1: item.body.spec.disable_http2 == Some(true),
        connect_timeout: reader.timeouts(),
    };
    ((!reader.closed).then_some(transport), reader.findings)
}

struct Reader<'a, 'v> {
    item: &'a Item<ServersTransport>,
    view: &'a View<'v>,
    findings: Vec<Finding>,
    /// Whether it must not be used.
    closed: bool,
}

impl Reader<'_, '_> {
    fn refuse(&mut self, field: &str, reason: &'static str, message: impl Into<String>) {
        self.closed = true;
        let message = format!("{}; its backends answer 503", message.into());
        self.findings.push(Finding::refused(format!("spec.{field}"), reason, message));
    }

    fn ignore(&mut self, field: &str, message: &str) {
        self.findings.push(Finding::ignored(format!("spec.{field}"), "NotCarried", message));
    }

    fn not_carried(&mut self) {
        let spec = &self.item.body.spec;
        for (field, stated) in [
            ("cipherSuites", !spec.cipher_suites.is_empty()),
            ("peerCertSANs", spec.peer_cert_sans.is_some()),
            ("spiffe", spec.spiffe.is_some()),
        ] {
            if stated {
                let message = "is not carried, and it decides how backends are verified";
                self.refuse(field, "NotCarried", message);
            }
        }
        if spec.max_idle_conns_per_host.is_some() {
            self.ignore("maxIdleConnsPerHost", "is not carried out: the installation caps idle connections");
        }
        self.version("minVersion", spec.min_version.as_deref());
        self.version("maxVersion", spec.max_version.as_deref());
    }

    /// TLS 1.2 and 1.3 are spoken, whichever the backend prefers.
    fn version(&mut self, field: &str, version: Option<&str>) {
        match (field, version.unwrap_or_default()) {
            (_, "") | ("minVersion", "VersionTLS12") | ("maxVersion", "VersionTLS13") => {}
            ("minVersion", "VersionTLS10" | "VersionTLS11") => {
                self.ignore(field, "is not carried out: TLS 1.2 is the least that is spoken");
            }
            ("maxVersion", "VersionTLS12") => self.ignore(field, "is not carried out: TLS 1.3 is spoken too"),
            (_, "VersionTLS10" | "VersionTLS11" | "VersionTLS13") => {
                let message = "is not carried: TLS 1.2 and 1.3 are spoken";
                self.refuse(field, "NotCarried", message);
            }
            (_, other) => {
                let message = format!("{other:?} is not VersionTLS10 to VersionTLS13");
                self.refuse(field, "InvalidValue", message);
            }
        }
    }

    fn timeouts(&mut self) -> Option<Duration> {
        let ForwardingTimeouts {
            dial_timeout,
            response_header_timeout,
            idle_conn_timeout,
            read_idle_timeout,
            ping_timeout,
        } = self.item.body.spec.forwarding_timeouts.as_ref()?;
        for (field, value) in [
            ("responseHeaderTimeout", response_header_timeout),
            ("idleConnTimeout", idle_conn_timeout),
            ("readIdleTimeout", read_idle_timeout),
            ("pingTimeout", ping_timeout),
        ] {
            if value.is_some() {
                let message = "is not carried out: the timeouts of the route and of the installation hold";
                self.ignore(&format!("forwardingTimeouts.{field}"), message);
            }
        }
        match duration(dial_timeout.as_ref()?) {
            Ok(Duration::ZERO) => {
                let message = "has no effect: connecting is never without a limit";
                self.ignore("forwardingTimeouts.dialTimeout", message);
                None
            }
            Ok(timeout) => Some(timeout),
            Err(problem) => {
                self.refuse("forwardingTimeouts.dialTimeout", "InvalidValue", problem);
                None
            }
        }
    }

    fn tls(&mut self) -> Option<UpstreamTls> {
        let spec = &self.item.body.spec;
        let server_name = spec.server_name.clone().filter(|name| !name.is_empty());
        if let Some(name) = server_name.as_ref().filter(|name| ServerName::try_from(&***name).is_err()) {
            self.refuse("serverName", "InvalidValue", format!("{name:?} is neither a DNS name nor an address"));
        }
        let skip = spec.insecure_skip_verify == Some(true);
        let uri = spec.peer_cert_uri.clone().filter(|uri| !uri.is_empty());
        if uri.is_some() && !skip {
            // The two checks together are more than what is carried; either alone would be less than what was asked for.
            let message = "beside a verified server name is not carried; its backends answer 503";
            self.closed = true;
            self.findings.push(
                Finding::refused("spec.peerCertURI", "NotCarried", message).remedy(
                    "set insecureSkipVerify too: the chain and the URI are verified then, the server name is not",
                ),
            );
        }
        if skip && uri.is_none() {
            let message = "lets anyone on the way answer for its backends";
            self.findings.push(Finding::warning("spec.insecureSkipVerify", "Insecure", message));
        }
        let authorities = self.authorities();
        let client_certificate = self.certificate();
        let said = server_name.is_some() || skip || uri.is_some();
        if !said && authorities.is_none() && client_certificate.is_none() {
            return None;
        }
        let verify = match authorities {
            _ if skip && uri.is_none() => Verify::Skip,
            Some(authorities) => Verify::Authorities(authorities.into()),
            None => Verify::WellKnown,
        };
        let subject_alt_names = uri.map(SubjectAltName::Uri).into_iter().collect();
        Some(UpstreamTls { server_name, verify, subject_alt_names, client_certificate })
    }

    /// Those that can be read, if any are named: fewer trust fewer backends, none at all trust none.
    fn authorities(&mut self) -> Option<Vec<CertificateDer<'static>>> {
        let spec = &self.item.body.spec;
        let (mut named, mut all) = (0, Vec::new());
        let older = spec.root_cas_secrets.iter().enumerate();
        let older = older.map(|(at, name)| (format!("rootCAsSecrets[{at}]"), self.authorities_of_secret(name)));
        let newer = spec.root_cas.iter().enumerate();
        let newer = newer.map(|(at, root)| (format!("rootCAs[{at}]"), self.authorities_of(root)));
        let found: Vec<_> = newer.chain(older).collect();
        for (field, result) in found {
            named += 1;
            match result {
                Ok(certificates) => all.extend(certificates.iter().cloned()),
                Err(problem) => {
                    let message = format!("{problem}; it vouches for no backend");
                    self.findings.push(Finding::refused(format!("spec.{field}"), "InvalidAuthority", message));
                }
            }
        }
        if named > 0 && all.is_empty() {
            self.refuse("rootCAs", "NoAuthority", "no authority can be read");
        }
        (named > 0).then_some(all)
    }

    fn authorities_of(&self, root: &RootCa) -> Result<Arc<[CertificateDer<'static>]>, String> {
        let given = |name: &Option<Arc<str>>| name.clone().filter(|name| !name.is_empty());
        match (given(&root.secret), given(&root.config_map)) {
            (Some(secret), _) => self.authorities_of_secret(&secret),
            (None, Some(map)) => {
                let namespace = &self.item.meta.namespace;
                let found = self.view.get::<ConfigMap>(namespace, &map);
                let item = found.ok_or_else(|| format!("there is no ConfigMap {namespace}/{map}"))?;
                authorities(|key| item.body.data.get(key).map(|bytes| &**bytes))
                    .map_err(|problem| format!("ConfigMap {namespace}/{map} {problem}"))
            }
            (None, None) => Err("names neither a Secret nor a ConfigMap".to_owned()),
        }
    }

    fn authorities_of_secret(&self, name: &str) -> Result<Arc<[CertificateDer<'static>]>, String> {
        let namespace = &self.item.meta.namespace;
        let found = self.view.get::<Secret>(namespace, name);
        let item = found.ok_or_else(|| format!("there is no Secret {namespace}/{name}"))?;
        authorities(|key| item.body.data.get(key).map(|bytes| &**bytes))
            .map_err(|problem| format!("Secret {namespace}/{name} {problem}"))
    }

    fn certificate(&mut self) -> Option<Arc<Certificate>> {
        let name = match self.item.body.spec.certificates_secrets.as_slice() {
            [] => return None,
            [name] => name,
            _ => {
                let message = "more than one certificate is not carried";
                self.refuse("certificatesSecrets", "NotCarried", message);
                return None;
            }
        };
        let id = slot::certificate(&self.item.meta.namespace, name);
        let problem = match self.view.get::<Secret>(&self.item.meta.namespace, name) {
            None => format!("there is no Secret {id}"),
            Some(item) => match secret::certificate_of(item) {
                Ok(certificate) => return Some(certificate.clone()),
                Err(problem) => format!("Secret {id}: {problem}"),
            },
        };
        self.refuse("certificatesSecrets[0]", "InvalidCertificate", problem);
        None
    }
}

/// From the first of the keys that Traefik looks for.
fn authorities<'d>(data: impl Fn(&str) -> Option<&'d [u8]>) -> Result<Arc<[CertificateDer<'static>]>, String> {
    let found = ["tls.ca", "ca.crt"].into_iter().find_map(|key| Some((key, data(key)?)));
    let (key, pem) = found.ok_or_else(|| "has neither the key tls.ca nor ca.crt".to_owned())?;
    secret::authorities(pem).map_err(|why| format!("{key} {why}"))
}

fn duration(value: &IntOrString) -> Result<Duration, String> {
    match value {
        IntOrString::Int(seconds) => {
            u64::try_from(*seconds).map(Duration::from_secs).map_err(|_| "must not be negative".to_owned())
        }
        IntOrString::Text(text) => parse_go(text).map_err(|problem| format!("{text:?} {problem}")),
    }
}
