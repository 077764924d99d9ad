//! `compress`.

use std::sync::Arc;

use super::{Result, Site};
use crate::{
    kubernetes::object::traefik,
    model::middleware::{
        Spec,
        compress::{Compress, ContentTypes, Encoding},
    },
};

pub(super) fn convert(site: &Site<'_, '_>, options: &traefik::Compress) -> Result<Spec> {
    let mut encodings =
        options.encodings.iter().map(|name| encoding(site, "encodings", name)).collect::<Result<Vec<_>>>()?;
    if encodings.is_empty() {
        encodings = Encoding::ALL.to_vec();
    }
    let default_encoding = options
        .default_encoding
        .as_ref()
        .filter(|name| !name.is_empty())
        .map(|name| encoding(site, "defaultEncoding", name))
        .transpose()?;
    let min_bytes = u64::try_from(options.min_response_body_bytes.unwrap_or(1024))
        .map_err(|_| site.refuse("minResponseBodyBytes", "InvalidValue", "must not be negative"))?;
    let types = content_types(site, options)?;
    Ok(Spec::Compress(Compress { encodings, default_encoding, min_bytes, types }))
}

fn encoding(site: &Site<'_, '_>, option: &str, name: &str) -> Result<Encoding> {
    Encoding::find(name).ok_or_else(|| {
        let finding = site.refuse(option, "InvalidValue", format!("{name:?} is not carried"));
        finding.remedy("use gzip, br or zstd").into()
    })
}

fn content_types(site: &Site<'_, '_>, options: &traefik::Compress) -> Result<ContentTypes> {
    let (excluded, included) = (&options.excluded_content_types, &options.included_content_types);
    match (excluded.is_empty(), included.is_empty()) {
        (false, false) => {
            Err(site.refuse("includedContentTypes", "InvalidValue", "and excludedContentTypes cannot be used together"))
        }
        (_, false) => types(site, "includedContentTypes", included).map(ContentTypes::Including),
        (_, true) => types(site, "excludedContentTypes", excluded).map(ContentTypes::Excluding),
    }
}

/// `type/subtype` without parameters, lower-case.
fn types(site: &Site<'_, '_>, option: &str, texts: &[Arc<str>]) -> Result<Vec<Arc<str>>> {
    let parse = |text: &Arc<str>| -> Result<Arc<str>> {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.split_once('/') {
            Some((a, b)) if !a.is_empty() && !b.is_empty() && !b.contains(['/', '*', ' ']) => Ok(essence.into()),
            _ => Err(site.refuse(option, "InvalidValue", format!("holds {text:?}, which is no media type"))),
        }
    };
    texts.iter().map(parse).collect()
}
