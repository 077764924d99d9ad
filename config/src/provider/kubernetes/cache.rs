//! What the API server said last, on disk: a file per object, so that a change costs one small write, and so that
//! `postern check` can read the directory. Readable by us alone, since there are keys in it.
//!
//! No promise to survive the machine: the files are not synced. A file that is cut short costs its object until the
//! API server answers.

use std::{
    collections::HashSet,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::collect::{Content, Write, change};
use crate::kubernetes::{object::Kind, store::Key};

/// Its age is that of what is kept.
const STAMP: &str = ".fresh";
/// The stamp is renewed that often at most.
const RENEW: Duration = Duration::from_secs(30);

/// Of an object's name in a file's name, which may have 255 bytes.
const LONGEST_NAME: usize = 120;

/// See the module.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    max_age: Duration,
    renewed: Option<SystemTime>,
    swept: bool,
    failed: bool,
}

/// Why what is kept cannot be served.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    #[error("nothing was kept in {0}")]
    Empty(PathBuf),
    #[error("what is kept in {folder} is {hours} hours old; kubernetes.cacheMaxAge says how old it may be")]
    TooOld { folder: PathBuf, hours: u64 },
    #[error("{folder}: {source}")]
    Io { folder: PathBuf, source: io::Error },
}

impl Cache {
    /// In `folder`, which is made; `None`, with a line in the log, where that cannot be done.
    pub(super) fn open(folder: &Path, max_age: Duration) -> Option<Self> {
        match fs::DirBuilder::new().recursive(true).mode(0o700).create(folder) {
            Ok(()) => Some(Self { folder: folder.to_path_buf(), max_age, renewed: None, swept: false, failed: false }),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "what the API server says cannot be kept on disk; a restart without it serves nothing");
                None
            }
        }
    }

    /// Everything that is kept.
    pub(super) fn load(&self) -> Result<Vec<(Key, Content)>, CacheError> {
        let stamp = fs::metadata(self.folder.join(STAMP)).and_then(|data| data.modified());
        let stamp = stamp.map_err(|_| CacheError::Empty(self.folder.clone()))?;
        let age = stamp.elapsed().unwrap_or_default();
        if age > self.max_age {
            return Err(CacheError::TooOld { folder: self.folder.clone(), hours: age.as_secs() / 3600 });
        }
        let failed = |source| CacheError::Io { folder: self.folder.clone(), source };
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                kept.extend(read(&path));
            }
        }
        Ok(kept)
    }

    /// Keeps what has changed.
    pub(super) fn write(&mut self, writes: Vec<Write>) {
        if writes.is_empty() {
            return;
        }
        // One that fails does not keep the others away.
        let outcomes = writes.into_iter().map(|(key, text)| self.put(&key, text.as_deref()));
        let outcome = outcomes.fold(Ok(()), io::Result::and);
        let outcome = outcome.and_then(|()| self.renew());
        self.note(outcome);
    }

    /// What is kept is what the API server says now: it is `known` there. The first time, everything else goes, which
    /// was kept before this process began.
    pub(super) fn is_current<'k>(&mut self, known: impl Iterator<Item = &'k Key>) {
        let swept = if self.swept { Ok(()) } else { self.sweep(&known.map(file_name).collect()) };
        self.swept = true;
        let outcome = swept.and_then(|()| self.renew());
        self.note(outcome);
    }

    fn sweep(&self, known: &HashSet<String>) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            // Others' files are not ours to remove.
            if is_of_object(name) && !known.contains(name) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn note(&mut self, outcome: io::Result<()>) {
        if let Err(error) = &outcome
            && !self.failed
        {
            tracing::warn!(folder = %self.folder.display(), %error, "what the API server says cannot be kept on disk");
        }
        self.failed = outcome.is_err();
    }

    fn put(&self, key: &Key, text: Option<&str>) -> io::Result<()> {
        let path = self.folder.join(file_name(key));
        let Some(text) = text else {
            return match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        let new = path.with_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        fs::rename(new, path)
    }

    fn renew(&mut self) -> io::Result<()> {
        let now = SystemTime::now();
        let is_recent = |at: SystemTime| now.duration_since(at).is_ok_and(|age| age < RENEW);
        if self.renewed.is_some_and(is_recent) {
            return Ok(());
        }
        fs::write(self.folder.join(STAMP), "")?;
        self.renewed = Some(now);
        Ok(())
    }
}

