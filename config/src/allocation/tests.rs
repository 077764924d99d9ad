//! One table per rule; claims and pools are written as short as they can be.

use std::{net::IpAddr, sync::Arc};

use super::*;
use crate::model::id::ObjectId;

fn pool(name: &str, ranges: &[&str]) -> Pool {
    let ranges = ranges.iter().map(|text| Range::parse(text).expect("a range")).collect();
    Pool { name: name.into(), ranges, auto_assign: true, avoid_buggy: false, reserved: None }
}

fn reserved(name: &str, ranges: &[&str], priority: i64) -> Pool {
    Pool { reserved: Some(Priority(priority)), ..pool(name, ranges) }
}

fn pools(all: impl IntoIterator<Item = Pool>) -> Pools {
    all.into_iter().map(|pool| (pool.name.clone(), Arc::new(pool))).collect()
}

fn id(name: &str) -> ObjectId {
    ObjectId { kind: "Thing".into(), namespace: "ns".into(), name: name.into() }
}

/// A claim of one IPv4 address.
fn claim(name: &str) -> Claim {
    Claim {
        of: id(name),
        created: None,
        wish: Wish::default(),
        families: Families::One(Family::V4),
        purpose: Purpose::Foreign,
        ports: [Port { transport: Transport::Tcp, number: 80 }].into(),
        sharing: Sharing::default(),
        admitted_to: [].into(),
        recorded: Vec::new(),
        is_recorded: true,
    }
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().expect("an address")).collect()
}

impl Claim {
    fn asks(mut self, texts: &[&str]) -> Self {
        self.wish.addresses = addresses(texts);
        self
    }

    fn of_pool(mut self, name: &str) -> Self {
        self.wish.pool = Some(name.into());
        self
    }

    fn has(mut self, texts: &[&str]) -> Self {
        self.recorded = addresses(texts);
        self
    }

    fn may_use(mut self, names: &[&str]) -> Self {
        self.admitted_to = names.iter().map(|name| Arc::from(*name)).collect();
        self
    }

    fn wants(mut self, families: Families) -> Self {
        self.families = families;
        self
    }

    fn shares(mut self, key: &str, backend: &str, port: u16) -> Self {
        self.sharing = Sharing { key: Some(key.into()), backend: backend.into() };
        self.ports = [Port { transport: Transport::Tcp, number: port }].into();
        self
    }

    fn served(mut self) -> Self {
        self.purpose = Purpose::Served;
        self
    }
}

/// `name pool addresses`, or `name: refusal`; what was lost in brackets.
fn outcome(allocation: &Allocation, name: &str) -> String {
    let Outcome { result, lost } = allocation.outcomes.get(&id(name)).expect("every claim has an outcome");
    let lost = lost.as_ref().map(|lost| format!(" [{lost}]")).unwrap_or_default();
    match result {
        Ok(Assignment { pool, addresses, second_refused }) => {
            let all: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            let second = second_refused.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            format!("{pool} {}{second}{lost}", all.join(","))
        }
        Err(refusal) => format!("{refusal}{lost}"),
    }
}

/// Asserts the outcome of each claim by name, whatever the order in which they come.
fn expect(pools: &Pools, claims: &[Claim], wanted: &[(&str, &str)]) {
    let allocation = allocate(pools, claims);
    for (name, text) in wanted {
        assert_eq!(outcome(&allocation, name), *text, "{name}");
    }
    assert_eq!(allocation, allocate(pools, claims.iter().rev()), "the order of claims plays no part");
}

const HOME: [&str; 1] = ["192.0.2.0/30"];

#[test]
fn addresses_are_given_out_from_the_lowest_and_the_older_claim_is_first() {
    let mut young = claim("a");
    young.created = Some("2026-02-01T00:00:00Z".parse().expect("a time"));
    let mut old = claim("b");
    old.created = Some("2026-01-01T00:00:00Z".parse().expect("a time"));
    let pools = pools([pool("home", &HOME)]);
    expect(
        &pools,
        &[young, old, claim("c")],
        &[("b", "home 192.0.2.0"), ("a", "home 192.0.2.1"), ("c", "home 192.0.2.2")],
    );
}

