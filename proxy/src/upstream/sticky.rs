//! The cookie that names an endpoint: in Traefik's form, so that clients keep their endpoint when a cluster moves to
//! Postern. The value tells a client nothing about addresses that it could not guess.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, header};
use postern_config::model::cluster::StickyCookie;
use sha2::Digest;

/// The name of the server `url` (`http://10.0.0.1:80`): the first 16 hexadecimal digits of its SHA-256.
pub(super) fn server_name(url: &str) -> Box<str> {
    let digest = sha2::Sha256::digest(url.as_bytes());
    digest
        .iter()
        .take(8)
        .fold(String::with_capacity(16), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
        .into_boxed_str()
}

/// The value of cookie `name`.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let fields = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    fields.flat_map(|field| field.split(';')).find_map(|pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then(|| value.trim_matches('"'))
    })
}

/// The field that makes a client stay with `server`.
pub(super) fn set_cookie(cookie: &StickyCookie, server: &str) -> Option<HeaderValue> {
    let mut text = format!("{}={server}; Path={}", cookie.name, cookie.path);
    if let Some(domain) = &cookie.domain {
        let _ = write!(text, "; Domain={domain}");
    }
    if let Some(age) = cookie.max_age {
        let _ = write!(text, "; Max-Age={age}");
    }
    if cookie.http_only {
        text.push_str("; HttpOnly");
    }
    if cookie.secure {
        text.push_str("; Secure");
    }
    match cookie.same_site.as_deref() {
        Some("none") => text.push_str("; SameSite=None"),
        Some("lax") => text.push_str("; SameSite=Lax"),
        Some("strict") => text.push_str("; SameSite=Strict"),
        _ => {}
    }
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_as_traefik_names_it() {
        // printf 'http://10.0.0.1:80' | sha256sum
        assert_eq!(&*server_name("http://10.0.0.1:80"), "df5bd2f9c0180410");
    }

    #[test]
    fn a_cookie_is_found_among_others_and_in_several_fields() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; xlb=no; lb=\"abc\""));
        headers.append(header::COOKIE, HeaderValue::from_static("b=2"));
        assert_eq!(cookie(&headers, "lb"), Some("abc"));
        assert_eq!(cookie(&headers, "b"), Some("2"));
        assert_eq!(cookie(&headers, "c"), None);
    }

    #[test]
    fn the_attributes_are_those_that_were_asked_for() {
        let mut cookie = StickyCookie {
            name: "lb".into(),
            secure: true,
            http_only: true,
            same_site: Some("strict".into()),
            max_age: Some(60),
            path: "/".into(),
            domain: Some("example.com".into()),
        };
        let full = set_cookie(&cookie, "abc").expect("a valid value");
        assert_eq!(full, "lb=abc; Path=/; Domain=example.com; Max-Age=60; HttpOnly; Secure; SameSite=Strict");
        cookie =
            StickyCookie { secure: false, http_only: false, same_site: None, max_age: None, domain: None, ..cookie };
        assert_eq!(set_cookie(&cookie, "abc").expect("a valid value"), "lb=abc; Path=/");
    }
}
