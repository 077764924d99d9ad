//! What `basicAuth` and `digestAuth` share: a Secret with a file of users.

use super::{Result, Site};
use crate::{
    kubernetes::object::{Item, core::Secret},
    report::Finding,
};

const DEFAULT_REALM: &str = "traefik";

/// What browsers show.
pub(super) fn realm(said: Option<&str>) -> &str {
    said.filter(|realm| !realm.is_empty()).unwrap_or(DEFAULT_REALM)
}

/// What refuses the middleware for `secret`.
pub(super) fn wrong(site: &Site<'_, '_>, secret: &Item<Secret>, message: impl std::fmt::Display) -> Box<Finding> {
    let meta = &secret.meta;
    site.refuse("secret", "InvalidSecret", format!("names Secret {}/{}, which {message}", meta.namespace, meta.name))
}

/// The text under the Secret's only key.
pub(super) fn only_text<'s>(site: &Site<'_, '_>, secret: &'s Item<Secret>) -> Result<&'s str> {
    let mut values = secret.body.data.values();
    let (Some(bytes), None) = (values.next(), values.next()) else {
        return Err(wrong(site, secret, "must have exactly one key, which holds the users"));
    };
    std::str::from_utf8(bytes).map_err(|_| wrong(site, secret, "is no UTF-8 text"))
}

/// Lines that hold something, with their numbers from 1.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}
