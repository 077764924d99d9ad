//! Values that labels may take: closed sets, so that no request can make a new series.

use http::StatusCode;

#[cfg(doc)]
use crate::respond::Failure;

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The label's text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

labels!(
    /// What a request was spoken in.
    Protocol {
        /// HTTP/1.0 and HTTP/1.1.
        Http1 = "http1",
        /// HTTP/2, on TLS or with prior knowledge.
        Http2 = "http2",
        /// A request that became a tunnel (WebSocket and other upgrades).
        Upgrade = "upgrade",
        /// TLS passed through or ended for bytes: one connection counts as one request.
        Tcp = "tcp",
    }
);
labels!(
    /// The hundreds of a status.
    CodeClass {
        /// Interim answers, and 101.
        Informational = "1xx",
        /// Success.
        Success = "2xx",
        /// Redirects.
        Redirection = "3xx",
        /// The client's fault.
        ClientError = "4xx",
        /// Ours or the backend's fault.
        ServerError = "5xx",
        /// Anything else, and connections without statuses.
        Other = "other",
    }
);
labels!(
    /// What is spoken first on a connection.
    Wire {
        /// HTTP at once.
        Plain = "plain",
        /// TLS.
        Tls = "tls",
    }
);
labels!(
    /// How a TLS handshake ended.
    Handshake {
        /// Completed, a full one.
        Full = "full",
        /// Completed, resumed.
        Resumed = "resumed",
        /// Not ended here: passed through by SNI.
        Passthrough = "passthrough",
        /// The first bytes are no ClientHello.
        NotTls = "not-tls",
        /// No entry for the server name.
        UnknownName = "unknown-name",
        /// No common version, cipher suite or group.
        NoCommonParameters = "no-common-parameters",
        /// The deadline passed.
        TimedOut = "timed-out",
        /// The client went away.
        ClientGone = "client-gone",
        /// The client refused our certificate by an alert.
        ClientAlert = "client-alert",
        /// The client's certificate is missing or not accepted.
        ClientCertificate = "client-certificate",
        /// A middleware of connections did not let the client in.
        Refused = "refused",
        /// Anything else.
        Other = "other",
    }
);
labels!(
    /// How a hand-over between two processes ended, as this one sees it.
    HandOver {
        /// This process took over.
        Taken = "taken",
        /// Another process took over from this one.
        Replaced = "replaced",
        /// The other one died, or handed back: this process accepts again.
        Resumed = "resumed",
        /// It broke off before anything was taken.
        Failed = "failed",
        /// The other one speaks another version: sockets were bound beside the old ones.
        OtherVersion = "other-version",
        /// Somebody who is no Postern of our own user asked.
        Stranger = "stranger",
    }
);
labels!(
    /// A limit that refused something (`limits` of the settings).
    Limit {
        /// `limits.connections`.
        Connections = "connections",
        /// `limits.connectionsPerAddress`.
        ConnectionsPerAddress = "connections-per-address",
        /// `limits.headerBytes`.
        HeaderBytes = "header-bytes",
        /// `limits.headerCount`.
        HeaderCount = "header-count",
        /// `limits.headerDeadline`.
        HeaderDeadline = "header-deadline",
        /// `limits.handshakeDeadline`.
        HandshakeDeadline = "handshake-deadline",
        /// `limits.idle`: idle connections that were closed.
        Idle = "idle",
        /// `limits.bodyIdle`.
        BodyIdle = "body-idle",
        /// `limits.h2Resets`, CONTINUATION floods and other abuse that ends an HTTP/2 connection.
        Http2Abuse = "http2-abuse",
        /// `limits.responseHeaderBytes` and `limits.responseHeaderCount`.
        ResponseHeader = "response-header",
        /// A body larger than a middleware allows.
        BodyBytes = "body-bytes",
        /// A rate-limit middleware.
        Rate = "rate",
        /// An in-flight limit.
        InFlight = "in-flight",
        /// The offload pool is full.
        Offload = "offload",
    }
);
labels!(
    /// The step of a change of the configuration that took time.
    Stage {
        /// Documents to objects.
        Parse = "parse",
        /// Objects to snapshot and report.
        Compile = "compile",
        /// Snapshot to plan, until every worker can see it.
        Apply = "apply",
    }
);
labels!(
    /// Why Postern answered itself: `Failure::reason`.
    FailureReason {
        /// See [`Failure::BadRequest`].
        BadRequest = "bad-request",
        /// See [`Failure::NoRoute`].
        NoRoute = "no-route",
        /// See [`Failure::Incomplete`].
        Incomplete = "incomplete",
        /// See [`Failure::Misdirected`].
        Misdirected = "misdirected",
        /// See [`Failure::Closed`].
        Closed = "route-closed",
        /// See [`Failure::Unresolved`].
        Unresolved = "backend-unresolved",
        /// See [`Failure::NoEndpoints`].
        NoEndpoints = "no-endpoints",
        /// See [`Failure::Unreachable`].
        Unreachable = "unreachable",
        /// See [`Failure::BackendBroke`].
        BackendBroke = "backend-broke",
        /// See [`Failure::TimedOut`].
        TimedOut = "timed-out",
        /// See [`Failure::ClientGone`].
        ClientGone = "client-gone",
        /// See [`Failure::Overloaded`].
        Overloaded = "overloaded",
        /// See [`Failure::BodyTooLarge`].
        BodyTooLarge = "body-too-large",
        /// See [`Failure::Refused`].
        Refused = "refused",
        /// A reason that this list does not know yet.
        Other = "other",
    }
);

impl CodeClass {
    /// The class of `status`.
    pub fn of(status: StatusCode) -> Self {
        match status.as_u16() / 100 {
            1 => Self::Informational,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::ClientError,
            5 => Self::ServerError,
            _ => Self::Other,
        }
    }
}

impl FailureReason {
    /// The label of failures with this `Failure::reason`.
    pub fn named(reason: &str) -> Self {
        Self::ALL.iter().copied().find(|known| known.as_str() == reason).unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::respond::Failure;

    #[test]
    fn a_status_belongs_to_the_class_of_its_hundreds() {
        let table = [(101, "1xx"), (200, "2xx"), (308, "3xx"), (499, "4xx"), (504, "5xx"), (999, "other")];
        for (status, class) in table {
            assert_eq!(CodeClass::of(StatusCode::from_u16(status).expect("valid")).as_str(), class, "{status}");
        }
    }

    #[test]
    fn a_failure_is_counted_under_its_own_reason() {
        for failure in [Failure::NoRoute, Failure::ClientGone, Failure::TimedOut("x"), Failure::BodyTooLarge] {
            assert_eq!(FailureReason::named(failure.reason()).as_str(), failure.reason());
        }
    }
}
