//! Objects → (Snapshot, Report), incrementally. Pure, and cannot fail: one broken object costs only itself.
//!
//! The work is cut into units ([`unit::Unit`]): one per object, one per slot. Each is turned into what it asks for by
//! a pure function of `kubernetes::convert` that reads other objects through a view; the reads index the unit, so a
//! change recomputes the units that read what changed and no other. What they ask for now is compared with what they
//! asked for before, and only the difference reaches the tables. So the cost of a change is that of its dependants.
//!
//! The result depends on the objects at hand alone, never on the order or the batches in which they came.

mod addresses;
mod contest;
mod reads;
mod rules;
mod slots;
mod sni;
mod sockets;
mod unit;
mod verdicts;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use jiff::Timestamp;

use self::{
    addresses::Addresses,
    reads::Readers,
    rules::RuleTables,
    slots::Slots,
    sni::SniTables,
    sockets::{Settled, Sockets},
    unit::{Asks, Unit, Units},
    verdicts::{Source, Verdicts},
};
use crate::{
    allocation::Ledger,
    kubernetes::{
        convert::Settings,
        store::{Change, Key, Store, touched},
        view::{Read, View},
    },
    model::id::{CertificateId, ClusterId, MiddlewareId},
    provider::Demand,
    report::{InputProblem, Origin, Report, SkippedObject},
    snapshot::{Listener, Snapshot, SocketKey, Transport},
};

/// Keeps the objects at hand and what they come to.
#[derive(Debug)]
pub struct Compiler {
    settings: Settings,
    store: Store,
    units: Units,
    readers: Readers,
    rules: RuleTables,
    sni: SniTables,
    sockets: Sockets,
    slots: Slots,
    addresses: Addresses,
    verdicts: Verdicts,
    snapshot: Snapshot,
    incomplete: bool,
    report: Report,
}

/// What the objects come to, after a batch of changes.
#[derive(Clone, Debug)]
pub struct Output {
    /// What should run.
    pub snapshot: Arc<Snapshot>,
    /// What became of each object.
    pub report: Arc<Report>,
    /// Where `snapshot` differs from the one before.
    pub changed: Changed,
    /// How many units were recomputed: the cost of the batch.
    pub recomputed: usize,
    /// Objects that are referred to since the output before, or are no more.
    pub demand: Demand,
}

/// Where two snapshots differ, gone entries included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Listeners that came, went, or whose transport, host table or SNI table changed.
    pub sockets: BTreeSet<SocketKey>,
    /// Cluster slots.
    pub clusters: BTreeSet<ClusterId>,
    /// Middleware slots.
    pub middlewares: BTreeSet<MiddlewareId>,
    /// Certificate slots.
    pub certificates: BTreeSet<CertificateId>,
    /// Addresses that are announced, or how.
    pub addresses: BTreeSet<IpAddr>,
    /// Whether routes may be missing.
    pub incomplete: bool,
}

impl Changed {
    /// Whether the snapshots are equal.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Compiler {
    /// A compiler without objects. The entry points of `settings` exist from the first output on.
    pub fn new(settings: Settings) -> Self {
        Self {
            sockets: Sockets::new(&settings.entry_points),
            sni: SniTables::new(&settings.entry_points),
            addresses: Addresses::new(settings.addresses.map.clone()),
            settings,
            store: Store::default(),
            units: Units::default(),
            readers: Readers::default(),
            rules: RuleTables::default(),
            slots: Slots::default(),
            verdicts: Verdicts::default(),
            snapshot: Snapshot::default(),
            incomplete: false,
            report: Report::default(),
        }
    }

    /// Takes a batch of changes.
    pub fn apply(&mut self, changes: Vec<Change>) -> Output {
        let mut dirty = BTreeSet::new();
        for change in changes {
            self.take(change, &mut dirty);
        }
        self.settle(dirty)
    }

    /// Says whether routes may be missing, because objects of a kind are not known; the next output carries it.
    pub fn set_incomplete(&mut self, incomplete: bool) {
        self.incomplete = incomplete;
    }

    /// Sets the time at which certificates are judged.
    pub fn set_now(&mut self, now: Timestamp) -> Output {
        self.settings.now = now;
        let dirty = self.readers.of(&Read::Now).cloned().collect();
        self.settle(dirty)
    }

    /// Replaces what could not be read as an object at all; the next output carries it.
    pub fn set_input_problems(&mut self, mut problems: Vec<InputProblem>) {
        problems.sort();
        self.report.input = problems;
    }

    /// Replaces the objects that were read and set aside; the next output carries them.
    pub fn set_skipped(&mut self, mut skipped: Vec<SkippedObject>) {
        skipped.sort();
        self.report.skipped = skipped;
    }

    /// Says of which release the definitions of the Gateway API are; the next output carries it.
    pub fn set_bundle(&mut self, bundle: Option<Arc<str>>) {
        self.report.bundle = bundle;
    }

    /// An object is as it was, but stands elsewhere; the next output says so.
    pub fn relocate(&mut self, key: &Key, origin: Origin) {
        self.verdicts.relocate(&key.id(), origin);
    }

