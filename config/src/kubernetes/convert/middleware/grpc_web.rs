//! `grpcWeb`.

use super::Site;
use crate::{
    kubernetes::object::traefik,
    model::middleware::{
        Spec,
        grpc_web::{GrpcWeb, Origins},
    },
};

pub(super) fn convert(site: &mut Site<'_, '_>, options: &traefik::GrpcWeb) -> Spec {
    let any = options.allow_origins.iter().any(|origin| &**origin == "*");
    if any {
        let message =
            "holds *: scripts of any site may call with the credentials of their visitor and read the answers";
        site.warn("allowOrigins", "Insecure", message);
    }
    if options.allow_origins.is_empty() {
        site.warn("allowOrigins", "NothingPasses", "is empty: scripts of other origins can read no answer");
    }
    let origins = if any { Origins::Any } else { Origins::Listed(options.allow_origins.clone()) };
    Spec::GrpcWeb(GrpcWeb { origins })
}
