//! Where addresses may be announced on nodes of all sorts, and what becomes of the links when the kernel tells of them.

use std::{collections::BTreeSet, net::IpAddr};

use super::*;
use crate::announcement::Interfaces;

type Edit = fn(&mut Facts);

fn facts(name: &str, index: u32) -> Facts {
    Facts {
        name: Arc::from(name),
        mac: Some(MacAddr(2, 0, 0, 0, 0, u8::try_from(index).unwrap())),
        is_up: true,
        has_carrier: true,
        is_ethernet: true,
        is_loopback: false,
        has_broadcast: true,
        is_no_arp: false,
        controller: None,
        is_vrf: false,
        is_wireless: false,
    }
}

fn link(name: &str, index: u32) -> Change {
    Change::Link { index, facts: facts(name, index) }
}

fn changed(name: &str, index: u32, change: impl FnOnce(&mut Facts)) -> Change {
    let mut facts = facts(name, index);
    change(&mut facts);
    Change::Link { index, facts }
}

fn address(index: u32, address: &str) -> Change {
    Change::Address { index, address: address.parse().unwrap() }
}

fn gone(index: u32, address: &str) -> Change {
    Change::AddressGone { index, address: address.parse().unwrap() }
}

fn links(changes: impl IntoIterator<Item = Change>) -> Links {
    let mut links = Links::default();
    for change in changes {
        links.apply(change);
    }
    links
}

fn named(names: &[&str]) -> Interfaces {
    Interfaces::Named(names.iter().map(|name| Arc::from(*name)).collect())
}

fn places(links: &Links, address: &str, interfaces: &Interfaces) -> Vec<String> {
    let address: IpAddr = address.parse().unwrap();
    links.place(address, interfaces).places.iter().map(|place| place.name.to_string()).collect()
}

fn refusal(links: &Links, address: &str, interfaces: &Interfaces, name: &str) -> Option<Unfit> {
    let placement = links.place(address.parse().unwrap(), interfaces);
    placement.refused.into_iter().find(|(link, _)| &**link == name).map(|(_, unfit)| unfit)
}

/// Two networks: a LAN of both families, and a VLAN of its own.
fn node() -> Vec<Change> {
    vec![
        changed("lo", 1, |facts| facts.is_loopback = true),
        link("lan0", 2),
        link("lan0.5", 3),
        address(1, "127.0.0.1/8"),
        address(2, "192.0.2.5/24"),
        address(2, "2001:db8::5/64"),
        address(2, "fe80::2/64"),
        address(3, "198.51.100.5/24"),
        address(3, "fe80::3/64"),
    ]
}

#[test]
fn an_address_goes_to_the_links_of_its_subnet_or_to_all() {
    let links = links(node());
    let cases: [(&str, Interfaces, &[&str]); 9] = [
        ("192.0.2.10", Interfaces::All, &["lan0"]),
        ("198.51.100.10", Interfaces::All, &["lan0.5"]),
        ("2001:db8::10", Interfaces::All, &["lan0"]),
        ("203.0.113.10", Interfaces::All, &["lan0", "lan0.5"]),
        ("203.0.113.10", named(&["lan0.5"]), &["lan0.5"]),
        ("192.0.2.10", named(&["lan0"]), &["lan0"]),
        ("192.0.2.10", named(&["lan0", "lan0.5"]), &["lan0"]),
        ("192.0.2.10", named(&["lan0.5"]), &[]),
        ("192.0.2.10", named(&["lan9"]), &[]),
    ];
    for (address, interfaces, expected) in cases {
        assert_eq!(places(&links, address, &interfaces), expected, "{address} on {interfaces:?}");
    }
}

#[test]
fn the_narrowest_subnet_counts_and_one_address_is_none() {
    let mut changes = node();
    changes.extend([address(2, "198.51.0.5/16"), address(2, "203.0.113.10/32"), address(3, "0.0.0.0/0")]);
    let links = links(changes);
    assert_eq!(places(&links, "198.51.100.10", &Interfaces::All), ["lan0.5"]);
    assert_eq!(places(&links, "198.51.7.10", &Interfaces::All), ["lan0"]);
    assert_eq!(places(&links, "203.0.113.10", &Interfaces::All), ["lan0", "lan0.5"]);
}

#[test]
fn two_links_on_one_subnet_both_announce() {
    let mut changes = node();
    changes.extend([link("lan1", 4), address(4, "192.0.2.6/24")]);
    assert_eq!(places(&links(changes), "192.0.2.10", &Interfaces::All), ["lan0", "lan1"]);
}

#[test]
fn no_link_takes_the_place_of_one_whose_segment_it_is() {
    let down = |change: Edit| {
        let mut changes = node();
        changes.push(changed("lan0", 2, change));
        links(changes)
    };
    let cases: [(Edit, Unfit); 2] =
        [(|facts| facts.is_up = false, Unfit::Down), (|facts| facts.has_carrier = false, Unfit::NoCarrier)];
    for (change, unfit) in cases {
        let links = down(change);
        for address in ["192.0.2.10", "2001:db8::10"] {
            assert_eq!(places(&links, address, &Interfaces::All), [""; 0], "{address}");
            assert_eq!(refusal(&links, address, &Interfaces::All, "lan0"), Some(unfit.clone()), "{address}");
            let other = refusal(&links, address, &Interfaces::All, "lan0.5");
            assert_eq!(other, Some(Unfit::WrongSubnet(vec![Arc::from("lan0")])), "{address}");
        }
    }
}

