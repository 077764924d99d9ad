//! What a heartbeat says arrives, once, and only from those who have the key.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use pnet_base::MacAddr;

use super::{Claim, Claimed, Claims, Content, Inbox, Installation, Keys, LONGEST, Outbox, Readiness, Refusal, Speaker};
use crate::Moment;

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];
const MAC: MacAddr = MacAddr(2, 0, 0, 0, 0, 1);

fn installation() -> Installation {
    Installation::named("postern-system/postern")
}

fn keys() -> Keys {
    Keys::new(&OLD, None)
}

fn outbox(node: &str, boot: u64) -> Outbox {
    Outbox::new(Speaker { node: node.into(), installation: installation(), boot }, keys())
}

fn inbox(node: &str) -> Inbox {
    Inbox::new(node.into(), installation(), keys())
}

fn content(addresses: impl IntoIterator<Item = IpAddr>) -> Content {
    let claims: Claims =
        addresses.into_iter().map(|address| (address, Claimed { claim: Claim::Owned, epoch: 300 })).collect();
    Content { readiness: Readiness::Ready, beat: Duration::from_millis(250), claims: Arc::new(claims) }
}

fn pool(count: u32) -> impl Iterator<Item = IpAddr> {
    (0..count).map(|index| IpAddr::V4((0x0a00_0000 + index).into()))
}

fn one_beat(outbox: &mut Outbox, content: &Content) -> Vec<Vec<u8>> {
    outbox.beat(content, &[vec![MAC]]).remove(0)
}

fn now() -> Moment {
    Moment::new(Duration::from_secs(1))
}

#[test]
fn what_is_told_arrives() {
    let addresses: [IpAddr; 3] =
        ["192.0.2.1", "192.0.2.200", "2001:db8::1"].map(|address| address.parse().expect("an address"));
    let content = content(addresses);
    let datagrams = one_beat(&mut outbox("a", 5), &content);
    assert_eq!(datagrams.len(), 1);
    let heard = inbox("b").hear(now(), 3, &datagrams[0], 1).expect("heard").expect("the newest");
    assert_eq!((&*heard.node, heard.boot, heard.link, heard.readiness), ("a", 5, 3, Readiness::Ready));
    assert_eq!((heard.beat, heard.macs, heard.is_new), (content.beat, vec![MAC], true));
    assert_eq!(heard.claims, Some(content.claims));
}

#[test]
fn two_hundred_addresses_of_a_pool_fit_into_one_datagram() {
    let datagrams = one_beat(&mut outbox("a-node-with-a-rather-long-name.example.com", 1), &content(pool(200)));
    assert_eq!(datagrams.len(), 1);
    assert!(datagrams[0].len() <= LONGEST);
}

#[test]
fn a_long_table_arrives_in_portions_and_counts_when_it_is_complete() {
    let content = content(pool(1000));
    let (mut outbox, mut inbox) = (outbox("a", 1), inbox("b"));
    let datagrams = one_beat(&mut outbox, &content);
    assert!(datagrams.len() > 3);
    assert!(datagrams.iter().all(|datagram| datagram.len() <= LONGEST));
    let (last, before) = datagrams.split_last().expect("there are some");
    for datagram in before {
        let heard = inbox.hear(now(), 1, datagram, 1).expect("heard").expect("the newest");
        assert_eq!(heard.claims, None);
    }
    let heard = inbox.hear(now(), 1, last, 1).expect("heard").expect("the newest");
    assert_eq!(heard.claims, Some(content.claims));
}

#[test]
fn a_long_table_that_does_not_change_takes_one_datagram_a_beat() {
    let (mut outbox, content) = (outbox("a", 1), content(pool(1000)));
    let counts: Vec<usize> = (0..6).map(|_| one_beat(&mut outbox, &content).len()).collect();
    assert!(counts[..3].iter().all(|count| *count > 3), "{counts:?}");
    assert_eq!(counts[3..], [1, 1, 1]);
    outbox.greet();
    assert!(one_beat(&mut outbox, &content).len() > 3);
}

#[test]
fn who_misses_portions_learns_them_in_turn() {
    let content = content(pool(1000));
    let (mut outbox, mut inbox) = (outbox("a", 1), inbox("b"));
    (0..3).for_each(|_| drop(one_beat(&mut outbox, &content)));
    let claims = (0..10).find_map(|_| {
        let datagrams = one_beat(&mut outbox, &content);
        inbox.hear(now(), 1, &datagrams[0], 1).expect("heard").expect("the newest").claims
    });
    assert_eq!(claims, Some(content.claims));
}

