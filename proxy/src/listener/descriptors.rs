//! Open files: as many as the system allows, and some kept for everything that is no client.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors for the admin server, the cluster, files, and idle connections to backends.
const RESERVED: u64 = 256;

/// How many clients may be connected: `wanted`, or what the limit of open files has room for, when a connection to a
/// backend goes with each.
pub(super) fn connections(wanted: usize) -> usize {
    let room = usize::try_from(open_files().saturating_sub(RESERVED) / 2).unwrap_or(usize::MAX).max(1);
    if room < wanted {
        tracing::warn!(
            wanted,
            connections = room,
            "fewer connections than limits.connections: raise the limit of open files (ulimit -n, LimitNOFILE)"
        );
    }
    wanted.min(room)
}

/// Raises the soft limit to the hard one and returns it.
fn open_files() -> u64 {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if soft < hard => match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => hard,
            Err(_) => soft,
        },
        Ok((soft, _)) => soft,
        Err(error) => {
            tracing::warn!(%error, "cannot read the limit of open files");
            1024
        }
    }
}
