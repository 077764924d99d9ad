//! CustomResourceDefinitions of the kinds that Postern reads: there, and in a version that it reads?

use super::Diagnosis;
use crate::kubernetes::object::Kind;

const CHECK: &str = "crds";

/// A definition: group, kind, and the versions that are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Group of the API.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Versions.
    pub versions: Vec<String>,
}

/// One diagnosis for each kind that is missing or served in no version that is read, or one for all.
pub fn check(served: &[Served]) -> Vec<Diagnosis> {
    let defined = |kind: &&Kind| kind.group().contains('.') && !kind.group().ends_with(".k8s.io") || is_gateway(**kind);
    let wrong: Vec<_> = Kind::ALL.iter().filter(defined).filter_map(|kind| of(*kind, served)).collect();
    if wrong.is_empty() { vec![Diagnosis::good(CHECK, "every kind that Postern reads is served")] } else { wrong }
}

fn is_gateway(kind: Kind) -> bool {
    kind.group() == Kind::Gateway.group()
}

fn of(kind: Kind, served: &[Served]) -> Option<Diagnosis> {
    let name = format!("{}.{}", kind.as_str(), kind.group());
    let Some(found) = served.iter().find(|it| it.group == kind.group() && it.kind == kind.as_str()) else {
        let remedy = "install its CRD if you want it; Postern picks it up";
        return Some(Diagnosis::careful(CHECK, format!("{name} is not there, so there are no such objects"), remedy));
    };
    let is_read = found.versions.iter().any(|version| kind.versions().contains(&version.as_str()));
    (!is_read).then(|| {
        let message = format!(
            "{name} is served as {}, and Postern reads {}",
            found.versions.join(", "),
            kind.versions().join(", ")
        );
        Diagnosis::breaks(CHECK, message, "install a release of the CRDs that serves one of these")
    })
}

#[cfg(test)]
mod tests {
    use super::{super::Outcome, *};

    #[test]
    fn kinds_are_missing_or_old_or_fine() {
        let served = |kind: Kind, version: &str| Served {
            group: kind.group().to_owned(),
            kind: kind.as_str().to_owned(),
            versions: vec![version.to_owned()],
        };
        let all: Vec<_> = Kind::ALL.iter().map(|kind| served(*kind, kind.versions()[0])).collect();
        assert_eq!(check(&all).len(), 1);
        assert_eq!(check(&all)[0].outcome, Outcome::Good);
        let mut old = all;
        old.retain(|it| it.kind != Kind::Gateway.as_str());
        old.push(served(Kind::Gateway, "v1alpha2"));
        let found = check(&old);
        assert!(found.len() == 1 && found[0].outcome == Outcome::Breaks, "{found:?}");
        assert!(check(&[]).iter().all(|found| found.outcome == Outcome::Careful));
    }
}
