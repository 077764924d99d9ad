//! Reasons as the Gateway API spells them; those that it has no word for are marked. And how messages name a kind.

/// The value is legal, or at least readable, and not carried.
pub(in crate::kubernetes) const UNSUPPORTED_VALUE: &str = "UnsupportedValue";
/// A listener's or a backend's protocol is not carried.
pub(in crate::kubernetes) const UNSUPPORTED_PROTOCOL: &str = "UnsupportedProtocol";
/// An address cannot be listened on.
pub(in crate::kubernetes) const UNSUPPORTED_ADDRESS: &str = "UnsupportedAddress";
/// A reference names a kind that cannot be meant.
pub(in crate::kubernetes) const INVALID_KIND: &str = "InvalidKind";
/// A listener asks for routes of a kind that does not fit its protocol.
pub(in crate::kubernetes) const INVALID_ROUTE_KINDS: &str = "InvalidRouteKinds";
/// A reference to another namespace without a ReferenceGrant.
pub(in crate::kubernetes) const REF_NOT_PERMITTED: &str = "RefNotPermitted";
/// A backend, or its port, does not exist.
pub(in crate::kubernetes) const BACKEND_NOT_FOUND: &str = "BackendNotFound";
/// No listener that was asked for lets the route in.
pub(in crate::kubernetes) const NOT_ALLOWED_BY_LISTENERS: &str = "NotAllowedByListeners";
/// No listener that was asked for has any of the route's hosts.
pub(in crate::kubernetes) const NO_MATCHING_LISTENER_HOSTNAME: &str = "NoMatchingListenerHostname";
/// There is no such Gateway, or no such listener in it.
pub(in crate::kubernetes) const NO_MATCHING_PARENT: &str = "NoMatchingParent";
/// A listener's certificate cannot be used.
pub(in crate::kubernetes) const INVALID_CERTIFICATE_REF: &str = "InvalidCertificateRef";
/// What a Gateway would present to backends cannot be used.
pub(in crate::kubernetes) const INVALID_CLIENT_CERTIFICATE_REF: &str = "InvalidClientCertificateRef";
/// Filters that exclude each other.
pub(in crate::kubernetes) const INCOMPATIBLE_FILTERS: &str = "IncompatibleFilters";
/// Two listeners with one hostname.
pub(in crate::kubernetes) const HOSTNAME_CONFLICT: &str = "HostnameConflict";
/// Two listeners with one port that cannot be told apart.
pub(in crate::kubernetes) const PROTOCOL_CONFLICT: &str = "ProtocolConflict";
/// Somebody else has the socket.
pub(in crate::kubernetes) const PORT_UNAVAILABLE: &str = "PortUnavailable";
/// No listener of a Gateway can be served.
pub(in crate::kubernetes) const LISTENERS_NOT_VALID: &str = "ListenersNotValid";
/// Parameters that are not known.
pub(in crate::kubernetes) const INVALID_PARAMETERS: &str = "InvalidParameters";
/// A policy that loses against an older one.
pub(in crate::kubernetes) const CONFLICTED: &str = "Conflicted";
/// A policy that cannot be honoured.
pub(in crate::kubernetes) const INVALID: &str = "Invalid";
/// A policy's target does not exist.
pub(in crate::kubernetes) const TARGET_NOT_FOUND: &str = "TargetNotFound";
/// An authority that cannot be read.
pub(in crate::kubernetes) const INVALID_CA_CERTIFICATE_REF: &str = "InvalidCACertificateRef";
/// None of a policy's authorities can be read.
pub(in crate::kubernetes) const NO_VALID_CA_CERTIFICATE: &str = "NoValidCACertificate";
/// Ours: a filter refers to an object that does not exist.
pub(in crate::kubernetes) const FILTER_NOT_FOUND: &str = "FilterNotFound";
/// Ours: another controller's class, or a Gateway of one.
pub(in crate::kubernetes) const NOT_OURS: &str = "NotOurs";
/// Ours: the class does not exist.
pub(in crate::kubernetes) const CLASS_NOT_FOUND: &str = "GatewayClassNotFound";
/// Ours: a rule that forwards nowhere.
pub(in crate::kubernetes) const NO_BACKENDS: &str = "NoBackendRefs";
/// Ours: an entry that an earlier one makes void.
pub(in crate::kubernetes) const DUPLICATE: &str = "Duplicate";

/// A kind as messages name it: with its group, unless that is the core group.
pub(in crate::kubernetes::convert) fn kind(kind: &str, group: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind} ({group})") }
}
