//! Traefik's own route kinds.

mod class;
mod entry;
mod internal;
pub mod priority;
mod reference;
mod route;
mod route_tcp;
pub mod rule;
mod service;
mod tls;
pub mod transport;

pub(super) use reference::splits;
pub use route::convert as ingress_route;
pub use route_tcp::convert as ingress_route_tcp;

use super::{Contribution, Settings};
use crate::{
    kubernetes::{object::Meta, view::View},
    report::Finding,
};

/// The object under conversion and what it may look at.
struct Site<'a, 'v> {
    meta: &'a Meta,
    view: &'a View<'v>,
    settings: &'a Settings,
    contribution: Contribution,
}

impl Site<'_, '_> {
    fn namespace(&self) -> &str {
        &self.meta.namespace
    }

    fn say(&mut self, finding: Finding) {
        self.contribution.findings.push(finding);
    }
}
