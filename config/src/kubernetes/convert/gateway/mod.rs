//! Kinds of the Gateway API → contributions. What version 1.7 has and Postern does not carry is refused by name, and
//! closes the rule, the listener or the backend that it stands in where serving without it would mean something else.

mod ancestor;
mod attach;
mod backend;
mod certificate_ref;
mod class;
mod filter;
mod grant;
mod grpc;
pub(super) mod hostname;
mod http_match;
mod http_route;
mod listener;
mod owner;
pub(in crate::kubernetes) mod reason;
mod rules;
mod timeout;
mod tls;

pub(in crate::kubernetes) use ancestor::gateway_of;
pub(super) use class::is_taken_over;
pub(in crate::kubernetes) use listener::{Facts, facts};

use super::{Contribution, Settings};
use crate::kubernetes::{object::Object, view::View};

/// What an object of `gateway.networking.k8s.io` contributes; nothing for other kinds.
pub(super) fn convert(object: &Object, view: &View<'_>, settings: &Settings) -> Contribution {
    match object {
        Object::GatewayClass(item) => class::convert(item, view, settings),
        Object::Gateway(item) => owner::convert(item, view, settings),
        Object::HttpRoute(item) => ancestor::noted(http_route::convert(item, view, settings)),
        Object::GrpcRoute(item) => ancestor::noted(grpc::convert(item, view, settings)),
        Object::TlsRoute(item) => ancestor::noted(tls::convert(item, view, settings)),
        Object::BackendTlsPolicy(item) => super::backend_tls::convert(item, view, settings),
        _ => Contribution::default(),
    }
}
