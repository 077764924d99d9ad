//! What a node says of addresses, as it is written: in portions, since there may be thousands of them.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use postern_config::{
    kubernetes::announced::{Account, Cause, Mac, Part, Rival, Role},
    provider::kubernetes::peers::Portion,
};
use serde::{Deserialize, Serialize};

/// Addresses in one frame.
const MOST_PARTS: usize = 200;
/// Interfaces that are named, and bytes of a reason.
const MOST_INTERFACES: usize = 16;
const LONGEST_REASON: usize = 512;

/// Node, whether it begins, whether it ends, parts.
pub(super) type Wire = (String, bool, bool, Vec<(IpAddr, WirePart)>);

/// New variants and fields come last.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WirePart {
    role: WireRole,
    is_in_subnet: bool,
    rival: Option<([u8; 6], bool)>,
}

#[derive(Debug, Serialize, Deserialize)]
enum WireRole {
    Announces(u64, Vec<String>),
    Stands,
    Blocked,
    /// The cause by its number: one that is not known is any other.
    Hindered(u8, String),
}

/// All that is said, in portions of which each fits a frame. Of nothing, one that says so.
pub(super) fn portions(account: &Account) -> Vec<Portion> {
    let all: Vec<(IpAddr, Part)> = account.parts.iter().map(|(address, part)| (*address, part.clone())).collect();
    let count = all.len().div_ceil(MOST_PARTS).max(1);
    let portion = |nth: usize| Portion {
        node: account.node.clone(),
        begins: nth == 0,
        ends: nth + 1 == count,
        parts: all.iter().skip(nth * MOST_PARTS).take(MOST_PARTS).cloned().collect(),
    };
    (0..count).map(portion).collect()
}

pub(super) fn to_wire(portion: &Portion) -> Wire {
    let parts = portion.parts.iter().map(|(address, part)| (*address, part_to_wire(part)));
    (portion.node.to_string(), portion.begins, portion.ends, parts.collect())
}

pub(super) fn from_wire((node, begins, ends, parts): Wire) -> Portion {
    let parts = parts.into_iter().map(|(address, part)| (address, part_from_wire(part)));
    Portion { node: node.into(), begins, ends, parts: parts.collect() }
}

fn part_to_wire(part: &Part) -> WirePart {
    let role = match &part.role {
        Role::Announces { epoch, interfaces } => {
            WireRole::Announces(*epoch, interfaces.iter().take(MOST_INTERFACES).map(ToString::to_string).collect())
        }
        Role::Stands => WireRole::Stands,
        Role::Blocked => WireRole::Blocked,
        Role::Hindered(cause, why) => {
            let why = why.get(..why.floor_char_boundary(LONGEST_REASON)).unwrap_or_default();
            WireRole::Hindered(number(*cause), why.to_owned())
        }
    };
    let rival = part.rival.map(|rival| (rival.mac.0, rival.with_installation));
    WirePart { role, is_in_subnet: part.is_in_subnet, rival }
}

fn part_from_wire(wire: WirePart) -> Part {
    let role = match wire.role {
        WireRole::Announces(epoch, interfaces) => {
            let interfaces: BTreeSet<Arc<str>> = interfaces.into_iter().map(Arc::from).collect();
            Role::Announces { epoch, interfaces }
        }
        WireRole::Stands => Role::Stands,
        WireRole::Blocked => Role::Blocked,
        WireRole::Hindered(cause, why) => Role::Hindered(of_number(cause), why.into()),
    };
    let rival = wire.rival.map(|(mac, with_installation)| Rival { mac: Mac(mac), with_installation });
    Part { role, is_in_subnet: wire.is_in_subnet, rival }
}

fn number(cause: Cause) -> u8 {
    match cause {
        Cause::Other => 0,
        Cause::Capability => 1,
        Cause::Missing => 2,
        Cause::Down => 3,
        Cause::Interface => 4,
    }
}

fn of_number(number: u8) -> Cause {
    match number {
        1 => Cause::Capability,
        2 => Cause::Missing,
        3 => Cause::Down,
        4 => Cause::Interface,
        _ => Cause::Other,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::peer::frame::Message;

    fn parts(count: u32, why: &str) -> impl Iterator<Item = (IpAddr, Part)> {
        let roles = Cause::ALL.map(|cause| Role::Hindered(cause, why.into())).into_iter();
        let owns = Role::Announces { epoch: u64::MAX, interfaces: BTreeSet::from(["eth0".into(), "vlan7".into()]) };
        let roles: Vec<_> = roles.chain([owns, Role::Stands, Role::Blocked]).collect();
        let rival = Some(Rival { mac: Mac([255; 6]), with_installation: true });
        let part = move |number: u32| {
            let role = roles.get(number as usize % roles.len()).cloned().expect("it is one of them");
            let rival = rival.filter(|_| number.is_multiple_of(2));
            (
                IpAddr::from(u128::from(number).to_be_bytes()),
                Part { role, is_in_subnet: number.is_multiple_of(3), rival },
            )
        };
        (0..count).map(part)
    }

    pub(in crate::peer) fn portion() -> Portion {
        Portion { node: "node".into(), begins: true, ends: false, parts: parts(20, "why").collect() }
    }

    pub(in crate::peer) fn longest() -> Message {
        let account = Account { node: "x".repeat(253).into(), parts: parts(1000, &"y".repeat(4096)).collect() };
        Message::Account(portions(&account).swap_remove(0))
    }

    #[test]
    fn thousands_of_addresses_come_in_portions_and_none_in_one() {
        let account = Account { node: "n".into(), parts: parts(450, "why").collect() };
        let all = portions(&account);
        let ends: Vec<_> = all.iter().map(|portion| (portion.begins, portion.ends, portion.parts.len())).collect();
        assert_eq!(ends, [(true, false, 200), (false, false, 200), (false, true, 50)]);
        let back: std::collections::BTreeMap<_, _> = all.into_iter().flat_map(|portion| portion.parts).collect();
        assert_eq!(back, account.parts);
        let nothing = portions(&Account::default());
        assert!(matches!(nothing.as_slice(), [Portion { begins: true, ends: true, parts, .. }] if parts.is_empty()));
    }
}
