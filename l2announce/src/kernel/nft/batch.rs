//! One transaction under construction.

use std::time::Duration;

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    nftables::{
        ChainAttribute, ChainMessage, DataAttribute, Hook, HookNumber, ListAttribute, NfTablesMessage, RuleAttribute,
        RuleMessage, SetAttribute, SetElementAttribute, SetElementList, SetElementMessage, SetFlags, SetMessage,
        TableAttribute, TableMessage,
    },
    none::ControlMessage,
};

use super::{ACKNOWLEDGED, Expression, Table};

/// The number of nf_tables among the subsystems of netfilter.
const SUBSYSTEM: u16 = 10;

/// Elements in one message: the list of them is one attribute, which ends at 64 KiB.
const ELEMENTS: usize = 500;

/// A named set of keys.
pub(in crate::kernel) struct Set<'n> {
    pub(in crate::kernel) name: &'n str,
    /// What `nft list` is to show the keys as: one number of nft's data types for each part, six bits wide.
    pub(in crate::kernel) key_type: u32,
    /// Bytes of a key.
    pub(in crate::kernel) key_length: u32,
    /// Whether elements may end by themselves.
    pub(in crate::kernel) has_timeouts: bool,
}

/// A chain that the kernel calls by itself.
pub(in crate::kernel) struct Chain<'n> {
    pub(in crate::kernel) name: &'n str,
    pub(in crate::kernel) hook: HookNumber,
    /// Lower is called earlier.
    pub(in crate::kernel) priority: i32,
    /// The link that the packets come from, where the family asks for one.
    pub(in crate::kernel) link: Option<&'n str>,
}

