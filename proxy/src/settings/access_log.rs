//! What the access log says and where it goes. Names and defaults are Traefik's: off, and no header field is shown.

use std::{collections::HashMap, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};

use http::HeaderName;

/// The access log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    /// Where lines go; `None` switches the log off.
    pub target: Option<Target>,
    /// What they say.
    pub shape: Arc<Shape>,
    /// Lines that one worker may have waiting; beyond, lines are dropped and counted.
    pub queue: usize,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file that is appended to, and opened anew on SIGUSR1.
    File(PathBuf),
}

/// What lines say.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// How a line is written.
    pub format: LineFormat,
    /// Which header fields a line shows.
    pub headers: HeaderPolicy,
    /// Which requests are logged.
    pub filter: Filter,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineFormat {
    /// The common log format with referer, user agent, route, endpoint and duration.
    #[default]
    Common,
    /// One JSON object with Traefik's field names.
    Json,
}

/// Which header fields are shown.
#[derive(Clone, Debug, Default)]
pub struct HeaderPolicy {
    /// For fields that are not named.
    pub default: Keep,
    /// For named fields.
    pub names: HashMap<HeaderName, Keep>,
}

/// What is shown of a header field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    #[default]
    Drop,
    /// Its value.
    Keep,
    /// That it was there.
    Redact,
}

/// Which requests are logged: those that one of the conditions holds for; without conditions all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Statuses that the client got.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// Requests that were tried again.
    pub retried: bool,
    /// Requests that took at least this long.
    pub min_duration: Option<Duration>,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self { target: None, shape: Arc::default(), queue: 4096 }
    }
}

impl Shape {
    /// Whether lines are in the common format.
    pub fn is_common(&self) -> bool {
        self.format == LineFormat::Common
    }
}

impl HeaderPolicy {
    /// What is shown of `name`.
    pub fn of(&self, name: &HeaderName) -> Keep {
        self.names.get(name).copied().unwrap_or(self.default)
    }

    /// Whether anything is shown of `name`.
    pub fn keeps(&self, name: &HeaderName) -> bool {
        self.of(name) != Keep::Drop
    }
}

impl Filter {
    /// Whether every request is logged.
    pub fn is_empty(&self) -> bool {
        self.statuses.is_empty() && !self.retried && self.min_duration.is_none()
    }
}
