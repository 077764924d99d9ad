//! `forwardAuth`.

use std::{collections::BTreeMap, sync::Arc};

use http::{Uri, uri::Scheme};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{Result, Site};
use crate::{
    kubernetes::{
        convert::{
            self,
            service::{self, PortProblem},
            slot,
        },
        object::{Item, core::Secret, traefik},
    },
    model::{
        certificate::{Certificate, CertificateSlot},
        cluster::{UpstreamTls, Verify},
        id::ClusterId,
        middleware::{
            Spec,
            forward_auth::{BodyPolicy, DEFAULT_MAX_RESPONSE_BODY, ForwardAuth, TrustForwarded},
        },
    },
};

pub(super) fn convert(site: &mut Site<'_, '_>, options: &traefik::ForwardAuth) -> Result<Spec> {
    let expression = options.auth_response_headers_regex.as_deref().filter(|text| !text.is_empty());
    let user_header = options.header_field.as_deref().filter(|name| !name.is_empty());
    let signin_url = options.auth_signin_url.as_deref().filter(|url| !url.is_empty());
    Ok(Spec::ForwardAuth(Box::new(ForwardAuth {
        address: address(site, options)?,
        tls: options.tls.as_ref().map(|tls| client_tls(site, tls)).transpose()?,
        trust: match options.trust_forward_header {
            None => TrustForwarded::Unset,
            Some(false) => TrustForwarded::No,
            Some(true) => TrustForwarded::Yes,
        },
        request_headers: site.header_names("authRequestHeaders", &options.auth_request_headers)?,
        response_headers: site.header_names("authResponseHeaders", &options.auth_response_headers)?,
        response_headers_regex: expression.map(|text| site.expression("authResponseHeadersRegex", text)).transpose()?,
        cookies: options.add_auth_cookies_to_response.clone(),
        user_header: user_header.map(|name| site.header_name("headerField", name)).transpose()?,
        body: body_policy(site, options),
        max_response_body: max_response_body(site, options)?,
        preserve_location: options.preserve_location_header.unwrap_or(false),
        preserve_method: options.preserve_request_method.unwrap_or(false),
        signin_url: signin_url.map(|url| site.header_value("authSigninURL", url)).transpose()?,
    })))
}

/// A Service that the address names must be at hand: without it nobody is let in.
fn existing(site: &Site<'_, '_>, address: &Uri) -> Result<()> {
    let Some(id) = cluster(address) else { return Ok(()) };
    let Some(at) = slot::parse_cluster(&id) else { return Ok(()) };
    service::find(site.view, at.namespace, at.name, at.port).map(|_| ()).map_err(|problem| {
        let message = match problem {
            PortProblem::NoService(_) => format!("leads nowhere: {problem}"),
            _ => format!("leads nowhere: Service {}/{}: {problem}", at.namespace, at.name),
        };
        let finding = site.refuse("address", "BackendNotFound", message);
        finding
            .remedy(
                "add the Service, or correct the address; until then the routes that use this middleware are closed",
            )
            .into()
    })
}

/// The cluster slot of `http://name.namespace.svc[.cluster.local][:port]`.
pub(super) fn cluster(address: &Uri) -> Option<ClusterId> {
    if address.scheme() != Some(&Scheme::HTTP) {
        return None;
    }
    let host = address.host()?.trim_end_matches('.');
    let (name, namespace) =
        host.strip_suffix(".cluster.local").unwrap_or(host).strip_suffix(".svc")?.split_once('.')?;
    let port = address.port_u16().unwrap_or(80).to_string();
    (!namespace.contains('.')).then(|| slot::cluster(namespace, name, &port, &BTreeMap::new()))
}

fn address(site: &Site<'_, '_>, options: &traefik::ForwardAuth) -> Result<Uri> {
    let text = site.required("address", &options.address)?;
    let wrong = |message: &str| site.refuse("address", "InvalidValue", message);
    let uri: Uri = text.parse().map_err(|_| wrong("is no URL"))?;
    let known = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
    match uri.authority() {
        Some(authority) if known && !authority.host().is_empty() => {
            // The text itself stays out of messages from here on: it may hold a password.
            if authority.as_str().contains('@') {
                return Err(wrong("holds credentials, which are not carried"));
            }
            existing(site, &uri)?;
            Ok(uri)
        }
        _ => Err(wrong("must be an absolute URL that begins with http:// or https://")),
    }
}

