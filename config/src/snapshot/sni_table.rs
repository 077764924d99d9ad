//! SNI → what happens to a TLS connection.

use std::sync::Arc;

use super::{Map, OwnerId};
use crate::model::{
    host::{HostPattern, parent},
    id::CertificateId,
    route::Tunnel,
};

/// Entries filed by host pattern; look-ups go exact, one-label wildcard, deeper wildcards, any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SniTable {
    exact: Map<Arc<str>, Arc<SniEntry>>,
    one_label: Map<Arc<str>, Arc<SniEntry>>,
    subdomains: Map<Arc<str>, Arc<SniEntry>>,
    any: Option<Arc<SniEntry>>,
    /// How many of them end TLS here.
    terminating: usize,
}

/// What happens to connections whose SNI the pattern holds.
#[derive(Clone, Debug, PartialEq)]
pub struct SniEntry {
    /// The pattern that it is filed by.
    pub pattern: HostPattern,
    /// Whose entry it is: two hosts of different owners never share a connection (421).
    pub owner: OwnerId,
    /// What happens.
    pub action: SniAction,
}

/// What happens to a TLS connection.
#[derive(Clone, Debug, PartialEq)]
pub enum SniAction {
    /// TLS ends here and HTTP is served. Candidates in order: of the ready slots those whose certificate names the SNI
    /// go first, of these the ones that are valid at the moment, then order decides; without any, the default
    /// certificate is shown.
    Terminate(Arc<[CertificateId]>),
    /// Bytes go to a backend untouched.
    Passthrough(Arc<Tunnel>),
    /// TLS ends here and the bytes inside go to a backend.
    TerminateTcp(Arc<[CertificateId]>, Arc<Tunnel>),
}

impl SniAction {
    fn terminates(&self) -> bool {
        !matches!(self, Self::Passthrough(_))
    }
}

impl SniTable {
    /// The entry for a lower-case SNI without trailing dot; `None` as name is a client that sent none.
    pub fn find(&self, name: Option<&str>) -> Option<&Arc<SniEntry>> {
        let Some(name) = name else { return self.any.as_ref() };
        if let Some(entry) = self.exact.get(name) {
            return Some(entry);
        }
        let first = parent(name);
        first
            .and_then(|suffix| self.one_label.get(suffix))
            .or_else(|| std::iter::successors(first, |s| parent(s)).find_map(|suffix| self.subdomains.get(suffix)))
            .or(self.any.as_ref())
    }

    /// The entry filed by `pattern`.
    pub fn get(&self, pattern: &HostPattern) -> Option<&Arc<SniEntry>> {
        match pattern {
            HostPattern::Exact(name) => self.exact.get(name),
            HostPattern::OneLabel(suffix) => self.one_label.get(suffix),
            HostPattern::Subdomains(suffix) => self.subdomains.get(suffix),
            HostPattern::Any => self.any.as_ref(),
        }
    }

    /// Files `entry` under `pattern`, or removes what is there.
    pub fn set(&mut self, pattern: &HostPattern, entry: Option<Arc<SniEntry>>) {
        let is_counted = |entry: &Option<Arc<SniEntry>>| entry.as_ref().is_some_and(|entry| entry.action.terminates());
        let after = is_counted(&entry);
        let before = is_counted(&self.replace(pattern, entry));
        self.terminating = self.terminating + usize::from(after) - usize::from(before);
    }

    /// What was there.
    fn replace(&mut self, pattern: &HostPattern, entry: Option<Arc<SniEntry>>) -> Option<Arc<SniEntry>> {
        let (map, key) = match pattern {
            HostPattern::Exact(name) => (&mut self.exact, name),
            HostPattern::OneLabel(suffix) => (&mut self.one_label, suffix),
            HostPattern::Subdomains(suffix) => (&mut self.subdomains, suffix),
            HostPattern::Any => return std::mem::replace(&mut self.any, entry),
        };
        match entry {
            Some(entry) => map.insert(key.clone(), entry),
            None => map.remove(key),
        }
    }

    /// Whether TLS of any name ends here.
    pub fn terminates(&self) -> bool {
        self.terminating > 0
    }

    /// All entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<SniEntry>> {
        let maps = [&self.exact, &self.one_label, &self.subdomains];
        maps.into_iter().flat_map(|map| map.values()).chain(self.any.as_ref())
    }

    /// Whether no name is filed.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}
