//! `basicAuth`: users from a Secret, as an htpasswd file or as one name and password.

use std::{collections::BTreeMap, sync::Arc};

use base64::Engine as _;

use super::{
    Result, Site,
    users::{self, wrong},
};
use crate::{
    kubernetes::object::{Item, core::Secret, traefik},
    model::middleware::{
        Spec,
        basic_auth::{BasicAuth, MAX_BCRYPT_COST, Password, User},
    },
};

pub(super) fn convert(site: &Site<'_, '_>, options: &traefik::BasicAuth) -> Result<Spec> {
    let name = site.required("secret", &options.secret)?;
    let secret = site.secret("secret", name)?;
    let users = users_of(site, secret)?;
    let realm = users::realm(options.realm.as_deref());
    let quoted = realm.replace('\\', r"\\").replace('"', "\\\"");
    let user_header = options.header_field.as_deref().filter(|name| !name.is_empty());
    Ok(Spec::BasicAuth(BasicAuth {
        users: users.into(),
        challenge: site.header_value("realm", &format!("Basic realm=\"{quoted}\""))?,
        remove_header: options.remove_header.unwrap_or(false),
        user_header: user_header.map(|name| site.header_name("headerField", name)).transpose()?,
    }))
}

fn users_of(site: &Site<'_, '_>, secret: &Item<Secret>) -> Result<Vec<User>> {
    let users = if &*secret.body.kind == "kubernetes.io/basic-auth" {
        vec![one_user(site, secret)?]
    } else {
        file(site, secret)?
    };
    if users.is_empty() {
        return Err(wrong(site, secret, "holds no user"));
    }
    Ok(users)
}

/// Type `kubernetes.io/basic-auth`: keys `username` and `password`.
fn one_user(site: &Site<'_, '_>, secret: &Item<Secret>) -> Result<User> {
    let key = |key: &str| {
        let bytes = secret.body.data.get(key).filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or_else(|| wrong(site, secret, format!("lacks the key {key}")))?;
        std::str::from_utf8(bytes).map_err(|_| wrong(site, secret, format!("holds a {key} that is no UTF-8")))
    };
    let (name, password) = (key("username")?, key("password")?);
    if name.contains(':') {
        return Err(wrong(site, secret, "holds a username with a colon"));
    }
    Ok(User { name: name.into(), password: Password::Plain(password.into()) })
}

/// An htpasswd file under the Secret's only key. The last line of a name wins.
fn file(site: &Site<'_, '_>, secret: &Item<Secret>) -> Result<Vec<User>> {
    let mut users: BTreeMap<Arc<str>, User> = BTreeMap::new();
    for (number, line) in users::lines(users::only_text(site, secret)?) {
        // The line itself stays out of the message: it is a secret.
        let user = parse_line(line)
            .ok_or_else(|| wrong(site, secret, format!("holds no usable user in line {number}")))
            .map_err(|finding| finding.remedy("write name:hash, the hash by bcrypt, apr1 (MD5) or {SHA}"))?;
        users.insert(user.name.clone(), user);
    }
    Ok(users.into_values().collect())
}

fn parse_line(line: &str) -> Option<User> {
    let (name, hash) = line.split_once(':')?;
    let password = parse_hash(hash)?;
    (!name.is_empty()).then(|| User { name: name.into(), password })
}

fn parse_hash(hash: &str) -> Option<Password> {
    if let Some(digest) = hash.strip_prefix("{SHA}") {
        let digest = base64::engine::general_purpose::STANDARD.decode(digest).ok()?;
        return Some(Password::Sha1(digest.try_into().ok()?));
    }
    if let Some(rest) = hash.strip_prefix("$apr1$") {
        let (salt, digest) = rest.split_once('$')?;
        let fits = salt.len() <= 8 && digest.len() == 22;
        return fits.then(|| Password::Apr1 { salt: salt.into(), digest: digest.into() });
    }
    let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| hash.strip_prefix(prefix))?;
    let (cost, digest) = rest.split_once('$')?;
    let cost_fits = cost.len() == 2 && cost.parse().is_ok_and(|cost| (4..=MAX_BCRYPT_COST).contains(&cost));
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    (cost_fits && digest.len() == 53 && digest.bytes().all(alphabet)).then(|| Password::Bcrypt(hash.into()))
}
