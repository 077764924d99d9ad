//! The API server is away for minutes: everything is served on, also by a container that restarts meanwhile.

use std::time::{Duration, Instant};

use super::{HOST, Setting, addresses, remove, under_load};
use crate::e2e::{ask, load::Load};

/// How long it is away.
const AWAY: Duration = Duration::from_secs(120);

pub(crate) fn run(setting: &Setting<'_>) -> Result<(), String> {
    let (cluster, installed) = (setting.cluster, setting.installed);
    under_load(cluster)?;
    let all = addresses(cluster);
    let Some((restarted, others)) = all.split_last() else { return Err("the cluster has no nodes".to_owned()) };
    let pod = installed.pod_on(cluster.nodes().count())?;
    let load = Load::start(others, HOST)?;
    let began = Instant::now();
    cluster.stop_api_server()?;
    let outcome = (|| {
        installed.kill(&pod)?;
        let url = format!("https://{HOST}/");
        let mut not_found = 0;
        let back = cluster.wait(&format!("200 of {url} at {restarted}"), || {
            // Refused while it starts.
            let status = ask::status(restarted, &url).unwrap_or(0);
            not_found += usize::from(status == 404);
            Ok(status == 200)
        })?;
        if not_found > 0 {
            return Err(format!("the restarted container answered {not_found} times with 404"));
        }
        // The clock is what is tested: how long the API server is away.
        std::thread::sleep(AWAY.saturating_sub(began.elapsed()));
        Ok(back)
    })();
    cluster.start_api_server()?;
    let back = outcome?;
    installed.ready()?;
    let outcome = load.stop()?;
    outcome.faultless()?;
    println!(
        "   away for {} s: {} requests, 0 errors; a restarted container served again after {:.1} s",
        AWAY.as_secs(),
        outcome.requests,
        back.as_secs_f64()
    );
    remove(cluster, "load")
}
