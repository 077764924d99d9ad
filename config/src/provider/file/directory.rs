//! What is in the directory: which files count, in which folders, and how each looked when it was last read.
//!
//! Reads no file's content and decides nothing about it. Names that begin with a dot do not count, which leaves out
//! editors' files and the `..data` folders of a mounted ConfigMap; the links beside those folders do count. Each file
//! and folder counts once, by device and inode, so links may go in circles.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ffi::OsStr,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Below this age a file may change again without its time of change telling: file systems count it in ticks.
const TICK: Duration = Duration::from_millis(100);

/// How a file looked: whoever finds it looking the same need not read it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the file was left alone for long enough for its looks to be trusted.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(self.changed.0), u32::try_from(self.changed.1)) else {
            return false;
        };
        let changed = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        now.duration_since(changed).is_ok_and(|age| age > TICK)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Files that count.
    pub(super) files: BTreeMap<PathBuf, Stamp>,
    /// Folders outside of those listed in which something is that a link points to.
    pub(super) link_folders: BTreeSet<PathBuf>,
    /// Folders and files that could not be looked into.
    pub(super) failures: BTreeMap<PathBuf, io::Error>,
    /// Whether something was left out because it was found under another name.
    pub(super) has_aliases: bool,
    /// Folders.
    pub(super) folders: BTreeSet<PathBuf>,
    seen: HashSet<(u64, u64)>,
}

/// Lists `root`. `on_folder` is called before a folder is looked into, so that a watch on it misses nothing.
pub(super) fn list(root: &Path, on_folder: &mut dyn FnMut(&Path)) -> Listing {
    let mut listing = Listing::default();
    let mut folders = vec![root.to_path_buf()];
    let mut links = BTreeSet::new();
    // What is there itself comes before what is linked to, whichever name sorts first.
    while let Some(path) = folders.pop().or_else(|| links.pop_first()) {
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => listing.folder(path, &metadata, on_folder, &mut folders, &mut links),
            Ok(metadata) => listing.file(path, &metadata),
            // Gone since it was listed, or a link to nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != root => {}
            Err(error) => drop(listing.failures.insert(path, error)),
        }
    }
    listing
}

impl Listing {
    fn folder(
        &mut self,
        path: PathBuf,
        metadata: &Metadata,
        on_folder: &mut dyn FnMut(&Path),
        folders: &mut Vec<PathBuf>,
        links: &mut BTreeSet<PathBuf>,
    ) {
        if !self.is_new(metadata) {
            return;
        }
        on_folder(&path);
        self.folders.insert(path.clone());
        if let Err(error) = self.entries(&path, folders, links) {
            self.failures.insert(path, error);
        }
    }

    fn entries(&mut self, folder: &Path, folders: &mut Vec<PathBuf>, links: &mut BTreeSet<PathBuf>) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if is_hidden(&entry.file_name()) {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_symlink() {
                self.link_folders.extend(link_folder(&path));
                links.insert(path);
            } else if kind.is_file() && is_manifest(&path) {
                match entry.metadata() {
                    Ok(metadata) => self.file(path, &metadata),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => drop(self.failures.insert(path, error)),
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf, metadata: &Metadata) {
        if metadata.is_file() && is_manifest(&path) && self.is_new(metadata) {
            self.files.insert(path, Stamp::of(metadata));
        }
    }

    fn is_new(&mut self, metadata: &Metadata) -> bool {
        let new = self.seen.insert((metadata.dev(), metadata.ino()));
        self.has_aliases |= !new;
        new
    }
}

/// The folder of what a link finally points to.
fn link_folder(link: &Path) -> Option<PathBuf> {
    fs::canonicalize(link).ok()?.parent().map(Path::to_path_buf)
}

/// Whether a file of this name counts.
pub(super) fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    ["yaml", "yml", "json"].iter().any(|counted| extension.eq_ignore_ascii_case(counted))
}

/// Whether a name is left out.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn listed(root: &Path) -> Vec<String> {
        let files = list(root, &mut |_| {}).files;
        files.keys().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect()
    }

    #[test]
    fn only_visible_manifests_count_and_each_counts_once() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for folder in ["sub/deep", ".git", "..2026_1"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in ["z.yaml", "sub/b.YML", "sub/deep/c.json", ".git/x.yaml", ".a.yaml", "..2026_1/m.yaml", "README.md"]
        {
            fs::write(at(file), "").unwrap();
        }
        symlink("..2026_1", at("..data")).unwrap();
        symlink("..data/m.yaml", at("m.yaml")).unwrap();
        symlink("z.yaml", at("a.yaml")).unwrap();
        symlink("..", at("sub/loop")).unwrap();
        symlink("loop.yaml", at("loop.yaml")).unwrap();
        symlink("nowhere.yaml", at("dangling.yaml")).unwrap();
        assert_eq!(listed(root.path()), ["m.yaml", "sub/b.YML", "sub/deep/c.json", "z.yaml"]);
    }
}
