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
    kubernetes::convert::{EntryPoint, SniRank, SocketClaim},
    model::{host::HostPattern, id::ObjectId},
    report::Finding,
    snapshot::{SocketKey, Transport},
};

/// All claims on sockets.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    entry_points: BTreeMap<SocketKey, EntryPoint>,
    contests: BTreeMap<SocketKey, Contest<Transport>>,
    dirty: BTreeSet<SocketKey>,
    /// Entry points that no output has shown yet: all of them, until the first.
    unshown: BTreeSet<SocketKey>,
}

impl Sockets {
    /// The sockets of the entry points, which no object can take away.
    pub(super) fn new(entry_points: &[EntryPoint]) -> Self {
        let by_socket = |entry: &EntryPoint| (entry.socket, entry.clone());
        // Of two entry points on one socket the first stays; the settings refuse the second before it comes here.
        let entry_points: BTreeMap<_, _> = entry_points.iter().rev().map(by_socket).collect();
        let unshown = entry_points.keys().copied().collect();
        Self { entry_points, unshown, ..Self::default() }
    }

    /// What is spoken on `socket`; `None`: it does not exist.
    pub(super) fn transport(&self, socket: SocketKey) -> Option<Transport> {
        let entry = self.entry_points.get(&socket).map(|entry| entry.transport);
        entry.or_else(|| Some(*self.contests.get(&socket)?.winner()?.1))
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
            self.contest(claim.socket).remove(&standing(object, claim, nth));
        }
        for (nth, claim) in after.iter().enumerate() {
            self.contest(claim.socket).insert(standing(object, claim, nth), claim.transport);
        }
    }

    /// Decides what was touched; returns the sockets that came, went or changed their transport.
    pub(super) fn settle(&mut self, verdicts: &mut Verdicts) -> BTreeSet<SocketKey> {
        let mut changed = std::mem::take(&mut self.unshown);
        for socket in std::mem::take(&mut self.dirty) {
            let entry = self.entry_points.get(&socket);
            let Some(contest) = self.contests.get_mut(&socket) else { continue };
            let moved = contest.settle(|standing, claim, winner| {
                let source = Source::Socket(socket, standing.nth);
                let finding = claim.and_then(|transport| conflict(socket, standing, *transport, entry, winner));
                verdicts.tell(&standing.object, source, finding.into_iter().collect());
            });
            if moved && entry.is_none() {
                changed.insert(socket);
            }
            if contest.is_empty() {
                self.contests.remove(&socket);
            }
        }
        changed
    }

    fn contest(&mut self, socket: SocketKey) -> &mut Contest<Transport> {
        self.dirty.insert(socket);
        self.contests.entry(socket).or_default()
    }
}

fn standing(object: &ObjectId, claim: &SocketClaim, nth: usize) -> Standing {
    Standing {
        rank: SniRank::Named,
        asked: HostPattern::Any,
        created: claim.created,
        object: object.clone(),
        nth,
        field: claim.field.clone(),
    }
}

fn conflict(
    socket: SocketKey,
    standing: &Standing,
    transport: Transport,
    entry: Option<&EntryPoint>,
    winner: Option<(&Standing, &Transport)>,
) -> Option<Finding> {
    let (holder, spoken) = match (entry, winner) {
        (Some(entry), _) => (format!("entry point {}", entry.name), entry.transport),
        (None, Some((winner, spoken))) => (winner.object.to_string(), *spoken),
        (None, None) => return None,
    };
    let name = |transport| if transport == Transport::Tls { "TLS" } else { "plain HTTP" };
    (spoken != transport).then(|| {
        Finding::refused(
            &*standing.field,
            "ProtocolConflict",
            format!("wants {} on {socket}, where {holder} has {}", name(transport), name(spoken)),
        )
        .remedy("use another port or address")
    })
}
