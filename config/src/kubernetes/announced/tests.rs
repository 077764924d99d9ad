//! What nodes say in, what people read out.

use imbl::OrdMap;
use serde_json::json;

use super::*;
use crate::{
    allocation::Purpose,
    kubernetes::{announced::l2_status::L2Status, object::Kind, store::Key},
    snapshot::{Announcement, Candidate, Candidates},
};

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10));

fn key() -> Key {
    Key { kind: Kind::Service, namespace: "shop".into(), name: "web".into() }
}

fn owns(epoch: u64) -> Part {
    part(Role::Announces { epoch, interfaces: BTreeSet::from(["eth0".into()]) })
}

fn part(role: Role) -> Part {
    Part { role, is_in_subnet: true, rival: None }
}

fn hindered(cause: Cause, why: &str) -> Part {
    part(Role::Hindered(cause, why.into()))
}

fn rival(part: Part, with_installation: bool) -> Part {
    Part { rival: Some(Rival { mac: Mac([2, 0, 0, 0, 0, 50]), with_installation }), ..part }
}

/// What is told of a Service with [`VIP`], for which `a` and `b` are candidates, where nodes say `parts`.
fn told(parts: &[(&str, Part)], is_settled: bool) -> Told {
    let candidates = ["a", "b"].map(|node| (Arc::from(node), Candidate::default()));
    let announcement = Announcement {
        candidates: Candidates::Named(BTreeMap::from(candidates)),
        elected_as: VIP,
        purpose: Purpose::Foreign,
        foreign_ports: BTreeSet::new(),
        of: BTreeSet::from([key().id()]),
    };
    let announcements = OrdMap::unit(VIP, Arc::new(announcement));
    let account = |(node, part): &(&str, Part)| {
        let node = Arc::<str>::from(*node);
        (node.clone(), Arc::new(Account { node, parts: BTreeMap::from([(VIP, part.clone())]) }))
    };
    let accounts: Accounts = parts.iter().map(account).collect();
    World { announcements: &announcements, accounts: &accounts, is_settled }.object(&key(), &[VIP], "home", &[])
}

/// Each finding as `severity reason field: message; remedy`.
fn lines(told: &Told) -> Vec<String> {
    let line = |finding: &crate::report::Finding| {
        let crate::report::Finding { severity, reason, field, message, remedy, .. } = finding;
        format!("{} {reason} {field}: {message}; {remedy}", severity.as_str())
    };
    told.findings.iter().map(line).collect()
}

#[test]
fn everything_that_stands_against_an_announcement_names_object_field_reason_and_way_out() {
    let here = "status.loadBalancer.ingress";
    let capability = "CAP_NET_RAW is missing";
    let of_container = "give Postern's container NET_RAW and NET_ADMIN in securityContext.capabilities.add (the chart does), and see that no admission policy takes them away";
    for (parts, wanted) in [
        (vec![("a", owns(1)), ("b", part(Role::Stands))], vec![]),
        (
            vec![("a", rival(part(Role::Blocked), false)), ("b", part(Role::Stands))],
            // `b` may yet announce it.
            vec![format!(
                "refused AddressConflict {here}: 02:00:00:00:00:32 on the segment answers for 192.0.2.10, so no node announces it; take the address from the device with that MAC, or take it out of IPAddressPool home (see also the range of the DHCP server)"
            )],
        ),
        (
            vec![("a", rival(owns(1), false))],
            vec![format!(
                "refused AddressConflict {here}: 02:00:00:00:00:32 on the segment answers for 192.0.2.10, and so does node a: clients reach one or the other; take the address from the device with that MAC, or take it out of IPAddressPool home (see also the range of the DHCP server)"
            )],
        ),
        (
            vec![("a", rival(part(Role::Blocked), true))],
            vec![format!(
                "refused AnnouncedTwice {here}: 02:00:00:00:00:32 answers for 192.0.2.10, so no node announces it; another Postern installation is heard on the segment: two clusters announce the same address; give the clusters pools without addresses in common: take 192.0.2.10 out of one of them"
            )],
        ),
        (
            vec![("a", hindered(Cause::Capability, capability)), ("b", hindered(Cause::Capability, capability))],
            vec![format!(
                "refused MissingCapability {here}: no node announces 192.0.2.10: node a: CAP_NET_RAW is missing | node b: CAP_NET_RAW is missing; {of_container}"
            )],
        ),
        (
            vec![("a", owns(1)), ("b", hindered(Cause::Capability, capability))],
            vec![format!(
                "warning MissingCapability {here}: not every candidate can announce 192.0.2.10: node b: CAP_NET_RAW is missing; {of_container}"
            )],
        ),
        (
            vec![("a", hindered(Cause::Missing, "eth9: there is no such interface"))],
            vec![format!(
                "refused InterfaceNotFound {here}: no node announces 192.0.2.10: node a: eth9: there is no such interface; name interfaces that the nodes have in spec.interfaces of the L2Advertisement, or select other nodes by nodeSelectors"
            )],
        ),
        (
            vec![("a", hindered(Cause::Down, "eth0: it has no carrier"))],
            vec![format!(
                "refused InterfaceDown {here}: no node announces 192.0.2.10: node a: eth0: it has no carrier; set the interface up (see cable and switch), or let the L2Advertisement use another"
            )],
        ),
        (
            vec![("a", hindered(Cause::Interface, "lo: it is a loopback interface"))],
            vec![format!(
                "refused NoInterface {here}: no node announces 192.0.2.10: node a: lo: it is a loopback interface; give a node an interface in the address's subnet that may announce, see spec.interfaces of the L2Advertisement and vips.exclude, or use a pool of a subnet that they have"
            )],
        ),
        (
            vec![("a", hindered(Cause::Other, "it is drained"))],
            vec![format!(
                "refused NotAnnounced {here}: no node announces 192.0.2.10: node a: it is drained; `postern vip` on the node says more"
            )],
        ),
        (
            vec![("a", Part { is_in_subnet: false, ..owns(1) })],
            vec![format!(
                "warning SubnetNotFound {here}: no interface of the nodes that may announce 192.0.2.10 has a subnet with it in it, so hosts there ask for it only if they are told to; route it to the segment, or use addresses of its subnet"
            )],
        ),
    ] {
        assert_eq!(lines(&told(&parts, true)), wanted, "{parts:?}");
    }
}

