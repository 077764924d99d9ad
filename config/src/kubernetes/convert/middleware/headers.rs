//! `headers`.

use std::{collections::BTreeMap, sync::Arc};

use http::{HeaderName, HeaderValue, header};

use super::{Result, Site};
use crate::{
    kubernetes::object::traefik,
    model::middleware::{
        Spec,
        headers::{Allowed, Cors, Headers},
    },
};

pub(super) fn convert(site: &mut Site<'_, '_>, options: &traefik::Headers) -> Result<Spec> {
    deprecated(site, options);
    let (request, request_host) = request(site, options)?;
    let development = options.is_development.unwrap_or(false);
    let headers = Headers {
        request,
        request_host,
        response: changes(site, "customResponseHeaders", &options.custom_response_headers)?,
        cors: cors(site, options)?,
        secure: secure(site, options)?,
        secure_on_tls: secure_on_tls(site, options)?,
        allowed_hosts: if development { Vec::new() } else { lower(&options.allowed_hosts) },
        host_headers: site.header_names("hostsProxyHeaders", &options.hosts_proxy_headers)?,
        tls_headers: tls_headers(site, options)?,
    };
    if headers == Headers::default() && *options == traefik::Headers::default() {
        return Err(site.refuse("", "MissingField", "sets no option"));
    }
    Ok(Spec::Headers(Box::new(headers)))
}

/// What has no effect since Traefik 3.
fn deprecated(site: &mut Site<'_, '_>, options: &traefik::Headers) {
    for (option, remedy, stated) in [
        ("featurePolicy", "use permissionsPolicy", options.feature_policy.is_some()),
        ("sslRedirect", "use the redirectScheme middleware", options.ssl_redirect.is_some()),
        ("sslTemporaryRedirect", "use the redirectScheme middleware", options.ssl_temporary_redirect.is_some()),
        ("sslHost", "use the redirectRegex middleware", options.ssl_host.is_some()),
        ("sslForceHost", "use the redirectRegex middleware", options.ssl_force_host.is_some()),
    ] {
        if stated {
            site.ignore(option, format!("has no effect: {remedy}"));
        }
    }
}

/// Fields whose values do not show in what is printed.
const CREDENTIALS: [HeaderName; 3] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];

type Change = (HeaderName, Option<HeaderValue>);

fn changes(site: &Site<'_, '_>, option: &str, texts: &BTreeMap<Arc<str>, Arc<str>>) -> Result<Vec<Change>> {
    texts
        .iter()
        .map(|(name, value)| {
            let option = format!("{option}[{name}]");
            let name = site.header_name(&option, name)?;
            let mut value = (!value.is_empty()).then(|| site.header_value(&option, value)).transpose()?;
            if let Some(value) = &mut value {
                value.set_sensitive(CREDENTIALS.contains(&name));
            }
            Ok((name, value))
        })
        .collect()
}

/// Changes of the request, the one of Host apart.
fn request(site: &Site<'_, '_>, options: &traefik::Headers) -> Result<(Vec<Change>, Option<HeaderValue>)> {
    let mut request = changes(site, "customRequestHeaders", &options.custom_request_headers)?;
    let host = request.iter().position(|(name, _)| *name == header::HOST).map(|at| request.swap_remove(at).1);
    let framing = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE];
    if let Some((name, _)) = request.iter().find(|(name, _)| framing.contains(name)) {
        let option = format!("customRequestHeaders[{name}]");
        return Err(site.refuse(&option, "InvalidHeader", "frames the message and cannot be set"));
    }
    Ok((request, host.flatten()))
}

fn lower(texts: &[Arc<str>]) -> Vec<Arc<str>> {
    texts.iter().map(|text| text.to_ascii_lowercase().into()).collect()
}

fn tls_headers(site: &Site<'_, '_>, options: &traefik::Headers) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let pairs = options.ssl_proxy_headers.iter();
    pairs
        .map(|(name, value)| {
            Ok((site.header_name("sslProxyHeaders", name)?, site.header_value("sslProxyHeaders", value)?))
        })
        .collect()
}