#[test]
fn an_address_that_is_asked_for_is_given_or_nothing_is() {
    let pools = pools([
        pool("home", &["192.0.2.0/30", "2001:db8::/64"]),
        Pool { auto_assign: false, ..pool("manual", &["198.51.100.0/30"]) },
        reserved("closed", &["203.0.113.0/30"], 0),
    ]);
    let dual = claim("g").wants(Families::Both(Family::V4));
    expect(
        &pools,
        &[
            claim("a").asks(&["192.0.2.2"]),
            claim("b").asks(&["192.0.2.2"]),
            claim("c").asks(&["192.0.9.1"]),
            claim("d").asks(&["198.51.100.1"]),
            claim("e").asks(&["203.0.113.1"]),
            claim("f").asks(&["2001:db8::5"]),
            dual.clone().asks(&["192.0.2.3", "2001:db8::7"]),
            Claim { of: id("h"), ..dual.clone().asks(&["192.0.2.1", "192.0.2.3"]) },
            Claim { of: id("i"), ..dual.asks(&["198.51.100.2", "2001:db8::8"]) },
            claim("j").asks(&["192.0.2.0"]).of_pool("manual"),
            claim("k").asks(&["198.51.100.0"]).of_pool("manual"),
        ],
        &[
            ("a", "home 192.0.2.2"),
            ("b", "Thing ns/a has 192.0.2.2: not both allow sharing"),
            ("c", "no one pool has 192.0.9.1"),
            ("d", "manual 198.51.100.1"),
            ("e", "pool closed is reserved and does not let it in"),
            ("f", "2001:db8::5 is not one IPv4 address, as is wanted"),
            ("g", "home 192.0.2.3,2001:db8::7"),
            ("h", "192.0.2.1, 192.0.2.3 is not one IPv4 and one IPv6 address, as is wanted"),
            ("i", "no one pool has 198.51.100.2, 2001:db8::8"),
            ("j", "pool manual is asked for, and the addresses are of home"),
            ("k", "manual 198.51.100.0"),
        ],
    );
}

#[test]
fn who_asks_for_an_address_is_served_before_who_takes_any() {
    let pools = pools([pool("home", &["192.0.2.1/32"])]);
    expect(
        &pools,
        &[claim("a"), claim("z").asks(&["192.0.2.1"])],
        &[("z", "home 192.0.2.1"), ("a", "pool home: 1 of 1 IPv4 addresses are in use")],
    );
}

#[test]
fn a_pool_that_is_asked_for_serves_even_if_it_gives_nothing_out_by_itself() {
    let pools = pools([
        Pool { auto_assign: false, ..pool("manual", &["198.51.100.0/32"]) },
        reserved("closed", &["203.0.113.0/30"], 0),
        pool("home", &HOME),
    ]);
    expect(
        &pools,
        &[
            claim("a").of_pool("manual"),
            claim("b").of_pool("manual"),
            claim("c").of_pool("nowhere"),
            claim("d").of_pool("closed"),
            claim("e").of_pool("closed").may_use(&["closed"]),
        ],
        &[
            ("a", "manual 198.51.100.0"),
            ("b", "pool manual: 1 of 1 IPv4 addresses are in use"),
            ("c", "there is no pool nowhere"),
            ("d", "pool closed is reserved and does not let it in"),
            ("e", "closed 203.0.113.0"),
        ],
    );
}

