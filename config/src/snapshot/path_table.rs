//! Path → rules, by depth of the path and never by number of routes (regular expressions excepted: those of one host
//! are tried in order).

use std::sync::Arc;

use super::{Considered, Observer, RequestKey, path_starts::PathStarts, small_map::SmallMap};
use crate::model::{
    host::HostPattern,
    path::{PathPattern, PathRegex},
    route::Rule,
};

/// The rules of one path, best first.
pub(super) type Cell = Arc<[Arc<Rule>]>;

/// Rules of one host, filed by path; those of one path sorted best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PathTable {
    exact: SmallMap<Cell>,
    prefix: SmallMap<Cell>,
    /// How many prefixes of each number of segments are filed, in order: a look-up probes no deeper than they go.
    prefix_depths: Vec<(usize, usize)>,
    /// Longest expression first.
    regex: Arc<Vec<(PathRegex, Cell)>>,
    /// Boxed since only ranked rules have them.
    starts: Option<Box<PathStarts>>,
}

impl PathTable {
    /// The first rule that fits `request`: exact paths, expressions, prefixes, characters that it begins with.
    pub(super) fn find<'s, O: Observer>(
        &'s self,
        host: &HostPattern,
        request: RequestKey<'_>,
        observer: &mut O,
    ) -> Option<&'s Arc<Rule>> {
        if let Some(rule) = self.exact.get(request.path).and_then(|rules| first_fit(rules, host, request, observer)) {
            return Some(rule);
        }
        for (regex, rules) in self.regex.iter() {
            if regex.is_match(request.path) {
                if let Some(rule) = first_fit(rules, host, request, observer) {
                    return Some(rule);
                }
            } else {
                rules.iter().for_each(|rule| observer.considered(host, rule, Considered::PathDiffers));
            }
        }
        let wider = self.prefixes(request.path).chain(self.starts(request.path));
        wider.into_iter().find_map(|rules| first_fit(rules, host, request, observer))
    }

    /// The best-ranked rule that fits `request` and outranks `best`, whatever path it is filed by.
    pub(super) fn find_ranked<'s, O: Observer>(
        &'s self,
        host: &HostPattern,
        request: RequestKey<'_>,
        best: Option<&'s Arc<Rule>>,
        observer: &mut O,
    ) -> Option<&'s Arc<Rule>> {
        let matching = |(regex, rules): &'s (PathRegex, Cell)| regex.is_match(request.path).then_some(rules);
        let cells = self.exact.get(request.path).into_iter().chain(self.regex.iter().filter_map(matching));
        let cells = cells.chain(self.prefixes(request.path)).chain(self.starts(request.path));
        let mut found = None;
        for rules in cells {
            let worth = |rule: &&'s Arc<Rule>| found.or(best).is_none_or(|best| rule.outranks(best));
            let mut contenders = rules.iter().take_while(worth);
            if let Some(rule) = contenders.find(|rule| fits(rule, host, request, observer))
                && let Some(loser) = found.replace(rule)
            {
                observer.considered(host, loser, Considered::Outranked);
            }
        }
        found
    }

    /// The cells of all characters that `path` begins with, the longest first.
    fn starts<'s>(&'s self, path: &str) -> impl Iterator<Item = &'s Cell> {
        self.starts.iter().flat_map(move |starts| starts.of(path))
    }

    /// The cells of all prefixes of `path`, the longest first.
    fn prefixes<'s>(&'s self, path: &str) -> impl Iterator<Item = &'s Cell> {
        let deepest = self.prefix_depths.last().map_or(0, |(depth, _)| *depth);
        // The end of each element-wise prefix, from the root's (0) on; deeper ones than any filed are not worth a probe.
        let mut ends = Ends::default();
        if !self.prefix_depths.is_empty() {
            ends.push(0);
            let bytes = path.as_bytes();
            let mut at = 1;
            for _ in 0..deepest {
                let end = bytes
                    .get(at..)
                    .and_then(|rest| rest.iter().position(|b| *b == b'/'))
                    .map_or(bytes.len(), |n| at + n);
                if at > bytes.len() {
                    break;
                }
                ends.push(end);
                at = end + 1;
            }
        }
        ends.into_iter_rev().filter_map(|end| self.prefix.get(path.get(..end)?))
    }

    /// The rules of one path, best first.
    pub fn get(&self, path: &PathPattern) -> Option<&Cell> {
        match path {
            PathPattern::Exact(text) => self.exact.get(text),
            PathPattern::Prefix(text) => self.prefix.get(text),
            PathPattern::Start(text) => self.starts.as_ref().and_then(|starts| starts.get(text)),
            PathPattern::Regex(regex) => self.regex.iter().find(|(other, _)| other == regex).map(|(_, rules)| rules),
        }
    }

    /// Replaces the rules of one path; `rules` must be sorted, and none removes the path.
    pub fn set(&mut self, path: &PathPattern, rules: Cell) {
        match path {
            PathPattern::Exact(text) if rules.is_empty() => self.exact.remove(text),
            PathPattern::Exact(text) => self.exact.insert(text, rules),
            PathPattern::Prefix(text) => self.set_prefix(text, rules),
            PathPattern::Start(text) => {
                let starts = self.starts.get_or_insert_default();
                starts.set(text, rules);
                if starts.is_empty() {
                    self.starts = None;
                }
            }
            PathPattern::Regex(regex) => self.set_regex(regex, rules),
        }
    }

    /// Whether no path is filed.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefix.is_empty() && self.regex.is_empty() && self.starts.is_none()
    }

    /// All rules, in no particular order.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let starts = self.starts.iter().flat_map(|starts| starts.cells());
        let cells = self.exact.values().chain(self.prefix.values()).chain(starts);
        cells.chain(self.regex.iter().map(|(_, rules)| rules)).flat_map(|rules| rules.iter())
    }

    fn set_prefix(&mut self, text: &Arc<str>, rules: Cell) {
        let before = self.prefix.get(text).is_some();
        let after = !rules.is_empty();
        if after {
            self.prefix.insert(text, rules);
        } else {
            self.prefix.remove(text);
        }
        if before != after {
            self.count_depth(text.bytes().filter(|b| *b == b'/').count(), after);
        }
    }

    fn count_depth(&mut self, depth: usize, one_more: bool) {
        let depths = &mut self.prefix_depths;
        match depths.binary_search_by_key(&depth, |(depth, _)| *depth) {
            Err(at) => {
                depths.reserve_exact(1);
                depths.insert(at, (depth, 1));
            }
            Ok(at) => {
                if let Some((_, count)) = depths.get_mut(at) {
                    *count = if one_more { *count + 1 } else { *count - 1 };
                }
                depths.retain(|(_, count)| *count > 0);
            }
        }
    }

    fn set_regex(&mut self, regex: &PathRegex, rules: Cell) {
        let list = Arc::make_mut(&mut self.regex);
        list.retain(|(other, _)| other != regex);
        if !rules.is_empty() {
            let key = |regex: &PathRegex| (std::cmp::Reverse(regex.as_str().len()), regex.as_str().to_owned());
            let at = list.partition_point(|(other, _)| key(other) < key(regex));
            list.insert(at, (regex.clone(), rules));
        }
    }
}

