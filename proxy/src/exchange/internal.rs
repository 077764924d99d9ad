//! A request whose backend is the process itself.

use std::rc::Rc;

use http::{Response, StatusCode};
use postern_config::model::internal::Internal;

use super::{Body, Exchange};
use crate::{respond::Failure, worker::Worker};

/// Answers from the inside, read only, whatever the method. The path is the one that middlewares have left.
pub(crate) async fn answer(
    service: Internal,
    exchange: &mut Exchange,
    worker: &Rc<Worker>,
) -> Result<Response<Body>, Failure> {
    exchange.record.cluster = Some(service.as_str().into());
    let shared = worker.shared.clone();
    let place = shared.inside.place().ok_or(Failure::Overloaded("internal services"))?;
    let parts = &exchange.parts;
    let (method, uri, headers) = (parts.method.clone(), parts.uri.clone(), parts.headers.clone());
    let saying = worker.shared.offload.spawn_blocking(move || {
        let _place = place;
        shared.inside.ask(service, &method, &uri, &headers)
    });
    match saying.await {
        Ok(Some(response)) => Ok(response.map(Body::boxed)),
        Ok(None) | Err(_) => {
            let reason = format!("{service} does not answer").into();
            Err(Failure::Unresolved { status: StatusCode::SERVICE_UNAVAILABLE, reason })
        }
    }
}