fn body_policy(site: &mut Site<'_, '_>, options: &traefik::ForwardAuth) -> BodyPolicy {
    if !options.forward_body.unwrap_or(false) {
        return BodyPolicy::Withhold;
    }
    // -1 and other negative numbers are no limit, as in Traefik.
    let max = options.max_body_size.and_then(|size| u64::try_from(size).ok());
    if max.is_none() {
        site.warn("maxBodySize", "Unlimited", "sets no limit, and bodies that the auth server sees are kept in memory");
    }
    BodyPolicy::Forward { max }
}

fn max_response_body(site: &mut Site<'_, '_>, options: &traefik::ForwardAuth) -> Result<u64> {
    match options.max_response_body_size {
        None => Ok(DEFAULT_MAX_RESPONSE_BODY),
        Some(-1) => {
            site.warn("maxResponseBodySize", "Unlimited", "sets no limit, and auth answers are kept in memory");
            Ok(u64::MAX)
        }
        Some(size) => u64::try_from(size)
            .map_err(|_| site.refuse("maxResponseBodySize", "InvalidValue", "must be -1 or not negative")),
    }
}

fn client_tls(site: &mut Site<'_, '_>, options: &traefik::ClientTls) -> Result<Arc<UpstreamTls>> {
    if options.ca_optional.is_some() {
        site.ignore("tls.caOptional", "has no effect");
    }
    let authorities = options.ca_secret.as_deref().filter(|name| !name.is_empty());
    let authorities = authorities.map(|name| authorities_of(site, name)).transpose()?;
    let skip = options.insecure_skip_verify.unwrap_or(false);
    if skip {
        site.warn("tls.insecureSkipVerify", "Insecure", "lets anyone on the way answer for the auth server");
    }
    let verify = match authorities {
        _ if skip => Verify::Skip,
        Some(authorities) => Verify::Authorities(authorities.into()),
        None => Verify::WellKnown,
    };
    let certificate = options.cert_secret.as_deref().filter(|name| !name.is_empty());
    let client_certificate = certificate.map(|name| certificate_of(site, name)).transpose()?;
    Ok(Arc::new(UpstreamTls { server_name: None, verify, subject_alt_names: Vec::new(), client_certificate }))
}

/// Key `tls.ca`, else `ca.crt`, else the only key.
fn authorities_of(site: &Site<'_, '_>, name: &str) -> Result<Vec<CertificateDer<'static>>> {
    let secret = site.secret("tls.caSecret", name)?;
    let wrong = |message: &str| {
        site.refuse(
            "tls.caSecret",
            "InvalidSecret",
            format!("names Secret {}/{name}, which {message}", site.namespace()),
        )
    };
    let pem = authority_bytes(secret).ok_or_else(|| wrong("has neither the key tls.ca nor ca.crt"))?;
    let parsed: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(authorities) if !authorities.is_empty() => Ok(authorities),
        _ => Err(wrong("holds no certificates in PEM form")),
    }
}

fn authority_bytes(secret: &Item<Secret>) -> Option<&[u8]> {
    let data = &secret.body.data;
    let only = || data.values().next().filter(|_| data.len() == 1);
    data.get("tls.ca").or_else(|| data.get("ca.crt")).or_else(only).map(|bytes| &**bytes)
}

fn certificate_of(site: &Site<'_, '_>, name: &str) -> Result<Arc<Certificate>> {
    site.secret("tls.certSecret", name)?;
    let id = slot::certificate(site.namespace(), name);
    match convert::certificate(&id, site.view).slot {
        CertificateSlot::Ready(certificate) => Ok(certificate),
        CertificateSlot::Refused { reason } => {
            Err(site.refuse("tls.certSecret", "InvalidSecret", format!("names an unusable Secret: {reason}")))
        }
    }
}
