//! `timeouts` and `retry` of an HTTPRoute's rule.

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use super::reason;
use crate::{
    kubernetes::object::gateway::{HttpRetry, HttpTimeouts},
    model::{
        duration::parse_gateway,
        route::{Retry, Timeouts},
    },
    report::Finding,
};

/// The limits; `field` is `spec.rules[i]`.
pub(super) fn timeouts(asked: &HttpTimeouts, field: &str) -> Result<Timeouts, Finding> {
    let field = format!("{field}.timeouts");
    let request = duration(asked.request.as_ref(), &format!("{field}.request"))?;
    let backend_request = duration(asked.backend_request.as_ref(), &format!("{field}.backendRequest"))?;
    match (request, backend_request) {
        (Some(whole), Some(one)) if !whole.is_zero() && one > whole => Err(Finding::refused(
            format!("{field}.backendRequest"),
            reason::UNSUPPORTED_VALUE,
            "one try may not take longer than the whole request",
        )
        .remedy("make backendRequest at most as long as request")),
        _ => Ok(Timeouts { request, backend_request }),
    }
}

/// The retry policy; `field` is `spec.rules[i]`.
pub(super) fn retry(asked: &HttpRetry, field: &str) -> Result<Retry, Finding> {
    let field = format!("{field}.retry");
    let mut codes = Vec::new();
    for (index, code) in asked.codes.iter().enumerate() {
        let code = StatusCode::from_u16(*code).ok().filter(|_| (400..=599).contains(code)).ok_or_else(|| {
            Finding::refused(
                format!("{field}.codes[{index}]"),
                reason::UNSUPPORTED_VALUE,
                format!("{code} is no status from 400 to 599"),
            )
        })?;
        codes.push(code);
    }
    codes.sort();
    codes.dedup();
    let backoff = duration(asked.backoff.as_ref(), &format!("{field}.backoff"))?;
    let attempts = asked.attempts.unwrap_or(1);
    let attempts = u32::try_from(attempts).map_err(|_| {
        let message = format!("{attempts} is no number of tries");
        Finding::refused(format!("{field}.attempts"), reason::UNSUPPORTED_VALUE, message)
    })?;
    Ok(Retry { attempts, codes, backoff })
}

fn duration(text: Option<&Arc<str>>, field: &str) -> Result<Option<Duration>, Finding> {
    text.map(|text| {
        parse_gateway(text)
            .map_err(|error| Finding::refused(field, reason::UNSUPPORTED_VALUE, format!("{text:?} {error}")))
    })
    .transpose()
}
