//! Changes in the directory, as they happen: file system events → what to look at → batches.
//!
//! Folders are watched, not files, since files are replaced by renaming. Each folder is watched before it is looked
//! into, so nothing falls between. Where events are lost, everything is looked at again.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use notify::{
    Event, EventKind, INotifyWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode},
};

use super::{
    DirectoryError, FileProvider,
    directory::{is_hidden, is_manifest},
    quiet::{Quiet, Work},
};
use crate::provider::Batch;

/// How often a directory that has gone is looked for.
const LOOK_FOR_ROOT: Duration = Duration::from_millis(500);

/// A directory being watched; stops when dropped.
#[derive(Debug)]
pub struct Watching {
    stop: Sender<Message>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        // The thread has gone by itself if nobody wanted its batches any more.
        let _ = self.stop.send(Message::Stop);
    }
}

enum Message {
    Event(notify::Result<Event>),
    Stop,
}

/// Reads the directory `root` and then watches it from a thread of its own, which hands each later batch to `sink`
/// until that says `false`.
pub fn watch(
    root: &Path,
    sink: impl FnMut(Batch) -> bool + Send + 'static,
) -> Result<(Batch, Watching), DirectoryError> {
    let provider = FileProvider::open(root)?;
    let (stop, messages) = channel();
    let mut thread = Thread { folders: Folders::new(root, stop.clone())?, provider, quiet: Quiet::default() };
    let first = thread.look(Work::All, Instant::now());
    thread.folders.fail_if_unwatched(root)?;
    let spawned = thread::Builder::new().name("manifests".into()).spawn(move || thread.run(&messages, sink));
    spawned.map_err(|source| DirectoryError::Unwatchable {
        path: root.to_path_buf(),
        source: notify::Error::io(source),
    })?;
    Ok((first, Watching { stop }))
}

struct Thread {
    provider: FileProvider,
    folders: Folders,
    quiet: Quiet,
}

impl Thread {
    fn run(mut self, messages: &Receiver<Message>, mut sink: impl FnMut(Batch) -> bool) {
        loop {
            let now = Instant::now();
            if let Some((work, noticed)) = self.quiet.take(now) {
                let batch = self.look(work, noticed);
                if !batch.is_empty() && !sink(batch) {
                    return;
                }
                continue;
            }
            match self.next(messages, now) {
                Ok(Message::Event(event)) => self.notice(event),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => self.look_for_root(),
            }
        }
    }

    fn next(&self, messages: &Receiver<Message>, now: Instant) -> Result<Message, RecvTimeoutError> {
        let lost = self.folders.is_root_lost().then(|| now + LOOK_FOR_ROOT);
        match self.quiet.due().into_iter().chain(lost).min() {
            Some(due) => messages.recv_timeout(due.saturating_duration_since(now)),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn look_for_root(&mut self) {
        if self.folders.is_root_lost() && self.folders.root.is_dir() {
            self.quiet.all(Instant::now());
        }
    }

    fn look(&mut self, work: Work, noticed: Instant) -> Batch {
        let everything = work == Work::All;
        let folders = &mut self.folders;
        let batch = self.provider.look(work, noticed, &mut |folder| folders.watch(folder));
        if everything {
            self.folders.keep_only(&self.provider);
        }
        batch
    }

    fn notice(&mut self, event: notify::Result<Event>) {
        let now = Instant::now();
        let Some(event) = event.ok().filter(|event| !event.need_rescan()) else {
            self.folders.forget_all();
            return self.quiet.all(now);
        };
        for path in &event.paths {
            match self.folders.meaning(event.kind, path) {
                Meaning::Nothing => {}
                Meaning::Done(file) => self.quiet.done(file, now),
                Meaning::Writing(file) => self.quiet.writing(file, now),
                Meaning::All => self.quiet.all(now),
            }
        }
    }
}

/// What an event asks for.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Nothing,
    Done(PathBuf),
    Writing(PathBuf),
    All,
}

/// The watched folders.
struct Folders {
    watcher: INotifyWatcher,
    /// As the operator wrote it: files are named by it.
    root: PathBuf,
    /// The same from `/`: events are named by it.
    absolute: PathBuf,
    watched: BTreeSet<PathBuf>,
    failed: Option<notify::Error>,
}

impl Folders {
    fn new(root: &Path, events: Sender<Message>) -> Result<Self, DirectoryError> {
        let unwatchable = |source| DirectoryError::Unwatchable { path: root.to_path_buf(), source };
        let forward = move |event: notify::Result<Event>| {
            if !event.as_ref().is_ok_and(is_reading) {
                // Nobody listens any more while this is being stopped.
                let _ = events.send(Message::Event(event));
            }
        };
        let watcher = INotifyWatcher::new(forward, notify::Config::default()).map_err(unwatchable)?;
        let absolute = std::path::absolute(root)
            .map_err(|source| DirectoryError::Unreadable { path: root.to_path_buf(), source })?;
        let mut folders = Self { watcher, root: root.to_path_buf(), absolute, watched: BTreeSet::new(), failed: None };
        folders.watch_parent();
        Ok(folders)
    }

