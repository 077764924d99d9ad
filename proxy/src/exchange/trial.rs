//! What a middleware needs that may have the rest of a request run again: the request as it was, and what became of
//! the last try.

use std::{net::IpAddr, rc::Rc, sync::Arc};

use http::{HeaderValue, request::Parts};

use super::Exchange;
use crate::upstream::ClusterLive;

/// A request as it was before the rest was run. Its body is not here: it is given back, or kept by whoever repeats.
#[derive(Debug)]
pub struct Saved {
    parts: Parts,
    authority: HeaderValue,
    host: Rc<str>,
    client: IpAddr,
    scheme: &'static str,
    response_steps: usize,
    permits: usize,
}

/// What becomes of tries.
#[derive(Debug, Default)]
pub struct Trial {
    /// Tries that may still be made, here and in `upstream` together, but for those that cost nothing.
    pub left: u32,
    /// Whether the last try failed before anything of the request reached a backend.
    pub unsent: bool,
    /// The cluster that was tried, whose budget pays for repetitions.
    pub cluster: Option<Arc<ClusterLive>>,
    /// Its members that were tried, by index: others are tried first.
    pub tried: Vec<usize>,
}

impl Trial {
    /// What of `cluster` was tried; from here on it is the one that is.
    pub fn tried_of(&mut self, cluster: &Arc<ClusterLive>) -> Vec<usize> {
        if self.cluster.as_ref().is_none_or(|tried| !Arc::ptr_eq(tried, cluster)) {
            self.cluster = Some(cluster.clone());
            self.tried.clear();
        }
        self.tried.clone()
    }
}

impl Saved {
    /// How many steps for the answer were decided before.
    pub fn response_steps(&self) -> usize {
        self.response_steps
    }
}

impl Exchange {
    /// The request as it is.
    pub fn save(&self) -> Saved {
        Saved {
            parts: self.parts.clone(),
            authority: self.authority.clone(),
            host: self.host.clone(),
            client: self.client,
            scheme: self.scheme,
            response_steps: self.response_steps.len(),
            permits: self.permits.len(),
        }
    }

    /// Makes the request what it was; what was decided and taken since is dropped.
    pub fn restore(&mut self, saved: &Saved) {
        self.parts = saved.parts.clone();
        self.authority = saved.authority.clone();
        self.host = saved.host.clone();
        (self.client, self.scheme) = (saved.client, saved.scheme);
        self.response_steps.truncate(saved.response_steps);
        self.permits.truncate(saved.permits);
        self.record.reason = None;
        self.record.detail = None;
    }
}
