//! Reads what is there of the products, for `postern takeover plan`. Reads only; what may not be read is said.

use std::{collections::BTreeMap, fmt::Debug};

use k8s_openapi::{
    api::{
        admissionregistration::v1::{
            MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
        },
        apps::v1::{DaemonSet, Deployment},
        core::v1::Service,
        networking::v1::IngressClass,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
    core::ObjectMeta,
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{
    super::{ClusterError, client, follow::said},
    seek::{self, Found},
};
use crate::kubernetes::{
    object::Kind,
    status::Address,
    takeover::{
        Product, adoption,
        plan::{Class, Definition, Plan, Reached, Remains, Webhook, Workload, plan},
    },
};

const KEEP: &str = "helm.sh/resource-policy";
const IS_DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
const SERVICELB: &str = "svccontroller.k3s.cattle.io/svcname";

/// What was read.
#[derive(Debug)]
pub struct Survey {
    /// What to do about each product that is there.
    pub plans: Vec<Plan>,
    /// What could not be read, each in one sentence.
    pub unread: Vec<String>,
}

/// Looks at the cluster that the environment names.
pub async fn survey() -> Result<Survey, ClusterError> {
    let client = client::connect().await?;
    let mut looking = Looking { client, unread: Vec::new() };
    let products = looking.remains().await;
    let plans = products.into_iter().filter_map(|(product, remains)| plan(product, remains)).collect();
    Ok(Survey { plans, unread: looking.unread })
}

struct Looking {
    client: Client,
    unread: Vec<String>,
}

impl Looking {
    async fn remains(&mut self) -> BTreeMap<Product, Remains> {
        let mut all = BTreeMap::<Product, Remains>::new();
        match seek::pods(&self.client, Instant::now()).await {
            Ok(Found::Pods(running)) => {
                running.into_iter().for_each(|(product, pods)| all.entry(product).or_default().pods = pods);
            }
            Ok(Found::Forbidden(why)) | Err(why) => self.unread.push(format!("pods: {why}")),
        }
        self.workloads(&mut all).await;
        self.services(&mut all).await;
        self.classes(&mut all).await;
        self.definitions(&mut all).await;
        self.webhooks(&mut all).await;
        all.values_mut().for_each(|remains| {
            remains.releases.sort();
            remains.releases.dedup();
        });
        all
    }

    async fn list<K>(&mut self) -> Vec<K>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let listed = Api::<K>::all(self.client.clone()).list(&ListParams::default()).await;
        match listed {
            Ok(list) => list.items,
            Err(error) => {
                self.unread.push(format!("{}: {}", K::plural(&()), said(&error)));
                Vec::new()
            }
        }
    }

    async fn workloads(&mut self, all: &mut BTreeMap<Product, Remains>) {
        for it in self.list::<Deployment>().await {
            let spec = it.spec.as_ref();
            let labels = spec.and_then(|spec| spec.template.metadata.as_ref()?.labels.as_ref());
            let replicas = spec.and_then(|spec| spec.replicas).unwrap_or(1);
            add_workload(all, "deployment", &it.metadata, labels, replicas);
        }
        for it in self.list::<DaemonSet>().await {
            let labels = it.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref()?.labels.as_ref());
            let replicas = it.status.as_ref().map_or(0, |status| status.desired_number_scheduled);
            add_workload(all, "daemonset", &it.metadata, labels, replicas);
        }
    }

    async fn services(&mut self, all: &mut BTreeMap<Product, Remains>) {
        let services = self.list::<Service>().await;
        let balancers = self.list::<DaemonSet>().await;
        let by_servicelb = balancers.iter().any(|set| set.labels().contains_key(SERVICELB));
        let by_metallb = all.get(&Product::Metallb).is_some_and(|metallb| !metallb.pods.is_empty());
        let held_by = match (by_servicelb, by_metallb) {
            (true, _) => "servicelb",
            (false, true) => "MetalLB",
            (false, false) => "whoever assigned it",
        };
        for it in services {
            let Some(spec) = it.spec.as_ref().filter(|spec| spec.type_.as_deref() == Some("LoadBalancer")) else {
                continue;
            };
            let product = spec.selector.as_ref().and_then(Product::of_labels).filter(|product| product.is_edge());
            let Some(product) = product else { continue };
            let addresses = adoption::adopt(&it, &[]).addresses;
            let release = release(&it.metadata);
            let remains = all.entry(product).or_default();
            remains.releases.extend(release.clone());
            remains.services.push(Reached {
                namespace: it.namespace().unwrap_or_default(),
                name: it.name_any(),
                addresses: addresses.iter().map(shown).collect(),
                held_by,
                release,
            });
        }
    }

    async fn classes(&mut self, all: &mut BTreeMap<Product, Remains>) {
        let of = |controller: &str, known: fn(Product) -> Option<&'static str>| {
            Product::ALL.into_iter().find(|product| known(*product) == Some(controller))
        };
        for it in self.list::<IngressClass>().await {
            let controller = it.spec.as_ref().and_then(|spec| spec.controller.as_deref()).unwrap_or_default();
            let Some(product) = of(controller, Product::ingress_controller) else { continue };
            let default = it.annotations().get(IS_DEFAULT).is_some_and(|is| is == "true");
            all.entry(product).or_default().classes.push(class(Kind::IngressClass.as_str(), &it.metadata, default));
        }
        for it in self.dynamic(Kind::GatewayClass.group(), "v1", Kind::GatewayClass.as_str()).await {
            let controller = it.data.pointer("/spec/controllerName").and_then(|name| name.as_str()).unwrap_or_default();
            let Some(product) = of(controller, Product::gateway_controller) else { continue };
            all.entry(product).or_default().classes.push(class(Kind::GatewayClass.as_str(), &it.metadata, false));
        }
    }

    /// Objects of a kind that need not be there.
    async fn dynamic(&mut self, group: &str, version: &str, kind: &str) -> Vec<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match Api::<DynamicObject>::all_with(self.client.clone(), &resource).list(&ListParams::default()).await {
            Ok(list) => list.items,
            Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
            Err(error) => {
                self.unread.push(format!("{}: {}", resource.plural, said(&error)));
                Vec::new()
            }
        }
    }

    async fn definitions(&mut self, all: &mut BTreeMap<Product, Remains>) {
        for it in self.list::<CustomResourceDefinition>().await {
            let release = release(&it.metadata);
            let of_group = |product: &Product| {
                let group = product.api_group();
                group.is_some_and(|group| it.spec.group == group || it.spec.group.ends_with(&format!(".{group}")))
            };
            let of_release = |product: &Product| {
                let releases = all.get(product).map(|remains| &remains.releases);
                releases.zip(release.as_ref()).is_some_and(|(known, release)| known.contains(release))
            };
            let product = Product::ALL.into_iter().find(|product| of_group(product) || of_release(product));
            let Some(product) = product else { continue };
            let objects = self.count(&it).await;
            let definition = Definition { name: it.name_any(), objects, release, kept: is_kept(&it.metadata) };
            all.entry(product).or_default().definitions.push(definition);
        }
    }

    async fn count(&mut self, definition: &CustomResourceDefinition) -> u64 {
        let spec = &definition.spec;
        let version = spec.versions.iter().find(|version| version.storage).or(spec.versions.first());
        let version = version.map(|version| version.name.clone()).unwrap_or_default();
        let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk(&spec.group, &version, &spec.names.kind));
        resource.plural.clone_from(&spec.names.plural);
        let one = ListParams::default().limit(1);
        match Api::<DynamicObject>::all_with(self.client.clone(), &resource).list(&one).await {
            Ok(list) => {
                let more = list.metadata.remaining_item_count.and_then(|more| u64::try_from(more).ok()).unwrap_or(0);
                list.items.len() as u64 + more
            }
            Err(error) => {
                self.unread.push(format!("{}: {}", resource.plural, said(&error)));
                0
            }
        }
    }

    async fn webhooks(&mut self, all: &mut BTreeMap<Product, Remains>) {
        let services = self.list::<Service>().await;
        for it in self.list::<ValidatingWebhookConfiguration>().await {
            for hook in it.webhooks.iter().flatten() {
                let asked =
                    Asked { metadata: &it.metadata, kind: "validatingwebhookconfiguration", services: &services };
                asked.add(all, &hook.client_config, hook.failure_policy.as_deref());
            }
        }
        for it in self.list::<MutatingWebhookConfiguration>().await {
            for hook in it.webhooks.iter().flatten() {
                let asked = Asked { metadata: &it.metadata, kind: "mutatingwebhookconfiguration", services: &services };
                asked.add(all, &hook.client_config, hook.failure_policy.as_deref());
            }
        }
    }
}

