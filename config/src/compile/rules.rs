//! Rules by place. One place is edited at a time, so that a change costs the places that it touches and never the
//! number of routes, of the installation or of a host.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::verdicts::{Source, Verdicts};
use crate::{
    kubernetes::convert,
    model::{id::ObjectId, route::Rule},
    report::Finding,
    snapshot::{HostEntry, HostTable, PathTable, Place, SocketKey, Transport},
};

/// The tables, one per socket and transport: rules meant for a transport that lost the socket wait in theirs.
#[derive(Debug, Default)]
pub(super) struct RuleTables {
    tables: HashMap<(SocketKey, Transport), HostTable>,
    edits: HashMap<Place, Edit>,
}

#[derive(Debug, Default)]
struct Edit {
    removed: Vec<Arc<Rule>>,
    added: Vec<Arc<Rule>>,
}

type Filed = Vec<(Place, Arc<Rule>)>;

impl RuleTables {
    /// The table of `socket` as `transport` sees it.
    pub(super) fn table(&self, socket: SocketKey, transport: Transport) -> HostTable {
        self.tables.get(&(socket, transport)).cloned().unwrap_or_default()
    }

    /// Replaces the rules of one unit. Places where nothing changed keep their rules, in `after` too.
    pub(super) fn replace(&mut self, before: &Filed, after: &mut Filed) {
        let old = by_place(before.iter());
        let mut kept = HashMap::new();
        for (place, rules) in by_place(after.iter()) {
            match old.get(place) {
                Some(same) if *same == rules => {
                    kept.insert(place.clone(), same.iter().map(|rule| Arc::clone(rule)).collect::<Vec<_>>());
                }
                _ => self.edits.entry(place.clone()).or_default().added.extend(rules.into_iter().cloned()),
            }
        }
        for (place, rules) in old {
            if !kept.contains_key(place) {
                self.edits.entry(place.clone()).or_default().removed.extend(rules.into_iter().cloned());
            }
        }
        // From the back, so that `pop` gives each place's rules in their order.
        for (place, rule) in after.iter_mut().rev() {
            if let Some(same) = kept.get_mut(place).and_then(Vec::pop) {
                *rule = same;
            }
        }
    }

    /// Carries out the edits; returns the tables that changed.
    pub(super) fn settle(&mut self, verdicts: &mut Verdicts) -> BTreeSet<(SocketKey, Transport)> {
        let mut changed = BTreeSet::new();
        for (place, edit) in std::mem::take(&mut self.edits) {
            let table = self.tables.entry((place.socket, place.transport)).or_default();
            let before = filed(table, &place);
            let after = edit.apply(&before);
            if before.len() > 1 || after.len() > 1 {
                tell_conflicts(&place, &before, &after, verdicts);
            }
            if *before != *after {
                file(table, &place, after);
                changed.insert((place.socket, place.transport));
            }
        }
        changed
    }
}

impl Edit {
    /// A stable sort: rules that are equal in order are of one object, and all of them are removed and added together.
    /// A unit that is asked twice in one batch removes what it added.
    fn apply(self, before: &[Arc<Rule>]) -> Vec<Arc<Rule>> {
        let removed: HashSet<*const Rule> = self.removed.iter().map(Arc::as_ptr).collect();
        let kept = before.iter().chain(&self.added).filter(|rule| !removed.contains(&Arc::as_ptr(rule)));
        let mut after: Vec<_> = kept.cloned().collect();
        after.sort();
        after.dedup();
        after
    }
}

fn by_place<'a>(rules: impl Iterator<Item = &'a (Place, Arc<Rule>)>) -> HashMap<&'a Place, Vec<&'a Arc<Rule>>> {
    let mut places: HashMap<_, Vec<_>> = HashMap::new();
    for (place, rule) in rules {
        places.entry(place).or_default().push(rule);
    }
    places
}

fn filed(table: &HostTable, place: &Place) -> Arc<[Arc<Rule>]> {
    let entry = table.get(&place.host);
    entry.and_then(|entry| tier(entry, place)?.get(&place.path)).cloned().unwrap_or_default()
}

fn tier<'e>(entry: &'e HostEntry, place: &Place) -> Option<&'e Arc<PathTable>> {
    if place.ranked { entry.ranked.as_ref() } else { entry.layer(&place.route_host) }
}

fn file(table: &mut HostTable, place: &Place, rules: Vec<Arc<Rule>>) {
    let mut entry =
        table.get(&place.host).map_or_else(|| HostEntry::new(place.host.clone()), |entry| (**entry).clone());
    let mut paths = tier(&entry, place).map(|paths| (**paths).clone()).unwrap_or_default();
    paths.set(&place.path, rules.into());
    if place.ranked {
        entry.set_ranked(paths);
    } else {
        entry.set_layer(&place.route_host, paths);
    }
    let entry = (!entry.is_empty()).then(|| Arc::new(entry));
    table.set(&place.host, entry);
}

/// Of rules that are equal in everything but their source only the first can ever win: the others' objects are told.
#[allow(clippy::mutable_key_type, reason = "expressions are hashed and compared by their text alone")]
fn tell_conflicts(place: &Place, before: &[Arc<Rule>], after: &[Arc<Rule>], verdicts: &mut Verdicts) {
    let mut findings: HashMap<&ObjectId, Vec<Finding>> =
        before.iter().chain(after).map(|rule| (&rule.source.object, Vec::new())).collect();
    let mut winners: HashMap<_, &Arc<Rule>> = HashMap::new();
    for rule in after {
        let first = *winners.entry((rule.fallback, &rule.predicates, &rule.except_hosts)).or_insert(rule);
        if !is_same_match(first, rule) {
            findings.entry(&rule.source.object).or_default().push(shadowed(place, first, rule));
        }
    }
    for (object, findings) in findings {
        verdicts.tell(object, Source::Rules(place.clone()), findings);
    }
}

/// Whether two rules are one match of one object, filed through two listeners.
fn is_same_match(a: &Rule, b: &Rule) -> bool {
    a.source.object == b.source.object && a.source.rule_index == b.source.rule_index && a.match_index == b.match_index
}

fn shadowed(place: &Place, first: &Rule, rule: &Rule) -> Finding {
    let winner = if first.source.object == rule.source.object {
        convert::match_field(first)
    } else {
        first.source.object.to_string()
    };
    Finding::warning(
        convert::match_field(rule),
        "Shadowed",
        format!("the same match on {place} is served by {winner}, which goes first"),
    )
    .remedy("remove one of the two")
}
