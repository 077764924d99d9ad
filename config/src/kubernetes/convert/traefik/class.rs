//! Whose a route of Traefik's kinds is: the field, else the annotation, else nobody's, which Traefik takes for its own.

use std::sync::Arc;

use crate::{
    kubernetes::{
        convert::{Settings, ingress::class},
        object::Meta,
        view::View,
    },
    report::Finding,
};

/// The class of a route that is ours; otherwise what to tell.
pub(super) fn judge<'a>(
    meta: &'a Meta,
    field: Option<&'a Arc<str>>,
    view: &View<'a>,
    settings: &Settings,
) -> Result<Option<&'a str>, Finding> {
    let field = field.filter(|name| !name.is_empty()).map(|name| (&**name, "spec.ingressClassName"));
    let annotation = meta.annotations.get(class::ANNOTATION).filter(|name| !name.is_empty());
    let annotation = annotation.map(|name| (&**name, "metadata.annotations[kubernetes.io/ingress.class]"));
    let Some((name, field)) = field.or(annotation) else {
        let not_ours = || Finding::note("spec.ingressClassName", "NotOurs", "names no class, and such are not served");
        return if settings.serve_classless_ingress { Ok(None) } else { Err(not_ours()) };
    };
    let ours = class::named(name, field, view, settings)?;
    if ours.product == class::Product::Nginx {
        let message = format!("class {name} is of another product, which does not know this kind; not served");
        return Err(Finding::note(field, "NotOurs", message));
    }
    Ok(ours.class)
}
