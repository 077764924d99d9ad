//! Rolling updates under load: a restart, and a change of settings by the chart.

use super::{HOST, Setting, addresses, remove, under_load};
use crate::e2e::load::Load;

pub(crate) fn run(setting: &Setting<'_>) -> Result<(), String> {
    let cluster = setting.cluster;
    under_load(cluster)?;
    for (what, update) in UPDATES {
        let load = Load::start(&addresses(cluster), HOST)?;
        update(setting)?;
        let outcome = load.stop()?;
        outcome.faultless().map_err(|reason| format!("{what}: {reason}"))?;
        println!("   {what}: {} requests, 0 errors", outcome.requests);
    }
    remove(cluster, "load")
}

type Update = fn(&Setting<'_>) -> Result<(), String>;

const UPDATES: [(&str, Update); 3] = [
    ("kubectl rollout restart", |setting| setting.installed.restart()),
    ("helm upgrade to other settings", |setting| setting.installed.upgrade(&["config.limits.idle=2m"])),
    ("helm upgrade back", |setting| setting.installed.upgrade(&[])),
];