/// The fixed fields, whatever the connection.
fn secure(site: &Site<'_, '_>, options: &traefik::Headers) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let set = |flag: Option<bool>, value: &'static str| flag.unwrap_or(false).then(|| Arc::from(value));
    let text = |value: &Option<Arc<str>>| value.clone().filter(|value| !value.is_empty());
    let sts = sts(options).filter(|_| options.force_sts_header.unwrap_or(false));
    let fields: [(&str, HeaderName, Option<Arc<str>>); 8] = [
        (
            "customFrameOptionsValue",
            header::X_FRAME_OPTIONS,
            text(&options.custom_frame_options_value).or_else(|| set(options.frame_deny, "DENY")),
        ),
        ("contentTypeNosniff", header::X_CONTENT_TYPE_OPTIONS, set(options.content_type_nosniff, "nosniff")),
        (
            "customBrowserXSSValue",
            header::X_XSS_PROTECTION,
            text(&options.custom_browser_xss_value).or_else(|| set(options.browser_xss_filter, "1; mode=block")),
        ),
        ("contentSecurityPolicy", header::CONTENT_SECURITY_POLICY, text(&options.content_security_policy)),
        (
            "contentSecurityPolicyReportOnly",
            header::CONTENT_SECURITY_POLICY_REPORT_ONLY,
            text(&options.content_security_policy_report_only),
        ),
        ("referrerPolicy", header::REFERRER_POLICY, text(&options.referrer_policy)),
        ("permissionsPolicy", HeaderName::from_static("permissions-policy"), text(&options.permissions_policy)),
        ("stsSeconds", header::STRICT_TRANSPORT_SECURITY, sts),
    ];
    present(site, fields)
}

/// The fixed fields of clients that use TLS.
fn secure_on_tls(site: &Site<'_, '_>, options: &traefik::Headers) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let development = options.is_development.unwrap_or(false);
    let sts = sts(options).filter(|_| !options.force_sts_header.unwrap_or(false));
    let pins = options.public_key.clone().filter(|value| !value.is_empty() && !development);
    present(
        site,
        [
            ("stsSeconds", header::STRICT_TRANSPORT_SECURITY, sts),
            ("publicKey", HeaderName::from_static("public-key-pins"), pins),
        ],
    )
}

fn present<const N: usize>(
    site: &Site<'_, '_>,
    fields: [(&str, HeaderName, Option<Arc<str>>); N],
) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let stated = fields.into_iter().filter_map(|(option, name, value)| Some((option, name, value?)));
    stated.map(|(option, name, value)| Ok((name, site.header_value(option, &value)?))).collect()
}

/// Strict-Transport-Security (RFC 6797).
fn sts(options: &traefik::Headers) -> Option<Arc<str>> {
    let seconds = options.sts_seconds.filter(|seconds| *seconds > 0)?;
    if options.is_development.unwrap_or(false) {
        return None;
    }
    let subdomains = if options.sts_include_subdomains.unwrap_or(false) { "; includeSubDomains" } else { "" };
    let preload = if options.sts_preload.unwrap_or(false) { "; preload" } else { "" };
    Some(format!("max-age={seconds}{subdomains}{preload}").into())
}

fn cors(site: &mut Site<'_, '_>, options: &traefik::Headers) -> Result<Option<Cors>> {
    let expressions = &options.access_control_allow_origin_list_regex;
    let expressions = expressions.iter().map(|text| site.expression("accessControlAllowOriginListRegex", text));
    let max_age = options.access_control_max_age.filter(|seconds| *seconds != 0);
    if max_age.is_some_and(|seconds| seconds < 0) {
        return Err(site.refuse("accessControlMaxAge", "InvalidValue", "must not be negative"));
    }
    let cors = Cors {
        credentials: options.access_control_allow_credentials.unwrap_or(false),
        origins: options.access_control_allow_origin_list.clone(),
        origin_expressions: expressions.collect::<Result<_>>()?,
        headers: allowed(site, "accessControlAllowHeaders", &options.access_control_allow_headers)?,
        methods: allowed(site, "accessControlAllowMethods", &options.access_control_allow_methods)?,
        expose: joined(site, "accessControlExposeHeaders", &options.access_control_expose_headers)?,
        max_age: max_age.map(HeaderValue::from),
        vary: options.add_vary_header.unwrap_or(false),
    };
    if cors.credentials && cors.origins.iter().any(|origin| &**origin == "*") {
        let message = "holds * beside credentials: any site may read the answers its visitor is entitled to";
        site.warn("accessControlAllowOriginList", "Insecure", message);
    }
    Ok((cors != Cors::default()).then_some(cors))
}

fn allowed(site: &Site<'_, '_>, option: &str, names: &[Arc<str>]) -> Result<Option<Allowed>> {
    let any = names.iter().any(|name| &**name == "*");
    Ok(joined(site, option, names)?.map(|value| Allowed { value, any }))
}

fn joined(site: &Site<'_, '_>, option: &str, names: &[Arc<str>]) -> Result<Option<HeaderValue>> {
    if names.is_empty() {
        return Ok(None);
    }
    site.header_value(option, &names.join(",")).map(Some)
}
