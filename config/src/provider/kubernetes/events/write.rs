//! One event as the API has it, and how it gets there.

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event as ApiEvent},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, Error as ClientError,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::ObjectMeta,
};
use serde_json::json;
use sha1::{Digest as _, Sha1};

use super::super::{counts::EventOutcome, resource::preferred};
use crate::kubernetes::{event::Event, store::Key};

/// Whose they are, in `reportingController`.
const CONTROLLER: &str = "postern.dev/postern";
/// What we were about, as the API wants to know.
const ACTION: &str = "Serve";
/// Where events of what has no namespace belong.
const NO_NAMESPACE: &str = "default";
/// Of the object's name in the event's, which may have 253 bytes.
const LONGEST_NAME: usize = 200;
/// What the API takes.
const LONGEST_INSTANCE: usize = 128;

/// What tells an event about one object from its others: the same on every node and after every start.
pub(super) type Mark = u64;

/// An event, and how often this process has told it: then it is counted up.
pub(super) struct Telling {
    pub(super) event: Event,
    pub(super) before: i32,
}

/// The mark of `event`.
pub(super) fn mark(event: &Event) -> Mark {
    digest(&[event.kind(), event.reason(), event.note()])
}

fn digest(parts: &[&str]) -> u64 {
    let mut sha = Sha1::new();
    for part in parts {
        sha.update(part.as_bytes());
        sha.update([0]);
    }
    sha.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Writes what is to be told of `key`; what becomes of each is handed to `count`. An error is about the first that could
/// not be written.
pub(super) async fn write(
    client: Client,
    objects: Api<DynamicObject>,
    key: &Key,
    tellings: &[Telling],
    instance: &str,
    count: impl Fn(EventOutcome),
) -> Result<(), ClientError> {
    // `kubectl describe` looks for events by it.
    let uid = match objects.get_metadata_opt(&key.name).await? {
        Some(object) => object.metadata.uid.unwrap_or_default(),
        None => {
            tellings.iter().for_each(|_| count(EventOutcome::Dropped));
            return Ok(());
        }
    };
    let namespace = if key.namespace.is_empty() { NO_NAMESPACE } else { &key.namespace };
    let api: Api<ApiEvent> = Api::namespaced(client, namespace);
    for Telling { event, before } in tellings {
        let object = object(key, &uid, namespace, event, instance);
        let outcome = match api.create(&PostParams::default(), &object).await {
            Ok(_) => EventOutcome::Written,
            Err(ClientError::Api(status)) if status.code == 409 => {
                if *before > 0 {
                    count_up(&api, object.metadata.name.as_deref().unwrap_or_default(), before + 1).await?;
                    EventOutcome::Repeated
                } else {
                    EventOutcome::Known
                }
            }
            Err(error) => return Err(error),
        };
        count(outcome);
    }
    Ok(())
}

/// What others have counted is not asked for: that would take another right, and the last of them has ended.
async fn count_up(api: &Api<ApiEvent>, name: &str, count: i32) -> Result<(), ClientError> {
    let series = json!({"series": {"count": count, "lastObservedTime": MicroTime(Timestamp::now())}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(series)).await.map(drop)
}

fn object(key: &Key, uid: &str, namespace: &str, event: &Event, instance: &str) -> ApiEvent {
    let name = name(&key.name, digest(&[uid, &format!("{:x}", mark(event))]));
    ApiEvent {
        metadata: ObjectMeta { name: Some(name), namespace: Some(namespace.to_owned()), ..ObjectMeta::default() },
        event_time: Some(MicroTime(Timestamp::now())),
        action: Some(ACTION.to_owned()),
        type_: Some(event.kind().to_owned()),
        reason: Some(event.reason().to_owned()),
        note: Some(event.note().to_owned()),
        regarding: Some(ObjectReference { uid: Some(uid.to_owned()), ..reference(key) }),
        related: event.related().map(reference),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(instance.get(..LONGEST_INSTANCE).unwrap_or(instance).to_owned()),
        ..ApiEvent::default()
    }
}

fn reference(key: &Key) -> ObjectReference {
    let resource = preferred(key.kind);
    ObjectReference {
        api_version: Some(resource.api_version),
        kind: Some(resource.kind),
        namespace: Some(key.namespace.to_string()).filter(|namespace| !namespace.is_empty()),
        name: Some(key.name.to_string()),
        ..ObjectReference::default()
    }
}

/// A name that people know again, and no other event has. Each of its parts ends as a DNS label does.
fn name(object: &str, digest: u64) -> String {
    let begin = object.get(..LONGEST_NAME).unwrap_or(object).trim_end_matches(['.', '-']);
    format!("{begin}.{digest:016x}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::kubernetes::{event::Notice, object::Kind};

    #[test]
    fn the_same_event_has_the_same_name_and_no_other_has_it() {
        let key = |name: &str| Key { kind: Kind::Ingress, namespace: Arc::from("shop"), name: name.into() };
        let wrong =
            |note: &str| Event::Wrong(Notice { reason: "SecretNotFound", note: note.to_owned(), related: None });
        let named = |key: &Key, uid: &str, event: &Event| {
            object(key, uid, "shop", event, "node").metadata.name.expect("it has one")
        };
        let events = [wrong("a"), wrong("b"), Event::Mended];
        let names: Vec<_> = events
            .iter()
            .flat_map(|event| [("i", "1"), ("i", "2"), ("j", "1")].map(|(name, uid)| named(&key(name), uid, event)))
            .collect();
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), 9, "{names:?}");
        assert_eq!(named(&key("i"), "1", &wrong("a")), names[0]);
    }

    #[test]
    fn a_name_is_one_that_the_api_takes() {
        let long = format!("{}.{}", "a".repeat(LONGEST_NAME - 1), "b".repeat(53));
        for object in ["web", &long, &"x".repeat(253)] {
            let name = name(object, 7);
            assert!(name.len() <= 253, "{name}");
            assert!(!name.contains("..") && name.ends_with(".0000000000000007"), "{name}");
        }
    }
}
