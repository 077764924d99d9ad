//! What rules are made of: each expression reads or writes registers of the kernel's small machine, or decides.

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    Bitwise, Cmp, DataAttribute, ExpressionAttribute, Expressions, Immediate, ListAttribute, Lookup, Meta, MetaKey,
    Operator, Payload, Register, Verdict, VerdictAttribute,
};

/// One expression of a rule.
pub(in crate::kernel) type Expression = ListAttribute<ExpressionAttribute>;

/// `NFT_REG32_00` and those after it, of four bytes each: a key of several parts fills one after the other.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct KeyRegister(pub(in crate::kernel) u32);

impl KeyRegister {
    /// Where every key begins.
    pub(in crate::kernel) const FIRST: Self = Self(0);

    fn number(self) -> Register {
        const NFT_REG32_00: u32 = 8;
        Register::from(NFT_REG32_00 + self.0)
    }
}

/// From where in a packet bytes are counted.
#[derive(Clone, Copy)]
pub(in crate::kernel) enum Base {
    /// The Ethernet header.
    Link = 0,
    /// The header of IP, or of ARP.
    Network = 1,
    /// The header of TCP.
    Transport = 2,
}

/// Loads bytes of the packet.
pub(in crate::kernel) fn load(base: Base, offset: u32, length: u32, into: KeyRegister) -> Expression {
    let attributes = vec![
        Payload::DestinationRegister(into.number()),
        Payload::Base(base as u32),
        Payload::Offset(offset),
        Payload::Len(length),
    ];
    Expressions::Payload(attributes).into()
}

/// Goes on only where the first register holds `bytes`.
pub(in crate::kernel) fn is(bytes: &[u8]) -> Expression {
    compare(Operator::Equal, bytes)
}

/// Goes on only where the first register holds something else than `bytes`.
pub(in crate::kernel) fn is_not(bytes: &[u8]) -> Expression {
    compare(Operator::NotEqual, bytes)
}

fn compare(operator: Operator, bytes: &[u8]) -> Expression {
    let attributes = vec![
        Cmp::SourceRegister(KeyRegister::FIRST.number()),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(bytes.to_vec())),
    ];
    Expressions::Cmp(attributes).into()
}

/// Goes on only where the packet is of this EtherType, and of this protocol if one is named.
pub(in crate::kernel) fn protocol(ether_type: u16, transport: Option<u8>) -> Vec<Expression> {
    let mut expressions = vec![meta(MetaKey::EtherTypeProtocol), is(&ether_type.to_be_bytes())];
    if let Some(transport) = transport {
        expressions.extend([meta(MetaKey::L4Proto), is(&[transport])]);
    }
    expressions
}

fn meta(key: MetaKey) -> Expression {
    load_meta(key, KeyRegister::FIRST)
}

fn load_meta(key: MetaKey, into: KeyRegister) -> Expression {
    let attributes = vec![Meta::Key(key), Meta::DestinationRegister(into.number())];
    Expressions::Meta(attributes).into()
}

/// Loads the number of what IP carries, one byte.
pub(in crate::kernel) fn load_transport(into: KeyRegister) -> Expression {
    load_meta(MetaKey::L4Proto, into)
}

/// Goes on only where what the registers hold from the first is in the set.
pub(in crate::kernel) fn lookup(set: &str) -> Expression {
    let attributes = vec![Lookup::Set(set.into()), Lookup::SourceRegister(KeyRegister::FIRST.number())];
    Expressions::Lookup(attributes).into()
}

/// Leaves of the first register only the bits of `mask`.
pub(in crate::kernel) fn masked(mask: &[u8]) -> Expression {
    let attributes = vec![
        Bitwise::SourceRegister(KeyRegister::FIRST.number()),
        Bitwise::DestinationRegister(KeyRegister::FIRST.number()),
        Bitwise::Length(u32::try_from(mask.len()).unwrap_or(u32::MAX)),
        Bitwise::Mask(DataAttribute::Value(mask.to_vec())),
        Bitwise::Xor(DataAttribute::Value(vec![0; mask.len()])),
    ];
    Expressions::Bitwise(attributes).into()
}

fn immediate(bytes: &[u8]) -> Expression {
    let attributes = vec![
        Immediate::DestinationRegister(KeyRegister::FIRST.number()),
        Immediate::Data(DataAttribute::Value(bytes.to_vec())),
    ];
    Expressions::Immediate(attributes).into()
}

/// Writes bytes into the packet.
pub(in crate::kernel) fn write(base: Base, offset: u32, bytes: &[u8]) -> [Expression; 2] {
    let attributes = vec![
        Payload::SourceRegister(KeyRegister::FIRST.number()),
        Payload::Base(base as u32),
        Payload::Offset(offset),
        Payload::Len(u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
    ];
    [immediate(bytes), Expressions::Payload(attributes).into()]
}

/// Sends the packet out by a link, as it is.
pub(in crate::kernel) fn forward_to(link: u32) -> [Expression; 2] {
    const NFTA_FWD_SREG_DEV: u16 = 1;
    let register = u32::from(KeyRegister::FIRST.number()).to_be_bytes();
    let forward = Expressions::Other {
        expression_type: "fwd".into(),
        attributes: vec![DefaultNla::new(NFTA_FWD_SREG_DEV, register.to_vec())],
    };
    [immediate(&link.to_ne_bytes()), forward.into()]
}

/// Ends the packet.
pub(in crate::kernel) fn drop_packet() -> Expression {
    const NF_DROP: u32 = 0;
    verdict(NF_DROP)
}

/// Ends the chain: what comes after in it is not for this packet.
pub(in crate::kernel) fn accept() -> Expression {
    const NF_ACCEPT: u32 = 1;
    verdict(NF_ACCEPT)
}

fn verdict(code: u32) -> Expression {
    let verdict = DataAttribute::Verdict(vec![VerdictAttribute::Code(Verdict::Other(code))]);
    let attributes = vec![Immediate::DestinationRegister(Register::Verdict), Immediate::Data(verdict)];
    Expressions::Immediate(attributes).into()
}

/// Spares the packet connection tracking, and with it every translation of addresses.
pub(in crate::kernel) fn notrack() -> Expression {
    ListAttribute::Element(vec![ExpressionAttribute::Name("notrack".into())])
}
