//! `digestAuth`: users from a Secret, as lines `name:realm:hash` under its only key (`htdigest` writes them).

use std::{collections::BTreeMap, sync::Arc};

use super::{Result, Site, users};
use crate::{
    kubernetes::object::{Item, core::Secret, traefik},
    model::middleware::{
        Spec,
        digest_auth::{Algorithm, DigestAuth, Hash, User},
    },
};

pub(super) fn convert(site: &mut Site<'_, '_>, options: &traefik::DigestAuth) -> Result<Spec> {
    let name = site.required("secret", &options.secret)?;
    let realm: Arc<str> = users::realm(options.realm.as_deref()).into();
    site.header_value("realm", &realm)?;
    let secret = site.secret("secret", name)?;
    let (users, others) = users_of(site, secret, &realm)?;
    let algorithms = offered(&users);
    if users.is_empty() {
        let message = format!("holds no user of the realm {realm:?}");
        return Err(users::wrong(site, secret, message).remedy("htdigest FILE REALM NAME writes one").into());
    }
    if algorithms.is_empty() {
        let message = "holds users with an MD5 hash alone and users with a SHA-256 hash alone";
        return Err(users::wrong(site, secret, message).remedy("give all of them a hash by the same algorithm").into());
    }
    let user_header = options.header_field.as_deref().filter(|name| !name.is_empty());
    let user_header = user_header.map(|name| site.header_name("headerField", name)).transpose()?;
    if others > 0 {
        site.warn("secret", "OtherRealm", format!("names users of other realms than {realm:?}: {others} never pass"));
    }
    let remove_header = options.remove_header.unwrap_or(false);
    Ok(Spec::DigestAuth(DigestAuth { users: users.into(), realm, algorithms, remove_header, user_header }))
}

/// Users of `realm`, and how many lines are of others. The last line of a name and an algorithm wins.
fn users_of(site: &Site<'_, '_>, secret: &Item<Secret>, realm: &str) -> Result<(Vec<User>, usize)> {
    let mut found: BTreeMap<Arc<str>, Vec<Hash>> = BTreeMap::new();
    let mut others = 0;
    for (number, line) in users::lines(users::only_text(site, secret)?) {
        // The line itself stays out of the message: it is a secret.
        let (name, of, hash) = parse_line(line)
            .ok_or_else(|| users::wrong(site, secret, format!("holds no usable user in line {number}")))
            .map_err(|finding| {
                finding.remedy("write name:realm:hash, the hash MD5 or SHA-256 of name:realm:password")
            })?;
        if of != realm {
            others += 1;
            continue;
        }
        let hashes = found.entry(name.into()).or_default();
        hashes.retain(|held| held.algorithm != hash.algorithm);
        hashes.push(hash);
    }
    Ok((found.into_iter().map(|(name, hashes)| User { name, hashes }).collect(), others))
}

fn parse_line(line: &str) -> Option<(&str, &str, Hash)> {
    let mut parts = line.split(':');
    let (name, realm, text) = (parts.next()?, parts.next()?, parts.next()?);
    let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.digits() == text.len())?;
    let fits = parts.next().is_none() && !name.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| (name, realm, Hash { algorithm, text: text.to_ascii_lowercase().into() }))
}

/// Clients take the first that they know, so one by which somebody has no hash would keep that user out.
fn offered(users: &[User]) -> Vec<Algorithm> {
    let has = |user: &User, algorithm| user.hashes.iter().any(|hash| hash.algorithm == algorithm);
    Algorithm::ALL.into_iter().filter(|algorithm| users.iter().all(|user| has(user, *algorithm))).collect()
}
