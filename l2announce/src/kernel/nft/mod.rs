//! nf_tables without the `nft` program: what a rule set is made of, sent as one transaction that happens wholly or not at
//! all. What our tables say is written beside this folder, in `filter` and `hand_back`.

mod batch;
mod expression;

use std::{collections::BTreeSet, io};

use netlink_packet_core::NLM_F_ACK;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    nftables::{
        DataAttribute, ListAttribute, NfTablesMessage, SetAttribute, SetElementAttribute, SetElementList,
        SetElementMessage, SetMessage, TableAttribute, TableMessage,
    },
};
use netlink_sys::protocols::NETLINK_NETFILTER;
use rustix::io::Errno;

pub(super) use self::{
    batch::{Batch, Chain, Set},
    expression::{
        Base, Expression, KeyRegister, accept, drop_packet, forward_to, is, is_not, load, load_transport, lookup,
        masked, notrack, protocol, write,
    },
};
use super::{Error, netlink::Netlink};

/// A table of ours, which nobody else has one of the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Which packets it sees.
    pub(super) family: NetfilterProtoFamily,
    /// Its name, unique in the family.
    pub(super) name: &'static str,
}

impl Table {
    /// As `nft` calls its family.
    pub(super) fn family_name(self) -> &'static str {
        match self.family {
            NetfilterProtoFamily::ARP => "arp",
            NetfilterProtoFamily::NetDev => "netdev",
            _ => "inet",
        }
    }
}

/// A way to nf_tables, if the kernel has any.
pub(super) struct Nft(Option<Netlink>);

impl Nft {
    pub(super) fn open() -> Result<Self, Error> {
        match Netlink::open(NETLINK_NETFILTER) {
            Err(Error::Refused { source, .. }) if is_unknown(&source) => Ok(Self(None)),
            other => other.map(Some).map(Self),
        }
    }

    /// Every question is refused by a kernel that has no such thing.
    fn netlink(&mut self, doing: &'static str) -> Result<&mut Netlink, Error> {
        let source = || Errno::PROTONOSUPPORT.into();
        self.0.as_mut().ok_or_else(|| Error::Refused { doing, source: source() })
    }

    /// Does all of `batch`, or nothing. The kernel is not asked where there is nothing to do.
    pub(super) fn commit(&mut self, doing: &'static str, batch: Batch) -> Result<(), Error> {
        if batch.is_empty() { Ok(()) } else { self.netlink(doing)?.tell_all(doing, batch.messages(true)) }
    }

    /// Asks whether `batch` could be done.
    pub(super) fn check(&mut self, batch: Batch) -> Result<(), Error> {
        let doing = "try a rule set";
        self.netlink(doing)?.tell_all(doing, batch.messages(false))
    }

    /// Whether there is such a table. There is none of a family that the kernel does not know.
    pub(super) fn exists(&mut self, table: Table) -> Result<bool, Error> {
        let attributes = vec![TableAttribute::Name(table.name.into())];
        let question = NfTablesMessage::GetTable(TableMessage { attributes });
        let header = NetfilterHeader::new(table.family, 0, 0);
        let doing = "look up a table";
        let Ok(netlink) = self.netlink(doing) else { return Ok(false) };
        match netlink.ask(doing, NetfilterMessage::new(header, question), 0) {
            Ok(_) => Ok(true),
            Err(Error::Refused { source, .. }) if source.kind() != io::ErrorKind::TimedOut => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The keys that are in a set; nothing if there is no such set. The time it takes grows with the square of their
    /// number, as the kernel starts anew for each part of its answer.
    pub(super) fn elements(&mut self, table: Table, set: &str) -> Result<Option<BTreeSet<Vec<u8>>>, Error> {
        let answers = self.list("list the elements of a set", table.family, question_for_elements(table, set))?;
        Ok(answers.map(|answers| answers.into_iter().flat_map(keys).collect()))
    }

    /// Whether there is no such set, or nothing in it.
    pub(super) fn is_empty(&mut self, table: Table, set: &str) -> Result<bool, Error> {
        let question =
            NetfilterMessage::new(NetfilterHeader::new(table.family, 0, 0), question_for_elements(table, set));
        // On a socket of its own, as the rest of the answer is left unread.
        let Some(netlink) = Self::open()?.0 else { return Ok(true) };
        match netlink.first("look into a set", question) {
            Err(Error::Refused { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(true),
            other => Ok(other?.and_then(nf_tables).is_none_or(|answer| keys(answer).is_empty())),
        }
    }

    /// The names of all sets of a table, none if there is no such table.
    pub(super) fn sets(&mut self, table: Table) -> Result<BTreeSet<String>, Error> {
        let question = NfTablesMessage::GetSet(SetMessage { attributes: vec![SetAttribute::Table(table.name.into())] });
        let answers = self.list("list the sets of a table", table.family, question)?.unwrap_or_default();
        Ok(answers.into_iter().filter_map(name_of_set).collect())
    }

    fn list(
        &mut self,
        doing: &'static str,
        family: NetfilterProtoFamily,
        question: NfTablesMessage,
    ) -> Result<Option<Vec<NfTablesMessage>>, Error> {
        match self.netlink(doing)?.list(doing, NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), question)) {
            Err(Error::Refused { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(answers) => Ok(Some(answers.into_iter().filter_map(nf_tables).collect())),
        }
    }
}

/// Netlink without netfilter.
fn is_unknown(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::PROTONOSUPPORT.raw_os_error())
}

fn nf_tables(message: NetfilterMessage) -> Option<NfTablesMessage> {
    match message.inner {
        NetfilterMessageInner::NfTables(message) => Some(message),
        _ => None,
    }
}

fn name_of_set(message: NfTablesMessage) -> Option<String> {
    let NfTablesMessage::NewSet(set) = message else { return None };
    set.attributes.into_iter().find_map(|attribute| match attribute {
        SetAttribute::Name(name) => Some(name),
        _ => None,
    })
}

fn question_for_elements(table: Table, set: &str) -> NfTablesMessage {
    let attributes = vec![SetElementList::Table(table.name.into()), SetElementList::Set(set.into())];
    NfTablesMessage::GetSetElement(SetElementMessage { attributes })
}

fn keys(answer: NfTablesMessage) -> Vec<Vec<u8>> {
    let NfTablesMessage::NewSetElement(message) = answer else { return Vec::new() };
    let lists = message.attributes.into_iter().filter_map(|attribute| match attribute {
        SetElementList::Elements(elements) => Some(elements),
        _ => None,
    });
    let elements = lists.flatten();
    let attributes = elements.filter_map(|element| match element {
        ListAttribute::Element(attributes) => Some(attributes),
        _ => None,
    });
    let keys = attributes.flatten().filter_map(|attribute| match attribute {
        SetElementAttribute::Key(DataAttribute::Value(bytes)) => Some(bytes),
        _ => None,
    });
    keys.collect()
}

/// The flag of the message whose acknowledgement stands for the whole batch.
const ACKNOWLEDGED: u16 = NLM_F_ACK;
