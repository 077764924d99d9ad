//! What replacing each product takes: the order of steps, the outage, the way back, and what goes with the product that
//! somebody may still need. Pure: facts of the cluster in, a plan out.

use serde::Serialize;

use super::Product;

/// What is there of a product, beside its pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Remains {
    /// Pods that run, as `namespace/name`.
    pub pods: Vec<String>,
    /// What keeps them running.
    pub workloads: Vec<Workload>,
    /// Helm releases that it was installed by, as `namespace/name`.
    pub releases: Vec<String>,
    /// CustomResourceDefinitions of its groups, or of its releases.
    pub definitions: Vec<Definition>,
    /// Its classes.
    pub classes: Vec<Class>,
    /// Webhooks that ask its Services.
    pub webhooks: Vec<Webhook>,
    /// LoadBalancer Services that lead to it.
    pub services: Vec<Reached>,
}

/// A Deployment or DaemonSet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// `deployment` or `daemonset`.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How many it is to run; 0 for a DaemonSet without nodes.
    pub replicas: i32,
}

/// A CustomResourceDefinition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Objects of it.
    pub objects: u64,
    /// The Helm release that would delete it, and with it those objects, as `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Whether Helm was told to keep it.
    pub kept: bool,
}

/// An IngressClass or GatewayClass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Class {
    /// `IngressClass` or `GatewayClass`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Whether objects without a class have it.
    pub default: bool,
    /// The Helm release that would delete it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Whether Helm was told to keep it.
    pub kept: bool,
}

/// A webhook that the API server asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Webhook {
    /// The configuration that it is in, as `kind/name`.
    pub configuration: String,
    /// Its Service, as `namespace/name`.
    pub service: String,
    /// Whether writes are refused when it does not answer.
    pub fails: bool,
    /// Whether the Service is there.
    pub answers: bool,
    /// The Helm release that would delete it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// A LoadBalancer Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where clients reach it.
    pub addresses: Vec<String>,
    /// Who gives it these.
    pub held_by: &'static str,
    /// The Helm release that would delete it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// What is to be done about one product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The key below `takeover`.
    pub product: &'static str,
    /// As people write it.
    pub name: &'static str,
    /// What is there of it.
    pub remains: Remains,
    /// In order.
    pub steps: Vec<String>,
    /// What clients notice.
    pub outage: String,
    /// How to go back.
    pub way_back: Vec<String>,
    /// What would be lost, or break, if it were uninstalled as it is.
    pub losses: Vec<String>,
}

/// What to do about `product`; `None` where nothing is there of it.
pub fn plan(product: Product, remains: Remains) -> Option<Plan> {
    (remains != Remains::default()).then(|| {
        let losses = losses(&remains);
        let (steps, outage, way_back) = if product.is_edge() { edge(product, &remains) } else { left(product) };
        Plan { product: product.key(), name: product.name(), remains, steps, outage, way_back, losses }
    })
}

fn left(product: Product) -> (Vec<String>, String, Vec<String>) {
    let name = product.name();
    let step = format!("leave {name} as it is: what it does is not carried yet, and Postern works beside it");
    (vec![step], "none".to_owned(), Vec::new())
}

fn edge(product: Product, remains: &Remains) -> (Vec<String>, String, Vec<String>) {
    let (name, key) = (product.name(), product.key());
    let mut steps = vec![
        format!("install Postern with takeover.{key}: observe; it binds and writes nothing"),
        "read `postern takeover plan` and `postern doctor` on each node, and mend what differs".to_owned(),
    ];
    let kept = remains.definitions.iter().filter(|it| it.release.is_some() && !it.kept);
    let names: Vec<_> = kept.map(|it| format!("crd/{}", it.name)).collect();
    if !names.is_empty() {
        steps.push(format!("kubectl annotate {} helm.sh/resource-policy=keep", names.join(" ")));
    }
    if remains.services.iter().any(|service| !service.addresses.is_empty()) {
        steps.push(format!(
            "keep the Service of {name}: Postern adopts its address ({}); to delete it later, give Postern the address first (kubernetes.addresses)",
            remains.services.iter().flat_map(|service| &service.addresses).cloned().collect::<Vec<_>>().join(", ")
        ));
    }
    steps.extend(remains.workloads.iter().map(stop));
    steps.push(format!("set takeover.{key}: own and restart Postern (with Helm: upgrade with the setting)"));
    steps.push(format!("leave {name} installed and at 0 until you are sure: it is the way back"));
    let outage = if remains.pods.is_empty() {
        format!("none: {name} does not run")
    } else {
        format!(
            "from the end of {name}'s last pod until the first Postern serves, a few seconds; with takeover.force both serve meanwhile and there is none, where their sockets differ"
        )
    };
    let mut back =
        vec![format!("set takeover.{key}: observe and restart Postern; its addresses and its EndpointSlice go")];
    back.extend(remains.workloads.iter().map(start));
    back.push("`postern cleanup --cluster` when Postern is uninstalled".to_owned());
    (steps, outage, back)
}

fn stop(workload: &Workload) -> String {
    let Workload { kind, namespace, name, .. } = workload;
    match *kind {
        "daemonset" => format!(
            "kubectl -n {namespace} patch daemonset {name} -p '{{\"spec\":{{\"template\":{{\"spec\":{{\"nodeSelector\":{{\"postern.dev/replaced\":\"true\"}}}}}}}}}}'"
        ),
        _ => format!("kubectl -n {namespace} scale {kind} {name} --replicas=0"),
    }
}

