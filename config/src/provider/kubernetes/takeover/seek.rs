//! The calls: pods that run, Services that lead to them.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, Client, Error as ClientError, api::ListParams};
use tokio::time::{Instant, sleep, timeout_at};

use super::super::follow::said;
use crate::kubernetes::takeover::{Product, adoption::NotAdopted};

/// Between two looks while the API server does not answer.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// For one call.
const ANSWER: Duration = Duration::from_secs(5);
/// So many refusals in a row are meant: an API server that is starting does not know anybody's rights for a moment.
const REFUSALS: u32 = 6;

/// What a look came to.
pub(super) enum Found {
    /// Pods that run, by product, as `namespace/name`.
    Pods(BTreeMap<Product, Vec<String>>),
    /// We may not look.
    Forbidden(String),
}

/// The pods of all products, within the time until `deadline` and that of one call more. An error is one that time may heal.
pub(super) async fn pods(client: &Client, deadline: Instant) -> Result<Found, String> {
    let mut refusals = 0;
    loop {
        let answer = timeout_at(deadline.max(Instant::now()) + ANSWER, list(client)).await;
        match answer.unwrap_or_else(|_| Err(Refusal::Passing("the API server does not answer".to_owned()))) {
            Ok(pods) => return Ok(Found::Pods(running(&pods))),
            Err(Refusal::Passing(why)) => return Err(why),
            Err(Refusal::Forbidden(why)) => {
                refusals += 1;
                if refusals >= REFUSALS {
                    return Ok(Found::Forbidden(format!("{why}: grant list of pods to the service account")));
                }
                sleep(PAUSE).await;
            }
        }
    }
}

enum Refusal {
    Forbidden(String),
    Passing(String),
}

fn refusal(error: &ClientError) -> Refusal {
    match error {
        ClientError::Api(status) if matches!(status.code, 401 | 403) => Refusal::Forbidden(status.message.clone()),
        other => Refusal::Passing(said(other)),
    }
}

async fn list(client: &Client) -> Result<Vec<Pod>, Refusal> {
    let mut pods = Vec::new();
    for selector in Product::selectors() {
        let selected = ListParams::default().labels(&selector).fields("status.phase=Running");
        let list = Api::<Pod>::all(client.clone()).list(&selected).await;
        pods.extend(list.map_err(|error| refusal(&error))?.items);
    }
    Ok(pods)
}

fn running(pods: &[Pod]) -> BTreeMap<Product, Vec<String>> {
    let mut running: BTreeMap<Product, Vec<String>> = BTreeMap::new();
    for pod in pods {
        let runs = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
        let product = pod.metadata.labels.as_ref().and_then(Product::of_labels);
        let Some(product) = product.filter(|_| runs && pod.metadata.deletion_timestamp.is_none()) else { continue };
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        let name = format!("{}/{}", part(&pod.metadata.namespace), part(&pod.metadata.name));
        let pods = running.entry(product).or_default();
        if !pods.contains(&name) {
            pods.push(name);
        }
    }
    running.values_mut().for_each(|pods| pods.sort());
    running
}

/// The Service that the operator names.
pub(super) async fn service(client: &Client, namespace: &str, name: &str) -> Result<Service, NotAdopted> {
    let found = within(Api::<Service>::namespaced(client.clone(), namespace).get_opt(name)).await?;
    found.ok_or_else(|| NotAdopted::Missing(format!("{namespace}/{name}")))
}

/// All Services.
pub(super) async fn services(client: &Client) -> Result<Vec<Service>, NotAdopted> {
    Ok(within(Api::<Service>::all(client.clone()).list(&ListParams::default())).await?.items)
}

async fn within<T>(call: impl Future<Output = Result<T, ClientError>>) -> Result<T, NotAdopted> {
    let answer = tokio::time::timeout(ANSWER, call).await;
    let answer = answer.map_err(|_| NotAdopted::Unreadable("the API server does not answer".to_owned()))?;
    answer.map_err(|error| match refusal(&error) {
        Refusal::Forbidden(why) => NotAdopted::Forbidden(why),
        Refusal::Passing(why) => NotAdopted::Unreadable(why),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_run_in_their_phase_and_until_they_are_asked_to_end() {
        let pod = |name: &str, phase: &str, ending: bool| {
            let deletion = ending.then_some("2026-01-01T00:00:00Z");
            let labels = json!({"app.kubernetes.io/name": "traefik"});
            let metadata =
                json!({"name": name, "namespace": "kube-system", "labels": labels, "deletionTimestamp": deletion});
            serde_json::from_value::<Pod>(json!({"metadata": metadata, "status": {"phase": phase}})).expect("a pod")
        };
        let pods = [
            pod("b", "Running", false),
            pod("a", "Running", false),
            pod("a", "Running", false),
            pod("ending", "Running", true),
            pod("starting", "Pending", false),
            pod("job", "Succeeded", false),
        ];
        let expected = vec!["kube-system/a".to_owned(), "kube-system/b".to_owned()];
        assert_eq!(running(&pods), BTreeMap::from([(Product::Traefik, expected)]));
    }
}