#[test]
fn pools_are_tried_reserved_ones_first_by_priority_and_equal_ones_by_name() {
    let one = |name: &str, third: u8| pool(name, &[format!("192.0.{third}.1/32").as_str()]);
    let kept = |name: &str, third: u8, priority| Pool { reserved: Some(Priority(priority)), ..one(name, third) };
    let all = pools([
        one("a-open", 1),
        one("b-open", 2),
        kept("c-unset", 3, 0),
        kept("d-later", 4, 20),
        kept("f-first", 5, 10),
        kept("e-first", 6, 10),
        kept("g-foreign", 7, 1),
        Pool { auto_assign: false, ..kept("h-manual", 8, 1) },
    ]);
    let order = ["e-first", "f-first", "d-later", "c-unset", "a-open", "b-open"];
    let claims: Vec<_> = (0..7)
        .map(|n| claim(&format!("claim-{n}")).may_use(&["c-unset", "d-later", "e-first", "f-first", "h-manual"]))
        .collect();
    let allocation = allocate(&all, &claims);
    for (n, pool) in order.into_iter().enumerate() {
        let told = outcome(&allocation, &format!("claim-{n}"));
        assert!(told.starts_with(&format!("{pool} ")), "claim {n} has {told}, not of {pool}");
    }
    let last = outcome(&allocation, "claim-6");
    assert_eq!(
        last,
        "pool e-first: 1 of 1 IPv4 addresses are in use, pool f-first: 1 of 1 IPv4 addresses are in use, \
         pool d-later: 1 of 1 IPv4 addresses are in use, pool c-unset: 1 of 1 IPv4 addresses are in use, \
         pool a-open: 1 of 1 IPv4 addresses are in use, pool b-open: 1 of 1 IPv4 addresses are in use"
    );
}

#[test]
fn where_no_pool_serves_by_itself_that_is_said() {
    expect(&pools([]), &[claim("a")], &[("a", "there is no pool of addresses")]);
    let manual = Pool { auto_assign: false, ..pool("manual", &HOME) };
    expect(
        &pools([manual, reserved("closed", &["198.51.100.0/30"], 1)]),
        &[claim("a")],
        &[("a", "no pool gives it an address by itself")],
    );
}

#[test]
fn an_address_is_shared_by_key_with_ports_apart_and_one_backend() {
    let pools = pools([pool("home", &["192.0.2.1/32"])]);
    for (second, told) in [
        (claim("b").shares("k", "", 443), "home 192.0.2.1"),
        (claim("b").shares("k", "", 80), "Thing ns/a has 192.0.2.1: both want port TCP/80"),
        (claim("b").shares("other", "", 443), "Thing ns/a has 192.0.2.1: their sharing keys differ"),
        (
            claim("b").shares("k", "app=b", 443),
            "Thing ns/a has 192.0.2.1: they lead to different endpoints, each on its own nodes",
        ),
        (claim("b"), "Thing ns/a has 192.0.2.1: not both allow sharing"),
    ] {
        let asked = second.asks(&["192.0.2.1"]);
        expect(
            &pools,
            &[claim("a").shares("k", "", 80).has(&["192.0.2.1"]), asked],
            &[("a", "home 192.0.2.1"), ("b", told)],
        );
    }
    let udp = |mut claim: Claim| {
        claim.ports = [Port { transport: Transport::Udp, number: 80 }].into();
        claim
    };
    expect(
        &pools,
        &[claim("a").shares("k", "app=a", 80), udp(claim("b").shares("k", "app=a", 0))],
        &[("a", "home 192.0.2.1"), ("b", "home 192.0.2.1")],
    );
}

#[test]
fn what_postern_serves_by_itself_shares_once_nothing_is_free() {
    let pools = pools([pool("home", &["192.0.2.1-192.0.2.2"])]);
    expect(
        &pools,
        &[claim("a").served(), claim("b").served(), claim("c").served(), claim("d")],
        &[
            ("a", "home 192.0.2.1"),
            ("b", "home 192.0.2.2"),
            ("c", "home 192.0.2.1"),
            ("d", "pool home: 2 of 2 IPv4 addresses are in use"),
        ],
    );
}