    /// The root may be a link or be replaced as a whole, of which only its parent tells.
    fn watch_parent(&mut self) {
        if let Some(parent) = self.absolute.parent() {
            // A parent that may not be read costs only this; the root itself is looked for when it has gone.
            let _ = self.watcher.watch(parent, RecursiveMode::NonRecursive);
        }
    }

    fn watch(&mut self, folder: &Path) -> Result<(), String> {
        let folder = self.absolute(folder);
        if self.watched.contains(&folder) {
            return Ok(());
        }
        let watched = self.watcher.watch(&folder, RecursiveMode::NonRecursive);
        if let Err(error) = watched {
            let said = error.to_string();
            self.failed = Some(error);
            return Err(said);
        }
        self.watched.insert(folder);
        Ok(())
    }

    fn fail_if_unwatched(&mut self, root: &Path) -> Result<(), DirectoryError> {
        match self.failed.take() {
            Some(source) => Err(DirectoryError::Unwatchable { path: root.to_path_buf(), source }),
            None => Ok(()),
        }
    }

    fn keep_only(&mut self, provider: &FileProvider) {
        let wanted: BTreeSet<_> =
            provider.folders.iter().chain(&provider.link_folders).map(|folder| self.absolute(folder)).collect();
        let gone: Vec<_> = self.watched.difference(&wanted).cloned().collect();
        gone.iter().for_each(|folder| self.forget(folder));
    }

    fn forget(&mut self, folder: &Path) {
        if self.watched.remove(folder) {
            // It may have been taken out already, together with the folder.
            let _ = self.watcher.unwatch(folder);
        }
    }

    /// Forgets `folder` and everything in it, since what is there now may be another one of the same name.
    fn forget_below(&mut self, folder: &Path) {
        let below: Vec<_> = self.watched.iter().filter(|watched| watched.starts_with(folder)).cloned().collect();
        below.iter().for_each(|folder| self.forget(folder));
    }

    fn forget_all(&mut self) {
        let all = std::mem::take(&mut self.watched);
        for folder in all {
            let _ = self.watcher.unwatch(&folder);
        }
        self.watch_parent();
    }

    fn is_root_lost(&self) -> bool {
        !self.watched.contains(&self.absolute)
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.root) {
            Ok(below) if below.as_os_str().is_empty() => self.absolute.clone(),
            Ok(below) => self.absolute.join(below),
            Err(_) => path.to_path_buf(),
        }
    }

    /// What `kind` of event at `path` asks for.
    fn meaning(&mut self, kind: EventKind, path: &Path) -> Meaning {
        if self.is_folder_changed(kind, path) {
            self.forget_below(path);
            return Meaning::All;
        }
        let Ok(below) = path.strip_prefix(&self.absolute) else { return self.meaning_outside(kind, path) };
        let (Some(name), file) = (path.file_name(), self.root.join(below)) else { return Meaning::Nothing };
        if is_hidden(name) || !self.is_listed(path) {
            // `..data` and the like, or the inside of such a folder, which links lead into.
            return if is_settling(kind) && leads_elsewhere(name) { Meaning::All } else { Meaning::Nothing };
        }
        match kind {
            _ if is_arrival(kind) && is_folder_or_link(path) => Meaning::All,
            _ if !is_manifest(path) => Meaning::Nothing,
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => Meaning::Writing(file),
            _ => Meaning::Done(file),
        }
    }

    /// In the root's parent only the root counts; in folders that links lead into, everything does.
    fn meaning_outside(&self, kind: EventKind, path: &Path) -> Meaning {
        let linked = path.parent().is_some_and(|parent| self.watched.contains(parent));
        if linked && is_settling(kind) { Meaning::All } else { Meaning::Nothing }
    }

    /// Whether a watched folder came, went or changed its rights.
    fn is_folder_changed(&self, kind: EventKind, path: &Path) -> bool {
        let changed = matches!(
            kind,
            EventKind::Create(_)
                | EventKind::Remove(_)
                | EventKind::Modify(ModifyKind::Name(_) | ModifyKind::Metadata(_))
        );
        changed && (path == self.absolute || self.watched.contains(path))
    }

    /// Whether the folder that `path` is in is one of those listed, rather than merely led into by links.
    fn is_listed(&self, path: &Path) -> bool {
        let below = path.strip_prefix(&self.absolute).ok().and_then(Path::parent);
        below.is_some_and(|folder| !folder.iter().any(is_hidden))
    }
}

fn leads_elsewhere(name: &std::ffi::OsStr) -> bool {
    !is_hidden(name) || name.as_encoded_bytes().starts_with(b"..")
}

/// Reading and opening, our own above all.
fn is_reading(event: &Event) -> bool {
    matches!(event.kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// Whether something is there now, or no longer, as its writer wants it.
fn is_settling(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)))
}

fn is_arrival(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both | RenameMode::Any))
    )
}

fn is_folder_or_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() || found.is_symlink())
}
