//! `circuitBreaker`.

use std::time::Duration;

use http::StatusCode;

use super::{Result, Site};
use crate::{
    kubernetes::object::traefik,
    model::{
        condition,
        middleware::{Spec, circuit_breaker::CircuitBreaker},
    },
};

const CHECK_PERIOD: Duration = Duration::from_millis(100);
const FALLBACK: Duration = Duration::from_secs(10);
const RECOVERY: Duration = Duration::from_secs(10);

pub(super) fn convert(site: &Site<'_, '_>, options: &traefik::CircuitBreaker) -> Result<Spec> {
    let text = site.required("expression", &options.expression)?;
    let expression = condition::parse(text).map_err(|error| site.refuse("expression", "InvalidExpression", error))?;
    Ok(Spec::CircuitBreaker(CircuitBreaker {
        expression,
        check_period: duration(site, "checkPeriod", &options.check_period, CHECK_PERIOD)?,
        fallback: duration(site, "fallbackDuration", &options.fallback_duration, FALLBACK)?,
        recovery: duration(site, "recoveryDuration", &options.recovery_duration, RECOVERY)?,
        status: status(site, options.response_code.unwrap_or(0))?,
    }))
}

/// Zero is as good as nothing.
fn duration(
    site: &Site<'_, '_>,
    option: &str,
    value: &Option<traefik::IntOrString>,
    default: Duration,
) -> Result<Duration> {
    let duration = site.duration(option, value.as_ref())?;
    Ok(if duration.is_zero() { default } else { duration })
}

fn status(site: &Site<'_, '_>, code: i64) -> Result<StatusCode> {
    if code == 0 {
        return Ok(StatusCode::SERVICE_UNAVAILABLE);
    }
    let status = u16::try_from(code).ok().filter(|code| (200..600).contains(code));
    let status = status.and_then(|code| StatusCode::from_u16(code).ok());
    status.ok_or_else(|| site.refuse("responseCode", "InvalidValue", format!("{code} is not between 200 and 599")))
}
