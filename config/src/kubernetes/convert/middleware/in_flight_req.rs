//! `inFlightReq`.

use super::{Result, Site, source};
use crate::{
    kubernetes::object::traefik,
    model::middleware::{Spec, in_flight_req::InFlightReq, source::SourceCriterion},
};

pub(super) fn convert(site: &mut Site<'_, '_>, options: &traefik::InFlightReq) -> Result<Spec> {
    let amount = u64::try_from(options.amount.unwrap_or(0))
        .map_err(|_| site.refuse("amount", "InvalidValue", "must not be negative"))?;
    if amount == 0 {
        site.warn("amount", "NothingPasses", "is 0, so that every request is answered 429");
    }
    let source = source::criterion(site, options.source_criterion.as_ref(), SourceCriterion::Host)?;
    Ok(Spec::InFlightReq(InFlightReq { amount, source }))
}
