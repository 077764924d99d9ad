//! What Postern must be allowed, and is or is not.

use super::Diagnosis;
use crate::kubernetes::{object::Kind, status::has_status, takeover::slice};

const CHECK: &str = "rights";

/// Something to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// Group of the API.
    pub group: String,
    /// Resource, with its part behind a slash.
    pub resource: String,
    /// Verb.
    pub verb: &'static str,
    /// Where; everywhere, if nowhere in particular.
    pub namespace: Option<String>,
    /// On which object; on any, if none in particular.
    pub name: Option<String>,
    /// What comes of it where it is missing.
    pub without: &'static str,
}

/// Where rights are needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Namespaces that are read; empty: all of them.
    pub read: Vec<String>,
    /// Where the Lease is; `None`: nothing is written.
    pub lease: Option<String>,
    /// The Service that is adopted, as namespace and name.
    pub service: Option<(String, String)>,
}

/// Everything that is needed; `plural` says how the API names a kind, `lease` is the Lease's name.
pub fn needed(plural: impl Fn(Kind) -> String, places: &Places, lease: &str) -> Vec<Right> {
    let mut needed: Vec<_> = Kind::ALL.iter().flat_map(|kind| of_kind(*kind, &plural(*kind), places)).collect();
    needed.push(everywhere("", "pods", "list", "Postern observes unless it is told to own"));
    let Some(namespace) = &places.lease else { return needed };
    needed
        .extend(["get", "create", "update"].map(|verb| {
            everywhere("coordination.k8s.io", "leases", verb, "nobody writes status").on(namespace, lease)
        }));
    let (kind, without) = (Kind::EndpointSlice, "the adopted Service does not lead to Postern");
    if let Some((namespace, service)) = &places.service {
        let [slice, _] = slice::names(service);
        let right = |verb| everywhere(kind.group(), &plural(kind), verb, without).on(namespace, &slice);
        needed.extend(["create", "update", "delete"].map(right));
    }
    needed
}

fn of_kind(kind: Kind, plural: &str, places: &Places) -> Vec<Right> {
    let mut rights: Vec<_> = ["get", "list", "watch"]
        .map(|verb| everywhere(kind.group(), plural, verb, "its objects are not served"))
        .into();
    if places.lease.is_some() && has_status(kind) {
        let resource = format!("{plural}/status");
        rights.push(everywhere(kind.group(), &resource, "update", "its status is not written"));
    }
    if !kind.is_namespaced() || places.read.is_empty() {
        return rights;
    }
    let there = |namespace: &String| {
        let namespace = Some(namespace.clone());
        rights.iter().cloned().map(move |right| Right { namespace: namespace.clone(), ..right })
    };
    places.read.iter().flat_map(there).collect()
}

fn everywhere(group: &str, resource: &str, verb: &'static str, without: &'static str) -> Right {
    let (group, resource) = (group.to_owned(), resource.to_owned());
    Right { group, resource, verb, namespace: None, name: None, without }
}

impl Right {
    /// The same on one object; a name cannot limit who creates.
    fn on(self, namespace: &str, name: &str) -> Self {
        let name = (self.verb != "create").then(|| name.to_owned());
        Self { namespace: Some(namespace.to_owned()), name, ..self }
    }
}

/// `answers` say of each right whether it is granted, or why that is not known.
pub fn check(answers: &[(Right, Result<bool, String>)]) -> Vec<Diagnosis> {
    let of = |(right, answer): &(Right, Result<bool, String>)| {
        let Right { group, resource, verb, namespace, without, .. } = right;
        let name = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
        let place = namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        let name = format!("{name}{place}");
        match answer {
            Ok(true) => None,
            Ok(false) => {
                let remedy = format!("grant {verb} of {name} to the service account");
                Some(Diagnosis::breaks(CHECK, format!("{verb} of {name} is not allowed: {without}"), remedy))
            }
            Err(why) => {
                Some(Diagnosis::unknown(CHECK, format!("whether {verb} of {name} is allowed is not known: {why}")))
            }
        }
    };
    let found: Vec<_> = answers.iter().filter_map(of).collect();
    if found.is_empty() { vec![Diagnosis::good(CHECK, "everything that is needed is allowed")] } else { found }
}

#[cfg(test)]
mod tests {
    use super::{super::Outcome, *};

    #[test]
    fn what_is_missing_is_named_with_what_comes_of_it() {
        let plural = |kind: Kind| format!("{}s", kind.as_str().to_lowercase());
        let reading = needed(plural, &Places::default(), "postern");
        assert!(reading.iter().all(|right| ["get", "list", "watch"].contains(&right.verb)), "{reading:?}");
        let places = Places {
            read: vec!["shop".to_owned()],
            lease: Some("postern".to_owned()),
            service: Some(("kube-system".to_owned(), "traefik".to_owned())),
        };
        let all = needed(plural, &places, "postern");
        let find = |resource: &str, verb: &str| {
            let mut of = all.iter().filter(|right| right.resource == resource && right.verb == verb);
            let found = of.next_back().expect(resource);
            (found.namespace.as_deref(), found.name.as_deref())
        };
        for (resource, verb, expected) in [
            ("services", "list", (Some("shop"), None)),
            ("gatewayclasss", "list", (None, None)),
            ("leases", "update", (Some("postern"), Some("postern"))),
            ("endpointslices", "create", (Some("kube-system"), None)),
            ("endpointslices", "delete", (Some("kube-system"), Some("postern-traefik-ipv4"))),
        ] {
            assert_eq!(find(resource, verb), expected, "{verb} {resource}");
        }
        let granted: Vec<_> = all.iter().cloned().map(|right| (right, Ok(true))).collect();
        assert_eq!(check(&granted)[0].outcome, Outcome::Good);
        let mut answers = granted;
        answers[0].1 = Ok(false);
        answers[1].1 = Err("no answer".to_owned());
        let outcomes: Vec<_> = check(&answers).iter().map(|found| found.outcome).collect();
        assert_eq!(outcomes, [Outcome::Breaks, Outcome::Unknown]);
    }
}