/// Removes what is kept in `folder`, the last decision about other products too, and nothing else; with `dry_run`, only
/// counts. Says how many files.
pub fn forget(folder: &Path, dry_run: bool) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut count = 0;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        if is_of_object(name) || [STAMP, super::takeover::RECORD].contains(&name) {
            if !dry_run {
                fs::remove_file(entry.path())?;
            }
            count += 1;
        }
    }
    Ok(count)
}

/// Whether a file of this name keeps an object.
fn is_of_object(name: &str) -> bool {
    name.matches(',').count() == 2 && (name.ends_with(".json") || name.ends_with(".new"))
}

fn read(path: &Path) -> Option<(Key, Content)> {
    let text = fs::read_to_string(path).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    let part =
        |pointer: &str| value.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let api_version = part("/apiVersion");
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
    let kind = Kind::find(group, version, &part("/kind"))?;
    let key = Key { kind, namespace: part("/metadata/namespace").into(), name: part("/metadata/name").into() };
    Some((key.clone(), Content { change: change(key, value), kept: text.into() }))
}

/// One name per key: names and namespaces hold no comma. A name of an object may be as long as that of a file, so a hash
/// stands for the end of a long one.
fn file_name(key: &Key) -> String {
    let name = match key.name.get(..LONGEST_NAME) {
        None => key.name.to_string(),
        Some(begin) => {
            let mut hasher = DefaultHasher::new();
            key.name.hash(&mut hasher);
            format!("{begin}~{:016x}", hasher.finish())
        }
    };
    format!("{},{},{name}.json", key.kind.as_str(), key.namespace)
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::json;

    use super::{super::collect::Seen, *};

    const AGE: Duration = Duration::from_secs(3600);

    fn service(name: &str) -> Write {
        let object = json!({"metadata": {"name": name, "namespace": "shop"}});
        let seen = Seen::whole(Kind::Service, serde_json::from_value::<DynamicObject>(object).expect("an object"), &[]);
        (seen.key, seen.content.map(|content| content.kept))
    }

    fn names(cache: &Cache) -> Vec<String> {
        let kept = cache.load().expect("kept");
        let mut names: Vec<_> = kept.into_iter().map(|(key, _)| key.name.to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_not_known_any_more_goes_and_names_may_be_as_long_as_they_come() {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || Cache::open(directory.path(), AGE).expect("made");
        let long = ["a", "b"].map(|end| format!("{}{end}", "x".repeat(252)));
        let all = [service("web"), service(&long[0]), service(&long[1])];
        open().write(all.to_vec());
        assert_eq!(names(&open()), ["web", &long[0], &long[1]]);
        for foreign in ["notes.json", "Service,shop,half.new", "Service,shop,old.json"] {
            fs::write(directory.path().join(foreign), "{").expect("written");
        }
        let mut cache = open();
        cache.is_current(all[1..].iter().map(|(key, _)| key));
        assert_eq!(names(&cache), long);
        let left = fs::read_dir(directory.path()).expect("readable").count();
        assert_eq!(left, 4, "two objects, the stamp, and what is not ours");
    }

    #[test]
    fn age_is_that_of_the_last_contact() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut cache = Cache::open(directory.path(), AGE).expect("made");
        assert!(matches!(cache.load(), Err(CacheError::Empty(_))));
        cache.write(vec![service("web")]);
        let stamp = fs::File::options().write(true).open(directory.path().join(STAMP)).expect("there");
        stamp.set_modified(SystemTime::now() - 2 * AGE).expect("set");
        let mut cache = Cache::open(directory.path(), AGE).expect("made");
        cache.write(Vec::new());
        assert!(matches!(cache.load(), Err(CacheError::TooOld { hours: 2, .. })), "nobody was asked");
        let stamp = fs::File::options().write(true).open(directory.path().join(STAMP)).expect("there");
        stamp.set_modified(SystemTime::now() + 100 * AGE).expect("set");
        assert_eq!(names(&cache), ["web"], "a clock that was set back makes nothing old");
        cache.is_current(std::iter::once(&service("web").0));
        assert_eq!(names(&cache), ["web"]);
    }
}
