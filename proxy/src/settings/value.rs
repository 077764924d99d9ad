//! Texts → typed values. Each refusal names the value and what is allowed.

use std::{net::IpAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use http::HeaderName;
use ipnet::IpNet;
use postern_config::{
    model::{
        duration::parse_go,
        host::{HostPattern, WildcardDepth},
    },
    provider::kubernetes::Address,
};

use super::document::{Entry, Value};

/// Why a value is refused; the caller adds key and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Where inside a map, if it was found out.
    pub line: Option<u64>,
    /// In one sentence.
    pub message: String,
}

impl From<String> for Refused {
    fn from(message: String) -> Self {
        Self { line: None, message }
    }
}

impl Value {
    /// A single text.
    pub(super) fn text(&self) -> Result<&str, Refused> {
        match self {
            Self::Text(text) => Ok(text.trim()),
            Self::Empty => Err("no value is given; remove the key or give it one".to_owned().into()),
            Self::List(_) => Err("one value is wanted, not a list".to_owned().into()),
            Self::Map(_) => Err("one value is wanted, not a map".to_owned().into()),
        }
    }

    /// A list; one text is split at commas, as environment variables and flags write it.
    pub(super) fn list(&self) -> Result<Vec<&str>, Refused> {
        match self {
            Self::List(items) => Ok(items.iter().map(|item| item.trim()).collect()),
            Self::Empty => Ok(Vec::new()),
            Self::Text(text) => Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()),
            Self::Map(_) => Err("a list is wanted, not a map".to_owned().into()),
        }
    }

    /// A map's entries.
    pub(super) fn map(&self) -> Result<&[Entry], Refused> {
        match self {
            Self::Map(entries) => Ok(entries),
            Self::Empty => Ok(&[]),
            _ => Err("a map is wanted".to_owned().into()),
        }
    }

    pub(super) fn flag(&self) -> Result<bool, Refused> {
        match self.text()? {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("{other:?} is neither true nor false").into()),
        }
    }

    /// A whole number within `range`.
    pub(super) fn number<N>(&self, range: RangeInclusive<u64>) -> Result<N, Refused>
    where
        N: TryFrom<u64>,
    {
        let text = self.text()?;
        let (from, to) = (range.start(), range.end());
        let number = text.parse::<u64>().ok().filter(|number| range.contains(number));
        number
            .and_then(|number| N::try_from(number).ok())
            .ok_or_else(|| format!("{text:?} is not a whole number from {from} to {to}").into())
    }

    /// Bytes within `range`: a number, or one with KiB, MiB or GiB.
    pub(super) fn bytes(&self, range: RangeInclusive<u64>) -> Result<usize, Refused> {
        let text = self.text()?;
        let (from, to) = (range.start(), range.end());
        parse_bytes(text)
            .filter(|bytes| range.contains(bytes))
            .and_then(|bytes| usize::try_from(bytes).ok())
            .ok_or_else(|| {
                format!("{text:?} is not a number of bytes from {from} to {to}; write it as 65536 or 64KiB").into()
            })
    }

    /// A duration within `range`.
    pub(super) fn duration(&self, range: RangeInclusive<Duration>) -> Result<Duration, Refused> {
        let text = self.text()?;
        let (from, to) = (range.start(), range.end());
        match parse_go(text) {
            Ok(duration) if range.contains(&duration) => Ok(duration),
            Ok(_) => Err(format!("{text:?} is not from {from:?} to {to:?}").into()),
            Err(error) => Err(format!("{text:?} {error}; allowed is {from:?} to {to:?}").into()),
        }
    }

    /// Addresses.
    pub(super) fn addresses(&self) -> Result<Vec<IpAddr>, Refused> {
        let address = |item: &str| item.parse().map_err(|_| format!("{item:?} is not an IP address").into());
        self.list()?.into_iter().map(address).collect()
    }

    /// Networks; an address alone is a network of one.
    pub(super) fn networks(&self) -> Result<Vec<IpNet>, Refused> {
        self.list()?.into_iter().map(network).collect()
    }

    /// A path that is not empty.
    pub(super) fn path(&self) -> Result<PathBuf, Refused> {
        match self.text()? {
            "" => Err("the path is empty".to_owned().into()),
            text => Ok(text.into()),
        }
    }

    /// A header field's name.
    pub(super) fn header(&self) -> Result<HeaderName, Refused> {
        header(self.text()?)
    }

    /// One of `words`.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Refused> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let allowed: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            format!("{text:?} is none of {}", allowed.join(", ")).into()
        })
    }
}

pub(super) fn header(text: &str) -> Result<HeaderName, Refused> {
    text.parse().map_err(|_| format!("{text:?} is not the name of a header field").into())
}

/// An address, or a name in DNS.
pub(super) fn public_address(text: &str) -> Result<Address, Refused> {
    if let Ok(ip) = text.parse() {
        return Ok(Address::Ip(ip));
    }
    match HostPattern::parse(text, WildcardDepth::One) {
        Ok(HostPattern::Exact(_)) => Ok(Address::Hostname(text.to_ascii_lowercase().into())),
        _ => Err(format!("`{text}` is neither an address nor a host name").into()),
    }
}

/// `80=8080`.
pub(super) fn port_pair(text: &str) -> Result<(u16, u16), Refused> {
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    let pair = text.split_once('=').and_then(|(from, to)| port(from).zip(to.trim().parse().ok()));
    pair.ok_or_else(|| format!("{text:?} is not two ports; write it as 80=8080").into())
}

/// `404` or `500-599`.
pub(super) fn status_range(text: &str) -> Result<RangeInclusive<u16>, Refused> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..=999).contains(status));
    match status(from).zip(status(to)) {
        Some((from, to)) if from <= to => Ok(from..=to),
        _ => Err(format!("{text:?} is not a status; write it as 404 or 500-599").into()),
    }
}

fn network(item: &str) -> Result<IpNet, Refused> {
    let alone = || item.parse::<IpAddr>().map(IpNet::from);
    item.parse::<IpNet>()
        .or_else(|_| alone())
        .map_err(|_| format!("{item:?} is neither a network (10.0.0.0/8) nor an address").into())
}

fn parse_bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (digits, unit) =
        units.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit))).unwrap_or((text, 1));
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}