/// A webhook configuration among the Services that it may ask.
struct Asked<'a> {
    metadata: &'a ObjectMeta,
    kind: &'static str,
    services: &'a [Service],
}

impl Asked<'_> {
    /// Files the webhook under the product that its Service leads to, or, where that has gone, that its release or its
    /// labels are of.
    fn add(&self, all: &mut BTreeMap<Product, Remains>, config: &WebhookClientConfig, policy: Option<&str>) {
        let Some(asked) = &config.service else { return };
        let is_it = |service: &&Service| {
            service.name_any() == asked.name && service.namespace().as_deref() == Some(&asked.namespace)
        };
        let service = self.services.iter().find(is_it);
        let led = service.and_then(|service| Product::of_labels(service.spec.as_ref()?.selector.as_ref()?));
        let labelled = self.metadata.labels.as_ref().and_then(Product::of_labels);
        let release = release(self.metadata);
        let released = || {
            let of = |(product, remains): (&Product, &Remains)| {
                release.as_ref().is_some_and(|release| remains.releases.contains(release)).then_some(*product)
            };
            all.iter().find_map(of)
        };
        let Some(product) = led.or(labelled).or_else(released) else { return };
        let webhook = Webhook {
            configuration: format!("{}/{}", self.kind, self.metadata.name.as_deref().unwrap_or_default()),
            service: format!("{}/{}", asked.namespace, asked.name),
            fails: policy.unwrap_or("Fail") == "Fail",
            answers: service.is_some(),
            release,
        };
        let webhooks = &mut all.entry(product).or_default().webhooks;
        if !webhooks.contains(&webhook) {
            webhooks.push(webhook);
        }
    }
}

