//! What the API server said last, on disk: a file per object, so that a change costs one small write, and so that
//! `postern check` can read the directory. Readable by us alone, since there are keys in it.
//!
//! No promise to survive the machine: the files are not synced. A file that is cut short costs its object until the
//! API server answers.

use std::{
    fs,
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

/// See the module.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    max_age: Duration,
    renewed: Option<SystemTime>,
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
            Ok(()) => Some(Self { folder: folder.to_path_buf(), max_age, renewed: None, failed: false }),
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
        let outcome = writes.into_iter().try_for_each(|(key, text)| self.put(&key, text.as_deref()));
        let outcome = outcome.and_then(|()| self.renew());
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

/// One name per key: names and namespaces hold no comma.
fn file_name(key: &Key) -> String {
    format!("{},{},{}.json", key.kind.as_str(), key.namespace, key.name)
}
