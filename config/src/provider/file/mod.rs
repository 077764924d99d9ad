//! A directory of YAML and JSON documents, hot-reloaded.
//!
//! [`FileProvider`] reads it when told to; [`watch()`] tells it to when something changes there. A document is parsed
//! once: after that its bytes are known by their hash wherever in its file they stand. What a broken document or an
//! unreadable file formerly defined stays until the file is whole again.
//! What objects mean is not known here.

mod directory;
mod index;
mod quiet;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    hash::BuildHasher as _,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime},
};

use foldhash::quality::RandomState;

use self::{
    directory::{Listing, Stamp},
    index::{Hash, Incoming, Index, Unreadable},
    quiet::Work,
};
use super::{Batch, Records};
use crate::kubernetes::document::{self, Chunk, Entry, MAX_FILE_BYTES};

pub use watch::{Watching, watch};

/// Text that is held at once while files are read.
const GROUP_BYTES: usize = 16 << 20;
/// From this many documents on, parsing is spread over the processors.
const WORTH_SPREADING: usize = 256;

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The operator's, or the file system's.
    #[error("cannot read the manifests directory {path}: {source}: check that it exists and may be read")]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The operator's.
    #[error("the manifests directory {0} is a file: name the directory that it is in")]
    NotADirectory(PathBuf),
    /// The system's.
    #[error("cannot watch {path} for changes: {source}: raise fs.inotify.max_user_watches or max_user_instances")]
    Unwatchable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: notify::Error,
    },
}

/// Called with each folder before it is looked into; an error says why its changes will not be noticed.
type OnFolder<'a> = &'a mut dyn FnMut(&Path) -> Result<(), String>;

/// Reads the directory and remembers what it read.
#[derive(Debug)]
pub struct FileProvider {
    root: PathBuf,
    index: Index,
    /// How each file looked when it was read; `None`: too young to tell.
    stamps: BTreeMap<PathBuf, Option<Stamp>>,
    link_folders: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
    has_aliases: bool,
    hashers: [RandomState; 2],
    records: Option<Records>,
    files_read: usize,
    documents_parsed: usize,
}

impl FileProvider {
    /// Of the directory `root`, which must be readable now; nothing of it is read yet.
    pub fn open(root: &Path) -> Result<Self, DirectoryError> {
        let unreadable = |source| DirectoryError::Unreadable { path: root.to_path_buf(), source };
        if std::fs::metadata(root).map_err(unreadable)?.is_file() {
            return Err(DirectoryError::NotADirectory(root.to_path_buf()));
        }
        std::fs::read_dir(root).map_err(unreadable)?;
        Ok(Self {
            root: root.to_path_buf(),
            index: Index::default(),
            stamps: BTreeMap::new(),
            link_folders: BTreeSet::new(),
            folders: BTreeSet::new(),
            has_aliases: false,
            hashers: [RandomState::default(), RandomState::default()],
            records: None,
            files_read: 0,
            documents_parsed: 0,
        })
    }

    /// Reads what has changed since the last time, which is everything the first time.
    pub fn read(&mut self) -> Batch {
        self.look(Work::All, Instant::now(), &mut |_| Ok(()))
    }

    fn look(&mut self, work: Work, noticed: Instant, on_folder: OnFolder<'_>) -> Batch {
        let started = Instant::now();
        (self.files_read, self.documents_parsed) = (0, 0);
        match work {
            Work::Files(files) if files.iter().all(|file| self.is_plain(file)) => self.read_files(files),
            Work::Files(_) | Work::All => self.read_all(on_folder),
        }
        let difference = self.index.difference();
        let records = difference.records.filter(|records| self.records.as_ref() != Some(records));
        if records.is_some() {
            self.records.clone_from(&records);
        }
        Batch {
            changes: difference.changes,
            moved: difference.moved,
            records,
            took: started.elapsed(),
            files: self.files_read,
            documents: self.documents_parsed,
            ..Batch::at(noticed)
        }
    }

