//! `redirectScheme` and `redirectRegex`.

use super::{Result, Site};
use crate::{
    kubernetes::object::traefik,
    model::middleware::{Spec, redirect_regex::RedirectRegex, redirect_scheme::RedirectScheme},
};

pub(super) fn scheme(site: &Site<'_, '_>, options: &traefik::RedirectScheme) -> Result<Spec> {
    let scheme = site.required("scheme", &options.scheme)?.to_ascii_lowercase();
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(letters) {
        return Err(site.refuse("scheme", "InvalidValue", format!("{scheme:?} is no URL scheme")));
    }
    let port = port(site, options.port.as_ref())?;
    let permanent = options.permanent.unwrap_or(false);
    Ok(Spec::RedirectScheme(RedirectScheme { scheme: scheme.into(), port, permanent }))
}

fn port(site: &Site<'_, '_>, port: Option<&traefik::IntOrString>) -> Result<Option<u16>> {
    let port = match port {
        None => return Ok(None),
        Some(traefik::IntOrString::Text(text)) if text.is_empty() => return Ok(None),
        Some(traefik::IntOrString::Text(text)) => text.parse().ok(),
        Some(traefik::IntOrString::Int(number)) => u16::try_from(*number).ok(),
    };
    port.filter(|port| *port != 0)
        .map(Some)
        .ok_or_else(|| site.refuse("port", "InvalidValue", "must be a number between 1 and 65535"))
}

pub(super) fn regex(site: &Site<'_, '_>, options: &traefik::RedirectRegex) -> Result<Spec> {
    let regex = site.expression("regex", site.required("regex", &options.regex)?)?;
    let replacement = site.required("replacement", &options.replacement)?.clone();
    Ok(Spec::RedirectRegex(RedirectRegex { regex, replacement, permanent: options.permanent.unwrap_or(false) }))
}