#[test]
fn what_postern_serves_by_itself_goes_where_its_key_is() {
    let pools = pools([pool("home", &["192.0.2.1-192.0.2.3"])]);
    expect(
        &pools,
        &[
            claim("a").served().shares("public", "", 443),
            claim("b").served().shares("private", "", 443),
            claim("c").served().shares("public", "", 443),
            claim("d").shares("private", "", 8443),
            claim("e").served(),
            claim("f").served().shares("late", "", 443),
        ],
        &[
            ("a", "home 192.0.2.1"),
            ("b", "home 192.0.2.2"),
            ("c", "home 192.0.2.1"),
            ("d", "home 192.0.2.2"),
            ("e", "home 192.0.2.3"),
            ("f", "home 192.0.2.1"),
        ],
    );
}

#[test]
fn two_families_are_of_one_pool_the_preferred_one_first() {
    use Families::{Both, One, Prefer};
    use Family::{V4, V6};
    let four = pool("a-four", &["192.0.2.0/31"]);
    let both = pool("b-both", &["198.51.100.0/30", "2001:db8::/64"]);
    let six = pool("c-six", &["2001:db8:6::/64"]);
    let full = "a-four: has no IPv6 addresses";
    for (available, families, told) in [
        (vec![four.clone(), both.clone(), six.clone()], One(V6), "b-both 2001:db8::".to_owned()),
        (vec![four.clone(), both.clone(), six.clone()], Both(V4), "b-both 198.51.100.0,2001:db8::".to_owned()),
        (vec![four.clone(), both.clone(), six.clone()], Both(V6), "b-both 2001:db8::,198.51.100.0".to_owned()),
        (vec![four.clone(), both], Prefer(V4), "b-both 198.51.100.0,2001:db8::".to_owned()),
        (vec![four.clone(), six.clone()], Prefer(V4), format!("a-four 192.0.2.0 (pool {full})")),
        (
            vec![four.clone(), six.clone()],
            Prefer(V6),
            "c-six 2001:db8:6:: (pool c-six: has no IPv4 addresses)".to_owned(),
        ),
        (
            vec![four, six],
            Both(V4),
            "pool a-four: 0 of 2 IPv4 addresses are in use and has no IPv6 addresses, \
             pool c-six: has no IPv4 addresses and 0 of 18446744073709551616 IPv6 addresses are in use"
                .to_owned(),
        ),
    ] {
        expect(&pools(available), &[claim("a").wants(families)], &[("a", &told)]);
    }
}

#[test]
fn what_is_on_record_is_kept_and_others_go_around_it() {
    let pools = pools([pool("home", &HOME)]);
    expect(
        &pools,
        &[claim("a"), claim("z").has(&["192.0.2.0"]), claim("y").has(&["192.0.2.3"])],
        &[("a", "home 192.0.2.1"), ("z", "home 192.0.2.0"), ("y", "home 192.0.2.3")],
    );
}

#[test]
fn a_decision_that_is_put_on_record_is_made_again() {
    let pools = pools([pool("home", &["192.0.2.0/28", "2001:db8::/64"]), reserved("kept", &["198.51.100.0/30"], 1)]);
    let mut claims: Vec<_> = (0..9).map(|n| claim(&format!("c{n}"))).collect();
    claims[1] = claim("c1").wants(Families::Prefer(Family::V6));
    claims[2] = claim("c2").may_use(&["kept"]);
    claims[3] = claim("c3").shares("k", "", 1);
    claims[4] = claim("c4").shares("k", "", 2);
    claims[5] = claim("c5").asks(&["192.0.2.9"]);
    let first = allocate(&pools, &claims);
    for claim in &mut claims {
        let outcome = first.outcomes.get(&claim.of).expect("an outcome");
        claim.recorded = outcome.result.as_ref().expect("an assignment").addresses.clone();
    }
    assert_eq!(allocate(&pools, &claims), first);
}

