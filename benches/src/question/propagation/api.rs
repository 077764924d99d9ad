//! A cluster: the clock starts when the API server has answered the request that writes the route. Postern writes
//! status meanwhile, as it does in life.

use std::time::Instant;

use serde_json::Value;

use super::{Bench, ROUTES, measure};
use crate::{
    api_server::ApiServer,
    backend::Backend,
    contender::Postern,
    manifests::World,
    measure::{pin, process},
    result::{Error, Result},
};

/// At which memory is read too, as from files.
const HALF: usize = 5_000;

pub(in crate::question) fn answer(bench: &Bench<'_>) -> Result<Value> {
    let Some(bin) = &bench.options.kube_bin else {
        return Err(Error::Unexpected("--kube-bin names no folder with etcd and kube-apiserver".to_owned()));
    };
    let server = ApiServer::start(bin, &bench.folder().join("api-server"))?;
    // API servers take no EndpointSlice that leads to loopback addresses.
    let backend = Backend::start_on(server.address_for_backends(), pin::load())?;
    let postern = Postern::with(&bench.setting(), "postern", World::new(backend.address).only_named())?;
    server.apply(postern.manifests())?;
    server.routes(0..HALF)?;
    let started = Instant::now();
    let contender = postern.watching(&server.kubeconfig()).start()?;
    let start = started.elapsed().as_secs_f64() * 1e3;
    let writing = server.wait_for_status(HALF)?.as_secs_f64() * 1e3;
    let half = process::resident(contender.pid)? as f64 / 1e6;
    server.routes(HALF..ROUTES)?;
    server.wait_for_status(ROUTES)?;
    let all = process::resident(contender.pid)? as f64 / 1e6;
    let measured = measure(bench, &contender, |name, host| server.route(name, host))?;
    Ok(measured.told(&[
        ("start to ports open, 5,000 routes", start, "ms"),
        ("then until all of them had status", writing, "ms"),
        ("resident with 5,000 routes", half, "MB"),
        ("resident with 10,000 routes", all, "MB"),
    ]))
}
