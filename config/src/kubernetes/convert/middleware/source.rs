//! `ipAllowList` and what it shares with middlewares that count per source: which address of a request counts, and what
//! else may.

use std::{net::IpAddr, num::NonZeroUsize, sync::Arc};

use http::StatusCode;
use ipnet::{IpNet, Ipv4Net};

use super::{Result, Site};
use crate::{
    kubernetes::object::traefik,
    model::middleware::{
        Spec,
        ip_allow_list::IpAllowList,
        source::{AddressSource, SourceCriterion},
    },
    report::Finding,
};

/// `ipAllowList`, or `ipWhiteList` as it was called before Traefik 3.
pub(super) fn allow_list(site: &mut Site<'_, '_>, options: &traefik::IpAllowList) -> Result<Spec> {
    warn_of_old_name(site);
    let ranges = required_ranges(site, &options.source_range)?;
    let source = strategy(site, "ipStrategy", options.ip_strategy.as_ref())?;
    let reject_status = reject_status(site, options.reject_status_code)?;
    Ok(Spec::IpAllowList(IpAllowList { ranges, source, reject_status }))
}

/// `ipWhiteList` was the name before Traefik 3.
pub(super) fn warn_of_old_name(site: &mut Site<'_, '_>) {
    if site.kind == "ipWhiteList" {
        let message = "ipWhiteList is the old name of ipAllowList";
        site.findings.push(Finding::warning("spec.ipWhiteList", "Deprecated", message));
    }
}

/// `sourceRange`, which may not be empty.
pub(super) fn required_ranges(site: &Site<'_, '_>, texts: &[Arc<str>]) -> Result<Vec<IpNet>> {
    if texts.is_empty() {
        return Err(site.refuse("sourceRange", "MissingField", "is required and empty"));
    }
    ranges(site, "sourceRange", texts)
}

fn reject_status(site: &Site<'_, '_>, code: Option<i64>) -> Result<StatusCode> {
    let Some(code) = code.filter(|code| *code != 0) else { return Ok(StatusCode::FORBIDDEN) };
    u16::try_from(code)
        .ok()
        .and_then(|code| StatusCode::from_u16(code).ok())
        .filter(|status| status.as_u16() >= 200 && status.canonical_reason().is_some())
        .ok_or_else(|| site.refuse("rejectStatusCode", "InvalidValue", format!("{code} is no final status")))
}

/// Which address `options` asks for; absent is the client's own.
pub(super) fn strategy(
    site: &mut Site<'_, '_>,
    option: &str,
    options: Option<&traefik::IpStrategy>,
) -> Result<AddressSource> {
    let Some(options) = options else { return Ok(AddressSource::Client { ipv6_bits: None }) };
    let ipv6_bits = ipv6_bits(site, option, options.ipv6_subnet)?;
    let depth = usize::try_from(options.depth.unwrap_or(0))
        .map_err(|_| site.refuse(&format!("{option}.depth"), "InvalidValue", "must not be negative"))?;
    let excluded_option = format!("{option}.excludedIPs");
    let excluded = ranges(site, &excluded_option, &options.excluded_ips)?;
    if let Some(depth) = NonZeroUsize::new(depth) {
        if !excluded.is_empty() {
            site.warn(&excluded_option, "NoEffect", "has no effect beside depth");
        }
        return Ok(AddressSource::Depth { depth, ipv6_bits });
    }
    if excluded.is_empty() {
        return Ok(AddressSource::Client { ipv6_bits });
    }
    if ipv6_bits.is_some() {
        site.warn(&format!("{option}.ipv6Subnet"), "NoEffect", "has no effect beside excludedIPs");
    }
    Ok(AddressSource::Excluding(excluded))
}

/// What tells sources apart; `default` where nothing is said.
pub(super) fn criterion(
    site: &mut Site<'_, '_>,
    options: Option<&traefik::SourceCriterion>,
    default: SourceCriterion,
) -> Result<SourceCriterion> {
    let Some(options) = options else { return Ok(default) };
    let header = options.request_header_name.as_ref().filter(|name| !name.is_empty());
    let host = options.request_host.unwrap_or(false);
    match (&options.ip_strategy, header, host) {
        (None, None, false) => Ok(default),
        (ip @ Some(_), None, false) => {
            strategy(site, "sourceCriterion.ipStrategy", ip.as_ref()).map(SourceCriterion::Address)
        }
        (None, Some(name), false) => {
            site.header_name("sourceCriterion.requestHeaderName", name).map(SourceCriterion::Header)
        }
        (None, None, true) => Ok(SourceCriterion::Host),
        _ => Err(site.refuse(
            "sourceCriterion",
            "SeveralCriteria",
            "states more than one of ipStrategy, requestHeaderName and requestHost",
        )),
    }
}

fn ipv6_bits(site: &Site<'_, '_>, option: &str, bits: Option<i64>) -> Result<Option<u8>> {
    let Some(bits) = bits else { return Ok(None) };
    u8::try_from(bits).ok().filter(|bits| (1..=128).contains(bits)).map(Some).ok_or_else(|| {
        site.refuse(&format!("{option}.ipv6Subnet"), "InvalidValue", format!("{bits} is not between 1 and 128"))
    })
}

/// Addresses and ranges; a wrong one refuses all.
fn ranges(site: &Site<'_, '_>, option: &str, texts: &[Arc<str>]) -> Result<Vec<IpNet>> {
    texts
        .iter()
        .map(|text| {
            range(text.trim()).ok_or_else(|| {
                let wrong = format!("holds {text:?}, which is neither an address nor a range");
                let finding = site.refuse(option, "InvalidValue", wrong);
                finding.remedy("write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32").into()
            })
        })
        .collect()
}

/// An address or a range, IPv4-mapped ones as IPv4.
fn range(text: &str) -> Option<IpNet> {
    let net = match text.parse::<IpNet>() {
        Ok(net) => net.trunc(),
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    Some(match net {
        IpNet::V6(net) if net.prefix_len() >= 96 => match net.addr().to_ipv4_mapped() {
            Some(address) => IpNet::V4(Ipv4Net::new(address, net.prefix_len() - 96).ok()?),
            None => IpNet::V6(net),
        },
        other => other,
    })
}
