//! IngressRoute → ranked rules on entry points, and a certificate for their hosts.
//!
//! A route that is not served as its owner asked answers 503. Only one whose rule cannot be read is not there: nobody
//! knows what it is for.

use std::{collections::BTreeSet, sync::Arc};

use http::StatusCode;

use super::{
    Site, class, entry, internal, priority, reference,
    rule::{self, Branch},
    service::{self, Service},
    tls,
};
use crate::{
    kubernetes::{
        convert::{Contribution, EntryPoint, Settings, object_id},
        object::{
            Item,
            traefik::IntOrString,
            traefik_route::{IngressRoute, Route, ServiceRef},
        },
        view::View,
    },
    model::{
        host::HostPattern,
        request::Condition,
        route::{Action, Backend, Forward, Outcome, Predicates, Rule, RuleSource, Step, Timeouts},
    },
    report::Finding,
    snapshot::Place,
};

/// What an IngressRoute contributes.
pub fn convert(item: &Item<IngressRoute>, view: &View<'_>, settings: &Settings) -> Contribution {
    let spec = &item.body.spec;
    let class = match class::judge(&item.meta, spec.ingress_class_name.as_ref(), view, settings) {
        Ok(class) => class,
        Err(finding) => return Contribution { findings: vec![finding], ..Contribution::default() },
    };
    let (entry_points, findings) = entry::points(settings, class, &spec.entry_points, spec.tls.is_some());
    let contribution = Contribution { findings, ..Contribution::default() };
    let mut site = Site { meta: &item.meta, view, settings, contribution };
    let mut closed = children_closed(&mut site, spec.parent_refs.len());
    if let Some(tls) = &spec.tls {
        closed = tls::closed(&mut site, tls).or(closed);
    }
    let mut maker = Maker { item, entry_points, closed, hosts: BTreeSet::new(), site };
    for (index, route) in spec.routes.iter().enumerate() {
        maker.route(index, route);
    }
    let Maker { entry_points, hosts, mut site, .. } = maker;
    if spec.routes.is_empty() {
        site.say(Finding::warning("spec.routes", "NoRoutes", "has no routes, and leads nowhere"));
    }
    if let Some(tls) = &spec.tls {
        tls::certificate(&mut site, tls, &hosts, &entry_points);
        if tls.passthrough.is_some() {
            let message = "is of IngressRouteTCP alone: to see requests, TLS must end here";
            site.say(Finding::ignored("spec.tls.passthrough", "UnknownField", message));
        }
    }
    site.contribution
}

/// Routes below others would lose the middlewares of these.
fn children_closed(site: &mut Site<'_, '_>, parents: usize) -> Option<Arc<str>> {
    if parents == 0 {
        return None;
    }
    let message = "routes below others are not carried yet, and the middlewares of these may protect it; answers 503";
    site.say(
        Finding::refused("spec.parentRefs[0]", "NotCarried", message).remedy("write the middlewares into this route"),
    );
    Some("spec.parentRefs is not carried yet".into())
}

struct Maker<'a, 'v> {
    item: &'a Item<IngressRoute>,
    entry_points: Vec<&'a EntryPoint>,
    /// Why every rule answers 503.
    closed: Option<Arc<str>>,
    /// Hosts that the rules name.
    hosts: BTreeSet<HostPattern>,
    site: Site<'a, 'v>,
}

impl Maker<'_, '_> {
    fn route(&mut self, index: usize, route: &Route) {
        let field = format!("spec.routes[{index}]");
        let branches = match self.branches(route, &field) {
            Ok(branches) => branches,
            Err(finding) => return self.site.say(finding),
        };
        let action = Arc::new(self.action(index, route, &field));
        self.file(index, route, branches, &action);
    }

    /// The places that the rule's text comes to.
    fn branches(&mut self, route: &Route, field: &str) -> Result<Vec<Branch>, Finding> {
        if !["", "Rule"].contains(&&*route.kind) {
            let message = format!("{:?} is not Rule; not served", &*route.kind);
            return Err(Finding::refused(format!("{field}.kind"), "UnsupportedKind", message));
        }
        let at_match = format!("{field}.match");
        let read = rule::http(&route.rule)
            .map_err(|error| Finding::refused(&*at_match, "InvalidRule", format!("{error}; not served")))?;
        check_syntax(route, &read, field)?;
        for (at, why) in &read.never {
            let message = format!("at {at}: no path is like that: {why}");
            self.site.say(Finding::warning(&*at_match, "NeverMatches", message));
        }
        let hosts = read.expression.conditions().into_iter().filter_map(|condition| match condition {
            Condition::Host(host) if *host != HostPattern::Any => Some(host.clone()),
            _ => None,
        });
        self.hosts.extend(hosts);
        Ok(rule::spread(&read.expression))
    }

    fn action(&mut self, index: usize, route: &Route, field: &str) -> Action {
        let open = if route.priority > priority::MOST {
            let message = format!("must not be above {}", priority::MOST);
            Err(Finding::refused(format!("{field}.priority"), "InvalidPriority", message))
        } else {
            self.open(route, field)
        };
        if route.observability.is_some() {
            let message = "is not carried yet: the settings of the installation hold";
            self.site.say(Finding::ignored(format!("{field}.observability"), "NotCarried", message));
        }
        let reason = match (open, &self.closed) {
            (Ok(action), None) => return action,
            (Ok(_), Some(reason)) => reason.clone(),
            (Err(finding), closed) => {
                let reason: Arc<str> = format!("spec.routes[{index}]: {}", finding.message).into();
                self.site.say(told_with_status(finding));
                closed.clone().unwrap_or(reason)
            }
        };
        Action { steps: Vec::new(), outcome: Outcome::Closed { status: StatusCode::SERVICE_UNAVAILABLE, reason } }
    }

