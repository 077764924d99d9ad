//! Annotations of an Ingress: where it is served, through which middlewares, and whether it must be closed.

use std::sync::Arc;

use super::class::{Ours, Product};
use crate::{
    kubernetes::{
        convert::{
            Contribution, EntryPoint, Settings,
            annotation::{self, Class, NGINX, ROUTER, parse_bool},
            middleware, slot,
            traefik::splits,
        },
        object::{Item, networking::Ingress, traefik::Middleware},
        view::View,
    },
    model::id::MiddlewareId,
    report::Finding,
    snapshot::Transport,
};

/// What the annotations come to.
#[derive(Debug)]
pub(super) struct Router<'a> {
    pub(super) product: Product,
    pub(super) entry_points: Vec<&'a EntryPoint>,
    pub(super) middlewares: Vec<MiddlewareId>,
    pub(super) matcher: PathMatcher,
    /// Why every rule answers 503.
    pub(super) closed: Option<Arc<str>>,
}

/// How a path of type ImplementationSpecific is compared: the annotation may hold one of these names and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathMatcher {
    Path,
    PathPrefix,
    PathRegexp,
}

const CARRIED: &[&str] = &["entrypoints", "middlewares", "tls", "pathmatcher"];

/// Reads the annotations.
pub(super) fn read<'a>(
    item: &Item<Ingress>,
    ours: Ours<'_>,
    view: &View<'_>,
    settings: &'a Settings,
    contribution: &mut Contribution,
) -> Router<'a> {
    let product = ours.product;
    let mut reader = Reader { item, findings: Vec::new(), closed: None };
    reader.not_carried(product);
    // Traefik's annotations on an Ingress of ingress-nginx have no effect there, nor here.
    let applies = product != Product::Nginx;
    let router = Router {
        product,
        entry_points: reader.entry_points(settings, ours.class, applies),
        middlewares: if applies { reader.middlewares(view, settings) } else { Vec::new() },
        matcher: reader.matcher(applies),
        closed: None,
    };
    contribution.middlewares.extend(router.middlewares.iter().cloned());
    contribution.findings.append(&mut reader.findings);
    Router { closed: reader.closed, ..router }
}

struct Reader<'i> {
    item: &'i Item<Ingress>,
    findings: Vec<Finding>,
    closed: Option<Arc<str>>,
}

