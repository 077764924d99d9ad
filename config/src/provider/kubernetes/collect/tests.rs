//! What the collector makes of lists, refusals, the disk and demand.

use kube::api::DynamicObject;
use serde_json::json;

use super::*;
use crate::provider::kubernetes::{Scope, resource};

fn object(kind: Kind, name: &str, version: &str) -> Seen {
    let object: DynamicObject =
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "shop", "resourceVersion": version}}))
            .expect("an object");
    Seen::whole(kind, object, &[])
}

fn source(kind: Kind) -> Source {
    Source { kind, namespace: None }
}

/// Of which everything has been listed but `late`, and there is nothing.
fn listed_but(late: &[Kind]) -> Collector {
    let mut collector = Collector::new(resource::sources(&Scope::default()));
    for kind in Kind::ALL.iter().filter(|kind| !late.contains(kind)) {
        collector.take(Told::Listed(source(*kind), Vec::new()));
    }
    collector
}

fn kept(kind: Kind, name: &str) -> (Key, Content) {
    let seen = object(kind, name, "1");
    (seen.key, seen.content.expect("whole"))
}

fn forbidden() -> Trouble {
    Trouble::Forbidden("no".to_owned())
}

fn problems(collector: &mut Collector) -> Option<usize> {
    collector.batch().and_then(|(batch, _)| batch.records).map(|records| records.input.len())
}

#[test]
fn a_refusal_is_believed_when_it_is_repeated_and_forgotten_when_it_is_healed_whatever_came_between() {
    let mut collector = listed_but(&[Kind::Service]);
    for _ in 1..REFUSED_FOR_GOOD {
        collector.take(Told::Trouble(source(Kind::Service), forbidden()));
        assert!(collector.batch().is_none(), "an API server that starts refuses everybody");
    }
    collector.take(Told::Trouble(source(Kind::Service), forbidden()));
    assert_eq!(problems(&mut collector), Some(1));
    assert!(collector.is_current(), "what we may not know keeps nothing from being current");
    collector.take(Told::Trouble(source(Kind::Service), Trouble::Passing("away".to_owned())));
    assert!(!collector.is_current());
    collector.take(Told::Listed(source(Kind::Service), Vec::new()));
    assert_eq!(problems(&mut collector), Some(0));
}

#[test]
fn what_is_on_disk_never_takes_the_place_of_what_was_listed() {
    let mut collector = listed_but(&[Kind::Ingress, Kind::Service]);
    collector.take(Told::Listed(source(Kind::Service), vec![object(Kind::Service, "new", "2")]));
    collector.begin_with(vec![kept(Kind::Service, "old"), kept(Kind::Ingress, "old")]);
    let (batch, writes) = collector.batch().expect("it has begun");
    assert_eq!((batch.changes.len(), writes.len()), (2, 1), "the new Service and the old Ingress");
    collector.take(Told::Listed(source(Kind::Ingress), Vec::new()));
    let (batch, writes) = collector.batch().expect("news");
    assert!(matches!(batch.changes.as_slice(), [Change::Remove(key)] if &*key.name == "old"), "{batch:?}");
    assert_eq!(writes.len(), 1);
    assert!(collector.known().all(|key| &*key.name == "new"));
}

#[test]
fn publishing_waits_for_what_can_be_fetched_alone() {
    let mut collector = listed_but(&[Kind::Secret]);
    let (tls, content) = kept(Kind::Secret, "tls");
    collector.begin_with(vec![(tls.clone(), content)]);
    assert_eq!(collector.want(&tls), Some(false), "what is on disk serves until the API server answers");
    collector.take(Told::Listed(source(Kind::Secret), Vec::new()));
    assert_eq!(collector.want(&tls), Some(true));
    let (batch, _) = collector.batch().expect("an answer");
    assert_eq!(batch.answered, [tls]);

    let shop = Scope { namespaces: vec!["shop".to_owned()], ..Scope::default() };
    let mut collector = Collector::new(resource::sources(&shop));
    let other = Key { kind: Kind::Secret, namespace: "other".into(), name: "tls".into() };
    collector.begin_with(Vec::new());
    assert_eq!(collector.want(&other), None);
    let (batch, _) = collector.batch().expect("an answer");
    assert_eq!((batch.answered.len(), batch.records.map(|records| records.input.len())), (1, Some(1)));
    collector.forget(&other);
    assert_eq!(problems(&mut collector), Some(0));
}

