//! Files: the clock starts when the file is in place.

use std::time::Instant;

use serde_json::Value;

use super::{Bench, ROUTES, measure};
use crate::{
    contender::Postern,
    manifests::{self, World},
    result::Result,
};

pub(in crate::question) fn answer(bench: &Bench<'_>) -> Result<Value> {
    let world = World::new(bench.backend.address).only_named().routes(ROUTES);
    let postern = Postern::with(&bench.setting(), "postern", world)?;
    let manifests = postern.manifests().to_owned();
    let started = Instant::now();
    let contender = postern.start()?;
    let start = started.elapsed().as_secs_f64() * 1e3;
    let measured = measure(bench, &contender, |name, host| {
        manifests::replace(&manifests.join(format!("{name}.yaml")), &manifests::ingress(name, host, ""))?;
        Ok(Instant::now())
    })?;
    Ok(measured.told(&[("start to ports open", start, "ms")]))
}
