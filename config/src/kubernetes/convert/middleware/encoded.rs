//! `encodedCharacters` and `contentType`.

use super::Site;
use crate::{
    kubernetes::object::traefik,
    model::middleware::{Spec, content_type::ContentType, encoded_characters::EncodedCharacters},
};

/// What is not allowed by name is denied (Traefik's default in the middleware, other than at its entry points).
pub(super) fn encoded_characters(options: &traefik::EncodedCharacters) -> Spec {
    let denied = [
        (b'/', options.allow_encoded_slash),
        (b'\\', options.allow_encoded_back_slash),
        (b'\0', options.allow_encoded_null_character),
        (b';', options.allow_encoded_semicolon),
        (b'%', options.allow_encoded_percent),
        (b'?', options.allow_encoded_question_mark),
        (b'#', options.allow_encoded_hash),
    ];
    let denied = denied.into_iter().filter(|(_, allowed)| !allowed.unwrap_or(false)).map(|(byte, _)| byte);
    Spec::EncodedCharacters(EncodedCharacters { denied: denied.collect() })
}

pub(super) fn content_type(site: &mut Site<'_, '_>, options: &traefik::ContentType) -> Spec {
    if options.auto_detect.is_some() {
        let effect = if options.auto_detect == Some(false) { "switches the middleware off" } else { "is the default" };
        site.warn("autoDetect", "Deprecated", format!("{effect}; leave it out, or the middleware out of the routes"));
    }
    Spec::ContentType(ContentType { detect: options.auto_detect.unwrap_or(true) })
}
