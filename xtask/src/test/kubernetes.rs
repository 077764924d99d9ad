//! The tests that talk to a real API server, with the etcd and kube-apiserver that are pinned in `scripts/`.

use crate::{
    step::Outcome,
    tools,
    workspace::{cargo, run as run_command},
};

/// The step. The tests are ignored otherwise, since they need binaries that take minutes to build once.
pub(super) fn run() -> Result<Outcome, String> {
    let parts = tools::kubernetes(&["kube-apiserver", "kubectl"]).and_then(|bin| Ok((bin, tools::crds()?)));
    let (bin, crds) = match parts {
        Ok(parts) => parts,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    // Of the whole workspace, so that what the unit step built is used as it is.
    let test = ["test", "--workspace", "--test", "kubernetes", "--locked", "--quiet", "--", "--include-ignored"];
    run_command(cargo(&test).env("POSTERN_KUBE_BIN", bin).env("POSTERN_CRDS", crds))?;
    Ok(Outcome::Passed)
}