fn start(workload: &Workload) -> String {
    let Workload { kind, namespace, name, replicas } = workload;
    match *kind {
        "daemonset" => format!(
            "kubectl -n {namespace} patch daemonset {name} --type=json -p '[{{\"op\":\"remove\",\"path\":\"/spec/template/spec/nodeSelector/postern.dev~1replaced\"}}]'"
        ),
        _ => format!("kubectl -n {namespace} scale {kind} {name} --replicas={}", (*replicas).max(1)),
    }
}

fn losses(remains: &Remains) -> Vec<String> {
    let mut losses = Vec::new();
    for Definition { name, objects, release, kept } in &remains.definitions {
        if let Some(release) = release.as_ref().filter(|_| !kept && *objects > 0) {
            losses.push(format!("uninstalling {release} deletes the CRD {name} and with it {objects} objects"));
        }
    }
    for Class { kind, name, default, release, kept } in &remains.classes {
        let what = if *default { " (the default)" } else { "" };
        if let Some(release) = release.as_ref().filter(|_| !kept) {
            losses.push(format!("uninstalling {release} deletes the {kind} {name}{what}, which objects name"));
        }
    }
    for Webhook { configuration, service, fails, answers, release } in &remains.webhooks {
        if *fails && !answers {
            losses.push(format!("{configuration} refuses writes now: its Service {service} is not there"));
        } else if *fails && release.is_none() {
            losses.push(format!("{configuration} would stay and refuse writes once its Service {service} has gone"));
        }
    }
    for Reached { namespace, name, addresses, held_by, release } in &remains.services {
        if let Some(release) = release.as_ref().filter(|_| !addresses.is_empty()) {
            let addresses = addresses.join(", ");
            losses.push(format!(
                "uninstalling {release} deletes the Service {namespace}/{name}, and {held_by} gives up {addresses}"
            ));
        }
    }
    losses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traefik() -> Remains {
        let release = Some("kube-system/traefik".to_owned());
        let definition =
            |name: &str, objects, kept| Definition { name: name.to_owned(), objects, release: release.clone(), kept };
        let webhook = |name: &str, fails, answers, release| Webhook {
            configuration: format!("validatingwebhookconfiguration/{name}"),
            service: "kube-system/hook".to_owned(),
            fails,
            answers,
            release,
        };
        Remains {
            pods: vec!["kube-system/traefik-1".to_owned()],
            workloads: vec![Workload {
                kind: "deployment",
                namespace: "kube-system".to_owned(),
                name: "traefik".to_owned(),
                replicas: 2,
            }],
            releases: release.clone().into_iter().collect(),
            definitions: vec![
                definition("ingressroutes.traefik.io", 7, false),
                definition("middlewares.traefik.io", 3, true),
                definition("tlsstores.traefik.io", 0, false),
            ],
            classes: vec![Class {
                kind: "IngressClass",
                name: "traefik".to_owned(),
                default: true,
                release: release.clone(),
                kept: false,
            }],
            webhooks: vec![
                webhook("gone", true, false, None),
                webhook("stays", true, true, None),
                webhook("goes", true, true, release.clone()),
                webhook("harmless", false, false, None),
            ],
            services: vec![Reached {
                namespace: "kube-system".to_owned(),
                name: "traefik".to_owned(),
                addresses: vec!["192.0.2.80".to_owned()],
                held_by: "MetalLB",
                release,
            }],
        }
    }

    #[test]
    fn a_plan_names_what_would_be_lost() {
        let plan = plan(Product::Traefik, traefik()).expect("something is there");
        for words in [
            "deletes the CRD ingressroutes.traefik.io and with it 7 objects",
            "deletes the IngressClass traefik (the default)",
            "configuration/gone refuses writes now",
            "configuration/stays would stay",
            "MetalLB gives up 192.0.2.80",
        ] {
            assert!(plan.losses.iter().any(|loss| loss.contains(words)), "{words}: {:#?}", plan.losses);
        }
        assert_eq!(plan.losses.len(), 5, "{:#?}", plan.losses);
        let keep =
            "kubectl annotate crd/ingressroutes.traefik.io crd/tlsstores.traefik.io helm.sh/resource-policy=keep";
        assert!(plan.steps.iter().any(|step| step == keep), "{:#?}", plan.steps);
        let at = |words: &str| plan.steps.iter().position(|step| step.contains(words)).expect(words);
        assert!(
            at("observe") < at("annotate") && at("annotate") < at("--replicas=0") && at("--replicas=0") < at(": own")
        );
        assert!(
            plan.way_back.iter().any(|step| step.ends_with("scale deployment traefik --replicas=2")),
            "{:#?}",
            plan.way_back
        );
    }

    #[test]
    fn what_is_not_there_needs_no_plan_and_what_is_not_carried_is_left() {
        assert_eq!(plan(Product::Traefik, Remains::default()), None);
        let metallb = Remains { pods: vec!["metallb-system/speaker".to_owned()], ..Remains::default() };
        let plan = plan(Product::Metallb, metallb).expect("it runs");
        assert!(plan.steps.len() == 1 && plan.steps[0].contains("not carried yet"), "{plan:?}");
    }
}
