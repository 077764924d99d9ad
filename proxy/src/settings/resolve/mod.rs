//! Layers what was said where: defaults < `postern.yaml` < environment < flags. All mistakes are collected, so that
//! one run names them all.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use crate::settings::{
    Settings,
    document::{self, Entry, Value},
    key::{self, Key, nearest},
};

/// Where something was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of the file.
    File(PathBuf, u64),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(&'static str),
}

/// One mistake of the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// The file cannot be read.
    #[error("{}: cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file is not YAML.
    #[error("{place}: {why}")]
    Syntax {
        /// Where.
        place: Place,
        /// Why.
        why: String,
    },
    /// No such key.
    #[error("{place}: unknown key {key}{}", did_you_mean(*nearest))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key as it was written.
        key: String,
        /// The one that was meant, perhaps.
        nearest: Option<&'static str>,
    },
    /// A value that the key does not take.
    #[error("{place}: {key}: {why}; it takes {takes}")]
    BadValue {
        /// Where.
        place: Place,
        /// The key.
        key: &'static str,
        /// What is wrong with the value.
        why: String,
        /// What the key takes.
        takes: &'static str,
    },
    /// Two values that do not fit together.
    #[error("{key}: {why}")]
    Contradiction {
        /// The key to change.
        key: &'static str,
        /// Why.
        why: &'static str,
    },
}

impl Mistake {
    /// Whether a flag or variable is at fault, which is wrong usage, and not a file, which is refused input.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::BadValue { place: Place::Flag(_) | Place::Variable(_), .. })
    }
}

/// What was said beside the file.
#[derive(Debug, Default)]
pub struct Said {
    /// The file, if any.
    pub file: Option<PathBuf>,
    /// Environment variables.
    pub variables: Vec<(String, String)>,
    /// Flags: name, key, value. A flag's own environment variable counts as the flag.
    pub flags: Vec<(&'static str, &'static str, Value)>,
}

/// Everything that was said, on top of `defaults`.
pub fn resolve(defaults: Settings, said: &Said) -> Result<Settings, Vec<Mistake>> {
    let mut layers = Layers { settings: defaults, mistakes: Vec::new() };
    if let Some(path) = &said.file {
        layers.file(path);
    }
    layers.variables(&said.variables);
    for (flag, key, value) in &said.flags {
        if let Some(key) = Key::find(key) {
            layers.set(key, value, Place::Flag(flag));
        }
    }
    layers.settings.bind_private();
    layers.contradictions();
    if layers.mistakes.is_empty() { Ok(layers.settings) } else { Err(layers.mistakes) }
}

struct Layers {
    settings: Settings,
    mistakes: Vec<Mistake>,
}

impl Layers {
    fn file(&mut self, path: &Path) {
        let place = |line| Place::File(path.to_owned(), line);
        match std::fs::read_to_string(path) {
            Err(error) => self.mistakes.push(Mistake::Unreadable { path: path.to_owned(), why: error.to_string() }),
            Ok(text) => match document::parse(&text) {
                Ok(entries) => self.entries("", &entries, path),
                Err((line, why)) => self.mistakes.push(Mistake::Syntax { place: place(line), why }),
            },
        }
    }

    fn entries(&mut self, prefix: &str, entries: &[Entry], file: &Path) {
        for entry in entries {
            let path = format!("{prefix}{}", entry.key);
            let place = Place::File(file.to_owned(), entry.line);
            let below = format!("{path}.");
            match (Key::find(&path), &entry.value) {
                (Some(key), value) => self.set(key, value, place),
                (None, Value::Empty) if is_group(&below) => {}
                (None, Value::Map(inner)) if is_group(&below) => self.entries(&below, inner, file),
                (None, _) => {
                    let nearest = nearest(&path, key::ALL.iter().map(|key| key.path));
                    self.mistakes.push(Mistake::UnknownKey { place, key: path, nearest });
                }
            }
        }
    }

    /// Variables that no key has are somebody else's: a Service named `postern` alone makes Kubernetes set several.
    fn variables(&mut self, variables: &[(String, String)]) {
        for key in key::ALL {
            let Some(name) = key.variable() else { continue };
            if let Some((_, value)) = variables.iter().find(|(variable, _)| *variable == name) {
                self.set(key, &Value::Text(value.clone()), Place::Variable(name));
            }
        }
    }

    fn set(&mut self, key: &'static Key, value: &Value, place: Place) {
        if let Err(refused) = (key.set)(&mut self.settings, value) {
            let place = match (place, refused.line) {
                (Place::File(file, _), Some(line)) => Place::File(file, line),
                (place, _) => place,
            };
            self.mistakes.push(Mistake::BadValue { place, key: key.path, why: refused.message, takes: key.takes });
        }
    }

    fn contradictions(&mut self) {
        if let Some((name, from)) = &self.settings.trust.client_ip_header {
            let mut contradict = |key, why| self.mistakes.push(Mistake::Contradiction { key, why });
            if *name == http::header::FORWARDED {
                contradict("trust.clientIpHeader.name", "is missing beside trust.clientIpHeader.from");
            }
            if from.is_empty() {
                contradict("trust.clientIpHeader.from", "is missing: the header would be believed from nobody");
            }
        }
        let mut sockets = BTreeSet::new();
        if !self.settings.entry_points.iter().all(|entry| sockets.insert(entry.socket)) {
            let why = "two of them have one address and port: give one of them another";
            self.mistakes.push(Mistake::Contradiction { key: "entryPoints", why });
        }
        let vip = self.settings.admin.vip.map(|address| address.ip());
        if vip.is_some_and(|address| self.settings.address_map.has(address)) {
            let why = "is an address of a node (addressMap), which is not announced: name an address of a pool";
            self.mistakes.push(Mistake::Contradiction { key: "admin.vip", why });
        }
    }
}

fn is_group(below: &str) -> bool {
    key::ALL.iter().any(|key| key.path.starts_with(below))
}

fn did_you_mean(nearest: Option<&'static str>) -> String {
    nearest.map_or_else(|| "; docs/reference/settings.md lists all".into(), |name| format!("; did you mean {name}?"))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
