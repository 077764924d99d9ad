//! `addPrefix`, `replacePath`, `replacePathRegex`, `stripPrefix`, `stripPrefixRegex`.

use std::sync::Arc;

use super::{Result, Site};
use crate::{
    kubernetes::object::traefik,
    model::{
        middleware::{
            Spec, add_prefix::AddPrefix, replace_path::ReplacePath, replace_path_regex::ReplacePathRegex,
            strip_prefix::StripPrefix, strip_prefix_regex::StripPrefixRegex,
        },
        path::encode_path,
    },
};

pub(super) fn add_prefix(site: &Site<'_, '_>, options: &traefik::AddPrefix) -> Result<Spec> {
    let prefix = site.required("prefix", &options.prefix)?;
    // The path that follows brings its own slash.
    let prefix = encode_path(prefix.trim_matches('/'));
    Ok(Spec::AddPrefix(AddPrefix { prefix: if prefix.is_empty() { "".into() } else { format!("/{prefix}").into() } }))
}

pub(super) fn replace_path(site: &Site<'_, '_>, options: &traefik::ReplacePath) -> Result<Spec> {
    let path = site.required("path", &options.path)?;
    if !path.starts_with('/') {
        return Err(site.refuse("path", "InvalidValue", "must begin with /"));
    }
    Ok(Spec::ReplacePath(ReplacePath { path: encode_path(path).into() }))
}

pub(super) fn replace_path_regex(site: &Site<'_, '_>, options: &traefik::ReplacePathRegex) -> Result<Spec> {
    let regex = site.expression("regex", site.required("regex", &options.regex)?)?;
    let replacement = options.replacement.clone().unwrap_or_default();
    Ok(Spec::ReplacePathRegex(ReplacePathRegex { regex, replacement }))
}

pub(super) fn strip_prefix(site: &mut Site<'_, '_>, options: &traefik::StripPrefix) -> Result<Spec> {
    if options.prefixes.is_empty() {
        return Err(site.refuse("prefixes", "MissingField", "is required and empty"));
    }
    if options.force_slash.is_some() {
        site.ignore("forceSlash", "has no effect: what is left of a path always begins with /");
    }
    for prefix in options.prefixes.iter().filter(|prefix| !prefix.trim().starts_with('/')) {
        site.warn("prefixes", "NeverMatches", format!("holds {prefix:?}, which no path begins with: it lacks the /"));
    }
    let prefixes: Vec<Arc<str>> = options.prefixes.iter().map(|prefix| encode_path(prefix.trim()).into()).collect();
    Ok(Spec::StripPrefix(StripPrefix { prefixes }))
}

pub(super) fn strip_prefix_regex(site: &Site<'_, '_>, options: &traefik::StripPrefixRegex) -> Result<Spec> {
    if options.regex.is_empty() {
        return Err(site.refuse("regex", "MissingField", "is required and empty"));
    }
    let expressions = options.regex.iter().map(|text| site.expression("regex", text.trim())).collect::<Result<_>>()?;
    Ok(Spec::StripPrefixRegex(StripPrefixRegex { expressions }))
}
