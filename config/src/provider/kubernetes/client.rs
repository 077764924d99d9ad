//! The connection to the API server: from the pod's service account, or from KUBECONFIG.

use std::{net::IpAddr, time::Duration};

use kube::{Client, Config};

use super::{ClusterError, peers::source_towards};

/// Above the five minutes after which the API server ends a watch by itself.
const SILENCE: Duration = Duration::from_secs(320);
const CONNECT: Duration = Duration::from_secs(5);

/// A client as the environment says.
pub(super) async fn connect() -> Result<Client, ClusterError> {
    connect_from().await.map(|(client, _)| client)
}

/// The same, and the address that it speaks from.
pub(super) async fn connect_from() -> Result<(Client, Option<IpAddr>), ClusterError> {
    let mut config = Config::infer().await.map_err(|error| ClusterError::Unconfigured(error.to_string()))?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    let source = source_towards(config.cluster_url.host());
    let client = Client::try_from(config).map_err(|error| ClusterError::Unconfigured(error.to_string()))?;
    Ok((client, source))
}
