//! What this process may do and this kernel can do, found out by trying without doing; and what follows from what is
//! missing.

use std::{collections::BTreeSet, io};

use rustix::thread::{CapabilitySet, capabilities};

use super::{
    Error,
    filter::{self, ARP, INET},
    hand_back,
    nft::{Batch, Nft},
};

/// Something that is missing, with what cannot be done without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Lack {
    /// `CAP_NET_ADMIN`.
    #[error(
        "CAP_NET_ADMIN is missing: no address can be made local, and the kernel cannot be kept from answering for one; \
         give the process this capability"
    )]
    NetAdmin,
    /// `CAP_NET_RAW`.
    #[error("CAP_NET_RAW is missing: ARP and NDP cannot be answered; give the process this capability")]
    NetRaw,
    /// nf_tables as a whole.
    #[error(
        "the kernel has no nf_tables (CONFIG_NF_TABLES): only arp_ignore keeps it from answering, traffic is tracked, and \
         a planned move resets connections"
    )]
    NfTables,
    /// The ARP family of nf_tables.
    #[error("nf_tables has no ARP family (CONFIG_NF_TABLES_ARP): only arp_ignore keeps the kernel from answering")]
    ArpTables,
    /// `notrack`.
    #[error(
        "nf_tables has no notrack (CONFIG_NFT_CT): traffic of announced addresses is tracked, and rules for host ports \
         and node ports may take it"
    )]
    Notrack,
    /// `fwd` at the ingress of a link.
    #[error(
        "nf_tables cannot forward at the ingress of a link (CONFIG_NF_TABLES_NETDEV, CONFIG_NFT_FWD_NETDEV): a planned \
         move resets connections"
    )]
    Forward,
}

impl Lack {
    /// Whether it is one of the process, which whoever runs it can give it.
    pub const fn is_capability(self) -> bool {
        matches!(self, Self::NetAdmin | Self::NetRaw)
    }
}

/// What is missing; empty where everything works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    lacks: BTreeSet<Lack>,
}

impl Abilities {
    /// Tries everything and changes nothing.
    pub(super) fn probe(nft: &mut Nft) -> Result<Self, Error> {
        let mut lacks = lacking_capabilities()?;
        if !lacks.contains(&Lack::NetAdmin) {
            lacks.extend(lacking_features(nft)?);
        }
        Ok(Self { lacks })
    }

    /// All that is missing.
    pub fn lacks(&self) -> impl Iterator<Item = Lack> {
        self.lacks.iter().copied()
    }

    /// Nothing, or the first of `needed` that is missing.
    pub(super) fn need(&self, needed: &[Lack]) -> Result<(), Lack> {
        needed.iter().find(|lack| self.lacks.contains(lack)).map_or(Ok(()), |lack| Err(*lack))
    }

    /// Whether `what` can be done.
    pub(super) fn has(&self, what: Lack) -> bool {
        self.need(&[Lack::NetAdmin, Lack::NfTables, what]).is_ok()
    }
}

/// Of this thread, as every thread of a process has the same unless it takes care to differ.
fn lacking_capabilities() -> Result<BTreeSet<Lack>, Error> {
    let doing = "tell the capabilities of this process";
    let sets = capabilities(None).map_err(|errno| Error::Refused { doing, source: io::Error::from(errno) })?;
    let needed = [(CapabilitySet::NET_ADMIN, Lack::NetAdmin), (CapabilitySet::NET_RAW, Lack::NetRaw)];
    Ok(needed.into_iter().filter(|(needed, _)| !sets.effective.contains(*needed)).map(|(_, lack)| lack).collect())
}

fn lacking_features(nft: &mut Nft) -> Result<BTreeSet<Lack>, Error> {
    let mut any = Batch::default();
    any.table(INET);
    if !can(nft, any)? {
        return Ok(BTreeSet::from([Lack::NfTables]));
    }
    // Tried after an empty start, so that what another version has left cannot stand in the way.
    let tried = |table, write: fn(&mut Batch)| {
        let mut batch = Batch::default();
        batch.table(table);
        batch.delete_table(table);
        write(&mut batch);
        batch
    };
    let features = [
        (tried(ARP, filter::write_arp), Lack::ArpTables),
        (tried(INET, filter::write_inet), Lack::Notrack),
        (tried(hand_back::TABLE, hand_back::write_trial), Lack::Forward),
    ];
    let mut lacks = BTreeSet::new();
    for (batch, lack) in features {
        if !can(nft, batch)? {
            lacks.insert(lack);
        }
    }
    Ok(lacks)
}

/// A refusal of any kind means no; not to get an answer at all is an error.
fn can(nft: &mut Nft, batch: Batch) -> Result<bool, Error> {
    match nft.check(batch) {
        Ok(()) => Ok(true),
        Err(Error::Refused { source, .. }) if source.kind() != io::ErrorKind::TimedOut => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_follows_from_what_is_missing() {
        let features = [Lack::ArpTables, Lack::Notrack, Lack::Forward];
        let table: [(&[Lack], [bool; 3]); 5] = [
            (&[], [true; 3]),
            (&[Lack::NetRaw], [true; 3]),
            (&[Lack::NetAdmin], [false; 3]),
            (&[Lack::NfTables], [false; 3]),
            (&[Lack::Notrack], [true, false, true]),
        ];
        for (lacks, able) in table {
            let abilities = Abilities { lacks: lacks.iter().copied().collect() };
            assert_eq!(features.map(|feature| abilities.has(feature)), able, "{lacks:?}");
        }
    }
}