/// Messages in the order in which the kernel is to see them.
#[derive(Default)]
pub(in crate::kernel) struct Batch {
    messages: Vec<(NetfilterMessage, u16)>,
    /// Numbers of sets, of which each that is made needs one.
    sets: u32,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Between its begin and its end; without an end the kernel tries everything and does nothing.
    pub(super) fn messages(self, ended: bool) -> Vec<(NetfilterMessage, u16)> {
        let mark = |control: ControlMessage| {
            let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, SUBSYSTEM);
            (NetfilterMessage::new(header, NetfilterMessageInner::from(control)), 0)
        };
        let mut messages = vec![mark(ControlMessage::BatchBegin)];
        messages.extend(self.messages);
        if let Some((_, flags)) = messages.last_mut() {
            *flags |= ACKNOWLEDGED;
        }
        messages.extend(ended.then(|| mark(ControlMessage::BatchEnd)));
        messages
    }

    fn push(&mut self, table: Table, message: NfTablesMessage, flags: u16) {
        self.messages.push((NetfilterMessage::new(NetfilterHeader::new(table.family, 0, 0), message), flags));
    }

    /// Makes a table; it is well if it is there.
    pub(in crate::kernel) fn table(&mut self, table: Table) {
        let attributes = vec![TableAttribute::Name(table.name.into())];
        self.push(table, NfTablesMessage::NewTable(TableMessage { attributes }), NLM_F_CREATE);
    }

    /// Deletes a table with all that is in it, and fails if there is none.
    pub(in crate::kernel) fn delete_table(&mut self, table: Table) {
        let attributes = vec![TableAttribute::Name(table.name.into())];
        self.push(table, NfTablesMessage::DeleteTable(TableMessage { attributes }), 0);
    }

    /// Makes a set; it is well if there is one just like it.
    pub(in crate::kernel) fn set(&mut self, table: Table, set: &Set<'_>) {
        self.sets += 1;
        let flags = if set.has_timeouts { SetFlags::Timeout } else { SetFlags::empty() };
        let attributes = vec![
            SetAttribute::Table(table.name.into()),
            SetAttribute::Name(set.name.into()),
            SetAttribute::Flags(flags),
            SetAttribute::KeyType(set.key_type),
            SetAttribute::KeyLen(set.key_length),
            SetAttribute::Id(self.sets),
        ];
        self.push(table, NfTablesMessage::NewSet(SetMessage { attributes }), NLM_F_CREATE);
    }

    /// Deletes a set that no rule names any more.
    pub(in crate::kernel) fn delete_set(&mut self, table: Table, name: &str) {
        let attributes = vec![SetAttribute::Table(table.name.into()), SetAttribute::Name(name.into())];
        self.push(table, NfTablesMessage::DeleteSet(SetMessage { attributes }), 0);
    }

    /// Makes a chain with just these rules, whatever was in it.
    pub(in crate::kernel) fn chain(&mut self, table: Table, chain: &Chain<'_>, rules: Vec<Vec<Expression>>) {
        let mut hook = vec![Hook::Number(chain.hook), Hook::Priority(chain.priority.cast_unsigned())];
        hook.extend(chain.link.map(|link| Hook::NetDeviceName(link.into())));
        let attributes = vec![
            ChainAttribute::Table(table.name.into()),
            ChainAttribute::Name(chain.name.into()),
            ChainAttribute::Hook(hook),
            ChainAttribute::Type("filter".into()),
        ];
        self.push(table, NfTablesMessage::NewChain(ChainMessage { attributes }), NLM_F_CREATE);
        self.empty_chain(table, chain.name);
        for expressions in rules {
            let attributes = vec![
                RuleAttribute::Table(table.name.into()),
                RuleAttribute::Chain(chain.name.into()),
                RuleAttribute::Expressions(expressions),
            ];
            self.push(table, NfTablesMessage::NewRule(RuleMessage { attributes }), NLM_F_CREATE | NLM_F_APPEND);
        }
    }

    fn empty_chain(&mut self, table: Table, name: &str) {
        let attributes = vec![RuleAttribute::Table(table.name.into()), RuleAttribute::Chain(name.into())];
        self.push(table, NfTablesMessage::DeleteRule(RuleMessage { attributes }), 0);
    }

    /// Deletes a chain with its rules.
    pub(in crate::kernel) fn delete_chain(&mut self, table: Table, name: &str) {
        self.empty_chain(table, name);
        let attributes = vec![ChainAttribute::Table(table.name.into()), ChainAttribute::Name(name.into())];
        self.push(table, NfTablesMessage::DeleteChain(ChainMessage { attributes }), 0);
    }

    /// Puts keys into a set, until something removes them or for a time.
    pub(in crate::kernel) fn insert(&mut self, table: Table, set: &str, keys: Vec<Vec<u8>>, lasts: Option<Duration>) {
        let timeout = lasts.map(|lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX).max(1));
        let timeout = timeout.map(SetElementAttribute::Timeout);
        for message in element_messages(table, set, keys, timeout.as_ref()) {
            self.push(table, NfTablesMessage::NewSetElement(message), NLM_F_CREATE);
        }
    }

    /// Takes keys out of a set, and fails if one is not in it.
    pub(in crate::kernel) fn remove(&mut self, table: Table, set: &str, keys: Vec<Vec<u8>>) {
        for message in element_messages(table, set, keys, None) {
            self.push(table, NfTablesMessage::DeleteSetElement(message), 0);
        }
    }
}

fn element_messages(
    table: Table,
    set: &str,
    keys: Vec<Vec<u8>>,
    timeout: Option<&SetElementAttribute>,
) -> Vec<SetElementMessage> {
    let element = |key: &Vec<u8>| {
        let key = SetElementAttribute::Key(DataAttribute::Value(key.clone()));
        ListAttribute::Element([Some(key), timeout.cloned()].into_iter().flatten().collect())
    };
    let message = |keys: &[Vec<u8>]| SetElementMessage {
        attributes: vec![
            SetElementList::Table(table.name.into()),
            SetElementList::Set(set.into()),
            SetElementList::Elements(keys.iter().map(element).collect()),
        ],
    };
    keys.chunks(ELEMENTS).map(message).collect()
}