    /// What the operator decided.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What should be announced.
    pub fn announcements(&self) -> &imbl::OrdMap<IpAddr, Arc<crate::snapshot::Announcement>> {
        &self.snapshot.announcements
    }

    /// Who wants which addresses and who has them.
    pub fn ledger(&self) -> &Ledger {
        self.addresses.ledger()
    }

    /// The objects at hand.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn take(&mut self, change: Change, dirty: &mut BTreeSet<Unit>) {
        let (key, object) = match change {
            Change::Set { object, origin, findings } => {
                let key = Key::of(&object);
                self.verdicts.enter(&key.id(), origin, findings);
                (key, Some(object))
            }
            Change::Refused { key, origin, findings } => {
                self.verdicts.enter(&key.id(), origin, findings);
                (key, None)
            }
            Change::Remove(key) => {
                self.verdicts.leave(&key.id());
                (key, None)
            }
        };
        if object.is_some() && self.store.get(&key) == object.as_ref() {
            // A cluster tells of changes that are none to us: of a status, of who manages which field.
            return;
        }
        let after = object.clone();
        let before = match object {
            Some(object) => self.store.insert(object),
            None => self.store.remove(&key),
        };
        for read in touched(&key, before.as_ref(), after.as_ref()) {
            dirty.extend(self.readers.of(&read).cloned());
        }
        dirty.insert(Unit::Object(key));
    }

    /// Recomputes `dirty` and what becomes dirty by it, then the tables.
    fn settle(&mut self, mut dirty: BTreeSet<Unit>) -> Output {
        let mut changed = Changed::default();
        let mut recomputed = 0;
        loop {
            while let Some(unit) = dirty.pop_first() {
                recomputed += usize::from(self.recompute(&unit, &mut dirty, &mut changed));
            }
            // Who asks for a holder claims no socket, so this comes to an end.
            let Settled { sockets, reads } = self.sockets.settle(&mut self.verdicts);
            changed.sockets.extend(sockets);
            dirty.extend(reads.iter().flat_map(|read| self.readers.of(read)).cloned());
            if dirty.is_empty() {
                break;
            }
        }
        self.settle_listeners(&mut changed.sockets);
        self.addresses.settle(&mut self.verdicts, &mut self.snapshot.announcements, &mut changed.addresses);
        changed.incomplete = std::mem::replace(&mut self.snapshot.incomplete, self.incomplete) != self.incomplete;
        self.verdicts.write(&mut self.report);
        Output {
            snapshot: Arc::new(self.snapshot.clone()),
            report: Arc::new(self.report.clone()),
            changed,
            recomputed,
            demand: self.readers.demand(),
        }
    }

    /// Brings the listeners up to date with the tables; adds those that change to `changed`.
    fn settle_listeners(&mut self, changed: &mut BTreeSet<SocketKey>) {
        let mut tables = self.rules.settle(&mut self.verdicts);
        tables.extend(self.sni.settle(&mut self.verdicts));
        let served = |(socket, transport): &(SocketKey, Transport)| self.sockets.transport(*socket) == Some(*transport);
        changed.extend(tables.into_iter().filter(served).map(|(socket, _)| socket));
        for socket in changed.iter() {
            match self.listener(*socket) {
                Some(listener) => drop(self.snapshot.listeners.insert(*socket, Arc::new(listener))),
                None => drop(self.snapshot.listeners.remove(socket)),
            }
        }
    }

    fn listener(&self, socket: SocketKey) -> Option<Listener> {
        let transport = self.sockets.transport(socket)?;
        Some(Listener {
            key: socket,
            name: self.sockets.name(socket),
            transport,
            hosts: self.rules.table(socket, transport),
            sni: self.sni.table(socket, transport),
        })
    }

    /// Asks `unit` again, or drops it if it has gone. Says whether it was asked.
    fn recompute(&mut self, unit: &Unit, dirty: &mut BTreeSet<Unit>, changed: &mut Changed) -> bool {
        let view = View::new(&self.store, self.sockets.holders());
        let wanted = !unit.is_slot() || self.slots.is_wanted(unit);
        let answer = if wanted { unit.ask(&self.store, &view, &self.settings) } else { None };
        let asked = answer.is_some();
        let (asks, content) = answer.unwrap_or_default();
        self.readers.set(unit, view.into_reads());
        slots::put(&mut self.snapshot, changed, unit, content);
        self.replace(unit, asks, dirty);
        asked
    }

    /// Puts what `unit` asks for in place of what it asked for before.
    fn replace(&mut self, unit: &Unit, mut after: Asks, dirty: &mut BTreeSet<Unit>) {
        let before = self.units.take(unit);
        let object = unit.object();
        self.rules.replace(&before.rules, &mut after.rules);
        self.sockets.replace(&object, &before.sockets, &after.sockets);
        self.sni.replace(&object, &before.sni, &after.sni);
        self.addresses.replace_pool(&object, after.pool.take());
        self.addresses.replace_claim(&object, after.exposed.take());
        self.slots.replace(&before.slots, &after.slots, dirty);
        self.verdicts.attach(&before.attached, &after.attached);
        let findings = std::mem::take(&mut after.findings);
        after.spoken_of = self.verdicts.say(&Source::Unit(unit.clone()), &before.spoken_of, findings);
        self.units.put(unit, after);
    }
}
