//! Announcements and accounts → who announces what an object has, and what stands against it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use imbl::OrdMap;

use super::{
    account::{Accounts, Cause, Part, Rival, Role},
    said,
};
use crate::{
    kubernetes::{object::Kind, store::Key},
    report::{Finding, Severity},
    snapshot::{Announcement, Candidates},
};

/// The reason of findings that nobody announces an address, where no node has anything to do with it.
pub const NOT_ANNOUNCED: &str = "NotAnnounced";

/// What the cluster is to be shown of one object that has addresses, or of a pool that they are of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Who announces its addresses, and where.
    pub owners: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// What stands against it, worst first.
    pub findings: Vec<Finding>,
    /// Whether all that is needed to say more is known.
    pub is_known: bool,
}

/// Everything that is known at one moment.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// What should be announced.
    pub announcements: &'a OrdMap<IpAddr, Arc<Announcement>>,
    /// What nodes say.
    pub accounts: &'a Accounts,
    /// Whether all who will say anything had the time to.
    pub is_settled: bool,
}

impl Told {
    /// Whether somebody announces it and nothing keeps clients from reaching it.
    pub fn is_good(&self) -> bool {
        self.is_known && self.findings.iter().all(|finding| finding.severity > Severity::Refused)
    }
}

impl World<'_> {
    /// What is to be told of the object `key`, which has `addresses` of `pool`; `verdict` says what is wrong with it.
    pub fn object(&self, key: &Key, addresses: &[IpAddr], pool: &str, verdict: &[Finding]) -> Told {
        let mut told = Told { is_known: !addresses.is_empty(), ..Told::default() };
        told.findings.extend(verdict.iter().filter(|finding| finding.reason == NOT_ANNOUNCED).cloned());
        for address in addresses {
            let Some(announcement) = self.announcements.get(address) else {
                // Nobody may: why not is among the findings, or it is not on record yet.
                told.is_known &= !told.findings.is_empty();
                continue;
            };
            let one = self.address(*address, announcement);
            told.is_known &= one.is_known(self.is_settled);
            told.findings.extend(one.findings(field(key), pool));
            for (node, interfaces) in one.owners {
                told.owners.entry(node).or_default().extend(interfaces);
            }
        }
        // One that is only not as it is wished is no reason to call it bad.
        for finding in &mut told.findings {
            if finding.reason == NOT_ANNOUNCED {
                finding.severity = Severity::Refused;
            }
        }
        told.findings.sort();
        told.findings.dedup();
        told
    }

    /// What is to be told of a pool of which `addresses` are in use: those that no candidate has a subnet for.
    pub fn pool(&self, addresses: &BTreeSet<IpAddr>) -> Told {
        let mut nodes = BTreeSet::new();
        let mut strange = Vec::new();
        let mut is_known = true;
        for address in addresses {
            let Some(announcement) = self.announcements.get(address) else { continue };
            let one = self.address(*address, announcement);
            is_known &= one.is_known(self.is_settled);
            if one.is_in_no_subnet() {
                strange.push(*address);
                nodes.extend(one.said.iter().map(|(node, _)| node.clone()));
            }
        }
        let findings = (!strange.is_empty()).then(|| said::no_subnet(&strange, &nodes)).into_iter().collect();
        Told { owners: BTreeMap::new(), findings, is_known }
    }

    fn address(&self, address: IpAddr, announcement: &Announcement) -> Address {
        let part = |node: &Arc<str>| Some((node.clone(), self.accounts.get(node)?.parts.get(&address)?.clone()));
        let (said, silent) = match &announcement.candidates {
            Candidates::Named(nodes) => {
                let said: Vec<_> = nodes.keys().filter_map(part).collect();
                let is_silent = |node: &&Arc<str>| part(node).is_none();
                (said, nodes.keys().filter(is_silent).cloned().collect())
            }
            Candidates::Everybody(_) => (self.accounts.keys().filter_map(part).collect(), BTreeSet::new()),
        };
        let owner = |(node, part): &(Arc<str>, Part)| match &part.role {
            Role::Announces { epoch, interfaces } => Some((*epoch, node.clone(), interfaces.clone())),
            _ => None,
        };
        // Who gives it away says so until the other has it: only the later one counts.
        let newest = said.iter().filter_map(owner).max_by_key(|(epoch, ..)| *epoch);
        let owners = newest.map(|(_, node, interfaces)| (node, interfaces)).into_iter().collect();
        let rival = said.iter().filter_map(|(_, part)| part.rival).max();
        Address { address, owners, said, silent, rival }
    }
}

/// The field that shows an object's addresses.
fn field(key: &Key) -> &'static str {
    if key.kind == Kind::Service { "status.loadBalancer.ingress" } else { "status.addresses" }
}

/// One address, and what is said of it.
pub(super) struct Address {
    pub(super) address: IpAddr,
    pub(super) owners: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// By candidate.
    pub(super) said: Vec<(Arc<str>, Part)>,
    /// Candidates that say nothing.
    pub(super) silent: BTreeSet<Arc<str>>,
    pub(super) rival: Option<Rival>,
}

impl Address {
    /// Somebody announces it; or everybody has said that he does not, or had the time to.
    fn is_known(&self, is_settled: bool) -> bool {
        let stands = |(_, part): &(Arc<str>, Part)| matches!(part.role, Role::Stands);
        !self.owners.is_empty()
            || (!self.said.is_empty() && (is_settled || self.silent.is_empty()) && !self.said.iter().any(stands))
    }

    fn is_in_no_subnet(&self) -> bool {
        !self.said.is_empty() && self.said.iter().all(|(_, part)| !part.is_in_subnet)
    }

    pub(super) fn hindered(&self, cause: Cause) -> Vec<(Arc<str>, Arc<str>)> {
        let of_cause = |(node, part): &'_ (Arc<str>, Part)| match &part.role {
            Role::Hindered(of, why) if *of == cause => Some((node.clone(), why.clone())),
            _ => None,
        };
        self.said.iter().filter_map(of_cause).collect()
    }

    fn findings(&self, field: &str, pool: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(rival) = self.rival {
            findings.push(said::rival(self, rival, field, pool));
        }
        findings.extend(Cause::ALL.iter().filter_map(|cause| said::hindered(self, *cause, field)));
        if self.owners.is_empty() && findings.is_empty() && !self.said.is_empty() {
            findings.push(said::nobody(self, field));
        }
        if self.is_in_no_subnet() && !self.owners.is_empty() {
            findings.push(said::outside(self, field));
        }
        findings
    }
}