#[test]
fn a_heartbeat_is_heard_once_on_a_link_and_never_goes_back() {
    let (mut outbox, mut inbox) = (outbox("a", 1), inbox("b"));
    let beats: Vec<_> = (0..100).map(|_| one_beat(&mut outbox, &content(pool(1))).remove(0)).collect();
    assert!(matches!(inbox.hear(now(), 1, &beats[80], 1), Ok(Some(_))));
    assert_eq!(inbox.hear(now(), 1, &beats[79], 1), Ok(None), "overtaken");
    assert_eq!(inbox.hear(now(), 1, &beats[79], 1), Err(Refusal::Replayed));
    assert_eq!(inbox.hear(now(), 1, &beats[80], 1), Err(Refusal::Replayed));
    assert_eq!(inbox.hear(now(), 1, &beats[10], 1), Err(Refusal::Replayed), "too old to tell");
    assert!(matches!(inbox.hear(now(), 2, &beats[80], 1), Ok(Some(_))), "on another link");
    assert!(matches!(inbox.hear(now(), 1, &beats[99], 1), Ok(Some(_))));
    assert_eq!(inbox.refusals().replayed, 3);
}

#[test]
fn an_earlier_start_is_refused_and_can_mend_itself() {
    let mut inbox = inbox("b");
    let beat = |outbox: &mut Outbox| one_beat(outbox, &content(pool(1))).remove(0);
    let mut late = outbox("a", 4);
    inbox.hear(now(), 1, &beat(&mut outbox("a", 9)), 1).expect("heard");
    assert_eq!(inbox.hear(now(), 1, &beat(&mut late), 1), Err(Refusal::Outdated("a".into())));

    let mut answer = outbox("b", 1);
    answer.remind("a".into(), inbox.boot_of("a").expect("known"));
    let reminder = beat(&mut answer);
    let heard = self::inbox("a").hear(now(), 1, &reminder, late.boot()).expect("heard").expect("the newest");
    late.outdated(heard.knows_us_as.expect("it says so"));
    assert!(inbox.hear(now(), 1, &beat(&mut late), 1).expect("heard").expect("the newest").is_new);
}

#[test]
fn keys_can_be_changed_one_node_after_the_other() {
    let both = Keys::new(&NEW, Some(&OLD));
    let cases = [
        (keys(), keys(), true),
        (both.clone(), keys(), true),
        (keys(), both.clone(), true),
        (both.clone(), both.clone(), true),
        (Keys::new(&NEW, None), both, true),
        (Keys::new(&NEW, None), keys(), false),
    ];
    for (index, (speaks, hears, is_heard)) in cases.into_iter().enumerate() {
        let mut outbox = Outbox::new(Speaker { node: "a".into(), installation: installation(), boot: 1 }, speaks);
        let mut inbox = Inbox::new("b".into(), installation(), hears);
        let heard = inbox.hear(now(), 1, &one_beat(&mut outbox, &content(pool(1)))[0], 1);
        assert_eq!(heard.is_ok(), is_heard, "case {index}: {heard:?}");
    }
}

#[test]
fn strangers_are_told_apart_and_counted() {
    let datagram = one_beat(&mut outbox("a", 1), &content(pool(2))).remove(0);
    let changed = |at: usize, byte: u8| {
        let mut datagram = datagram.clone();
        datagram[at] = byte;
        datagram
    };
    let other = Installation::named("another");
    let of_other = Outbox::new(Speaker { node: "a".into(), installation: other, boot: 1 }, Keys::new(&NEW, None))
        .beat(&content(pool(1)), &[vec![MAC]])
        .remove(0)
        .remove(0);
    let own = one_beat(&mut outbox("b", 7), &content(pool(1))).remove(0);
    let cases = [
        (b"GET / HTTP/1.1".to_vec(), Refusal::Foreign),
        (Vec::new(), Refusal::Foreign),
        (changed(4, 9), Refusal::Version(9)),
        (of_other, Refusal::Installation(other)),
        (changed(datagram.len() - 1, datagram[datagram.len() - 1] ^ 1), Refusal::Key),
        (changed(30, datagram[30] ^ 1), Refusal::Key),
        (datagram[..datagram.len() - 1].to_vec(), Refusal::Key),
        (own.clone(), Refusal::SameName("b".into())),
    ];
    let mut inbox = inbox("b");
    for (bytes, refusal) in cases {
        assert_eq!(inbox.hear(now(), 1, &bytes, 1), Err(refusal));
    }
    assert_eq!(inbox.hear(now(), 1, &own, 7), Err(Refusal::Own));
    let counted = inbox.refusals();
    assert_eq!((counted.foreign, counted.version, counted.installation, counted.key), (2, 1, 1, 3));
    assert_eq!(counted.installations.keys().copied().collect::<BTreeSet<_>>(), BTreeSet::from([other]));
}

#[test]
fn no_piece_of_a_heartbeat_is_read_for_a_whole_one() {
    let datagram = one_beat(&mut outbox("a", 1), &content(pool(3))).remove(0);
    for length in 0..datagram.len() {
        assert!(inbox("b").hear(now(), 1, &datagram[..length], 1).is_err());
    }
}
