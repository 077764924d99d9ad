//! The last decision, on disk beside the objects: for a start without the API server, and so that a node that served
//! goes on after a restart.

use std::{fs, io, path::PathBuf};

use serde_json::{Map, Value};

use crate::kubernetes::takeover::{Product, Remembered, Stance};

/// A file; whoever cannot read or write it starts without.
#[derive(Clone, Debug)]
pub struct Record(PathBuf);

/// Its name, beside the objects.
pub(in super::super) const RECORD: &str = "takeover";

impl Record {
    /// In `folder`.
    pub fn at(folder: PathBuf) -> Self {
        Self(folder.join(RECORD))
    }

    /// What is kept; nothing, where nothing can be read.
    pub fn read(&self) -> Remembered {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let kept: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
        let stance = |word: &Value| match word.as_str()? {
            "own" => Some(Stance::Own),
            "observe" => Some(Stance::Observe),
            _ => None,
        };
        kept.iter().filter_map(|(key, word)| Some((Product::of_key(key)?, stance(word)?))).collect()
    }

    /// Keeps `stances`.
    pub fn write(&self, stances: &Remembered) {
        let map: Map<_, _> =
            stances.iter().map(|(product, stance)| (product.key().to_owned(), stance.as_str().into())).collect();
        if let Err(error) = self.put(&Value::Object(map).to_string()) {
            tracing::warn!(file = %self.0.display(), %error, "what was decided about other products cannot be kept for the next start");
        }
    }

    fn put(&self, text: &str) -> io::Result<()> {
        fs::create_dir_all(self.0.parent().unwrap_or(&self.0))?;
        let new = self.0.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(new, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_what_is_broken_is_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let record = Record::at(directory.path().join("below"));
        assert_eq!(record.read(), Remembered::new());
        let stances = Remembered::from([(Product::Traefik, Stance::Own), (Product::Kgateway, Stance::Observe)]);
        record.write(&stances);
        assert_eq!(record.read(), stances);
        for broken in ["", "{", "[]", r#"{"traefik": 1, "nobody": "own"}"#] {
            fs::write(&record.0, broken).expect("written");
            assert_eq!(record.read(), Remembered::new(), "{broken}");
        }
    }
}
