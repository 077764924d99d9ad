//! What follows of a verified user, whatever verified it.

use http::{HeaderName, HeaderValue, header};

use super::remove_spellings;
use crate::exchange::Exchange;

/// How the backend learns of the user.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) remove_header: bool,
    pub(super) user_header: Option<HeaderName>,
}

impl Identity {
    /// Tells backend and access log that it is `name`; false where no header field may hold the name.
    pub(super) fn tell(&self, exchange: &mut Exchange, name: &str) -> bool {
        if let Some(header) = &self.user_header {
            remove_spellings(&mut exchange.parts.headers, header);
            match HeaderValue::from_str(name) {
                Ok(value) => drop(exchange.parts.headers.insert(header, value)),
                Err(_) => return false,
            }
        }
        if self.remove_header {
            exchange.parts.headers.remove(header::AUTHORIZATION);
        }
        exchange.record.user = Some(name.to_owned());
        true
    }
}