fn add_workload(
    all: &mut BTreeMap<Product, Remains>,
    kind: &'static str,
    metadata: &ObjectMeta,
    labels: Option<&BTreeMap<String, String>>,
    replicas: i32,
) {
    let Some(product) = labels.and_then(Product::of_labels) else { return };
    let remains = all.entry(product).or_default();
    remains.releases.extend(release(metadata));
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    remains.workloads.push(Workload {
        kind,
        namespace: part(&metadata.namespace),
        name: part(&metadata.name),
        replicas,
    });
}

fn class(kind: &'static str, metadata: &ObjectMeta, default: bool) -> Class {
    let name = metadata.name.clone().unwrap_or_default();
    Class { kind, name, default, release: release(metadata), kept: is_kept(metadata) }
}

/// The Helm release that an object is a template of; objects from a chart's `crds/` have none, and stay.
fn release(metadata: &ObjectMeta) -> Option<String> {
    let annotation = |name: &str| metadata.annotations.as_ref()?.get(name);
    let name = annotation("meta.helm.sh/release-name")?;
    let namespace = annotation("meta.helm.sh/release-namespace").map_or("default", String::as_str);
    Some(format!("{namespace}/{name}"))
}

fn is_kept(metadata: &ObjectMeta) -> bool {
    metadata.annotations.as_ref().is_some_and(|all| all.get(KEEP).is_some_and(|policy| policy == "keep"))
}

fn shown(address: &Address) -> String {
    match address {
        Address::Ip(ip) => ip.to_string(),
        Address::Hostname(name) => name.to_string(),
    }
}
