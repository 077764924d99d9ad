//! `cargo xtask e2e`: the image and the chart on a real cluster, beside a real Traefik.
//!
//! Nodes are network namespaces on this machine; clients are outside of them. Nothing is simulated but the network
//! between the machines.

mod ask;
mod cluster;
mod install;
mod load;
mod scenario;
mod world;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use self::{
    cluster::Cluster,
    install::Installed,
    scenario::{ALL, Scenario, Setting},
};
use crate::{
    tools,
    workspace::{cargo, run as run_command, script, target},
};

/// The fewest at which "all at once" and "all but one" differ.
const NODES: usize = 3;
const IMAGE: &str = "localhost/postern:e2e";

/// What the command line asks for.
struct Asked {
    scenarios: Vec<&'static Scenario>,
    /// An image that was made before, in place of a new one.
    image: Option<PathBuf>,
}

/// The command: all scenarios, or those that are named.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let asked = read(arguments)?;
    run_command(&mut cargo(&["build", "--workspace", "--bins"]))?;
    run_command(&mut script("gwapi-conformance.sh"))?;
    run_command(&mut script("traefik.sh"))?;
    let helm = tools::helm()?;
    let image = asked.image.clone().map_or_else(|| image(IMAGE, &target().join("e2e.tar")), Ok)?;
    let cluster = Cluster::up(target().join("e2e"), NODES)?;
    cluster.import(&image)?;
    cluster.apply_folder(&tools::gateway_crds()?)?;
    cluster.apply_folder(&tools::traefik_crds()?)?;
    let installed = Installed::new(&cluster, &helm, IMAGE)?;
    show(&asked.scenarios, &Setting { cluster: &cluster, installed: &installed })
}

fn read(arguments: &[String]) -> Result<Asked, String> {
    let (image, names) = match arguments {
        [flag, tar, names @ ..] if flag == "--image" => {
            let tar = std::path::absolute(tar).map_err(|error| format!("{tar}: {error}"))?;
            (Some(tar), names)
        }
        names => (None, names),
    };
    Ok(Asked { scenarios: choose(names)?, image })
}

/// Postern as `name` in `out`, built for tests.
fn image(name: &str, out: &Path) -> Result<PathBuf, String> {
    let words = ["--profile", "dev", "--name", name, "--out"].map(str::to_owned);
    crate::image::run(&[words.as_slice(), &[out.display().to_string()]].concat())?;
    Ok(out.to_owned())
}

fn choose(names: &[String]) -> Result<Vec<&'static Scenario>, String> {
    if let Some(unknown) = names.iter().find(|name| ALL.iter().all(|scenario| scenario.name != **name)) {
        let known: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
        return Err(format!("no scenario `{unknown}`; there are: {}", known.join(", ")));
    }
    Ok(ALL.iter().filter(|scenario| names.is_empty() || names.iter().any(|name| name == scenario.name)).collect())
}

/// The first that fails is the last: it leaves the cluster in a state that the next cannot begin from.
fn show(scenarios: &[&Scenario], setting: &Setting<'_>) -> Result<(), String> {
    for scenario in scenarios {
        println!("\n== {}: {}", scenario.name, scenario.about);
        let start = Instant::now();
        (scenario.run)(setting).map_err(|reason| format!("scenario `{}` failed: {reason}", scenario.name))?;
        println!("-- {}: shown ({:.0} s)", scenario.name, start.elapsed().as_secs_f64());
    }
    Ok(())
}
