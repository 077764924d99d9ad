//! The object that a field refers to, where somebody who reads of the one wants to look at the other.

use std::sync::Arc;

use crate::kubernetes::{
    object::{
        Kind, Object,
        gateway::{Gateway, ObjectRef},
        networking::Ingress,
    },
    status::entry_of,
    store::Key,
};

/// The Secret that `field` of `object` names.
pub(super) fn of(object: &Object, field: &str) -> Option<Key> {
    let namespace = &object.meta().namespace;
    let secret = |namespace: &Arc<str>, name: &Arc<str>| {
        let (namespace, name) = (namespace.clone(), name.clone());
        Key { kind: Kind::Secret, namespace, name }
    };
    match object {
        Object::Gateway(gateway) => {
            let reference = of_gateway(&gateway.body, field)?;
            let is_secret = reference.kind.as_deref().is_none_or(|kind| kind == Kind::Secret.as_str());
            is_secret.then(|| secret(reference.namespace.as_ref().unwrap_or(namespace), &reference.name))
        }
        Object::Ingress(ingress) => Some(secret(namespace, of_ingress(&ingress.body, field)?)),
        _ => None,
    }
}

fn of_gateway<'a>(gateway: &'a Gateway, field: &str) -> Option<&'a ObjectRef> {
    let (listener, rest) = entry_of(field, "spec.listeners")?;
    let (reference, _) = entry_of(rest, ".tls.certificateRefs")?;
    gateway.spec.listeners.get(listener)?.tls.as_ref()?.certificate_refs.get(reference)
}

fn of_ingress<'a>(ingress: &'a Ingress, field: &str) -> Option<&'a Arc<str>> {
    let (entry, rest) = entry_of(field, "spec.tls")?;
    ingress.spec.tls.get(entry).filter(|_| rest == ".secretName")?.secret_name.as_ref()
}
