//! Connections to the API server: from the pod's service account, or from KUBECONFIG.
//!
//! A server that vanishes without a word (a partition, a node that lost its power) is noticed within 30 s: HTTP/2
//! pings find out whether anybody answers, even where something between us keeps the connection alive; TCP's own probes
//! do the same where HTTP/2 is not spoken; and a watch that brings nothing, not even the bookmark of every minute, is
//! given up.

mod observe;

use std::{net::IpAddr, sync::Arc, time::Duration};

use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        self,
        connect::{HttpConnector, dns::GaiResolver},
    },
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt as _},
};
use tower::{BoxError, ServiceBuilder};

use self::observe::Observe;
use super::{ClusterError, Counts, peers::source_towards};

const CONNECT: Duration = Duration::from_secs(5);
/// Between two pings, until a connection with TLS is there, and how long an answer may take; together what is promised above. client-go has 30 s and 15 s.
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(10);
#[cfg(test)]
const NOTICED: Duration = Duration::from_secs(30);
/// After the first probe of TCP.
const PROBE: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;
/// What one watch may hold back unread, and all of a connection: none of them keeps another waiting.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Makes clients as the environment says, each with a connection of its own.
pub(super) struct Access {
    config: Config,
    counts: Arc<Counts>,
}

impl Access {
    /// As the environment says.
    pub(super) async fn infer(counts: Arc<Counts>) -> Result<Self, ClusterError> {
        let config = Config::infer().await.map_err(|error| ClusterError::Unconfigured(error.to_string()))?;
        if let Some(proxy) = &config.proxy_url {
            return Err(ClusterError::Unconfigured(format!(
                "a proxy ({proxy}) in front of the API server is not carried"
            )));
        }
        Ok(Self { config, counts })
    }

    /// The address that the API server is spoken to from.
    pub(super) fn source(&self) -> Option<IpAddr> {
        source_towards(self.config.cluster_url.host())
    }

    /// A client with a connection of its own.
    pub(super) fn client(&self) -> Result<Client, ClusterError> {
        self.build().map_err(|error| ClusterError::Unconfigured(error.to_string()))
    }

    fn build(&self) -> Result<Client, BoxError> {
        let config = &self.config;
        let mut https = HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
        if let Some(name) = &config.tls_server_name {
            https = https.with_server_name_resolver(FixedServerNameResolver::new(name.clone().try_into()?));
        }
        let connector = https.enable_all_versions().wrap_connector(tcp());
        let connector = ServiceBuilder::new().map_future(Box::pin).timeout(PING).service(connector);
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PONG)
            .http2_keep_alive_while_idle(true)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .build::<_, Body>(connector);
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer()?)
            .layer(config.extra_headers_layer()?)
            .map_err(BoxError::from)
            .service(Observe::new(client, self.counts.clone()));
        Ok(Client::new(service, config.default_namespace.clone()))
    }
}

/// A client as the environment says, for a command that asks and leaves.
pub(super) async fn connect() -> Result<Client, ClusterError> {
    Access::infer(Arc::default()).await?.client()
}

fn tcp() -> HttpConnector {
    // kube's own client resolves in the same way; here no worker waits for it.
    let mut connector = HttpConnector::new_with_resolver(GaiResolver::new());
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_keepalive(Some(PING));
    connector.set_keepalive_interval(Some(PROBE));
    connector.set_keepalive_retries(Some(PROBES));
    connector.set_tcp_user_timeout(Some(PING + PONG));
    connector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_vanishes_is_noticed_in_time_by_pings_and_by_probes_alike() {
        assert!(PING + PONG <= NOTICED);
        assert!(PING + PROBE * PROBES <= NOTICED);
    }
}
