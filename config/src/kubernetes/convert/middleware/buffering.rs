//! `buffering`.

use super::{Result, Site};
use crate::{
    kubernetes::object::traefik,
    model::{
        condition,
        middleware::{
            Spec,
            buffering::{Buffering, DEFAULT_MEMORY},
        },
    },
};

pub(super) fn convert(site: &Site<'_, '_>, options: &traefik::Buffering) -> Result<Spec> {
    let text = options.retry_expression.as_deref().filter(|text| !text.is_empty());
    let retry = text.map(condition::parse).transpose();
    // Zero is as good as nothing everywhere.
    let bytes = |option, bytes: Option<i64>| bytes_of(site, option, bytes);
    Ok(Spec::Buffering(Buffering {
        max_request: bytes("maxRequestBodyBytes", options.max_request_body_bytes)?,
        memory_of_request: bytes("memRequestBodyBytes", options.mem_request_body_bytes)?.unwrap_or(DEFAULT_MEMORY),
        max_response: bytes("maxResponseBodyBytes", options.max_response_body_bytes)?,
        memory_of_response: bytes("memResponseBodyBytes", options.mem_response_body_bytes)?.unwrap_or(DEFAULT_MEMORY),
        retry: retry.map_err(|error| site.refuse("retryExpression", "InvalidExpression", error))?,
    }))
}

fn bytes_of(site: &Site<'_, '_>, option: &str, bytes: Option<i64>) -> Result<Option<u64>> {
    let bytes = u64::try_from(bytes.unwrap_or(0));
    let bytes = bytes.map_err(|_| site.refuse(option, "InvalidValue", "must not be negative"))?;
    Ok(Some(bytes).filter(|bytes| *bytes > 0))
}
