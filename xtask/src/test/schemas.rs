//! Our object types against the schemas of Gateway API and Traefik, at the versions that are pinned in `tools`.

use crate::{
    step::Outcome,
    tools,
    workspace::{cargo, run as run_command},
};

/// The step. The tests are ignored otherwise, since they need files that are fetched.
pub(super) fn run() -> Result<Outcome, String> {
    let crds = match tools::crds() {
        Ok(folder) => folder,
        Err(reason) => return Ok(Outcome::Skipped(format!("the CRDs cannot be fetched: {reason}"))),
    };
    // Of the whole workspace, so that what the unit step built is used as it is.
    let test = ["test", "--workspace", "--test", "schemas", "--locked", "--quiet", "--", "--include-ignored"];
    run_command(cargo(&test).env("POSTERN_CRDS", crds))?;
    Ok(Outcome::Passed)
}