#[test]
fn nothing_is_said_before_it_is_known() {
    let capability = || hindered(Cause::Capability, "CAP_NET_RAW is missing");
    for (parts, is_settled, is_known) in [
        (vec![], true, false),
        (vec![("a", owns(1))], false, true),
        (vec![("a", capability())], false, false),
        (vec![("a", capability())], true, true),
        (vec![("a", capability()), ("b", capability())], false, true),
        (vec![("a", capability()), ("b", part(Role::Stands))], true, false),
    ] {
        assert_eq!(told(&parts, is_settled).is_known, is_known, "{parts:?} {is_settled}");
    }
}

#[test]
fn of_two_that_answer_while_an_address_moves_the_later_one_has_it_and_the_move_is_told_once() {
    let owners = |told: &Told| told.owners.keys().map(ToString::to_string).collect::<Vec<_>>();
    let before = told(&[("a", owns(7)), ("b", part(Role::Stands))], true);
    let after = told(&[("a", owns(7)), ("b", owns(8))], true);
    assert_eq!((owners(&before), owners(&after)), (vec!["a".to_owned()], vec!["b".to_owned()]));
    let told_of = |before: &Told, after: &Told| {
        let line = |event: &crate::kubernetes::event::Event| format!("{}: {}", event.reason(), event.note());
        events(before, after).iter().map(line).collect::<Vec<_>>()
    };
    let assigned = |node: &str| format!("nodeAssigned: announcing from node \"{node}\" with protocol \"layer2\"");
    assert_eq!(told_of(&Told::default(), &before), [assigned("a")]);
    let moved = "AddressMoved: Its addresses moved from node a to node b".to_owned();
    assert_eq!(told_of(&before, &after), [assigned("b"), moved]);
    assert!(told_of(&after, &after).is_empty());
}

#[test]
fn events_tell_of_refusals_in_metallbs_word_and_of_pools_in_ours() {
    let lacks = told(&[("a", hindered(Cause::Down, "eth0: it has no carrier"))], true);
    let told_of = notices(&lacks, false);
    let [notice] = &*told_of else { panic!("{told_of:?}") };
    assert_eq!(notice.reason, "announceFailed");
    assert!(
        notice.note.starts_with("InterfaceDown: status.loadBalancer.ingress: no node announces"),
        "{}",
        notice.note
    );
    let partly = told(&[("a", owns(1)), ("b", hindered(Cause::Down, "eth0: it has no carrier"))], true);
    assert!(notices(&partly, false).is_empty(), "somebody announces it");
}

#[test]
fn a_service_l2_status_is_what_metallb_writes_under_a_name_that_follows_from_it() {
    let status = |node: &str| L2Status {
        namespace: "metallb-system".into(),
        service: ("shop".into(), "web".into()),
        node: node.into(),
        interfaces: BTreeSet::from(["eth1".into(), "eth0".into()]),
    };
    let one = status("a");
    assert_eq!((one.name(), one.name().len()), (status("a").name(), 13));
    assert_ne!(one.name(), status("b").name());
    let labels = json!({
        "app.kubernetes.io/managed-by": "postern",
        "metallb.io/node": "a",
        "metallb.io/service-name": "web",
        "metallb.io/service-namespace": "shop",
    });
    let metadata = json!({"name": one.name(), "namespace": "metallb-system", "labels": labels});
    let wanted =
        json!({"apiVersion": "metallb.io/v1beta1", "kind": "ServiceL2Status", "metadata": metadata, "spec": {}});
    assert_eq!(one.object(), wanted);
    let interfaces = json!([{"name": "eth0"}, {"name": "eth1"}]);
    let wanted = json!({"node": "a", "serviceName": "web", "serviceNamespace": "shop", "interfaces": interfaces});
    assert_eq!(one.status(), wanted);
}