    /// What the route asks for; otherwise why it is closed.
    fn open(&mut self, route: &Route, field: &str) -> Result<Action, Finding> {
        let mut steps = Vec::new();
        for (at, middleware) in route.middlewares.iter().enumerate() {
            steps.push(reference::middleware(&mut self.site, middleware, &format!("{field}.middlewares[{at}]"))?);
        }
        let mut backends = Vec::new();
        let mut nowhere = false;
        for (at, service) in route.services.iter().enumerate() {
            let field = format!("{field}.services[{at}]");
            let cookie = self.cookie_name(route, service);
            match service::read(&mut self.site, service, &field, &cookie)? {
                Service::Nowhere => nowhere = true,
                Service::Backend(backend, own) => {
                    if !own.is_empty() && route.services.len() > 1 {
                        return Err(own_of_several(&field));
                    }
                    steps.extend(own);
                    backends.push(backend);
                }
            }
        }
        self.site.contribution.middlewares.extend(steps.iter().cloned());
        internal::warn(&mut self.site, route, field, &backends, &steps);
        let outcome = outcome(nowhere, backends, field)?;
        Ok(Action { steps: steps.into_iter().map(Step::Middleware).collect(), outcome })
    }

    /// As in Traefik, so that clients keep their endpoint: of a route's only service it is named after the rule.
    fn cookie_name(&self, route: &Route, service: &ServiceRef) -> Arc<str> {
        let meta = &self.item.meta;
        let own = service.namespace.as_deref().unwrap_or(&meta.namespace);
        let port = match &service.port {
            Some(IntOrString::Int(number)) => number.to_string(),
            Some(IntOrString::Text(text)) => text.to_string(),
            None => String::new(),
        };
        service::cookie_name(&match route.services.as_slice() {
            [_] => format!("{}-{}-{}", meta.namespace, meta.name, rule_digest(&route.rule)),
            _ => format!("{own}-{}-{port}", service.name),
        })
    }

    fn file(&mut self, index: usize, route: &Route, branches: Vec<Branch>, action: &Arc<Action>) {
        let source = Arc::new(RuleSource {
            object: object_id(self.item),
            created: self.item.meta.creation_timestamp,
            rule_index: number(index),
            rule_name: None,
        });
        if branches.is_empty() {
            let message = "can never hold: no request takes the route";
            self.site.say(Finding::warning(format!("spec.routes[{index}].match"), "NeverMatches", message));
        }
        for (at, Branch { host, path, rest }) in branches.into_iter().enumerate() {
            let rule = Arc::new(Rule {
                source: source.clone(),
                match_index: number(at),
                rank: priority::of_text(route.priority, &route.rule),
                fallback: false,
                path: path.clone(),
                predicates: Predicates { expression: rest, ..Predicates::default() },
                except_hosts: Arc::default(),
                action: action.clone(),
            });
            for entry in &self.entry_points {
                let place = Place {
                    socket: entry.socket,
                    transport: entry.transport,
                    host: host.clone(),
                    route_host: host.clone(),
                    path: path.clone(),
                    ranked: true,
                };
                self.site.contribution.rules.push((place, rule.clone()));
            }
        }
    }
}

/// The second version of the language is taken where the third means the same by it.
fn check_syntax(route: &Route, read: &rule::Rule<Condition>, field: &str) -> Result<(), Finding> {
    let field = format!("{field}.syntax");
    match &*route.syntax {
        "" | "v3" => return Ok(()),
        "v2" => {}
        other => {
            let message = format!("{other:?} is not v3; not served");
            return Err(Finding::refused(field, "InvalidSyntax", message));
        }
    }
    let same = |condition: &&Condition| {
        matches!(
            condition,
            Condition::Host(HostPattern::Exact(_))
                | Condition::Path(_)
                | Condition::PathPrefix(_)
                | Condition::Method(_)
                | Condition::Peer(_)
        )
    };
    if read.expression.conditions().iter().all(same) && !route.rule.contains('{') {
        return Ok(());
    }
    Err(Finding::refused(
        field,
        "UnsupportedSyntax",
        "rules of version v2 that mean something else in v3 are not served",
    )
    .remedy(
        "write the match in v3 (HostRegexp and PathRegexp take Go expressions, Headers is Header) and remove syntax",
    ))
}

fn outcome(nowhere: bool, backends: Vec<Backend>, field: &str) -> Result<Outcome, Finding> {
    let field = format!("{field}.services");
    match (nowhere, backends.is_empty()) {
        (true, true) => {
            // What Traefik's service of that name answers where no middleware did.
            let reason = "noop@internal answers nothing".into();
            Ok(Outcome::Closed { status: StatusCode::IM_A_TEAPOT, reason })
        }
        (true, false) => {
            Err(Finding::refused(field, "InvalidBackend", "noop@internal cannot share requests with others"))
        }
        (false, true) => Err(Finding::refused(field, "MissingField", "names no service")),
        (false, false) => Ok(Outcome::Forward(Forward {
            backends,
            unresolved: StatusCode::SERVICE_UNAVAILABLE,
            timeouts: Timeouts::default(),
            retry: None,
        })),
    }
}

fn own_of_several(field: &str) -> Finding {
    let message = "middlewares of one of several services are not carried yet, and they may protect it";
    Finding::refused(format!("{field}.middlewares"), "NotCarried", message)
        .remedy("write them into the route, or give the service a route of its own")
}

fn told_with_status(mut finding: Finding) -> Finding {
    finding.message.push_str("; answers 503");
    finding
}

/// The first ten bytes of the SHA-256 of the rule, as Traefik names routers by it.
fn rule_digest(rule: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(rule).iter().take(10).map(|byte| format!("{byte:02x}")).collect()
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
