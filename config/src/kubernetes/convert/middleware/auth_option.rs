//! What `forwardAuth` can do beyond Traefik's options: annotations of the Middleware, since its CRD drops fields that it
//! does not know.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use super::{Result, Site};
use crate::{
    kubernetes::convert::annotation::{OWN, field},
    model::{
        duration::parse_go,
        middleware::forward_auth::{AnswerCache, BodyPolicy, DeadServer, KeyPart},
    },
    report::Finding,
};

const CACHE_KEY: &str = "auth-cache-key";
const CACHE_TTL: &str = "auth-cache-ttl";
const FAILURES: &str = "auth-failures";
const PAUSE: &str = "auth-pause";

const DEFAULT_TTL: Duration = Duration::from_secs(10);
/// A user who was shut out must not be let in for longer.
const LONGEST_TTL: Duration = Duration::from_secs(3600);
const DEFAULT_FAILURES: NonZeroU32 = NonZeroU32::new(5).expect("five is not zero");
const DEFAULT_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Which answers are remembered; none unless a key is stated.
pub(super) fn cache(site: &mut Site<'_, '_>, body: BodyPolicy) -> Result<Option<AnswerCache>> {
    let ttl = duration(site, CACHE_TTL, DEFAULT_TTL, LONGEST_TTL)?;
    let Some(text) = value(site, CACHE_KEY) else {
        if value(site, CACHE_TTL).is_some() {
            let message = format!("{OWN}{CACHE_TTL} has no effect without {OWN}{CACHE_KEY}");
            site.findings.push(Finding::ignored(name_of(CACHE_TTL), "NoEffect", message));
        }
        return Ok(None);
    };
    if body != BodyPolicy::Withhold {
        return Err(wrong(CACHE_KEY, &text, "usable beside forwardBody: the answer may depend on the body"));
    }
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let key = parts.map(|part| key_part(part).ok_or_else(|| wrong(CACHE_KEY, part, ACCEPTED))).collect::<Result<_>>()?;
    let key: Vec<KeyPart> = key;
    if !key.iter().any(KeyPart::tells_who) {
        return Err(wrong(CACHE_KEY, &text, "a key that tells clients apart: name client-address, header: or cookie:"));
    }
    if !key.contains(&KeyPart::Uri) {
        let message = "an answer for one URL lets the client in at every other of the host: add uri, unless it should";
        site.findings.push(Finding::warning(name_of(CACHE_KEY), "WideKey", message));
    }
    Ok(Some(AnswerCache { key, ttl }))
}

/// After how many failures the auth server is not asked for a while; `None` asks it every time.
pub(super) fn dead_server(site: &Site<'_, '_>) -> Result<Option<DeadServer>> {
    let pause = duration(site, PAUSE, DEFAULT_PAUSE, LONGEST_PAUSE)?;
    let failures = match value(site, FAILURES) {
        None => Some(DEFAULT_FAILURES),
        Some(text) => {
            let number: u32 = text.parse().map_err(|_| wrong(FAILURES, &text, "a number of failures; 0 is never"))?;
            NonZeroU32::new(number)
        }
    };
    Ok(failures.map(|failures| DeadServer { failures, pause }))
}

const ACCEPTED: &str = "client-address, header:NAME, cookie:NAME, method or uri";

fn key_part(text: &str) -> Option<KeyPart> {
    match text.split_once(':') {
        Some(("header", name)) => http::HeaderName::from_bytes(name.as_bytes()).ok().map(KeyPart::Header),
        Some(("cookie", name)) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b';') => {
            Some(KeyPart::Cookie(name.into()))
        }
        None if text == "client-address" => Some(KeyPart::ClientAddress),
        None if text == "method" => Some(KeyPart::Method),
        None if text == "uri" => Some(KeyPart::Uri),
        _ => None,
    }
}

fn value(site: &Site<'_, '_>, option: &str) -> Option<Arc<str>> {
    site.item.meta.annotations.get(&*format!("{OWN}{option}")).cloned()
}

fn duration(site: &Site<'_, '_>, option: &str, default: Duration, longest: Duration) -> Result<Duration> {
    let Some(text) = value(site, option) else { return Ok(default) };
    let duration = parse_go(&text).ok().filter(|duration| !duration.is_zero() && *duration <= longest);
    duration.ok_or_else(|| wrong(option, &text, &format!("a duration of at most {} seconds", longest.as_secs())))
}

fn name_of(option: &str) -> String {
    field(&format!("{OWN}{option}"))
}

/// What decides who is let in is not guessed at.
fn wrong(option: &str, value: &str, accepted: &str) -> Box<Finding> {
    Finding::refused(name_of(option), "InvalidAnnotation", format!("{OWN}{option}: {value:?} is not {accepted}")).into()
}
