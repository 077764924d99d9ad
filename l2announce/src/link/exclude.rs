//! Links that never announce, by their names: those of containers and overlays, whatever else fits.

use std::sync::Arc;

use regex::Regex;

/// Patterns of names. A name that any of them matches is out.
#[derive(Clone, Debug)]
pub struct Exclude(Vec<Regex>);

/// A pattern is no regular expression.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{pattern}` is no regular expression: {source}")]
pub struct ExcludeError {
    /// What was given.
    pub pattern: String,
    /// Why it is none.
    #[source]
    pub source: regex::Error,
}

/// MetalLB's list (`metallb-excludel2`).
const METALLB: [&str; 14] = [
    "^docker.*",
    "^cbr.*",
    "^dummy.*",
    "^virbr.*",
    "^lxcbr.*",
    "^veth.*",
    "^lo$",
    "^cali.*",
    "^tunl.*",
    "^flannel.*",
    "^kube-ipvs.*",
    "^cni.*",
    "^nodelocaldns.*",
    "^lxc.*",
];

impl Exclude {
    /// Of these patterns, each a regular expression that may match anywhere in a name.
    pub fn new<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>) -> Result<Self, ExcludeError> {
        let compiled = patterns.into_iter().map(|pattern| {
            let pattern = pattern.as_ref();
            Regex::new(pattern).map_err(|source| ExcludeError { pattern: pattern.to_owned(), source })
        });
        compiled.collect::<Result<_, _>>().map(Self)
    }

    /// The pattern that puts a name out.
    pub(super) fn pattern(&self, name: &str) -> Option<Arc<str>> {
        self.0.iter().find(|pattern| pattern.is_match(name)).map(|pattern| Arc::from(pattern.as_str()))
    }
}

impl Default for Exclude {
    /// The list that MetalLB installs.
    fn default() -> Self {
        Self::new(METALLB).expect("the patterns are regular expressions")
    }
}
