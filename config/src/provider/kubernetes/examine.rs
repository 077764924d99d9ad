//! Gathers the cluster's side of what `postern doctor` judges. Reads only; what cannot be read is a diagnosis too.

use std::fmt::Debug;

use http::Request;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
        core::v1::{ConfigMap, Pod},
        networking::v1::NetworkPolicy,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams},
    client::Body,
};
use serde::de::DeserializeOwned;

use super::{ClusterError, LEASE, client, follow::chain, resource::preferred};
use crate::kubernetes::doctor::{
    Diagnosis, clock, definition,
    definition::Served,
    host_port, network_policy, rights,
    rights::{Places, Right},
    service_proxy,
};

/// What is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The node that this runs on; without it, pods of all nodes count.
    pub node: Option<String>,
    /// Ports that Postern binds.
    pub bound: Vec<u16>,
    /// Namespaces that are read; empty: all of them.
    pub namespaces: Vec<String>,
    /// Whether this Postern writes status.
    pub writes: bool,
    /// Where the Lease is, if not in our own namespace.
    pub lease_namespace: Option<String>,
    /// The Service that is adopted, as namespace and name.
    pub service: Option<(String, String)>,
}

/// Examines the cluster that the environment names. An error: none is named.
pub async fn examine(question: &Question) -> Result<Vec<Diagnosis>, ClusterError> {
    let client = client::connect().await?;
    let examining = Examining { client, question };
    let clock = match examining.clock().await {
        Ok(found) => found,
        // Nothing else would be answered either.
        Err(why) => return Ok(vec![Diagnosis::breaks("api", why, "see that this node reaches the API server")]),
    };
    let mut found = vec![clock];
    found.extend(examining.rights().await);
    found.extend(examining.host_ports().await);
    found.extend(examining.policies().await);
    found.extend(examining.definitions().await);
    found.push(examining.service_proxy().await);
    Ok(found)
}

struct Examining<'a> {
    client: Client,
    question: &'a Question,
}

impl Examining<'_> {
    async fn clock(&self) -> Result<Diagnosis, String> {
        let request = Request::get("/version").body(Body::empty()).map_err(|error| error.to_string())?;
        let answer = self.client.send(request).await;
        let answer = answer.map_err(|error| format!("the API server does not answer: {}", chain(&error)))?;
        let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
        let there = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        Ok(match there {
            Some(there) => clock::check(Timestamp::now(), there.timestamp()),
            None => Diagnosis::unknown("clock", "the API server does not say what time it is"),
        })
    }

    async fn rights(&self) -> Vec<Diagnosis> {
        let api = Api::<SelfSubjectAccessReview>::all(self.client.clone());
        let mut answers = Vec::new();
        let lease = || {
            let said = self.question.lease_namespace.clone();
            said.unwrap_or_else(|| self.client.default_namespace().to_owned())
        };
        let places = Places {
            read: self.question.namespaces.clone(),
            lease: self.question.writes.then(lease),
            service: self.question.service.clone(),
        };
        for right in rights::needed(|kind| preferred(kind).plural, &places, LEASE) {
            let answer = api.create(&PostParams::default(), &review(&right)).await;
            let answer = answer.map(|review| review.status.is_some_and(|status| status.allowed));
            answers.push((right, answer.map_err(|error| chain(&error))));
        }
        rights::check(&answers)
    }

    async fn host_ports(&self) -> Vec<Diagnosis> {
        let here = self.question.node.as_ref().map(|node| format!("spec.nodeName={node}"));
        let here = here.map_or_else(ListParams::default, |here| ListParams::default().fields(&here));
        match Api::<Pod>::all(self.client.clone()).list(&here).await {
            Ok(pods) => host_port::check(&pods.items, &self.question.bound),
            Err(error) => vec![Diagnosis::unknown("host-ports", format!("pods: {}", chain(&error)))],
        }
    }

    async fn list<K>(&self, check: &'static str) -> Result<Vec<K>, Diagnosis>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let listed = Api::<K>::all(self.client.clone()).list(&ListParams::default()).await;
        listed
            .map(|list| list.items)
            .map_err(|error| Diagnosis::unknown(check, format!("{}: {}", K::plural(&()), chain(&error))))
    }

    async fn policies(&self) -> Vec<Diagnosis> {
        self.list::<NetworkPolicy>("network-policies")
            .await
            .map_or_else(|unknown| vec![unknown], |policies| network_policy::check(&policies))
    }

    async fn definitions(&self) -> Vec<Diagnosis> {
        let served = |it: CustomResourceDefinition| Served {
            group: it.spec.group,
            kind: it.spec.names.kind,
            versions: it
                .spec
                .versions
                .into_iter()
                .filter(|version| version.served)
                .map(|version| version.name)
                .collect(),
        };
        match self.list::<CustomResourceDefinition>("crds").await {
            Ok(all) => definition::check(&all.into_iter().map(served).collect::<Vec<_>>()),
            Err(unknown) => vec![unknown],
        }
    }

    async fn service_proxy(&self) -> Diagnosis {
        let configuration =
            Api::<ConfigMap>::namespaced(self.client.clone(), "kube-system").get_opt("cilium-config").await;
        let cilium = match configuration {
            Ok(found) => found.and_then(|found| found.data),
            Err(error) => {
                return Diagnosis::unknown("kube-proxy", format!("Cilium's configuration: {}", chain(&error)));
            }
        };
        service_proxy::check(cilium.as_ref(), self.calico().await)
    }

    async fn calico(&self) -> bool {
        let kind = GroupVersionKind::gvk("crd.projectcalico.org", "v1", "FelixConfiguration");
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &ApiResource::from_gvk(&kind));
        let listed = api.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
        listed.iter().any(|it| it.data.pointer("/spec/bpfEnabled").and_then(serde_json::Value::as_bool) == Some(true))
    }
}

fn review(right: &Right) -> SelfSubjectAccessReview {
    let (resource, part) = match right.resource.split_once('/') {
        Some((resource, part)) => (resource, Some(part.to_owned())),
        None => (right.resource.as_str(), None),
    };
    let attributes = ResourceAttributes {
        group: Some(right.group.clone()),
        resource: Some(resource.to_owned()),
        subresource: part,
        verb: Some(right.verb.to_owned()),
        namespace: right.namespace.clone(),
        name: right.name.clone(),
        ..ResourceAttributes::default()
    };
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}
