//! All pods are restarted at once, the worst a rollout can do: while they start, connections may be refused, but no
//! answer says 404 for a host that is there.

use super::{HOST, Setting, addresses, remove, under_load};
use crate::e2e::{ask, load::Load};

pub(crate) fn run(setting: &Setting<'_>) -> Result<(), String> {
    let (cluster, installed) = (setting.cluster, setting.installed);
    under_load(cluster)?;
    let load = Load::start(&addresses(cluster), HOST)?;
    installed.delete_pods()?;
    installed.ready()?;
    for address in addresses(cluster) {
        let url = format!("https://{HOST}/");
        cluster
            .wait(&format!("200 of {url} at {address}"), || ask::status(&address, &url).map(|status| status == 200))?;
    }
    let outcome = load.stop()?;
    if outcome.not_found > 0 {
        return Err(format!("{} answers said 404: {:?}", outcome.not_found, outcome.complaints));
    }
    println!("   {} requests, {} refused or cut off, 0 times 404", outcome.requests, outcome.errors);
    remove(cluster, "load")
}
