//! What a node says of all addresses, in portions that fit into datagrams, and back.
//!
//! Addresses are written in order, each as its direadiness from the one before, so that those of one pool take four bytes
//! each: 200 of them fit into one datagram. A portion says of which state of the table it is (its generation); only when
//! all portions of one state are there does a reader go over to it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use super::{
    content::{Claim, Claimed, Claims},
    number::{Reader, write_number},
};

/// Most portions of a table; about 200,000 addresses of one pool. What is beyond is not told, and so not owned by peers'
/// knowledge: they ask the segment.
pub(super) const MOST_PORTIONS: usize = 1024;

/// A part of what a node says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portion {
    /// Which state of the table it is of.
    pub generation: u32,
    /// Which portion it is, from 0.
    pub index: u16,
    /// How many there are, at least 1.
    pub count: u16,
    /// What it holds.
    pub claims: Claims,
}

/// The claims of a table, a map for each portion, each at most `longest` bytes long when written.
pub(super) fn portions(claims: &Claims, longest: usize) -> Vec<Claims> {
    let mut all = vec![Claims::new()];
    let (mut length, mut before) = (0, None);
    for (address, claimed) in claims {
        let mut next = entry_length(before, *address, *claimed);
        if length + next > longest && all.len() < MOST_PORTIONS {
            all.push(Claims::new());
            (length, next) = (0, entry_length(None, *address, *claimed));
        } else if length + next > longest {
            break;
        }
        length += next;
        before = Some(*address);
        all.last_mut().expect("there is one from the start").insert(*address, *claimed);
    }
    all
}

fn entry_length(before: Option<IpAddr>, address: IpAddr, claimed: Claimed) -> usize {
    let before = before.filter(|before| before.is_ipv4() == address.is_ipv4());
    let mut bytes = Vec::with_capacity(32);
    write_entry(&mut bytes, before.map(number_of), number_of(address), claimed);
    bytes.len()
}

/// Appends `claims`: those of IPv4, then those of IPv6, each with their count before.
pub(super) fn write_claims(bytes: &mut Vec<u8>, claims: &Claims) {
    for is_v4 in [true, false] {
        let own = || claims.iter().filter(|(address, _)| address.is_ipv4() == is_v4);
        write_number(bytes, own().count() as u128);
        let mut before = None;
        for (address, claimed) in own() {
            let number = number_of(*address);
            write_entry(bytes, before, number, *claimed);
            before = Some(number);
        }
    }
}

fn write_entry(bytes: &mut Vec<u8>, before: Option<u128>, number: u128, claimed: Claimed) {
    write_number(bytes, before.map_or(number, |before| number.saturating_sub(before)));
    bytes.push(match claimed.claim {
        Claim::Able => 0,
        Claim::Owned => 1,
        Claim::Offered => 2,
        Claim::Released => 3,
        Claim::Yielded => 4,
    });
    write_number(bytes, claimed.epoch.into());
}

/// What [`write_claims`] wrote.
pub(super) fn read_claims(reader: &mut Reader<'_>) -> Option<Claims> {
    let mut claims = Claims::new();
    for address_of in [v4 as fn(u128) -> Option<IpAddr>, v6] {
        let mut before = 0_u128;
        for _ in 0..reader.number()? {
            let number = before.checked_add(reader.number()?)?;
            let claim = match reader.byte()? {
                0 => Claim::Able,
                1 => Claim::Owned,
                2 => Claim::Offered,
                3 => Claim::Released,
                4 => Claim::Yielded,
                _ => return None,
            };
            let epoch = reader.number()?.try_into().ok()?;
            claims.insert(address_of(number)?, Claimed { claim, epoch });
            before = number;
        }
    }
    Some(claims)
}

fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn v4(number: u128) -> Option<IpAddr> {
    u32::try_from(number).ok().map(|number| Ipv4Addr::from(number).into())
}

#[expect(clippy::unnecessary_wraps, reason = "stands beside v4, which not every number is")]
fn v6(number: u128) -> Option<IpAddr> {
    Some(Ipv6Addr::from(number).into())
}

/// Portions of one sender as they come in.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    complete: Option<(u32, Arc<Claims>)>,
    generation: u32,
    count: u16,
    portions: BTreeMap<u16, Claims>,
}

impl Assembly {
    /// What the sender says, as far as it is known entirely.
    pub(super) fn claims(&self) -> Option<&Arc<Claims>> {
        self.complete.as_ref().map(|(_, claims)| claims)
    }

    /// Adds a portion; one of an older state than what is known already changes nothing.
    pub(super) fn add(&mut self, portion: Portion) {
        let known = self.complete.as_ref().is_some_and(|(generation, _)| *generation >= portion.generation);
        let is_old = !self.portions.is_empty() && portion.generation < self.generation;
        if known || is_old {
            return;
        }
        if (self.generation, self.count) != (portion.generation, portion.count) {
            self.portions.clear();
            (self.generation, self.count) = (portion.generation, portion.count);
        }
        self.portions.insert(portion.index, portion.claims);
        if self.portions.len() == usize::from(self.count) {
            let claims = std::mem::take(&mut self.portions).into_values().flatten().collect();
            self.complete = Some((self.generation, Arc::new(claims)));
        }
    }
}
