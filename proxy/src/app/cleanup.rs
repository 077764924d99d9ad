//! `postern cleanup`: removes what Postern leaves behind, on this node and, if asked, in the cluster. Says what it does,
//! and may be run again.

use std::{
    fmt::Display,
    fs, io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use postern_config::provider::kubernetes::{cleanup, forget};
use postern_l2announce::kernel::undo;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{
    GOOD, REFUSED, complain, print,
    serve::{control_runtime, text_pair},
    settings,
};
use crate::{args::Cleanup, settings::Said};

/// Where Postern's sockets and locks of this node are.
const RUN: &str = "/run/postern";

/// Cleans; returns the exit code.
pub(super) fn run(asked: &Cleanup) -> u8 {
    let variables = std::env::vars_os().filter_map(text_pair).collect();
    let settings = match settings(&Said { file: asked.config.clone(), variables, flags: Vec::new() }) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let scope = &settings.cluster.scope;
    let lines = match node(Path::new(RUN), scope.cache.as_deref(), asked.dry_run, undo) {
        Ok(lines) => lines,
        Err(why) => return complain([why], REFUSED),
    };
    lines.iter().for_each(|line| tell(asked.dry_run, line));
    if !asked.cluster {
        return GOOD;
    }
    let namespace = asked.namespace.clone();
    control_runtime(async {
        match cleanup::clean(namespace.as_deref(), asked.dry_run).await {
            Ok(done) => {
                done.removed.iter().for_each(|what| tell(asked.dry_run, what));
                if done.failed.is_empty() { GOOD } else { complain(done.failed, REFUSED) }
            }
            Err(error) => complain([error], REFUSED),
        }
    })
}

fn tell(dry_run: bool, what: &str) {
    print(format!("{} {what}\n", if dry_run { "would remove" } else { "removed" }));
}

/// What the kernel holds for announced addresses, what is in `run`, and what is kept in `cache`; refused while a Postern answers at one of its sockets.
fn node<E: Display>(
    run: &Path,
    cache: Option<&Path>,
    dry_run: bool,
    undo: impl FnOnce(&Path, bool) -> Result<Vec<String>, E>,
) -> Result<Vec<String>, String> {
    let failed = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let entries = entries(run).map_err(|error| failed(run, error))?;
    if let Some(socket) = entries.iter().find(|path| somebody_answers(path)) {
        return Err(format!("a Postern answers at {}: stop it first", socket.display()));
    }
    // Before the files, by which it is known who holds the state and what links had before.
    let mut lines = undo(run, dry_run).map_err(|error| error.to_string())?;
    for path in entries {
        if !dry_run {
            fs::remove_file(&path).map_err(|error| failed(&path, error))?;
        }
        lines.push(path.display().to_string());
    }
    if let Some(cache) = cache {
        let kept = forget(cache, dry_run).map_err(|error| failed(cache, error))?;
        if kept > 0 {
            lines.push(format!("{kept} files in {}", cache.display()));
        }
    }
    Ok(lines)
}

/// Files and sockets; folders are nobody's of ours.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = listed.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| !path.is_dir());
    paths.sort();
    Ok(paths)
}

fn somebody_answers(path: &Path) -> bool {
    if !fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket()) {
        return false;
    }
    let connects = |kind: Type| {
        let socket = Socket::new(Domain::UNIX, kind, None)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    [Type::STREAM, Type::SEQPACKET].into_iter().any(|kind| connects(kind).is_ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_is_left_goes_unless_somebody_answers_and_a_second_time_finds_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let (run, cache) = (directory.path().join("run"), directory.path().join("cache"));
        let clean = |run: &Path, cache: Option<&Path>, dry_run| {
            node(run, cache, dry_run, |_: &Path, _| Ok::<_, String>(Vec::new()))
        };
        assert_eq!(clean(&run, Some(&cache), false), Ok(Vec::new()), "nothing was ever there");
        fs::create_dir_all(&run).and_then(|()| fs::create_dir_all(&cache)).expect("made");
        for name in ["Secret,shop,tls.json", ".fresh", "takeover", "notes.txt"] {
            fs::write(cache.join(name), "").expect("written");
        }
        let socket = run.join("door.sock");
        let listener = UnixListener::bind(&socket).expect("bound");
        let refused = clean(&run, Some(&cache), false).expect_err("somebody answers");
        assert!(refused.contains("door.sock: stop it first"), "{refused}");
        drop(listener);
        let dry = clean(&run, Some(&cache), true).expect("nobody answers");
        assert!(dry.len() == 2 && socket.exists(), "{dry:?}");
        assert_eq!(clean(&run, Some(&cache), false), Ok(dry));
        assert!(!socket.exists() && cache.join("notes.txt").exists(), "what is not ours stays");
        assert_eq!(clean(&run, Some(&cache), false), Ok(Vec::new()));
    }

    #[test]
    fn what_the_kernel_holds_goes_first_and_nothing_goes_where_it_is_held() {
        let run = tempfile::tempdir().expect("a directory");
        let file = run.path().join("links");
        fs::write(&file, "").expect("written");
        let held = node(run.path(), None, false, |_: &Path, _| Err("it is held"));
        assert_eq!(held, Err("it is held".to_owned()));
        assert!(file.exists(), "by its files it is known who holds");
        let undone = node(run.path(), None, false, |path: &Path, _| {
            assert!(path.join("links").exists());
            Ok::<_, String>(vec!["a route".to_owned()])
        });
        assert_eq!(undone, Ok(vec!["a route".to_owned(), file.display().to_string()]));
    }
}
