//! Verdicts: what became of each object, for those who show it (log, `check`, status, admin API, metrics).
//!
//! A report is data. It neither logs nor knows who reads it.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use crate::model::id::ObjectId;

/// All verdicts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One verdict per object.
    pub objects: imbl::OrdMap<ObjectId, Arc<Verdict>>,
    /// What could not be read as an object at all: broken documents, unreadable files. Sorted by place.
    pub input: Vec<InputProblem>,
    /// Objects that were read and set aside because of their kind. Sorted by place.
    pub skipped: Vec<SkippedObject>,
    /// Of which release the definitions of the Gateway API in the cluster are, if that is known: `v1.7.0`.
    pub bundle: Option<Arc<str>>,
}

/// What became of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Where the object was read; `None` when it came from an API.
    pub origin: Option<Origin>,
    /// Details, worst first. None: accepted as it is.
    pub findings: Vec<Finding>,
    /// How many route objects are attached to each of its parts: of a Gateway, its listeners by name; of a Service, the
    /// Gateways that lead to it as `namespace/name`.
    pub attached: BTreeMap<Arc<str>, u32>,
}

/// Where an object was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The file.
    pub file: Arc<PathBuf>,
    /// First line of the object in it, from 1.
    pub line: u32,
}

/// One thing to know about an object. Sorted worst first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The field, for example `spec.rules[0].backendRefs[1].port`; empty for the object as a whole.
    pub field: String,
    /// Machine-readable reason in upper camel case; the Gateway API's own where it has one (`BackendNotFound`).
    pub reason: &'static str,
    /// What is wrong, in one sentence without the object's name.
    pub message: String,
    /// The way out, in one sentence; empty where `message` says it.
    pub remedy: String,
    /// Line of the field, where it was looked up.
    pub line: Option<u32>,
}

/// How bad a finding is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The object, or the part named by the field, is not served or is closed.
    Refused,
    /// The field has no effect; everything else is served.
    Ignored,
    /// Served as asked, but probably not what is wanted.
    Warning,
    /// Good to know, and nothing to mend: the object is another controller's, for example.
    Note,
}

/// What could not be read as an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputProblem {
    /// The file or directory.
    pub file: Arc<PathBuf>,
    /// Line, from 1; 0 for the file as a whole.
    pub line: u32,
    /// Machine-readable reason in upper camel case.
    pub reason: &'static str,
    /// What is wrong and the way out.
    pub message: String,
    /// Whether the last good content is still served.
    pub last_good_kept: bool,
}

/// An object of a kind that is not read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SkippedObject {
    /// The file.
    pub file: Arc<PathBuf>,
    /// First line of the object, from 1.
    pub line: u32,
    /// `apiVersion` as written.
    pub api_version: String,
    /// `kind` as written.
    pub kind: String,
    /// Namespace as written; empty where there is none.
    pub namespace: String,
    /// Name as written; empty where there is none.
    pub name: String,
    /// Machine-readable reason in upper camel case.
    pub reason: &'static str,
    /// Why, in one sentence that names the kind.
    pub message: String,
    /// Whether the object asks for something that Postern ought to do and does not: then it is refused by name, and
    /// `check` fails. Otherwise it belongs to somebody else (a Deployment) and is merely passed over.
    pub refused: bool,
}

impl Severity {
    /// Lower-case name for logs, JSON and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Ignored => "ignored",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl Verdict {
    /// Whether nothing is refused or without effect.
    pub fn is_good(&self) -> bool {
        self.worst().is_none_or(|worst| worst >= Severity::Warning)
    }

    /// The worst finding's severity; `None`: accepted as it is.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).min()
    }
}

impl Finding {
    /// The object or a part of it is not served.
    pub fn refused(field: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Refused, field, reason, message)
    }

    /// The field has no effect.
    pub fn ignored(field: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Ignored, field, reason, message)
    }

    /// Served, but probably not what is wanted.
    pub fn warning(field: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, field, reason, message)
    }

    /// Good to know.
    pub fn note(field: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, field, reason, message)
    }

    /// Sets the way out where it is another than the reason's usual one.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    fn new(severity: Severity, field: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Self {
        let remedy = usual_remedy(reason).to_owned();
        Self { severity, field: field.into(), reason, message: message.into(), remedy, line: None }
    }
}

/// The way out that findings of one reason have in common; empty where their messages say it.
fn usual_remedy(reason: &str) -> &'static str {
    match reason {
        "BackendNotFound"
        | "FilterNotFound"
        | "NoMatchingParent"
        | "SecretNotFound"
        | "TargetNotFound"
        | "InvalidCACertificateRef"
        | "InvalidCertificateRef"
        | "InvalidClientCertificateRef" => "add or mend what it names, or correct the name",
        "CertificateHostMismatch" => "use a certificate that names the host",
        "Conflicted" => "remove one of the two",
        "Cycle" => "take one of the members out",
        "Duplicate" | "NotCarried" | "UnsupportedAnnotation" => "remove it",
        "HostnameConflict" | "ProtocolConflict" => "give one of them another port or hostname",
        "InvalidAddress" => "name an address of the backend itself",
        "InvalidCertificate" => "write the certificate as PEM, that of the host first",
        "KeyMismatch" => "write the key that the certificate was issued for",
        "ListenersNotValid" | "MemberRefused" => "mend what is refused there",
        "MissingSecretData" => "add it to the Secret's data",
        "NoBackendRefs" => "name a backend",
        "NoMatchingListenerHostname" => "give a listener the hostname, or the route one that a listener has",
        "NoValidCACertificate" => "mend one of the references",
        _ => "",
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl fmt::Display for Finding {
    /// `severity reason field: message; remedy`, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.severity.as_str(), self.reason)?;
        if !self.field.is_empty() {
            write!(f, " {}", self.field)?;
        }
        write!(f, ": {}", self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}