impl<'i> Reader<'i> {
    fn text(&self, option: &str) -> Option<&'i str> {
        self.item.meta.annotations.get(format!("{ROUTER}{option}").as_str()).map(|text| &**text)
    }

    fn list(&self, option: &str) -> Option<Vec<&'i str>> {
        let entries = self.text(option)?.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Some(entries.collect())
    }

    /// The route cannot be served as asked: it answers 503.
    fn close(&mut self, option: &str, reason: &'static str, message: String, remedy: &str) {
        self.closed.get_or_insert_with(|| format!("annotation {ROUTER}{option}: {message}").into());
        let field = annotation::field(&format!("{ROUTER}{option}"));
        self.findings.push(Finding::refused(field, reason, format!("{message}; answers 503")).remedy(remedy));
    }

    fn entry_points<'s>(&mut self, settings: &'s Settings, class: Option<&str>, applies: bool) -> Vec<&'s EntryPoint> {
        let of_class = EntryPoint::of_class(&settings.entry_points, class);
        let all = of_class.iter().copied();
        let names = if applies { self.list("entrypoints").filter(|names| !names.is_empty()) } else { None };
        let mut chosen: Vec<_> =
            all.clone().filter(|entry| names.as_ref().is_none_or(|names| names.contains(&&*entry.name))).collect();
        for name in names.iter().flatten().filter(|name| all.clone().all(|entry| *entry.name != ***name)) {
            let known: Vec<_> = all.clone().map(|entry| &*entry.name).collect();
            let finding = Finding::refused(
                annotation::field(&format!("{ROUTER}entrypoints")),
                "NoEntryPoint",
                format!("there is no entry point {name} for its class; there are {}", known.join(", ")),
            );
            self.findings.push(finding);
        }
        if applies && self.tls() {
            chosen.retain(|entry| entry.transport == Transport::Tls);
            if chosen.is_empty() {
                let message = "asks for TLS, but none of its entry points speaks it; not served";
                let field = annotation::field(&format!("{ROUTER}tls"));
                self.findings.push(Finding::refused(field, "NoEntryPoint", message));
            }
        }
        chosen
    }

    fn tls(&mut self) -> bool {
        let Some(text) = self.text("tls") else { return false };
        parse_bool(text).unwrap_or_else(|| {
            // What was meant for TLS alone must not be served in the clear because of a slip.
            let message = format!("{text:?} is not true or false");
            self.close("tls", "InvalidAnnotation", message, "write \"true\" or \"false\"");
            true
        })
    }

    fn matcher(&mut self, applies: bool) -> PathMatcher {
        match self.text("pathmatcher").filter(|_| applies) {
            None | Some("PathPrefix") => PathMatcher::PathPrefix,
            Some("Path") => PathMatcher::Path,
            Some("PathRegexp") => PathMatcher::PathRegexp,
            Some(other) => {
                let message = format!("{other:?} is no way to compare paths");
                self.close("pathmatcher", "InvalidAnnotation", message, "use Path, PathPrefix or PathRegexp");
                PathMatcher::PathPrefix
            }
        }
    }

    fn middlewares(&mut self, view: &View<'_>, settings: &Settings) -> Vec<MiddlewareId> {
        let names = self.list("middlewares").unwrap_or_default();
        names.into_iter().filter_map(|name| self.middleware(name, view, settings)).collect()
    }

    fn middleware(&mut self, text: &str, view: &View<'_>, settings: &Settings) -> Option<MiddlewareId> {
        let Some(name) = text.strip_suffix("@kubernetescrd") else {
            let message = format!("{text:?} is of a provider that is not carried");
            self.close(
                "middlewares",
                "UnsupportedProvider",
                message,
                "name a Middleware: namespace-name@kubernetescrd",
            );
            return None;
        };
        let found = splits(name).filter(|(namespace, name)| view.get::<Middleware>(namespace, name).is_some());
        let found: Vec<_> = found.collect();
        match found.as_slice() {
            [] => {
                let remedy = "the form is namespace-name@kubernetescrd";
                self.close("middlewares", "MiddlewareNotFound", format!("there is no Middleware {text:?}"), remedy);
            }
            // In any namespace, as in Traefik, whose allowCrossNamespace is about its own kinds alone.
            [(namespace, name)] => {
                let item = view.get::<Middleware>(namespace, name);
                if let Some(reason) = item.and_then(|item| middleware::refusal(item, view, settings)) {
                    let field = annotation::field(&format!("{ROUTER}middlewares"));
                    let message = format!("{reason}; answers 503");
                    self.findings.push(Finding::refused(field, "MiddlewareRefused", message));
                }
                return Some(slot::middleware(namespace, name));
            }
            several => {
                let names: Vec<_> = several.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
                let message = format!("{text:?} may be any of the Middlewares {}", names.join(", "));
                self.close("middlewares", "AmbiguousMiddleware", message, "rename all but one of them");
            }
        }
        None
    }

    /// Annotations that nobody reads here: some are harmless, some close the route.
    fn not_carried(&mut self, product: Product) {
        for name in self.item.meta.annotations.keys() {
            let carried = name.strip_prefix(ROUTER).is_some_and(|option| CARRIED.contains(&option));
            if **name == *annotation::ACKNOWLEDGE || (carried && product != Product::Nginx) {
                continue;
            }
            let Some(class) = annotation::class(name) else { continue };
            let (finding, closed) = if is_for_another(name, product) {
                let message = "is another controller's, and has no effect on an Ingress of this class";
                (Finding::note(annotation::field(name), "ForeignAnnotation", message), None)
            } else {
                annotation::not_carried(&self.item.meta, name, class)
            };
            debug_assert!(class != Class::Harmless || closed.is_none());
            self.findings.push(finding);
            self.closed = self.closed.take().or(closed);
        }
    }
}

fn is_for_another(name: &str, product: Product) -> bool {
    match product {
        Product::Postern => false,
        Product::Traefik => name.starts_with(NGINX),
        Product::Nginx => name.starts_with("traefik.ingress.kubernetes.io/"),
    }
}
