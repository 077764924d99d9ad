//! What selectors of namespaces go by.

use std::{collections::BTreeMap, sync::Arc};

use crate::kubernetes::{object::core::Namespace, view::View};

/// The labels of a namespace, with the one that the API server gives to all, at hand or not.
pub(super) fn labels(view: &View<'_>, name: &Arc<str>) -> BTreeMap<Arc<str>, Arc<str>> {
    let mut labels = view.get::<Namespace>("", name).map(|item| item.meta.labels.clone()).unwrap_or_default();
    labels.insert("kubernetes.io/metadata.name".into(), name.clone());
    labels
}
