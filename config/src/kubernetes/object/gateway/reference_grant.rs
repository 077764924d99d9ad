//! `ReferenceGrant`.

use std::sync::Arc;

use serde::Deserialize;

/// Consent to references from other namespaces into its own.
#[derive(Debug, PartialEq, Deserialize)]
pub struct ReferenceGrant {
    /// Everything.
    pub spec: ReferenceGrantSpec,
}

/// `spec`.
#[derive(Debug, PartialEq, Deserialize)]
pub struct ReferenceGrantSpec {
    /// Who may refer, 1 to 16.
    pub from: Vec<GrantFrom>,
    /// To what, 1 to 16.
    pub to: Vec<GrantTo>,
}

/// `spec.from[]`.
#[derive(Debug, PartialEq, Deserialize)]
pub struct GrantFrom {
    /// API group of the referring object.
    pub group: Arc<str>,
    /// Kind of the referring object.
    pub kind: Arc<str>,
    /// Namespace of the referring object.
    pub namespace: Arc<str>,
}

/// `spec.to[]`.
#[derive(Debug, PartialEq, Deserialize)]
pub struct GrantTo {
    /// API group; empty is the core group.
    pub group: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
    /// One object; every object of the kind when left out.
    pub name: Option<Arc<str>>,
}
