//! `retry`.

use std::num::NonZeroU32;

use super::{Result, Site};
use crate::{
    kubernetes::object::traefik,
    model::middleware::{
        Spec,
        retry::{DEFAULT_MAX_REQUEST_BODY, Retry},
        status::Statuses,
    },
};

/// More tries are a mistake.
const MOST_ATTEMPTS: u32 = 100;

pub(super) fn convert(site: &mut Site<'_, '_>, options: &traefik::Retry) -> Result<Spec> {
    let statuses = Statuses::parse(&options.status).map_err(|error| site.refuse("status", "InvalidValue", error))?;
    let on_network_error = !options.disable_retry_on_network_error.unwrap_or(false);
    if statuses.is_empty() && !on_network_error {
        return Err(site.refuse("status", "MissingField", "is required beside disableRetryOnNetworkError"));
    }
    let timeout = site.duration("timeout", options.timeout.as_ref())?;
    Ok(Spec::Retry(Retry {
        attempts: attempts(site, options.attempts.unwrap_or(0))?,
        initial_interval: site.duration("initialInterval", options.initial_interval.as_ref())?,
        timeout: (!timeout.is_zero()).then_some(timeout),
        max_request_body: max_request_body(site, options.max_request_body_bytes)?,
        statuses,
        on_network_error,
        non_idempotent: options.retry_non_idempotent_method.unwrap_or(false),
    }))
}

fn attempts(site: &Site<'_, '_>, number: i64) -> Result<NonZeroU32> {
    let number = u32::try_from(number).ok().filter(|number| *number <= MOST_ATTEMPTS).and_then(NonZeroU32::new);
    number.ok_or_else(|| site.refuse("attempts", "InvalidValue", format!("must be between 1 and {MOST_ATTEMPTS}")))
}

fn max_request_body(site: &mut Site<'_, '_>, bytes: Option<i64>) -> Result<Option<u64>> {
    match bytes {
        None => Ok(Some(DEFAULT_MAX_REQUEST_BODY)),
        Some(-1) => {
            site.warn("maxRequestBodyBytes", "Unlimited", "sets no limit, and bodies are kept in memory");
            Ok(None)
        }
        Some(bytes) => u64::try_from(bytes)
            .map(Some)
            .map_err(|_| site.refuse("maxRequestBodyBytes", "InvalidValue", "must be -1 or not negative")),
    }
}
