//! `rateLimit`.

use std::{num::NonZeroU64, time::Duration};

use super::{Result, Site, source};
use crate::{
    kubernetes::object::traefik,
    model::{
        duration::parse_go,
        middleware::{
            Spec,
            rate_limit::{Limit, RateLimit, RateSource},
            source::AddressSource,
        },
    },
};

/// Above these, numbers are no limits but mistakes.
const MOST_TOKENS: u64 = 1_000_000_000;
const LONGEST_PERIOD: Duration = Duration::from_secs(366 * 24 * 3600);

pub(super) fn convert(site: &mut Site<'_, '_>, options: &traefik::RateLimit) -> Result<Spec> {
    if options.redis.is_some() {
        let finding = site.refuse("redis", "NotCarried", "is not carried yet: buckets are counted per node");
        return Err(finding.remedy("remove redis and divide the limit by the number of nodes").into());
    }
    let limit = limit(site, options)?;
    let source = criterion(site, options.source_criterion.as_ref())?;
    Ok(Spec::RateLimit(RateLimit { limit, source }))
}

fn limit(site: &Site<'_, '_>, options: &traefik::RateLimit) -> Result<Option<Limit>> {
    let average = tokens(site, "average", options.average.unwrap_or(0))?;
    let period = period(site, options.period.as_ref())?;
    let burst = tokens(site, "burst", options.burst.unwrap_or(1).max(1))?.unwrap_or(NonZeroU64::MIN);
    Ok(average.map(|average| Limit { average, period, burst }))
}

fn tokens(site: &Site<'_, '_>, option: &str, number: i64) -> Result<Option<NonZeroU64>> {
    let number = u64::try_from(number).ok().filter(|number| *number <= MOST_TOKENS);
    let number = number.ok_or_else(|| site.refuse(option, "InvalidValue", "must be between 0 and 1000000000"))?;
    Ok(NonZeroU64::new(number))
}

fn period(site: &Site<'_, '_>, period: Option<&traefik::IntOrString>) -> Result<Duration> {
    let wrong = |message: &str| site.refuse("period", "InvalidValue", message);
    let period = match period {
        None => Duration::ZERO,
        Some(traefik::IntOrString::Int(seconds)) => {
            Duration::from_secs(u64::try_from(*seconds).map_err(|_| wrong("must not be negative"))?)
        }
        Some(traefik::IntOrString::Text(text)) => parse_go(text).map_err(|error| wrong(&error.to_string()))?,
    };
    if period > LONGEST_PERIOD {
        return Err(wrong("must not be longer than a year"));
    }
    Ok(if period.is_zero() { Duration::from_secs(1) } else { period })
}

fn criterion(site: &mut Site<'_, '_>, options: Option<&traefik::SourceCriterion>) -> Result<RateSource> {
    let Some(options) = options else { return Ok(RateSource::Address(AddressSource::Client { ipv6_bits: None })) };
    let header = options.request_header_name.as_ref().filter(|name| !name.is_empty());
    let host = options.request_host.unwrap_or(false);
    match (&options.ip_strategy, header, host) {
        (strategy, None, false) => {
            source::strategy(site, "sourceCriterion.ipStrategy", strategy.as_ref()).map(RateSource::Address)
        }
        (None, Some(name), false) => {
            site.header_name("sourceCriterion.requestHeaderName", name).map(RateSource::Header)
        }
        (None, None, true) => Ok(RateSource::Host),
        _ => Err(site.refuse(
            "sourceCriterion",
            "SeveralCriteria",
            "states more than one of ipStrategy, requestHeaderName and requestHost",
        )),
    }
}
