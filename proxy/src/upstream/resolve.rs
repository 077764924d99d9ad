//! Names to addresses, by DNS only (no getaddrinfo): answers are cached for as long as their time to live says.
//!
//! One resolver for the process, running on the control side; a worker asks it only when it has to connect.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use hickory_resolver::TokioResolver;
use tokio::runtime::Handle;

/// Why a name has no address.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("the resolver's configuration cannot be read: {0}")]
    Configuration(Arc<str>),
    #[error("{name} does not resolve: {reason}")]
    Lookup { name: Arc<str>, reason: String },
    #[error("{0} has no address")]
    NoAddress(Arc<str>),
    #[error("the resolver has stopped")]
    Stopped,
}

/// Resolves names. The system's configuration is read at the first use.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    dns: OnceLock<Result<Dns, Arc<str>>>,
}

struct Dns(TokioResolver);

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dns")
    }
}

impl Resolver {
    /// The addresses of `name` with `port`, at least one. The look-up runs on `control`, which outlives workers: the
    /// resolver's sockets belong to the runtime that asked first.
    pub(super) async fn resolve(
        self: &Arc<Self>,
        name: &Arc<str>,
        port: u16,
        control: &Handle,
    ) -> Result<Vec<SocketAddr>, ResolveError> {
        if let Ok(address) = name.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let (resolver, asked) = (self.clone(), name.clone());
        let lookup = control.spawn(async move { resolver.look_up(asked, port).await });
        lookup.await.map_err(|_| ResolveError::Stopped)?
    }

    async fn look_up(&self, name: Arc<str>, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
        let dns = self.dns.get_or_init(|| build().map_err(Into::into));
        let dns = dns.as_ref().map_err(|reason| ResolveError::Configuration(reason.clone()))?;
        let answer = dns.0.lookup_ip(absolute(&name)).await;
        let answer = answer.map_err(|error| ResolveError::Lookup { name: name.clone(), reason: error.to_string() })?;
        let addresses: Vec<_> = answer.iter().map(|address| SocketAddr::new(address, port)).collect();
        if addresses.is_empty() { Err(ResolveError::NoAddress(name)) } else { Ok(addresses) }
    }
}

fn build() -> Result<Dns, String> {
    let builder = TokioResolver::builder_tokio().map_err(|error| error.to_string())?;
    builder.build().map(Dns).map_err(|error| error.to_string())
}

/// A name with a dot is complete: the search list of a pod would cost five questions first.
fn absolute(name: &str) -> String {
    if name.contains('.') && !name.ends_with('.') { format!("{name}.") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_needs_no_resolver() {
        let resolver = Arc::new(Resolver::default());
        for (name, want) in [("10.0.0.1", "10.0.0.1:80"), ("[::1]", "[::1]:80"), ("::1", "[::1]:80")] {
            let found = resolver.resolve(&name.into(), 80, &Handle::current()).await.expect("an address");
            assert_eq!(found, [want.parse::<SocketAddr>().expect("an address")]);
        }
    }

    #[test]
    fn names_with_a_dot_are_complete() {
        assert_eq!(absolute("a.example"), "a.example.");
        assert_eq!(absolute("a.example."), "a.example.");
        assert_eq!(absolute("db"), "db");
    }
}
