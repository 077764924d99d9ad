//! `postern crds`: the CustomResourceDefinitions that Postern brings along, printed or installed where they are absent.

use postern_config::{
    kubernetes::definition::{SETS, Set},
    provider::kubernetes::definitions::{Done, install},
};

use super::{GOOD, REFUSED, USAGE, complain, print, serve::control_runtime};
use crate::args::{CrdsCommand, CrdsInstall, CrdsPrint};

/// Prints or installs; returns the exit code.
pub(super) fn run(asked: &CrdsCommand) -> u8 {
    match asked {
        CrdsCommand::Print(CrdsPrint { sets }) => with(sets, |sets| {
            sets.iter().for_each(|set| print(set.yaml()));
            GOOD
        }),
        CrdsCommand::Install(CrdsInstall { sets, dry_run }) => {
            with(sets, |sets| control_runtime(installed(sets, *dry_run)))
        }
    }
}

/// Does it with the sets of these names, or with all.
fn with(names: &[String], act: impl FnOnce(&[Set]) -> u8) -> u8 {
    if names.is_empty() {
        return act(&SETS);
    }
    let found: Result<Vec<_>, _> = names.iter().map(|name| Set::find(name).ok_or(name)).collect();
    match found {
        Ok(sets) => act(&sets),
        Err(name) => {
            let known = SETS.map(|set| set.name).join(", ");
            complain([format!("there is no set of CRDs `{name}`: there are {known}")], USAGE)
        }
    }
}

async fn installed(sets: &[Set], dry_run: bool) -> u8 {
    let done = match install(sets, dry_run).await {
        Ok(done) => done,
        Err(error) => return complain([error], REFUSED),
    };
    let before = if dry_run { "would be: " } else { "" };
    let (there, missing): (Vec<_>, Vec<_>) = done.into_iter().partition(Done::is_there);
    there.iter().for_each(|done| print(format!("{before}{done}\n")));
    if missing.is_empty() { GOOD } else { complain(missing, REFUSED) }
}
