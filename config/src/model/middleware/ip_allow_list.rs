//! Lets only some addresses pass.

use http::StatusCode;
use ipnet::IpNet;

use super::source::AddressSource;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpAllowList {
    /// Who may pass; IPv4-mapped ranges are kept as IPv4. At least one.
    pub ranges: Vec<IpNet>,
    /// Which address is judged.
    pub source: AddressSource,
    /// Status of refusals; 403 unless said otherwise.
    pub reject_status: StatusCode,
}
