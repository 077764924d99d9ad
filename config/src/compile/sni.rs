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
    model::{
        certificate::Certificate,
        host::HostPattern,
        id::{CertificateId, ObjectId},
    },
    report::Finding,
    snapshot::{OwnerId, SniAction, SniEntry, SniTable, SocketKey, Transport},
};

type Place = (SocketKey, HostPattern);

/// All claims, and the tables that they come to.
#[derive(Debug, Default)]
pub(super) struct SniTables {
    tables: HashMap<SocketKey, SniTable>,
    cells: HashMap<Place, Cell>,
    dirty: HashSet<Place>,
}

/// All claims on one pattern of one socket.
#[derive(Debug, Default)]
struct Cell {
    contest: Contest<Arc<Stake>>,
    /// Certificates that may stand in for others, sorted, with who brings them in; almost always one.
    certificates: Vec<(CertificateId, BTreeSet<Arc<Standing>>)>,
}

/// What a claim comes to when it wins.
#[derive(Clone, Debug, PartialEq)]
struct Stake {
    owner: OwnerId,
    action: SniAction,
    /// The certificate whose own name it is.
    certificate: Option<Arc<Certificate>>,
}

impl SniTables {
    /// Tables on which TLS entry points answer every name with the default certificate.
    pub(super) fn new(entry_points: &[EntryPoint]) -> Self {
        let mut tables = Self::default();
        for entry in entry_points.iter().filter(|entry| entry.transport == Transport::Tls) {
            let claim = default_certificate(entry);
            let object = claim.owner.object.clone();
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
            self.cell(claim).remove(standing(object, claim, nth), claim);
        }
        for (nth, claim) in after.iter().enumerate() {
            self.cell(claim).insert(standing(object, claim, nth), claim);
        }
    }

    /// Decides what was touched; returns the sockets whose table changed.
    pub(super) fn settle(&mut self, verdicts: &mut Verdicts) -> BTreeSet<(SocketKey, Transport)> {
        let mut changed = BTreeSet::new();
        for place in std::mem::take(&mut self.dirty) {
            if self.settle_cell(&place, verdicts) {
                changed.insert((place.0, Transport::Tls));
            }
        }
        changed
    }

    fn settle_cell(&mut self, place: &Place, verdicts: &mut Verdicts) -> bool {
        let (socket, pattern) = place;
        let Some(cell) = self.cells.get_mut(place) else { return false };
        cell.contest.settle(|standing, claim, winner| {
            let source = Source::Sni(*socket, pattern.clone(), standing.nth);
            let defeated = |(claim, (first, won)): (&Arc<Stake>, (_, &Arc<Stake>))| {
                defeat(pattern, (standing, claim), (first, won))
            };
            let finding = claim.zip(winner).and_then(defeated);
            verdicts.tell(&standing.object, source, finding.into_iter().collect());
        });
        let entry = cell.entry(pattern);
        if cell.contest.is_empty() {
            self.cells.remove(place);
        }
        let table = self.tables.entry(*socket).or_default();
        let changed = table.get(pattern).map(|entry| &**entry) != entry.as_ref();
        if changed {
            table.set(pattern, entry.map(Arc::new));
        }
        changed
    }

    fn cell(&mut self, claim: &SniClaim) -> &mut Cell {
        let place = (claim.socket, claim.pattern.clone());
        self.dirty.insert(place.clone());
        self.cells.entry(place).or_default()
    }
}

impl Cell {
    fn insert(&mut self, standing: Arc<Standing>, claim: &SniClaim) {
        for id in lent(claim) {
            let at = self.certificates.binary_search_by(|(other, _)| other.cmp(id)).unwrap_or_else(|at| {
                self.certificates.reserve_exact(1);
                self.certificates.insert(at, (id.clone(), BTreeSet::new()));
                at
            });
            if let Some((_, standings)) = self.certificates.get_mut(at) {
                standings.insert(standing.clone());
            }
        }
        let SniClaim { owner, action, certificate, .. } = claim.clone();
        self.contest.insert(standing, Arc::new(Stake { owner, action, certificate }));
    }

    fn remove(&mut self, standing: Arc<Standing>, claim: &SniClaim) {
        for id in lent(claim) {
            let Ok(at) = self.certificates.binary_search_by(|(other, _)| other.cmp(id)) else { continue };
            let Some((_, standings)) = self.certificates.get_mut(at) else { continue };
            standings.remove(&standing);
            if standings.is_empty() {
                self.certificates.remove(at);
            }
        }
        self.contest.remove(standing);
    }