#[test]
fn what_is_fetched_is_fetched_again_only_when_it_differs() {
    let mut collector = listed_but(&[]);
    let tls = object(Kind::Secret, "tls", "5");
    let (key, name) = (tls.key.clone(), |version: &str| Seen { content: None, ..object(Kind::Secret, "tls", version) });
    collector.fetched(Fetched { key: key.clone(), outcome: Ok(Some(tls)), answers: true });
    assert!(collector.take(Told::Listed(source(Kind::Secret), vec![name("5")])).is_empty());
    assert_eq!(collector.take(Told::Listed(source(Kind::Secret), vec![name("6")])), std::slice::from_ref(&key));
    assert_eq!(collector.take(Told::Listed(source(Kind::Secret), Vec::new())), [key], "it may be too new for the list");
    let (batch, _) = collector.batch().expect("news");
    assert!(matches!(batch.changes.as_slice(), [Change::Set { .. } | Change::Refused { .. }]), "{batch:?}");
}

#[test]
fn a_kind_that_can_never_be_listed_keeps_the_rest_waiting_for_a_while_and_not_for_ever() {
    let broken = || Trouble::Passing("conversion webhook failed".to_owned());
    let nothing = || Collector::new(resource::sources(&Scope::default()));
    let mut away = nothing();
    for kind in Kind::ALL {
        away.take(Told::Trouble(source(*kind), Trouble::Passing("connection refused".to_owned())));
    }
    assert!(away.begin_without().is_empty() && away.batch().is_none(), "nobody knows anything: others may serve");
    assert!(listed_but(&[Kind::HttpRoute]).begin_without().is_empty(), "a list that takes its time is no trouble");

    for (kind, is_incomplete) in [(Kind::HttpRoute, true), (Kind::Middleware, false)] {
        let mut collector = listed_but(&[kind]);
        collector.take(Told::Trouble(source(kind), broken()));
        assert!(collector.batch().is_none());
        assert_eq!(collector.begin_without(), [source(kind)]);
        let (batch, _) = collector.batch().expect("the rest");
        assert_eq!(batch.incomplete, is_incomplete, "{kind:?}");
        let input = batch.records.expect("it is told").input;
        assert!(input.iter().any(|problem| problem.message.contains("conversion webhook failed")), "{input:?}");

        collector.take(Told::Changed(source(Kind::Service), object(Kind::Service, "web", "2")));
        let (batch, _) = collector.batch().expect("news");
        assert_eq!(batch.incomplete, is_incomplete, "{kind:?}: whatever else comes");
        collector.take(Told::Listed(source(kind), Vec::new()));
        let (batch, _) = collector.batch().expect("it is whole");
        assert_eq!((batch.incomplete, batch.records.map(|records| records.input.len())), (false, Some(0)), "{kind:?}");
    }
}

#[test]
fn what_may_be_listed_and_not_watched_is_told_until_a_watch_holds() {
    let mut collector = listed_but(&[]);
    assert_eq!(problems(&mut collector), Some(0));
    for attempt in 1..=REFUSED_FOR_GOOD {
        collector.take(Told::Listed(source(Kind::Service), Vec::new()));
        collector.take(Told::Trouble(source(Kind::Service), Trouble::Unwatched("cannot watch".to_owned())));
        assert_eq!(problems(&mut collector), (attempt == REFUSED_FOR_GOOD).then_some(1), "{attempt}");
    }
    assert!(collector.is_current());
    collector.take(Told::Listed(source(Kind::Service), Vec::new()));
    assert_eq!(problems(&mut collector), None, "a list says nothing of the watch");
    collector.take(Told::Held(source(Kind::Service)));
    assert_eq!(problems(&mut collector), Some(0));
}

#[test]
fn what_is_not_what_it_claims_to_be_costs_only_itself() {
    let seen = |object: Value| {
        Seen::whole(Kind::Ingress, serde_json::from_value(object).expect("metadata is all that is wanted"), &[])
    };
    let huge = "x".repeat(1_500_000);
    let table = [
        (
            json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a", "namespace": "shop"}, "data": {}}),
            false,
        ),
        (json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"rules": null, "tls": null}}), true),
        (json!({"metadata": {"name": "a", "namespace": "shop", "annotations": {"x": huge}}, "spec": {}}), true),
        (json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"rules": 7}}), false),
        (json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": "x", "status": 7}), false),
        (
            json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": {"unheardOf": {"x": [null]}}, "more": 1}),
            true,
        ),
    ];
    for (object, is_read) in table {
        let text = object.to_string();
        let seen = seen(object);
        let (key, change) = (seen.key, seen.content.expect("whole").change);
        assert_eq!((key.kind, &*key.name), (Kind::Ingress, "a"));
        assert_eq!(matches!(change, Change::Set { .. }), is_read, "{}: {change:?}", text.get(..200).unwrap_or(&text));
    }
}
