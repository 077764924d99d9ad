//! `rateLimit`.

use std::{num::NonZeroU64, time::Duration};

use super::{Result, Site, source};
use crate::{
    kubernetes::object::traefik,
    model::middleware::{
        Spec,
        rate_limit::{Limit, RateLimit},
        source::{AddressSource, SourceCriterion},
    },
};

/// Above this, numbers are no limits but mistakes.
const MOST_TOKENS: u64 = 1_000_000_000;

pub(super) fn convert(site: &mut Site<'_, '_>, options: &traefik::RateLimit) -> Result<Spec> {
    if options.redis.is_some() {
        let finding = site.refuse("redis", "NotCarried", "is not carried yet: buckets are counted per node");
        return Err(finding.remedy("remove redis and divide the limit by the number of nodes").into());
    }
    let limit = limit(site, options)?;
    let default = SourceCriterion::Address(AddressSource::Client { ipv6_bits: None });
    let source = source::criterion(site, options.source_criterion.as_ref(), default)?;
    Ok(Spec::RateLimit(RateLimit { limit, source }))
}

fn limit(site: &Site<'_, '_>, options: &traefik::RateLimit) -> Result<Option<Limit>> {
    let average = tokens(site, "average", options.average.unwrap_or(0))?;
    let period = site.duration("period", options.period.as_ref())?;
    let period = if period.is_zero() { Duration::from_secs(1) } else { period };
    let burst = tokens(site, "burst", options.burst.unwrap_or(1).max(1))?.unwrap_or(NonZeroU64::MIN);
    Ok(average.map(|average| Limit { average, period, burst }))
}

fn tokens(site: &Site<'_, '_>, option: &str, number: i64) -> Result<Option<NonZeroU64>> {
    let number = u64::try_from(number).ok().filter(|number| *number <= MOST_TOKENS);
    let number = number.ok_or_else(|| site.refuse(option, "InvalidValue", "must be between 0 and 1000000000"))?;
    Ok(NonZeroU64::new(number))
}
