//! Immutable tables and their look-ups: the only form in which configuration reaches the request path.
//!
//! Everything is a persistent map of shared entries, so that the next snapshot costs what has changed, and slots are
//! referred to by id, so that a certificate, a cluster or a middleware changes without touching a host.
//! No live state (health, buckets, pools) and no machinery (compiled TLS configurations) is kept here.

mod announcement;
mod host_table;
mod path_starts;
mod path_table;
mod print;
mod small_map;
mod sni_table;
#[cfg(test)]
mod tests;

use std::{fmt, net::IpAddr, sync::Arc};

pub use announcement::{Announcement, Candidate, Candidates, Interfaces};
pub use host_table::{HostEntry, HostTable};
pub use path_table::PathTable;
pub use sni_table::{SniAction, SniEntry, SniTable};

pub use crate::model::request::RequestKey;
use crate::model::{
    certificate::CertificateSlot,
    cluster::ClusterSlot,
    host::HostPattern,
    id::{CertificateId, ClusterId, MiddlewareId, ObjectId},
    middleware::MiddlewareSlot,
    path::PathPattern,
    route::Rule,
};

/// A persistent hash map with a fast, seeded hash.
pub type Map<K, V> = imbl::GenericHashMap<K, V, foldhash::fast::RandomState, imbl::shared_ptr::DefaultSharedPtr>;

/// Everything that should run, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// One per socket.
    pub listeners: imbl::OrdMap<SocketKey, Arc<Listener>>,
    /// Cluster slots.
    pub clusters: Map<ClusterId, Arc<ClusterSlot>>,
    /// Middleware slots.
    pub middlewares: Map<MiddlewareId, Arc<MiddlewareSlot>>,
    /// Certificate slots.
    pub certificates: Map<CertificateId, Arc<CertificateSlot>>,
    /// What should be announced, by address.
    pub announcements: imbl::OrdMap<IpAddr, Arc<Announcement>>,
    /// Whether routes may be missing because a kind of them could not be listed: what no rule is for is then unknown, not
    /// absent, since a wrong 404 is worse than a wait.
    pub incomplete: bool,
}

/// The local end that a listener binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketKey {
    /// The address; `None` means those that the operator binds by default (`--bind`).
    pub address: Option<IpAddr>,
    /// The port as objects name it, before `--map-port`.
    pub port: u16,
}

/// What happens on one socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Which socket.
    pub key: SocketKey,
    /// The entry point's name, or the port's number where objects alone asked for the socket: a metric label.
    pub name: Arc<str>,
    /// What is spoken first.
    pub transport: Transport,
    /// Host → path → rules.
    pub hosts: HostTable,
    /// SNI → certificate or passthrough; empty on plain listeners.
    pub sni: SniTable,
}

/// What is spoken first on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// HTTP at once.
    Plain,
    /// TLS, terminated or passed through by SNI.
    Tls,
}

impl Transport {
    /// What is spoken, in messages.
    pub fn spoken(self) -> &'static str {
        match self {
            Self::Plain => "plain HTTP",
            Self::Tls => "TLS",
        }
    }
}

/// Who owns an SNI entry or a claim on a socket: an object and the part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId {
    /// The object.
    pub object: ObjectId,
    /// Its part (a listener's name), or empty.
    pub section: Arc<str>,
}

impl fmt::Display for OwnerId {
    /// `listener LISTENER of Gateway NAMESPACE/NAME`, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.section.is_empty() {
            write!(f, "listener {} of ", self.section)?;
        }
        self.object.fmt(f)
    }
}

/// Watches a look-up. The data plane passes `()`, `explain` a recorder: both run the same code.
pub trait Observer {
    /// `rule` was considered under `host` (the pattern it is filed by); `verdict` says whether it won.
    fn considered(&mut self, host: &HostPattern, rule: &Arc<Rule>, verdict: Considered);
}

/// What became of a rule that a look-up came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Considered {
    /// It wins.
    Won,
    /// Its regular expression does not match the path.
    PathDiffers,
    /// Method, a header or a query parameter does not match.
    PredicateFails,
    /// A more specific listener of its owner has this host.
    HostTakenByListener,
    /// It fits, but another one outranks it.
    Outranked,
}

impl Observer for () {
    #[inline(always)]
    fn considered(&mut self, _: &HostPattern, _: &Arc<Rule>, _: Considered) {}
}

impl Listener {
    /// The rule that serves `request`: hosts from the most specific pattern to the least, and in each
    /// exact path, then regular expressions, then prefixes from the longest, then [`Rule`]'s own order.
    /// A host that matches but has no fitting rule falls through to the next wider one. Where there are ranked rules,
    /// the best of these is looked for too, and of both the one that [`Rule::outranks`] the other serves.
    pub fn find<'s>(&'s self, request: RequestKey<'_>) -> Option<&'s Arc<Rule>> {
        self.find_observed(request, &mut ())
    }

    /// [`Listener::find`] that tells `observer` what it came by, in order.
    pub fn find_observed<'s, O: Observer>(
        &'s self,
        request: RequestKey<'_>,
        observer: &mut O,
    ) -> Option<&'s Arc<Rule>> {
        let specific = self
            .hosts
            .candidates(request.host)
            .find_map(|(pattern, paths)| Some((pattern, paths.find(pattern, request, observer)?)));
        let (host, rule) = if self.hosts.is_ranked() { self.best(specific, request, observer) } else { specific }?;
        observer.considered(host, rule, Considered::Won);
        Some(rule)
    }

    /// The best ranked rule that fits, or `best` where none outranks it.
    fn best<'s, O: Observer>(
        &'s self,
        mut best: Option<(&'s HostPattern, &'s Arc<Rule>)>,
        request: RequestKey<'_>,
        observer: &mut O,
    ) -> Option<(&'s HostPattern, &'s Arc<Rule>)> {
        for (pattern, paths) in self.hosts.ranked(request.host) {
            if let Some(rule) = paths.find_ranked(pattern, request, best.map(|(_, rule)| rule), observer)
                && let Some((host, loser)) = best.replace((pattern, rule))
            {
                observer.considered(host, loser, Considered::Outranked);
            }
        }
        best
    }
}

impl fmt::Display for SocketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => std::net::SocketAddr::new(address, self.port).fmt(f),
            None => write!(f, "*:{}", self.port),
        }
    }
}

/// Where a rule is filed in a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which socket.
    pub socket: SocketKey,
    /// What its owner expects to be spoken there. Where another owner's claim on the socket has won with another
    /// transport, the rule is not served: HTTP that was meant for TLS must never be answered in the clear.
    pub transport: Transport,
    /// The hosts that it answers for on it: listener and route hostnames intersected.
    pub host: HostPattern,
    /// The hostname that the route itself named: among equal `host`, the more specific wins first
    /// (Gateway API 1.7, GatewayRouteHostnameIntersectionPrecedence).
    pub route_host: HostPattern,
    /// The path.
    pub path: PathPattern,
    /// Whether rules there are found by their rank, and not by how specific the place is.
    pub ranked: bool,
}
