//! The connection to the API server: from the pod's service account, or from KUBECONFIG.

use std::time::Duration;

use kube::{Client, Config};

use super::ClusterError;

/// Above the five minutes after which the API server ends a watch by itself.
const SILENCE: Duration = Duration::from_secs(320);
const CONNECT: Duration = Duration::from_secs(5);

/// A client as the environment says.
pub(super) async fn connect() -> Result<Client, ClusterError> {
    let mut config = Config::infer().await.map_err(|error| ClusterError::Unconfigured(error.to_string()))?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    Client::try_from(config).map_err(|error| ClusterError::Unconfigured(error.to_string()))
}
