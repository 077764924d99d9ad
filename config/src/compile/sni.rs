//! What happens to TLS connections by SNI: claims by socket and pattern, the first of which is filed.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{
    contest::{Contest, Standing},
    verdicts::{Source, Verdicts},
};
use crate::{
    kubernetes::convert::{EntryPoint, SniClaim, SniRank},
    model::{host::HostPattern, id::ObjectId},
    report::Finding,
    snapshot::{OwnerId, SniAction, SniEntry, SniTable, SocketKey, Transport},
};

type Cell = (SocketKey, HostPattern);

/// All claims, and the tables that they come to.
#[derive(Debug, Default)]
pub(super) struct SniTables {
    tables: HashMap<SocketKey, SniTable>,
    contests: HashMap<Cell, Contest<(OwnerId, SniAction)>>,
    dirty: HashSet<Cell>,
}

impl SniTables {
    /// Tables on which TLS entry points answer every name with the default certificate.
    pub(super) fn new(entry_points: &[EntryPoint]) -> Self {
        let mut tables = Self::default();
        for entry in entry_points.iter().filter(|entry| entry.transport == Transport::Tls) {
            let object = ObjectId { kind: "EntryPoint".into(), namespace: "".into(), name: entry.name.clone() };
            let owner = OwnerId { object: object.clone(), section: "".into() };
            let (rank, action) = (SniRank::EntryPoint, SniAction::Terminate(Arc::default()));
            let (pattern, asked) = (HostPattern::Any, HostPattern::Any);
            let field = Arc::default();
            let claim = SniClaim { socket: entry.socket, pattern, asked, rank, owner, created: None, action, field };
            tables.replace(&object, &[], &[claim]);
        }
        tables
    }

    /// The table of `socket`; empty where TLS is not spoken.
    pub(super) fn table(&self, socket: SocketKey, transport: Transport) -> SniTable {
        let table = self.tables.get(&socket).filter(|_| transport == Transport::Tls);
        table.cloned().unwrap_or_default()
    }

    /// Replaces the claims of one unit.
    pub(super) fn replace(&mut self, object: &ObjectId, before: &[SniClaim], after: &[SniClaim]) {
        if before == after {
            return;
        }
        for (nth, claim) in before.iter().enumerate() {
            self.contest(claim).remove(&standing(object, claim, nth));
        }
        for (nth, claim) in after.iter().enumerate() {
            let value = (claim.owner.clone(), claim.action.clone());
            self.contest(claim).insert(standing(object, claim, nth), value);
        }
    }

    /// Decides what was touched; returns the sockets whose table changed.
    pub(super) fn settle(&mut self, verdicts: &mut Verdicts) -> BTreeSet<(SocketKey, Transport)> {
        let mut changed = BTreeSet::new();
        for cell in std::mem::take(&mut self.dirty) {
            if self.settle_cell(&cell, verdicts) {
                changed.insert((cell.0, Transport::Tls));
            }
        }
        changed
    }

    fn settle_cell(&mut self, cell: &Cell, verdicts: &mut Verdicts) -> bool {
        let Some(contest) = self.contests.get_mut(cell) else { return false };
        let changed = contest.settle(|standing, claim, winner| {
            let source = Source::Sni(cell.0, cell.1.clone(), standing.nth);
            let finding = claim.zip(winner).and_then(|(claim, winner)| defeat(&cell.1, standing, claim, winner));
            verdicts.tell(&standing.object, source, finding.into_iter().collect());
        });
        if changed {
            let entry = contest.winner().map(|(_, (owner, action))| {
                Arc::new(SniEntry { pattern: cell.1.clone(), owner: owner.clone(), action: action.clone() })
            });
            self.tables.entry(cell.0).or_default().set(&cell.1, entry);
        }
        if contest.is_empty() {
            self.contests.remove(cell);
        }
        changed
    }

    fn contest(&mut self, claim: &SniClaim) -> &mut Contest<(OwnerId, SniAction)> {
        let cell = (claim.socket, claim.pattern.clone());
        self.dirty.insert(cell.clone());
        self.contests.entry(cell).or_default()
    }
}

fn standing(object: &ObjectId, claim: &SniClaim, nth: usize) -> Standing {
    Standing {
        rank: claim.rank,
        asked: claim.asked.clone(),
        created: claim.created,
        object: object.clone(),
        nth,
        field: claim.field.clone(),
    }
}

/// Only who named the host itself is told; and not when the winner does the same.
fn defeat(
    pattern: &HostPattern,
    standing: &Standing,
    claim: &(OwnerId, SniAction),
    winner: (&Standing, &(OwnerId, SniAction)),
) -> Option<Finding> {
    let (first, (_, action)) = winner;
    (standing.rank == SniRank::Named && claim.1 != *action).then(|| {
        Finding::warning(
            &*standing.field,
            "HostnameConflict",
            format!("TLS for {pattern} is already decided by {}", first.object),
        )
        .remedy("use the same certificate in both objects, or another host in one of them")
    })
}
