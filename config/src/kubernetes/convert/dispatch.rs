//! Which converter an object or a slot goes to: one arm per kind, one function per kind of slot.

use super::{Contribution, Filled, Settings};
use crate::{
    kubernetes::{object::Object, view::View},
    model::{
        certificate::CertificateSlot,
        cluster::ClusterSlot,
        id::{CertificateId, ClusterId, MiddlewareId},
        middleware::MiddlewareSlot,
    },
};

/// What `object` contributes. Kinds that others refer to and that contribute nothing by themselves still pass here,
/// so that what is wrong with them is said even while nobody refers to them.
pub fn object(object: &Object, view: &View<'_>, settings: &Settings) -> Contribution {
    let _ = (view, settings);
    match object {
        _ => Contribution::default(),
    }
}

/// Fills a cluster slot.
pub fn cluster(id: &ClusterId, view: &View<'_>, settings: &Settings) -> Filled<ClusterSlot> {
    let _ = (view, settings);
    Filled::new(ClusterSlot::Refused { reason: format!("{id} is not known").into() })
}

/// Fills a certificate slot.
pub fn certificate(id: &CertificateId, view: &View<'_>, settings: &Settings) -> Filled<CertificateSlot> {
    let _ = (view, settings);
    Filled::new(CertificateSlot::Refused { reason: format!("{id} is not known").into() })
}

/// Fills a middleware slot.
pub fn middleware(id: &MiddlewareId, view: &View<'_>, settings: &Settings) -> Filled<MiddlewareSlot> {
    let _ = (view, settings);
    Filled::new(MiddlewareSlot::Refused { reason: format!("{id} is not known").into() })
}
