//! `GatewayClass`.

use std::sync::Arc;

use serde::Deserialize;

use super::Unused;

/// Whose the Gateways of a class are.
#[derive(Debug, PartialEq, Deserialize)]
pub struct GatewayClass {
    /// Everything.
    pub spec: GatewayClassSpec,
}

/// `spec`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassSpec {
    /// The controller, for example `postern.dev/gateway`.
    pub controller_name: Arc<str>,
    /// For readers.
    pub description: Option<Unused>,
    /// Not carried.
    pub parameters_ref: Option<Unused>,
}
