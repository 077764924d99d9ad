//! `chain`: members by name, in the chain's namespace unless the operator allows others.

use std::collections::BTreeMap;

use super::{Result, Site};
use crate::{
    kubernetes::{
        convert::slot,
        object::{Item, traefik},
    },
    model::middleware::{Spec, chain::Chain},
};

/// Chains that come to more members, those of nested chains counted each time, are a mistake or an attack.
const MOST_MEMBERS: usize = 256;

pub(super) fn convert(site: &Site<'_, '_>, options: &traefik::Chain) -> Result<Spec> {
    if options.middlewares.is_empty() {
        return Err(site.refuse("middlewares", "MissingField", "is required and empty"));
    }
    let mut sizes = Sizes { site, known: BTreeMap::new() };
    sizes.known.insert((site.namespace(), &site.meta.name), None);
    let mut members = Vec::with_capacity(options.middlewares.len());
    let mut total = 0usize;
    for (index, reference) in options.middlewares.iter().enumerate() {
        let option = format!("middlewares[{index}]");
        let (namespace, name) = target(site, &option, reference)?;
        let Some(member) = site.view.get::<traefik::Middleware>(namespace, name) else {
            let missing = format!("names Middleware {namespace}/{name}, which does not exist");
            return Err(site.refuse(&option, "MiddlewareNotFound", missing));
        };
        let size = sizes.of(member).ok_or_else(|| site.refuse(&option, "Cycle", "leads into a circle of chains"))?;
        total = total.saturating_add(size);
        members.push(slot::middleware(namespace, name));
    }
    if total > MOST_MEMBERS {
        let many = format!("comes to {total} members with those of nested chains; {MOST_MEMBERS} are allowed");
        return Err(site.refuse("middlewares", "TooMany", many));
    }
    refuse_with_members(site, options)?;
    Ok(Spec::Chain(Chain { members }))
}

/// A chain is worth what its members are. Called once circles and size are known to be bounded.
fn refuse_with_members(site: &Site<'_, '_>, options: &traefik::Chain) -> Result<()> {
    for (index, reference) in options.middlewares.iter().enumerate() {
        let option = format!("middlewares[{index}]");
        let (namespace, name) = target(site, &option, reference)?;
        let member = site.view.get::<traefik::Middleware>(namespace, name);
        if let Some(reason) = member.and_then(|member| super::refusal(member, site.view, site.settings)) {
            return Err(site.refuse(&option, "MemberRefused", format!("cannot be honoured ({reason})")));
        }
    }
    Ok(())
}

fn target<'r>(
    site: &'r Site<'_, '_>,
    option: &str,
    reference: &'r traefik::MiddlewareRef,
) -> Result<(&'r str, &'r str)> {
    if reference.name.is_empty() {
        return Err(site.refuse(option, "MissingField", "has no name"));
    }
    if reference.name.contains('@') {
        let finding = site.refuse(option, "NotCarried", format!("{:?} names a provider", reference.name));
        return Err(finding.remedy("write the name and, in a field of its own, the namespace").into());
    }
    let namespace = reference.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let namespace = namespace.unwrap_or(site.namespace());
    if namespace != site.namespace() && !site.settings.allow_cross_namespace {
        let finding = site.refuse(
            option,
            "RefNotPermitted",
            format!("names Middleware {namespace}/{} of another namespace", reference.name),
        );
        return Err(finding.remedy("copy it into this namespace, or allow references across namespaces").into());
    }
    Ok((namespace, &reference.name))
}

/// How many middlewares each chain comes to; `None` while it is being counted.
struct Sizes<'a, 'v> {
    site: &'a Site<'a, 'v>,
    known: BTreeMap<(&'a str, &'a str), Option<usize>>,
}

impl<'a> Sizes<'a, '_> {
    /// The size of `item`; `None` when it leads into a circle.
    fn of(&mut self, item: &'a Item<traefik::Middleware>) -> Option<usize> {
        let Some(chain) = &item.body.spec.chain else { return Some(1) };
        let key = (&*item.meta.namespace, &*item.meta.name);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        self.known.insert(key, None);
        let mut size = 1usize;
        for reference in &chain.middlewares {
            let namespace = reference.namespace.as_deref().unwrap_or(key.0);
            if let Some(member) = self.site.view.get::<traefik::Middleware>(namespace, &reference.name) {
                size = size.saturating_add(self.of(member)?);
            }
        }
        self.known.insert(key, Some(size));
        Some(size)
    }
}
