//! What would break where Postern serves on the host's network in place of a product in pods. One file per check, each
//! a pure function of facts that somebody else gathered.

pub mod clock;
pub mod definition;
pub mod host_port;
pub mod network_policy;
pub mod rights;
pub mod service_proxy;

use serde::Serialize;

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Which check.
    pub check: &'static str,
    /// How bad it is.
    pub outcome: Outcome,
    /// What was found, in one sentence.
    pub message: String,
    /// The way out; empty where there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// How bad it is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Clients or backends would not be reached.
    Breaks,
    /// It cannot be looked at.
    Unknown,
    /// It works, with a difference that is worth knowing.
    Careful,
    /// Nothing to do.
    Good,
}

impl Diagnosis {
    /// Clients or backends would not be reached.
    pub fn breaks(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Breaks, message: message.into(), remedy: remedy.into() }
    }

    /// A difference that is worth knowing.
    pub fn careful(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Careful, message: message.into(), remedy: remedy.into() }
    }

    /// It cannot be looked at.
    pub fn unknown(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Unknown, message: message.into(), remedy: String::new() }
    }

    /// Nothing to do.
    pub fn good(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Good, message: message.into(), remedy: String::new() }
    }
}

impl Outcome {
    /// As JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Breaks => "breaks",
            Self::Unknown => "unknown",
            Self::Careful => "careful",
            Self::Good => "good",
        }
    }
}
