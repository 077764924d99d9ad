//! The Unix socket at which a successor asks. Only the process that accepts is to be found at its path.

use std::{
    fs::{DirBuilder, Permissions},
    io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
            net::UnixListener as Listening,
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::net::{SocketAddrUnix, bind, listen};
use tokio::{net::UnixListener, sync::mpsc, task::AbortHandle};

use super::{
    Broken,
    channel::{Channel, new_socket},
    message::{Message, VERSION},
};
use crate::telemetry::metrics::{HandOver, Metrics};

/// Connections that may wait to be greeted.
const BACKLOG: i32 = 16;

/// Why nobody can ask there.
#[derive(Debug, thiserror::Error)]
#[error(
    "handover.socket: {path}: {reason}; name a path of at most 100 bytes in a directory of our own user that nobody else \
     may write to, or off"
)]
pub struct DoorError {
    path: PathBuf,
    reason: io::Error,
}

/// A process that wants to take over.
#[derive(Debug)]
pub struct Newcomer {
    pub(super) channel: Channel,
    /// The version that it speaks.
    pub version: u16,
    /// How many sockets of each group it can use.
    pub workers: usize,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Door {
    path: PathBuf,
    /// Device and number of the file: the path is a successor's in the end.
    inode: (u64, u64),
    newcomers: mpsc::Receiver<Newcomer>,
    greeting: AbortHandle,
}

/// Makes the directory of `path` where it is missing, and refuses one that others may write to.
pub fn prepare(path: &Path) -> Result<(), DoorError> {
    let failed = |reason| DoorError { path: path.to_owned(), reason };
    SocketAddrUnix::new(path).map_err(|errno| failed(errno.into()))?;
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let found = std::fs::metadata(directory).map_err(failed)?;
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if !ours || found.mode() & 0o022 != 0 {
        return Err(failed(io::Error::new(io::ErrorKind::PermissionDenied, "others may write to the directory")));
    }
    Ok(())
}

impl Door {
    /// Listens at `path`, in place of whoever does: the file is put there with one step, so that somebody can always be
    /// asked.
    pub fn open(path: &Path, metrics: Arc<Metrics>) -> Result<Self, DoorError> {
        let failed = |reason| DoorError { path: path.to_owned(), reason };
        let (listener, inode) = listen_at(path).map_err(failed)?;
        let listener = UnixListener::from_std(Listening::from(listener)).map_err(failed)?;
        let (found, newcomers) = mpsc::channel(1);
        let greeting = tokio::spawn(greet_all(listener, found, metrics)).abort_handle();
        Ok(Self { path: path.to_owned(), inode, newcomers, greeting })
    }

    /// The next process that wants to take over.
    pub async fn newcomer(&mut self) -> Newcomer {
        match self.newcomers.recv().await {
            Some(newcomer) => newcomer,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Door {
    /// The file goes before the socket is closed: who finds neither has nobody to wait for.
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|there| there == self.inode) {
            let _gone = std::fs::remove_file(&self.path);
        }
        self.greeting.abort();
    }
}

fn listen_at(path: &Path) -> io::Result<(OwnedFd, (u64, u64))> {
    let aside = path.with_extension(format!("{:016x}", rand::random::<u64>()));
    let listening = listen_aside(&aside).and_then(|socket| {
        let inode = inode(&aside)?;
        std::fs::rename(&aside, path)?;
        Ok((socket, inode))
    });
    listening.inspect_err(|_| drop(std::fs::remove_file(&aside)))
}

fn listen_aside(path: &Path) -> io::Result<OwnedFd> {
    let socket = new_socket()?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

async fn greet_all(listener: UnixListener, found: mpsc::Sender<Newcomer>, metrics: Arc<Metrics>) {
    loop {
        let greeted = match listener.accept().await.and_then(|(connection, _)| Channel::new(connection)) {
            Ok(channel) => greet(channel).await,
            Err(error) => Err(error.into()),
        };
        match greeted {
            // Nobody takes it when this process is about to end.
            Ok(newcomer) => drop(found.send(newcomer).await),
            Err(error) => {
                metrics.control.handed_over(HandOver::Stranger);
                tracing::warn!(%error, "refused to hand over");
                // Out of descriptors, perhaps: others get the time to give some back.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// One after the other: nobody is in a hurry, and who says nothing is sent away soon.
async fn greet(channel: Channel) -> Result<Newcomer, Broken> {
    match channel.answer().await? {
        (Message::Hello { version, workers }, _) => Ok(Newcomer { channel, version, workers: usize::from(workers) }),
        (other, _) => Err(Broken::unexpected(&other)),
    }
}

impl Newcomer {
    /// Whether it speaks our version.
    pub fn is_of_our_version(&self) -> bool {
        self.version == VERSION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_others_may_write_to_is_refused_and_a_missing_one_is_ours_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/deep/handover.sock");
        prepare(&path).expect("made");
        let made = path.parent().expect("a directory");
        let mode = std::fs::metadata(made).expect("there").mode();
        assert_eq!(mode & 0o777, 0o700);
        std::fs::set_permissions(made, Permissions::from_mode(0o777)).expect("ours");
        let error = prepare(&path).expect_err("refused").to_string();
        assert!(error.contains("handover.socket") && error.contains("others may write"), "{error}");
        let long = folder.path().join("x".repeat(120));
        assert!(prepare(&long).is_err(), "longer than an address of the system");
    }

    #[tokio::test]
    async fn whoever_opened_last_is_asked_and_leaves_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("handover.sock");
        let metrics = Arc::new(Metrics::new(1));
        let first = Door::open(&path, metrics.clone()).expect("open");
        let mut second = Door::open(&path, metrics).expect("open");
        drop(first);
        let mode = std::fs::metadata(&path).expect("there").mode();
        assert_eq!(mode & 0o777, 0o600);
        let channel = Channel::connect(&path).expect("somebody listens");
        channel.send(&Message::Hello { version: VERSION, workers: 3 }, None).await.expect("sent");
        let newcomer = second.newcomer().await;
        assert!(newcomer.is_of_our_version() && newcomer.workers == 3);
        drop(second);
        assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 0);
    }
}
