//! Which sockets exist, and what is spoken there: entry points first, then the oldest claim.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    contest::{Contest, Standing},
    verdicts::{Source, Verdicts},
};
use crate::{
    kubernetes::{
        convert::{EntryPoint, SniRank, SocketClaim},
        view::{Holder, Holders, Read, opponent},
    },
    model::{host::HostPattern, id::ObjectId},
    report::Finding,
    snapshot::{OwnerId, SocketKey, Transport},
};

/// All claims on sockets.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    entry_points: BTreeMap<SocketKey, EntryPoint>,
    contests: BTreeMap<SocketKey, Contest<(OwnerId, Transport)>>,
    /// Who had each when it was last settled.
    holders: Holders,
    dirty: BTreeSet<SocketKey>,
    /// Entry points that no output has shown yet: all of them, until the first.
    unshown: BTreeSet<SocketKey>,
}

/// What was decided anew.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Sockets that came, went or changed their transport.
    pub(super) sockets: BTreeSet<SocketKey>,
    /// Questions that have another answer now.
    pub(super) reads: Vec<Read>,
}

impl Sockets {
    /// The sockets of the entry points, which no object can take away.
    pub(super) fn new(entry_points: &[EntryPoint]) -> Self {
        let by_socket = |entry: &EntryPoint| (entry.socket, entry.clone());
        // Of two entry points on one socket the first stays; the settings refuse the second before it comes here.
        let entry_points: BTreeMap<_, _> = entry_points.iter().rev().map(by_socket).collect();
        let holder = |(socket, entry): (&SocketKey, &EntryPoint)| {
            (*socket, Holder { transport: entry.transport, name: format!("entry point {}", entry.name).into() })
        };
        let holders = entry_points.iter().map(holder).collect();
        let unshown = entry_points.keys().copied().collect();
        Self { entry_points, holders, unshown, ..Self::default() }
    }

    /// Who has each socket.
    pub(super) fn holders(&self) -> &Holders {
        &self.holders
    }

    /// What is spoken on `socket`; `None`: it does not exist.
    pub(super) fn transport(&self, socket: SocketKey) -> Option<Transport> {
        self.holders.get(&socket).map(|holder| holder.transport)
    }

    /// The name of `socket` for people.
    pub(super) fn name(&self, socket: SocketKey) -> Arc<str> {
        let entry = self.entry_points.get(&socket).map(|entry| entry.name.clone());
        entry.unwrap_or_else(|| socket.port.to_string().into())
    }

    /// Replaces the claims of one unit.
    pub(super) fn replace(&mut self, object: &ObjectId, before: &[SocketClaim], after: &[SocketClaim]) {
        if before == after {
            return;
        }
        for (nth, claim) in before.iter().enumerate() {
            self.contest(claim.socket).remove(standing(object, claim, nth));
        }
        for (nth, claim) in after.iter().enumerate() {
            self.contest(claim.socket).insert(standing(object, claim, nth), (claim.owner.clone(), claim.transport));
        }
    }

    /// Decides what was touched.
    pub(super) fn settle(&mut self, verdicts: &mut Verdicts) -> Settled {
        let mut settled = Settled { sockets: std::mem::take(&mut self.unshown), reads: Vec::new() };
        for socket in std::mem::take(&mut self.dirty) {
            let before = self.holders.get(&socket).cloned();
            self.settle_one(socket, verdicts);
            let after = self.holders.get(&socket);
            if before.as_ref().map(|holder| holder.transport) != after.map(|holder| holder.transport) {
                settled.sockets.insert(socket);
            }
            for transport in [Transport::Plain, Transport::Tls] {
                if opponent(before.as_ref(), transport) != opponent(after, transport) {
                    settled.reads.push(Read::Socket(socket, transport));
                }
            }
        }
        settled
    }

    fn settle_one(&mut self, socket: SocketKey, verdicts: &mut Verdicts) {
        let Some(contest) = self.contests.get_mut(&socket) else { return };
        let entry = self.entry_points.get(&socket).and_then(|_| self.holders.get(&socket)).cloned();
        contest.settle(|standing, claim, winner| {
            let holder = entry.clone().or_else(|| winner.map(|(_, won)| holder(won)));
            let finding = claim.and_then(|(_, transport)| conflict(socket, standing, *transport, holder.as_ref()));
            verdicts.tell(&standing.object, Source::Socket(socket, standing.nth), finding.into_iter().collect());
        });
        match entry.or_else(|| contest.winner().map(|(_, won)| holder(won))) {
            Some(holder) => drop(self.holders.insert(socket, holder)),
            None => drop(self.holders.remove(&socket)),
        }
        if contest.is_empty() {
            self.contests.remove(&socket);
        }
    }

    fn contest(&mut self, socket: SocketKey) -> &mut Contest<(OwnerId, Transport)> {
        self.dirty.insert(socket);
        self.contests.entry(socket).or_default()
    }
}

fn standing(object: &ObjectId, claim: &SocketClaim, nth: usize) -> Arc<Standing> {
    Arc::new(Standing {
        rank: SniRank::Named,
        asked: HostPattern::Any,
        created: claim.created,
        object: object.clone(),
        nth,
        field: claim.field.clone(),
    })
}

fn holder((owner, transport): &(OwnerId, Transport)) -> Holder {
    Holder { transport: *transport, name: owner.to_string().into() }
}

fn conflict(socket: SocketKey, standing: &Standing, transport: Transport, holder: Option<&Holder>) -> Option<Finding> {
    opponent(holder, transport).map(|holder| {
        let (wanted, spoken) = (transport.spoken(), holder.transport.spoken());
        Finding::refused(
            &*standing.field,
            "PortUnavailable",
            format!("wants {wanted} on {socket}, where {} has {spoken}", holder.name),
        )
        .remedy("use another port or address")
    })
}
