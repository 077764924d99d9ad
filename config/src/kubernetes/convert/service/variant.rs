//! What a user of a port asks for by itself, where Traefik's kinds say of a reference what an annotation says of a
//! Service: spelled into the slot's id, and read back when the slot is filled.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    option::{Options, Sticky, attribute, same_site, token},
    protocol::Scheme,
};
use crate::model::cluster::{Balance, HashKey, StickyCookie};

/// What the reference asks for; what it leaves open the Service says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// `http`, `https` or `h2c`, whatever the Service says.
    pub scheme: Option<Arc<str>>,
    /// `https` where the Service does not say what is spoken.
    pub suggests_tls: bool,
    /// How an endpoint is chosen: `round-robin`, `p2c` or `client-address`.
    pub balance: Option<&'static str>,
    /// Whether the backend sees the client's Host.
    pub pass_host: Option<bool>,
    /// The cookie that keeps clients with their endpoint.
    pub sticky: Option<StickyCookie>,
    /// Namespace and name of the object that says how the backend is spoken to.
    pub transport: Option<(String, String)>,
}

impl Asked {
    /// As the variant of a slot's id.
    pub fn variant(&self) -> BTreeMap<&'static str, String> {
        let text = |value: &Arc<str>| value.to_string();
        let flag = |on: bool| on.then(|| "true".to_owned());
        let mut pairs = vec![
            ("scheme", self.scheme.as_ref().map(text)),
            ("protocol", self.suggests_tls.then(|| "https".to_owned())),
            ("balance", self.balance.map(str::to_owned)),
            ("transport", self.transport.as_ref().map(|(namespace, name)| format!("{namespace}/{name}"))),
            ("pass-host", self.pass_host.map(|pass| pass.to_string())),
        ];
        if let Some(cookie) = &self.sticky {
            pairs.extend([
                ("cookie", Some(text(&cookie.name))),
                ("cookie-secure", flag(cookie.secure)),
                ("cookie-http-only", flag(cookie.http_only)),
                ("cookie-same-site", cookie.same_site.as_ref().map(text)),
                ("cookie-max-age", cookie.max_age.map(|seconds| seconds.to_string())),
                ("cookie-path", Some(text(&cookie.path))),
                ("cookie-domain", cookie.domain.as_ref().map(text)),
            ]);
        }
        pairs.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    /// A cookie whose parts may not mean more than they should; otherwise what is wrong with it.
    pub fn cookie(
        name: &str,
        site: Option<&str>,
        path: Option<&str>,
        domain: Option<&str>,
    ) -> Result<StickyCookie, String> {
        let wrong = |what: &str, value: &str| format!("{value:?} is no {what} of a cookie");
        let part = |what: &str, value: Option<&str>| match value.filter(|value| !value.is_empty()) {
            Some(value) => attribute(value).map(Some).ok_or_else(|| wrong(what, value)),
            None => Ok(None),
        };
        let site = site.unwrap_or_default().to_ascii_lowercase();
        Ok(StickyCookie {
            name: token(name).ok_or_else(|| wrong("name", name))?,
            secure: false,
            http_only: false,
            same_site: same_site(&site).ok_or_else(|| wrong("SameSite", &site))?,
            max_age: None,
            path: part("path", path)?.unwrap_or_else(|| "/".into()),
            domain: part("domain", domain)?,
        })
    }
}

/// Puts what the variant asks for in place of what the Service says.
pub(super) fn apply(options: &mut Options, variant: &BTreeMap<&str, &str>) {
    if let Some(scheme) = variant.get("scheme").and_then(|text| Scheme::parse(text)) {
        options.scheme = Some(scheme);
    }
    match variant.get("balance") {
        Some(&"round-robin") => options.balance = Balance::RoundRobin,
        Some(&"p2c") => options.balance = Balance::PowerOfTwo,
        Some(&"client-address") => options.balance = Balance::ConsistentHash(HashKey::ClientAddress),
        _ => {}
    }
    if let Some(pass) = variant.get("pass-host") {
        options.pass_host = *pass != "false";
    }
    if let Some(cookie) = cookie(variant) {
        options.sticky = Some(Sticky::named(cookie));
    }
}

fn cookie(variant: &BTreeMap<&str, &str>) -> Option<StickyCookie> {
    let text = |key: &str| variant.get(key).copied();
    let (site, path, domain) = (text("cookie-same-site"), text("cookie-path"), text("cookie-domain"));
    let cookie = Asked::cookie(text("cookie")?, site, path, domain).ok()?;
    Some(StickyCookie {
        secure: text("cookie-secure").is_some(),
        http_only: text("cookie-http-only").is_some(),
        max_age: text("cookie-max-age").and_then(|seconds| seconds.parse().ok()),
        ..cookie
    })
}
