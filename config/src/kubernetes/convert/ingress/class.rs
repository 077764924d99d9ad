//! Whose an Ingress is.
//!
//! `spec.ingressClassName` names an IngressClass, whose controller decides. Before there were classes, the annotation
//! `kubernetes.io/ingress.class` did; it still holds where the field is absent. Without either, the default class
//! holds, and without one, Traefik's rule: such an Ingress is served. Where there are no IngressClass objects (files),
//! the usual names of the classes stand for their controllers.

use crate::{
    kubernetes::{
        convert::Settings,
        object::{
            Item,
            networking::{Ingress, IngressClass},
        },
        view::View,
    },
    report::Finding,
};

/// Named the class before there was a field for it.
pub(in crate::kubernetes::convert) const ANNOTATION: &str = "kubernetes.io/ingress.class";
const IS_DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

/// The product whose habits an Ingress was written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kubernetes::convert) enum Product {
    /// Ours.
    Postern,
    /// Traefik, also where no class is named.
    Traefik,
    /// ingress-nginx.
    Nginx,
}

impl Product {
    fn of_controller(controller: &str) -> Self {
        match controller {
            "traefik.io/ingress-controller" => Self::Traefik,
            "k8s.io/ingress-nginx" => Self::Nginx,
            _ => Self::Postern,
        }
    }
}

/// The controllers that the usual class names stand for, where no IngressClass says otherwise.
fn usual_controller(class: &str) -> Option<&'static str> {
    match class {
        "postern" => Some("postern.dev/ingress"),
        "traefik" => Some("traefik.io/ingress-controller"),
        "nginx" => Some("k8s.io/ingress-nginx"),
        _ => None,
    }
}

/// An Ingress that is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kubernetes::convert) struct Ours<'a> {
    /// Whose habits it follows.
    pub(in crate::kubernetes::convert) product: Product,
    /// The class that it is of.
    pub(in crate::kubernetes::convert) class: Option<&'a str>,
}

/// Whether the Ingress is ours; otherwise what to tell.
pub(super) fn judge<'a>(item: &'a Item<Ingress>, view: &View<'a>, settings: &Settings) -> Result<Ours<'a>, Finding> {
    if let Some(name) = &item.body.spec.ingress_class_name {
        return named(name, "spec.ingressClassName", view, settings);
    }
    if let Some(name) = item.meta.annotations.get(ANNOTATION).filter(|name| !name.is_empty()) {
        return named(name, "metadata.annotations[kubernetes.io/ingress.class]", view, settings);
    }
    match default_class(view) {
        Some(class) => controlled(&class.body.spec.controller, &class.meta.name, "spec.ingressClassName", settings),
        None if settings.serve_classless_ingress => Ok(Ours { product: Product::Traefik, class: None }),
        None => Err(Finding::note("spec.ingressClassName", "NotOurs", "names no class, and such are not served")),
    }
}

/// What is known of class `name`, which `field` names.
pub(in crate::kubernetes::convert) fn named<'a>(
    name: &'a str,
    field: &'static str,
    view: &View<'a>,
    settings: &Settings,
) -> Result<Ours<'a>, Finding> {
    let class = view.get::<IngressClass>("", name);
    let controller = class.map(|class| &*class.body.spec.controller).or_else(|| usual_controller(name));
    match controller {
        Some(controller) => controlled(controller, name, field, settings),
        None => {
            Err(Finding::refused(field, "NoIngressClass", format!("IngressClass {name} does not exist; not served"))
                .remedy("add the IngressClass, or name the class postern"))
        }
    }
}

fn controlled<'a>(
    controller: &str,
    class: &'a str,
    field: &'static str,
    settings: &Settings,
) -> Result<Ours<'a>, Finding> {
    if settings.ingress_controllers.iter().any(|ours| **ours == *controller) {
        Ok(Ours { product: Product::of_controller(controller), class: Some(class) })
    } else {
        let message = format!("class {class} belongs to {controller}; not served here");
        Err(Finding::note(field, "NotOurs", message))
    }
}

/// Of several defaults the newest holds, then the first by name, as in the API server's admission.
fn default_class<'a>(view: &View<'a>) -> Option<&'a Item<IngressClass>> {
    let is_default =
        |class: &&Item<IngressClass>| class.meta.annotations.get(IS_DEFAULT).is_some_and(|v| **v == *"true");
    let classes = view.all::<IngressClass>(None).map(|class| &**class).filter(is_default);
    classes.min_by_key(|class| (std::cmp::Reverse(class.meta.creation_timestamp), class.meta.name.clone()))
}