#[test]
fn what_is_on_record_is_given_up_when_pools_or_wishes_speak_against_it() {
    let all = pools([
        Pool { avoid_buggy: true, ..pool("home", &["192.0.2.0/30", "2001:db8::/64"]) },
        reserved("closed", &["198.51.100.0/30"], 1),
    ]);
    for (had, told) in [
        (claim("a").has(&["192.0.9.9"]), "home 192.0.2.1 [no one pool has 192.0.9.9]"),
        (claim("a").has(&["192.0.2.0"]), "home 192.0.2.1 [no one pool has 192.0.2.0]"),
        (claim("a").has(&["198.51.100.1"]), "home 192.0.2.1 [pool closed is reserved and does not let it in]"),
        (claim("a").has(&["2001:db8::1"]), "home 192.0.2.1 [2001:db8::1 is not one IPv4 address, as is wanted]"),
        (claim("a").has(&["192.0.2.2"]).asks(&["192.0.2.3"]), "home 192.0.2.3 [192.0.2.3 is asked for now]"),
        (
            claim("a").has(&["192.0.2.2"]).may_use(&["closed"]).of_pool("closed"),
            "closed 198.51.100.0 [pool closed is asked for, and the addresses are of home]",
        ),
        (
            claim("a").has(&["192.0.2.2"]).of_pool("gone"),
            "there is no pool gone [pool gone is asked for, and the addresses are of home]",
        ),
        (
            claim("a").has(&["192.0.2.2", "192.0.2.3"]).wants(Families::Both(Family::V4)),
            "home 192.0.2.1,2001:db8:: [192.0.2.2, 192.0.2.3 is not one IPv4 and one IPv6 address, as is wanted]",
        ),
    ] {
        expect(&all, &[had], &[("a", told)]);
    }
}

#[test]
fn of_two_that_have_the_same_on_record_the_older_keeps_it() {
    let pools = pools([pool("home", &HOME)]);
    let mut young = claim("a").has(&["192.0.2.2"]);
    young.created = Some("2026-02-01T00:00:00Z".parse().expect("a time"));
    let mut old = claim("b").has(&["192.0.2.2"]);
    old.created = Some("2026-01-01T00:00:00Z".parse().expect("a time"));
    expect(
        &pools,
        &[young, old],
        &[("b", "home 192.0.2.2"), ("a", "home 192.0.2.0 [Thing ns/b has 192.0.2.2: not both allow sharing]")],
    );
}

#[test]
fn a_second_family_is_added_to_what_is_kept_where_both_are_preferred() {
    use Families::Prefer;
    let prefer = || claim("a").wants(Prefer(Family::V4)).has(&["192.0.2.2"]);
    let both = pools([pool("home", &["192.0.2.0/30", "2001:db8::/64"])]);
    expect(&both, &[prefer()], &[("a", "home 192.0.2.2,2001:db8::")]);
    let four = pools([pool("home", &HOME), pool("six", &["2001:db8::/64"])]);
    expect(&four, &[prefer()], &[("a", "home 192.0.2.2 (pool home: has no IPv6 addresses)")]);
    // Exactly what was asked for is had: nothing is added to it.
    expect(&both, &[prefer().asks(&["192.0.2.2"])], &[("a", "home 192.0.2.2")]);
}

#[test]
fn a_pool_counts_addresses_and_not_who_shares_them() {
    let pools = pools([Pool { avoid_buggy: true, ..pool("home", &["192.0.2.0/24", "2001:db8::/32"]) }]);
    let claims = [claim("a").shares("k", "", 1), claim("b").shares("k", "", 2), claim("c")];
    let counts = &allocate(&pools, &claims).counts["home"];
    assert_eq!(counts[&Family::V4], Counts { assigned: 2, total: 254 });
    assert_eq!(counts[&Family::V4].available(), 252);
    assert_eq!(counts[&Family::V6], Counts { assigned: 0, total: 1 << 96 });
}

#[test]
fn ten_thousand_claims_on_a_huge_pool_are_decided_at_once() {
    let pools = pools([pool("huge", &["2001:db8::/32"])]);
    let claims: Vec<_> = (0..10_000).map(|n| claim(&format!("c{n:05}")).wants(Families::One(Family::V6))).collect();
    let allocation = allocate(&pools, &claims);
    assert_eq!(outcome(&allocation, "c09999"), "huge 2001:db8::270f");
}
