//! What is shown of each object's addresses, and when that changes: what comes and goes by itself is not shown at all, and
//! what goes on changing only now and then, as it is then. Time is an argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    allocation::Ledger,
    kubernetes::{
        announced::{Told, World, l2_status::L2Status},
        object::Kind,
        store::Key,
    },
    model::id::ObjectId,
    provider::kubernetes::{announced::Wanted, events::pace::Pace},
    report::Report,
};

/// Between two looks at everything.
const BETWEEN: Duration = Duration::from_secs(1);
/// What is wrong for less than this is a node on its way in or out.
const PASSES: Duration = Duration::from_secs(3);
/// So many changes of one object are shown at once, and then one after each pause.
const BURST: u32 = 3;
const PAUSE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub(in crate::provider::kubernetes) struct Board {
    shown: BTreeMap<Key, Shown>,
    is_stale: bool,
    looked: Option<Instant>,
    is_settled: bool,
    /// When something is to be shown that has waited.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Shown {
    told: Told,
    pace: Pace,
    /// Since when it should say something else.
    differs: Option<Instant>,
}

/// What is to be shown of an object now, where that is something else than before.
#[derive(Debug)]
pub(in crate::provider::kubernetes) struct Change {
    pub(in crate::provider::kubernetes) key: Key,
    pub(in crate::provider::kubernetes) before: Told,
    pub(in crate::provider::kubernetes) after: Told,
}

impl Board {
    /// Something is known that was not.
    pub(in crate::provider::kubernetes) fn set_stale(&mut self) {
        self.is_stale = true;
    }

    /// What is to be shown of `key`; `None`: nothing is known.
    pub(in crate::provider::kubernetes) fn told(&self, key: &Key) -> Option<&Told> {
        self.shown.get(key).map(|shown| &shown.told)
    }

    /// When to look again.
    pub(in crate::provider::kubernetes) fn wake(&self) -> Option<Instant> {
        let stale = self.is_stale.then(|| self.looked.map(|looked| looked + BETWEEN)).flatten();
        stale.into_iter().chain(self.due).min()
    }

    /// Whether it is time to [`Board::look`].
    pub(in crate::provider::kubernetes) fn is_due(&self, now: Instant, is_settled: bool) -> bool {
        let is_soon = self.looked.is_some_and(|looked| now < looked + BETWEEN);
        let has_news = self.is_stale || is_settled != self.is_settled;
        self.due.is_some_and(|due| due <= now) || (has_news && !is_soon)
    }

    /// Looks at everything.
    pub(in crate::provider::kubernetes) fn look(
        &mut self,
        now: Instant,
        world: &World<'_>,
        (ledger, report): (&Ledger, &Report),
    ) -> Vec<Change> {
        (self.is_stale, self.looked, self.due, self.is_settled) = (false, Some(now), None, world.is_settled);
        let fresh = everything(world, ledger, report);
        let gone: Vec<_> = self.shown.keys().filter(|key| !fresh.contains_key(*key)).cloned().collect();
        let mut changes: Vec<_> = gone.into_iter().filter_map(|key| self.forget(key)).collect();
        changes.extend(fresh.into_iter().filter_map(|(key, told)| self.show(key, told, now)));
        changes
    }

    fn forget(&mut self, key: Key) -> Option<Change> {
        let before = self.shown.remove(&key)?.told;
        Some(Change { key, before, after: Told::default() })
    }

    fn show(&mut self, key: Key, told: Told, now: Instant) -> Option<Change> {
        let shown = self.shown.entry(key.clone()).or_insert_with(|| Shown {
            told: Told::default(),
            pace: Pace::new(BURST, PAUSE, now),
            differs: None,
        });
        // Of what is not known now, what was known last holds.
        if !told.is_known || told == shown.told {
            shown.differs = None;
            return None;
        }
        let since = *shown.differs.get_or_insert(now);
        let passes = if told.is_good() { since } else { since + PASSES };
        let ready = passes.max(shown.pace.ready(now));
        if ready > now {
            self.due = Some(self.due.map_or(ready, |due| due.min(ready)));
            return None;
        }
        shown.pace.take(1, now);
        shown.differs = None;
        let before = std::mem::replace(&mut shown.told, told.clone());
        Some(Change { key, before, after: told })
    }

    /// The objects that MetalLB's users look at.
    pub(in crate::provider::kubernetes) fn l2_statuses(&self, ledger: &Ledger) -> Wanted {
        let mut wanted = Wanted::default();
        let namespaces: BTreeMap<_, _> =
            ledger.pool_objects.iter().map(|(object, name)| (name.clone(), object.namespace.clone())).collect();
        for (key, shown) in self.shown.iter().filter(|(key, _)| key.kind == Kind::Service) {
            let service = (key.namespace.clone(), key.name.clone());
            if !shown.told.is_known {
                wanted.undecided.insert(service);
                continue;
            }
            let pool = ledger.allocation.outcomes.get(&key.id()).and_then(|outcome| outcome.result.as_ref().ok());
            let Some(namespace) = pool.and_then(|assignment| namespaces.get(&assignment.pool)) else { continue };
            for (node, interfaces) in &shown.told.owners {
                let (namespace, service) = (namespace.clone(), service.clone());
                let (node, interfaces) = (node.clone(), interfaces.clone());
                wanted.statuses.insert(L2Status { namespace, service, node, interfaces });
            }
        }
        wanted
    }
}

/// What is to be told of everything that has addresses, and of the pools that these are of.
fn everything(world: &World<'_>, ledger: &Ledger, report: &Report) -> BTreeMap<Key, Told> {
    let mut all = BTreeMap::new();
    let mut used: BTreeMap<&str, BTreeSet<IpAddr>> = BTreeMap::new();
    for (of, outcome) in &ledger.allocation.outcomes {
        let (Some(key), Ok(assignment)) = (Key::named(of), &outcome.result) else { continue };
        used.entry(&assignment.pool).or_default().extend(&assignment.addresses);
        let findings = report.objects.get(of).map(|verdict| verdict.findings.as_slice()).unwrap_or_default();
        all.insert(key.clone(), world.object(&key, &assignment.addresses, &assignment.pool, findings));
    }
    let pool = |(object, name): (&ObjectId, &std::sync::Arc<str>)| {
        Some((Key::named(object)?, world.pool(used.get(&**name).unwrap_or(&BTreeSet::new()))))
    };
    all.extend(ledger.pool_objects.iter().filter_map(pool));
    all
}