    /// Whether `file` can be looked at by itself: it is no folder, no link, and stands for no other name.
    fn is_plain(&self, file: &Path) -> bool {
        let is_file = match std::fs::symlink_metadata(file) {
            Ok(metadata) => metadata.is_file(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        is_file && !self.has_aliases && !self.folders.contains(file) && file.starts_with(&self.root)
    }

    fn read_all(&mut self, on_folder: OnFolder<'_>) {
        let mut unwatched = BTreeMap::new();
        let listing = directory::list(&self.root, &mut |folder| {
            if let Err(why) = on_folder(folder) {
                unwatched.insert(folder.to_path_buf(), why);
            }
        });
        for folder in &listing.link_folders {
            if let Err(why) = on_folder(folder) {
                unwatched.insert(folder.clone(), why);
            }
        }
        self.remove_absent(&listing, &unwatched);
        self.report_failures(&listing, unwatched);
        let changed = listing.files.iter().filter(|(path, stamp)| self.stamps.get(*path) != Some(&Some(**stamp)));
        self.read_files(changed.map(|(path, _)| path.clone()).collect());
        self.has_aliases = listing.has_aliases;
        self.folders = listing.folders;
        self.link_folders = listing.link_folders;
    }

    fn remove_absent(&mut self, listing: &Listing, unwatched: &BTreeMap<PathBuf, String>) {
        let stays = |path: &Path| {
            listing.files.contains_key(path)
                || unwatched.contains_key(path)
                || path.ancestors().any(|part| listing.failures.contains_key(part))
        };
        let gone: Vec<_> = self.index.files().filter(|path| !stays(path)).cloned().collect();
        for path in gone {
            self.index.remove(&path);
            self.stamps.remove(&*path);
        }
    }

    fn report_failures(&mut self, listing: &Listing, unwatched: BTreeMap<PathBuf, String>) {
        for (path, error) in &listing.failures {
            self.fail(path, "Unreadable", unreadable(error));
        }
        for (path, why) in unwatched {
            let message = format!("changes in it go unnoticed: {why}: raise fs.inotify.max_user_watches");
            self.fail(&path, "NotWatched", message);
        }
    }

    fn fail(&mut self, path: &Path, reason: &'static str, message: String) {
        let last_good_kept = reason != "NotWatched" && self.stamps.keys().any(|file| file.starts_with(path));
        self.index.fail(&Arc::new(path.to_path_buf()), Unreadable { reason, message, last_good_kept });
    }

    fn read_files(&mut self, paths: BTreeSet<PathBuf>) {
        let mut group = Vec::new();
        let mut held = 0;
        for path in paths {
            match read_bounded(&path) {
                Ok((bytes, stamp)) => {
                    self.stamps.insert(path.clone(), Some(stamp).filter(|stamp| stamp.is_settled(SystemTime::now())));
                    held += bytes.len();
                    group.push((Arc::new(path), bytes));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.stamps.remove(&path);
                    self.index.remove(&path);
                }
                Err(error) => {
                    self.stamps.entry(path.clone()).and_modify(|stamp| *stamp = None);
                    self.fail(&path, "Unreadable", unreadable(&error));
                }
            }
            if held >= GROUP_BYTES {
                self.take(&std::mem::take(&mut group));
                held = 0;
            }
        }
        self.take(&group);
    }

    /// Takes over the content of some files.
    fn take(&mut self, group: &[(Arc<PathBuf>, Vec<u8>)]) {
        let split: Vec<_> = group.iter().map(|(file, bytes)| (file, self.recognise(file, bytes))).collect();
        let unknown = split.iter().flat_map(|(_, documents)| documents);
        let unknown: Vec<_> = unknown.filter(|(_, known)| known.is_err()).map(|(chunk, _)| *chunk).collect();
        self.files_read += group.len();
        self.documents_parsed += unknown.len();
        let mut parsed = parse_all(&unknown).into_iter();
        for (file, documents) in split {
            let incoming = documents.into_iter().map(|(chunk, known)| {
                let incoming = known.unwrap_or_else(|hash| Incoming::Parsed(hash, parsed.next().unwrap_or_default()));
                (chunk.line, incoming)
            });
            self.index.replace(file, incoming.collect());
        }
    }

    /// Splits a file, and finds the documents that it had before.
    fn recognise<'b>(&self, file: &PathBuf, bytes: &'b [u8]) -> Vec<(Chunk<'b>, Result<Incoming, Hash>)> {
        let mut known = self.index.known(file);
        let mut recognise = |chunk: Chunk<'b>| {
            let hash = self.hash(chunk.bytes);
            let id = known.get_mut(&hash).and_then(Vec::pop);
            (chunk, id.map(Incoming::Known).ok_or(hash))
        };
        document::split(bytes).into_iter().map(&mut recognise).collect()
    }

    fn hash(&self, bytes: &[u8]) -> Hash {
        let [high, low] = self.hashers.each_ref().map(|hasher| Hash::from(hasher.hash_one(bytes)));
        (high << 64) | low
    }
}

fn unreadable(error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => ": let the user that Postern runs as read it, or move it elsewhere",
        io::ErrorKind::NotFound => ": put it back",
        _ => "",
    };
    format!("it cannot be read: {error}{remedy}")
}

fn parse_all(chunks: &[Chunk<'_>]) -> Vec<Vec<Entry>> {
    let parse = |chunks: &[Chunk<'_>]| chunks.iter().map(|chunk| document::parse(chunk.bytes)).collect::<Vec<_>>();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if chunks.len() < WORTH_SPREADING || processors == 1 {
        return parse(chunks);
    }
    std::thread::scope(|scope| {
        let share = chunks.len().div_ceil(processors);
        let threads: Vec<_> = chunks.chunks(share).map(|share| scope.spawn(move || parse(share))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("parsing never panics")).collect()
    })
}

/// The content of `file`, if it can be read and is not too large.
pub fn read_file(file: &Path) -> io::Result<Vec<u8>> {
    read_bounded(file).map(|(bytes, _)| bytes)
}

fn read_bounded(path: &Path) -> io::Result<(Vec<u8>, Stamp)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message = format!("it is larger than {} MiB: split it, or move it elsewhere", MAX_FILE_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok((bytes, Stamp::of(&metadata)))
}

#[cfg(test)]
mod tests;