    /// What the winner asked for. Its certificates come first, others stand in for them.
    fn entry(&self, pattern: &HostPattern) -> Option<SniEntry> {
        let (winner, stake) = self.contest.winner()?;
        let Stake { owner, action, .. } = &**stake;
        let action = match action {
            SniAction::Terminate(own) if owner.section.is_empty() && !own.is_empty() => {
                SniAction::Terminate(self.candidates(winner, own))
            }
            other => other.clone(),
        };
        Some(SniEntry { pattern: pattern.clone(), owner: owner.clone(), action })
    }

    fn candidates(&self, winner: &Standing, own: &Arc<[CertificateId]>) -> Arc<[CertificateId]> {
        let others = self.certificates.iter().filter(|(id, _)| !own.contains(id));
        let first = others.map(|(id, standings)| (standings.iter().find(|other| stands_in(other, winner)), id));
        let mut others: Vec<_> = first.filter(|(standing, _)| standing.is_some()).collect();
        if others.is_empty() {
            return own.clone();
        }
        others.sort();
        own.iter().chain(others.into_iter().map(|(_, id)| id)).cloned().collect()
    }
}

/// A certificate of another namespace is never shown for a host that the winner named: that takes consent.
fn stands_in(other: &Standing, winner: &Standing) -> bool {
    other.object.namespace == winner.object.namespace
        || (other.rank, winner.rank) == (SniRank::FromCertificate, SniRank::FromCertificate)
}

/// The certificates that may stand in for others. Those of a listener are for that listener alone.
fn lent(claim: &SniClaim) -> &[CertificateId] {
    match &claim.action {
        SniAction::Terminate(ids) if claim.owner.section.is_empty() => ids,
        _ => &[],
    }
}

fn default_certificate(entry: &EntryPoint) -> SniClaim {
    let object = ObjectId { kind: "EntryPoint".into(), namespace: "".into(), name: entry.name.clone() };
    SniClaim {
        socket: entry.socket,
        pattern: HostPattern::Any,
        asked: HostPattern::Any,
        rank: SniRank::EntryPoint,
        owner: OwnerId { object, section: "".into() },
        created: None,
        action: SniAction::Terminate(Arc::default()),
        certificate: None,
        field: Arc::default(),
    }
}

fn standing(object: &ObjectId, claim: &SniClaim, nth: usize) -> Arc<Standing> {
    Arc::new(Standing {
        rank: claim.rank,
        asked: claim.asked.clone(),
        created: claim.created,
        object: object.clone(),
        nth,
        field: claim.field.clone(),
    })
}

/// Who named the host itself is told, and whose certificate has the name where nobody did; not when the winner does the
/// same.
fn defeat(pattern: &HostPattern, loser: (&Standing, &Stake), winner: (&Standing, &Stake)) -> Option<Finding> {
    let ((standing, stake), (first, won)) = (loser, winner);
    match (standing.rank, first.rank) {
        (SniRank::Named | SniRank::Stream(_), _) if stake.action != won.action => {
            Some(named_twice(pattern, loser, first))
        }
        (SniRank::FromCertificate, SniRank::FromCertificate) if stake.certificate != won.certificate => {
            Some(certified_twice(pattern, standing, first))
        }
        _ => None,
    }
}

fn named_twice(pattern: &HostPattern, (standing, stake): (&Standing, &Stake), first: &Standing) -> Finding {
    let remedy = match stake.action {
        SniAction::Terminate(_) => "use the same certificate in both objects, or another host in one of them",
        SniAction::Passthrough(_) | SniAction::TerminateTcp(..) => "use another host in one of them",
    };
    let message = format!("TLS for {pattern} is already decided by {}", first.object);
    Finding::warning(&*standing.field, "HostnameConflict", message).remedy(remedy)
}

fn certified_twice(pattern: &HostPattern, standing: &Standing, first: &Standing) -> Finding {
    let message = format!("{} has a certificate for {pattern} too, which is shown while it is valid", first.object);
    Finding::warning(&*standing.field, "HostnameConflict", message)
        .remedy("remove one of them, or name the host in spec.tls of the Ingress that wants this one")
}