#[test]
fn ipv6_subnets_outlive_a_link_that_is_set_down_but_not_one_that_is_up() {
    let down = changed("lan0", 2, |facts| (facts.is_up, facts.has_carrier) = (false, false));
    let mut links = links(node());
    assert!(links.apply(down.clone()));
    assert!(!links.apply(gone(2, "2001:db8::5/64")));
    assert_eq!(places(&links, "2001:db8::10", &Interfaces::All), [""; 0]);
    let listed = node().into_iter().filter(|change| *change != address(2, "2001:db8::5/64")).chain([down]);
    links.replace(listed);
    assert_eq!(places(&links, "2001:db8::10", &Interfaces::All), [""; 0], "though all is listed anew");
    links.apply(link("lan0", 2));
    links.apply(address(2, "2001:db8::5/64"));
    assert_eq!(places(&links, "2001:db8::10", &Interfaces::All), ["lan0"]);
    assert!(links.apply(gone(2, "2001:db8::5/64")));
    assert_eq!(places(&links, "2001:db8::10", &Interfaces::All), ["lan0", "lan0.5"]);
}

#[test]
fn what_cannot_announce_says_why() {
    let vrf = |facts: &mut Facts| (facts.is_vrf, facts.is_no_arp) = (true, true);
    let changes = [
        changed("lo", 1, |facts| facts.is_loopback = true),
        changed("tun0", 2, |facts| facts.is_ethernet = false),
        changed("wg0", 3, |facts| facts.mac = None),
        changed("macsec0", 4, |facts| facts.has_broadcast = false),
        changed("lan1", 5, |facts| facts.is_no_arp = true),
        changed("lan2", 6, |facts| facts.controller = Some(7)),
        link("br0", 7),
        link("cni0", 8),
        changed("lan3", 9, |facts| facts.controller = Some(10)),
        changed("blue", 10, vrf),
        changed("lan4", 11, |facts| facts.controller = Some(99)),
    ];
    let links = links(changes);
    let interfaces = Interfaces::All;
    assert_eq!(places(&links, "203.0.113.10", &interfaces), ["br0", "lan3"]);
    let cases = [
        ("lo", Unfit::Loopback),
        ("tun0", Unfit::NoEthernet),
        ("wg0", Unfit::NoEthernet),
        ("macsec0", Unfit::NoBroadcast),
        ("lan1", Unfit::NoArp),
        ("lan2", Unfit::Enslaved(Arc::from("br0"))),
        ("cni0", Unfit::Excluded(Arc::from("^cni.*"))),
        ("blue", Unfit::NoArp),
        ("lan4", Unfit::Enslaved(Arc::from("another interface"))),
    ];
    for (name, unfit) in cases {
        assert_eq!(refusal(&links, "203.0.113.10", &interfaces, name), Some(unfit), "{name}");
    }
    let only = named(&["br0", "lan9"]);
    assert_eq!(refusal(&links, "203.0.113.10", &only, "lan3"), Some(Unfit::NotNamed));
    assert_eq!(refusal(&links, "203.0.113.10", &only, "lan9"), Some(Unfit::Missing));
    assert_eq!(refusal(&links, "203.0.113.10", &named(&["cni0"]), "cni0"), Some(Unfit::Excluded(Arc::from("^cni.*"))));
}

#[test]
fn the_list_of_what_never_announces_is_metallbs_or_another() {
    let excluded = |exclude: Exclude, name: &str| exclude.pattern(name).is_some();
    let out = ["docker0", "cbr0", "dummy1", "virbr0", "lxcbr0", "veth12", "lo", "cali1", "tunl0", "flannel.1"];
    for name in out.into_iter().chain(["kube-ipvs0", "cni0", "nodelocaldns", "lxc1"]) {
        assert!(excluded(Exclude::default(), name), "{name}");
    }
    for name in ["eth0", "lan0", "enp1s0", "bond0", "flow0", "wlan0", "br-docker"] {
        assert!(!excluded(Exclude::default(), name), "{name}");
    }
    assert!(excluded(Exclude::new(["ppp"]).unwrap(), "my-ppp0"));
    let error = Exclude::new(["^a", "("]).expect_err("it is no regular expression").to_string();
    assert!(error.starts_with("`(` is no regular expression: "), "{error}");
}

#[test]
fn what_changes_nothing_is_no_news() {
    let mut links = links(node());
    for change in node() {
        assert!(!links.apply(change.clone()), "{change:?}");
    }
    assert!(!links.apply(address(2, "192.0.2.6/24")), "the subnet is known");
    assert!(!links.apply(address(77, "192.0.2.6/24")), "there is no such link");
    assert!(!links.apply(Change::LinkGone(77)));
    assert!(links.apply(changed("lan0", 2, |facts| facts.has_carrier = false)));
    assert!(links.apply(Change::LinkGone(3)));
    assert!(links.apply(changed("renamed", 2, |_| ())));
    let stations: BTreeSet<MacAddr> = [1, 2].map(|last| MacAddr(2, 0, 0, 0, 0, last)).into();
    assert_eq!(links.stations(), stations);
}

#[test]
fn what_is_not_listed_anew_is_gone() {
    let mut links = links(node());
    links.replace([link("lan0", 2), address(2, "192.0.2.5/24")]);
    assert_eq!(links.iter().map(|link| link.name().to_string()).collect::<Vec<_>>(), ["lan0"]);
    assert_eq!(places(&links, "198.51.100.10", &Interfaces::All), ["lan0"]);
}