fn first_fit<'a, O: Observer>(
    rules: &'a [Arc<Rule>],
    host: &HostPattern,
    request: RequestKey<'_>,
    observer: &mut O,
) -> Option<&'a Arc<Rule>> {
    rules.iter().find(|rule| fits(rule, host, request, observer))
}

/// Whether `rule` fits; the observer is told if not, and of a rule that does by whoever decides.
fn fits<O: Observer>(rule: &Arc<Rule>, host: &HostPattern, request: RequestKey<'_>, observer: &mut O) -> bool {
    let verdict = judge(rule, request);
    if verdict != Considered::Won {
        observer.considered(host, rule, verdict);
    }
    verdict == Considered::Won
}

fn judge(rule: &Rule, request: RequestKey<'_>) -> Considered {
    if rule.predicates.path.as_ref().is_some_and(|path| !path.is_match(request.path)) {
        Considered::PathDiffers
    } else if !rule.predicates.matches(request.method, request.headers, request.query)
        || !rule.predicates.expression_holds(request)
    {
        Considered::PredicateFails
    } else if rule.except_hosts.iter().any(|pattern| pattern.matches(request.host)) {
        Considered::HostTakenByListener
    } else {
        Considered::Won
    }
}

/// Prefix ends of one path: inline for the depths that are usual, on the heap beyond.
#[derive(Default)]
struct Ends {
    inline: [u16; 12],
    len: usize,
    heap: Vec<usize>,
}

impl Ends {
    fn push(&mut self, end: usize) {
        match (self.inline.get_mut(self.len), u16::try_from(end)) {
            (Some(slot), Ok(small)) if self.heap.is_empty() => {
                *slot = small;
                self.len += 1;
            }
            _ => self.heap.push(end),
        }
    }

    fn into_iter_rev(self) -> impl Iterator<Item = usize> {
        let Self { inline, len, heap } = self;
        heap.into_iter().rev().chain((0..len).rev().map(move |at| usize::from(inline[at])))
    }
}
