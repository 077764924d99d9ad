//! Whether a request may be sent again: pure decisions, no connection in sight.

use http::{Method, StatusCode};
use postern_config::model::route::Retry;

use crate::settings::UpstreamDefaults;

/// What went wrong with a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No connection was made, at once; nothing was sent.
    Refused,
    /// No connection was made, after a wait; nothing was sent.
    ConnectTimedOut,
    /// The connection was gone before the request was written.
    NotSent,
    /// The backend says that it has not looked at the request (HTTP/2 REFUSED_STREAM, GOAWAY).
    NotProcessed,
    /// The connection broke before the first byte of an answer.
    Reset,
    /// No answer in time.
    TimedOut,
    /// An answer that the route wants to be tried again.
    Status(StatusCode),
    /// An answer that is none, or a request that broke: trying again changes nothing.
    Final,
}

/// What is allowed beyond the always safe cases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy<'a> {
    /// Tries after the first.
    pub(super) attempts: u32,
    route: Option<&'a Retry>,
}

impl<'a> Policy<'a> {
    pub(super) fn new(route: Option<&'a Retry>, defaults: &UpstreamDefaults) -> Self {
        Self { attempts: route.map_or(defaults.retries, |retry| retry.attempts), route }
    }

    /// Whether an answer with `status` is to be tried again.
    pub(super) fn is_retried(&self, status: StatusCode) -> bool {
        self.attempts > 0 && self.route.is_some_and(|retry| retry.codes.contains(&status))
    }

    /// The pause before the next try.
    pub(super) fn backoff(&self) -> Option<std::time::Duration> {
        self.route.and_then(|retry| retry.backoff).filter(|backoff| !backoff.is_zero())
    }
}

impl Trouble {
    /// Whether nothing of the request can have had an effect, so that repeating it is safe for every method.
    pub(super) fn is_unsent(self) -> bool {
        matches!(self, Self::Refused | Self::ConnectTimedOut | Self::NotSent | Self::NotProcessed)
    }

    /// Whether a try costs none of the allowed attempts: it took no time and nothing was sent.
    pub(super) fn is_free(self) -> bool {
        matches!(self, Self::Refused | Self::NotSent)
    }

    /// Whether a request of `method` may be sent again; `intact` says that all of its body still can be.
    pub(super) fn may_repeat(self, method: &Method, intact: bool) -> bool {
        intact && self != Self::Final && (self.is_unsent() || is_idempotent(method))
    }

    /// Whether it speaks against the endpoint. `reused` connections break because they were idle for too long.
    pub(super) fn is_endpoints_fault(self, reused: bool) -> bool {
        match self {
            Self::Refused | Self::ConnectTimedOut | Self::TimedOut => true,
            Self::Reset => !reused,
            Self::NotSent | Self::NotProcessed | Self::Status(_) | Self::Final => false,
        }
    }
}

/// RFC 9110 section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_never_repeated_once_it_was_sent() {
        for trouble in [Trouble::Reset, Trouble::TimedOut, Trouble::Status(StatusCode::BAD_GATEWAY)] {
            assert!(!trouble.may_repeat(&Method::POST, true), "{trouble:?}");
            assert!(!trouble.may_repeat(&Method::PATCH, true), "{trouble:?}");
            assert!(trouble.may_repeat(&Method::GET, true), "{trouble:?}");
            assert!(trouble.may_repeat(&Method::PUT, true), "{trouble:?}");
        }
    }

    #[test]
    fn what_was_not_sent_may_be_repeated_whatever_the_method() {
        for trouble in [Trouble::Refused, Trouble::ConnectTimedOut, Trouble::NotSent, Trouble::NotProcessed] {
            assert!(trouble.may_repeat(&Method::POST, true), "{trouble:?}");
            assert!(!trouble.may_repeat(&Method::POST, false), "a body that was begun is gone: {trouble:?}");
        }
    }

    #[test]
    fn a_malformed_answer_is_not_asked_for_again() {
        assert!(!Trouble::Final.may_repeat(&Method::GET, true));
    }

    #[test]
    fn the_routes_policy_replaces_the_default() {
        let defaults = UpstreamDefaults::default();
        let retry = Retry { attempts: 5, codes: vec![StatusCode::SERVICE_UNAVAILABLE], backoff: None };
        let policy = Policy::new(Some(&retry), &defaults);
        assert_eq!(policy.attempts, 5);
        assert!(policy.is_retried(StatusCode::SERVICE_UNAVAILABLE));
        assert!(!policy.is_retried(StatusCode::BAD_GATEWAY));
        assert!(!Policy::new(None, &defaults).is_retried(StatusCode::SERVICE_UNAVAILABLE));
        let off = Retry { attempts: 0, ..retry };
        assert!(!Policy::new(Some(&off), &defaults).is_retried(StatusCode::SERVICE_UNAVAILABLE));
    }
}
