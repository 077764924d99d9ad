//! Host → path tables, by number of labels and never by number of routes.

use std::sync::Arc;

use super::{Map, PathTable};
use crate::model::host::{HostPattern, parent};

/// Path tables filed by host pattern.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostTable {
    exact: Map<Arc<str>, Arc<HostEntry>>,
    one_label: Map<Arc<str>, Arc<HostEntry>>,
    subdomains: Map<Arc<str>, Arc<HostEntry>>,
    any: Option<Arc<HostEntry>>,
    /// How many entries have ranked rules.
    ranked: usize,
}

/// All rules of one host pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct HostEntry {
    /// The pattern that it is filed by.
    pub pattern: HostPattern,
    /// Path tables by the hostname that the routes themselves named, the most specific first; almost always one.
    pub layers: Vec<(HostPattern, Arc<PathTable>)>,
    /// Rules that are found by their rank.
    pub ranked: Option<Arc<PathTable>>,
}

impl HostTable {
    /// The path tables that `host` may be served by, best first.
    pub fn candidates<'s>(&'s self, host: &str) -> impl Iterator<Item = (&'s HostPattern, &'s PathTable)> {
        self.entries(host).flat_map(|entry| entry.layers.iter().map(|(_, paths)| (&entry.pattern, &**paths)))
    }

    /// The tables of ranked rules that `host` may be served by.
    pub fn ranked<'s>(&'s self, host: &str) -> impl Iterator<Item = (&'s HostPattern, &'s PathTable)> {
        self.entries(host).filter_map(|entry| Some((&entry.pattern, &**entry.ranked.as_ref()?)))
    }

    /// Whether any rule is found by its rank.
    pub fn is_ranked(&self) -> bool {
        self.ranked != 0
    }

    /// The entries whose pattern holds `host`, the most specific first.
    fn entries<'s>(&'s self, host: &str) -> impl Iterator<Item = &'s Arc<HostEntry>> {
        let exact = self.exact.get(host);
        let wildcards = !self.one_label.is_empty() || !self.subdomains.is_empty();
        let first = if wildcards { parent(host) } else { None };
        let one = first.and_then(|suffix| self.one_label.get(suffix));
        let deeper = std::iter::successors(first.filter(|_| !self.subdomains.is_empty()), |suffix| parent(suffix))
            .filter_map(|suffix| self.subdomains.get(suffix));
        exact.into_iter().chain(one).chain(deeper).chain(self.any.as_ref())
    }

    /// The entry filed by `pattern`.
    pub fn get(&self, pattern: &HostPattern) -> Option<&Arc<HostEntry>> {
        match pattern {
            HostPattern::Exact(name) => self.exact.get(name),
            HostPattern::OneLabel(suffix) => self.one_label.get(suffix),
            HostPattern::Subdomains(suffix) => self.subdomains.get(suffix),
            HostPattern::Any => self.any.as_ref(),
        }
    }

    /// Files `entry` under `pattern`, or removes what is there.
    pub fn set(&mut self, pattern: &HostPattern, entry: Option<Arc<HostEntry>>) {
        let is_ranked = |entry: Option<&Arc<HostEntry>>| usize::from(entry.is_some_and(|entry| entry.ranked.is_some()));
        self.ranked = self.ranked + is_ranked(entry.as_ref()) - is_ranked(self.get(pattern));
        let (map, key) = match pattern {
            HostPattern::Exact(name) => (&mut self.exact, name),
            HostPattern::OneLabel(suffix) => (&mut self.one_label, suffix),
            HostPattern::Subdomains(suffix) => (&mut self.subdomains, suffix),
            HostPattern::Any => {
                self.any = entry;
                return;
            }
        };
        match entry {
            Some(entry) => map.insert(key.clone(), entry),
            None => map.remove(key),
        };
    }

    /// All entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<HostEntry>> {
        let maps = [&self.exact, &self.one_label, &self.subdomains];
        maps.into_iter().flat_map(|map| map.values()).chain(self.any.as_ref())
    }

    /// Number of host patterns.
    pub fn len(&self) -> usize {
        self.exact.len() + self.one_label.len() + self.subdomains.len() + usize::from(self.any.is_some())
    }

    /// Whether no host is filed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl HostEntry {
    /// An entry without rules.
    pub fn new(pattern: HostPattern) -> Self {
        Self { pattern, layers: Vec::new(), ranked: None }
    }

    /// Whether no rule is filed.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty() && self.ranked.is_none()
    }

    /// All path tables.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<PathTable>> {
        self.layers.iter().map(|(_, paths)| paths).chain(&self.ranked)
    }

    /// Replaces the table of ranked rules.
    pub fn set_ranked(&mut self, paths: PathTable) {
        self.ranked = (!paths.is_empty()).then(|| Arc::new(paths));
    }

    /// The path table of the routes that named `route_host`.
    pub fn layer(&self, route_host: &HostPattern) -> Option<&Arc<PathTable>> {
        self.layers.iter().find(|(host, _)| host == route_host).map(|(_, paths)| paths)
    }

    /// Replaces that table; an empty one removes the layer.
    pub fn set_layer(&mut self, route_host: &HostPattern, paths: PathTable) {
        self.layers.retain(|(host, _)| host != route_host);
        if !paths.is_empty() {
            let at = self.layers.partition_point(|(host, _)| host < route_host);
            self.layers.reserve_exact(1);
            self.layers.insert(at, (route_host.clone(), Arc::new(paths)));
        }
    }
}
