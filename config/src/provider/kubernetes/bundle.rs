//! Which release of the Gateway API the cluster's definitions are of: an annotation of theirs, looked at now and then.

use std::{sync::Arc, time::Duration};

use kube::Client;
use tokio::sync::mpsc;

use super::{
    collect::Told,
    definitions::{definitions, name_of},
};
use crate::kubernetes::object::Kind;

const ANNOTATION: &str = "gateway.networking.k8s.io/bundle-version";
/// Definitions change with an upgrade.
const LOOK: Duration = Duration::from_secs(60);

/// Tells of it whenever it differs, until nobody listens. Where we may not see definitions, it is not known.
pub(super) async fn follow(client: Client, tell: mpsc::Sender<Told>) {
    let (definitions, name) = (definitions(client), name_of(Kind::GatewayClass));
    let mut before = None;
    loop {
        // An error says nothing of the definitions: what was known holds.
        if let Ok(definition) = definitions.get_metadata_opt(&name).await {
            let annotations = definition.and_then(|definition| definition.metadata.annotations);
            let version = annotations.and_then(|mut all| all.remove(ANNOTATION)).map(Arc::<str>::from);
            if version != before && tell.send(Told::Bundle(version.clone())).await.is_err() {
                return;
            }
            before = version;
        }
        tokio::time::sleep(LOOK).await;
    }
}
