//! ReferenceGrants: consent of a namespace to references from others into it.

use crate::kubernetes::{
    object::{Kind, gateway::ReferenceGrant},
    view::View,
};

/// A reference from one object to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference<'a> {
    /// Kind of the referring object.
    pub(super) from: Kind,
    /// Its namespace.
    pub(super) from_namespace: &'a str,
    /// Kind of what it refers to.
    pub(super) to: Kind,
    /// Its namespace.
    pub(super) to_namespace: &'a str,
    /// Its name.
    pub(super) to_name: &'a str,
}

/// Whether `reference` may be followed: within one namespace always, else when a grant of the target's namespace
/// names the kind and namespace it comes from, and the target by kind or by name.
pub(super) fn permits(view: &View<'_>, reference: Reference<'_>) -> bool {
    reference.from_namespace == reference.to_namespace
        || view.all::<ReferenceGrant>(Some(reference.to_namespace)).any(|grant| covers(&grant.body, reference))
}

fn covers(grant: &ReferenceGrant, reference: Reference<'_>) -> bool {
    let Reference { from, from_namespace, to, to_name, .. } = reference;
    let from_listed = grant.spec.from.iter().any(|entry| {
        *entry.group == *from.group() && *entry.kind == *from.as_str() && *entry.namespace == *from_namespace
    });
    let to_listed = grant.spec.to.iter().any(|entry| {
        *entry.group == *to.group()
            && *entry.kind == *to.as_str()
            && entry.name.as_ref().is_none_or(|name| name.is_empty() || **name == *to_name)
    });
    from_listed && to_listed
}

/// How a grant would have to look, for findings.
pub(super) fn remedy(reference: Reference<'_>) -> String {
    format!(
        "add a ReferenceGrant to namespace {} from {} in namespace {} to {} {}",
        reference.to_namespace,
        reference.from.as_str(),
        reference.from_namespace,
        reference.to.as_str(),
        reference.to_name
    )
}
