//! Who holds the kernel state of this node: every running process does, and the last one that ends undoes it.
//!
//! Two files. `holders` is locked shared for as long as a process lives, so that the kernel itself forgets a process that
//! was killed. `turn` is locked for the time of a change alone: changes of two processes never mix, and whether somebody
//! else holds is asked and acted on without a gap.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::Error;

/// How long the turn of another process is waited for. A change takes milliseconds; a process that was stopped in the
/// middle of one keeps its turn.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the turn is asked for.
const PERIOD: Duration = Duration::from_millis(5);

const HOLDERS: &str = "holders";
const TURN: &str = "turn";

/// This process as a holder.
pub(super) struct Hold {
    directory: PathBuf,
    holders: File,
    turn: Arc<File>,
}

/// The right to change the kernel state, until dropped.
pub(super) struct Turn(Arc<File>);

impl Drop for Turn {
    fn drop(&mut self) {
        // Nothing can be done where it fails, and closing the file gives the lock back in any case.
        let _closing_unlocks = flock(&*self.0, FlockOperation::Unlock);
    }
}

/// Whether there has ever been a holder.
pub(super) fn was_held(directory: &Path) -> bool {
    directory.join(HOLDERS).exists()
}

impl Hold {
    /// Opens the files in `directory`, which is made if it is absent, and holds nothing yet.
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        // A lock is anybody's who can open its file.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|source| Error::File { path: directory.to_owned(), source })?;
        let open = |name: &str| {
            let path = directory.join(name);
            let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
            opened.map_err(|source| Error::File { path, source })
        };
        Ok(Self { directory: directory.to_owned(), holders: open(HOLDERS)?, turn: Arc::new(open(TURN)?) })
    }

    /// The folder of the state.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Waits for the turn to change something.
    pub(super) fn turn(&self) -> Result<Turn, Error> {
        self.turn_within(PATIENCE)
    }

    fn turn_within(&self, patience: Duration) -> Result<Turn, Error> {
        let start = Instant::now();
        loop {
            match flock(&*self.turn, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Turn(self.turn.clone())),
                Err(Errno::WOULDBLOCK) if start.elapsed() < patience => thread::sleep(PERIOD),
                Err(Errno::WOULDBLOCK) => {
                    return Err(Error::Busy { path: self.path(TURN), seconds: patience.as_secs() });
                }
                Err(errno) => return Err(self.failed(TURN, errno)),
            }
        }
    }

    /// Becomes a holder.
    pub(super) fn share(&self, _turn: &Turn) -> Result<(), Error> {
        flock(&self.holders, FlockOperation::LockShared).map_err(|errno| self.failed(HOLDERS, errno))
    }

    /// Whether nobody else is a holder. A holder stays one.
    ///
    /// Changing a shared lock to an exclusive one is to give it up and ask anew; that nobody takes the gap for an end is
    /// what the turn is for.
    pub(super) fn is_alone(&self, turn: &Turn) -> Result<bool, Error> {
        let alone = match flock(&self.holders, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => true,
            Err(Errno::WOULDBLOCK) => false,
            Err(errno) => return Err(self.failed(HOLDERS, errno)),
        };
        self.share(turn)?;
        Ok(alone)
    }

    /// Stops being a holder.
    pub(super) fn leave(&self, _turn: &Turn) -> Result<(), Error> {
        flock(&self.holders, FlockOperation::Unlock).map_err(|errno| self.failed(HOLDERS, errno))
    }

    /// The file that holders lock.
    pub(super) fn holders(&self) -> PathBuf {
        self.path(HOLDERS)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn failed(&self, name: &str, errno: Errno) -> Error {
        Error::File { path: self.path(name), source: io::Error::from(errno) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_alone_until_another_comes_and_again_when_it_has_left() {
        let directory = tempfile::tempdir().expect("a folder");
        let [first, second] = [(); 2].map(|()| Hold::open(directory.path()).expect("it opens"));
        let alone = |hold: &Hold| hold.is_alone(&hold.turn().expect("a turn")).expect("an answer");
        first.share(&first.turn().expect("a turn")).expect("it holds");
        assert!(alone(&first));
        second.share(&second.turn().expect("a turn")).expect("it holds");
        assert!(!alone(&first), "the other holds too");
        assert!(!alone(&second), "to have been asked took nothing from the first");
        drop(second);
        assert!(alone(&first), "a file that is closed holds nothing, as after a kill");
    }

    #[test]
    fn a_turn_is_had_by_one_at_a_time() {
        let directory = tempfile::tempdir().expect("a folder");
        let [first, second] = [(); 2].map(|()| Hold::open(directory.path()).expect("it opens"));
        let turn = first.turn().expect("a turn");
        assert!(matches!(second.turn_within(Duration::ZERO), Err(Error::Busy { .. })));
        drop(turn);
        assert!(second.turn().is_ok());
    }
}
