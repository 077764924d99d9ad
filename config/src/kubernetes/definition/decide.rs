//! What is to become of each definition of a set, by what is there already.

use std::collections::BTreeMap;

use super::Set;

/// On a definition that Postern has installed: the release it is of.
const MARK: &str = "postern.dev/crds";
const HELM: [&str; 2] = ["meta.helm.sh/release-namespace", "meta.helm.sh/release-name"];
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// What the definition that is installed carries: its annotations and labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
}

/// What to do about one definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Todo {
    /// It is absent.
    Install,
    /// It is Postern's own, of this older release.
    Upgrade(String),
    /// It stays as it is, for this reason.
    Keep(String),
    /// It is absent and must stay so, for this reason.
    LeaveOut(String),
}

impl Mark {
    /// Says that Postern installs it, from `set`.
    pub fn ours(set: &Set) -> (&'static str, &'static str) {
        (MARK, set.version)
    }

    fn own(&self) -> Option<&str> {
        self.annotations.get(MARK).map(String::as_str)
    }

    fn owner(&self) -> String {
        let [namespace, name] = HELM.map(|key| self.annotations.get(key));
        match (namespace, name, self.labels.get(MANAGED_BY)) {
            (Some(namespace), Some(name), _) => format!("the Helm release {namespace}/{name} owns it"),
            (_, _, Some(manager)) => format!("{manager} manages it"),
            _ => "somebody else installed it".to_owned(),
        }
    }
}

/// What to do about each of `names`, the definitions of `set`, where those in `present` are there.
pub fn decide<'a>(
    set: &Set,
    names: impl IntoIterator<Item = &'a str>,
    present: &BTreeMap<String, Mark>,
) -> Vec<(&'a str, Todo)> {
    let foreign = foreign_release(set, present);
    let todo = |name: &'a str| match (present.get(name), &foreign) {
        (Some(mark), _) => (name, about(set, mark)),
        (None, Some(release)) => {
            let why = format!(
                "{} {release} is installed, and releases are not to be mixed: install this one from {release} too",
                set.name
            );
            (name, Todo::LeaveOut(why))
        }
        (None, None) => (name, Todo::Install),
    };
    names.into_iter().map(todo).collect()
}

/// The release of what others have installed, where it is known and another one.
fn foreign_release(set: &Set, present: &BTreeMap<String, Mark>) -> Option<String> {
    let annotation = set.version_annotation?;
    let others = present.values().filter(|mark| mark.own().is_none());
    others.filter_map(|mark| mark.annotations.get(annotation)).find(|release| *release != set.version).cloned()
}

fn about(set: &Set, mark: &Mark) -> Todo {
    match mark.own() {
        None => Todo::Keep(mark.owner()),
        Some(release) if release == set.version => Todo::Keep("it is current".to_owned()),
        Some(release) if numbers(release) < numbers(set.version) => Todo::Upgrade(release.to_owned()),
        Some(release) => Todo::Keep(format!("a newer Postern installed it, of release {release}")),
    }
}

/// `v1.10.0` comes after `v1.9.3`.
fn numbers(release: &str) -> Vec<u32> {
    release.trim_start_matches('v').split(['.', '-']).map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> Set {
        Set { name: "things", version: "v1.10.0", version_annotation: Some("release"), text: "" }
    }

    fn mark(annotations: &[(&str, &str)], labels: &[(&str, &str)]) -> Mark {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Mark { annotations: map(annotations), labels: map(labels) }
    }

    fn decided(present: Mark) -> Vec<Todo> {
        let present = BTreeMap::from([("a".to_owned(), present)]);
        decide(&set(), ["a", "b"], &present).into_iter().map(|(_, todo)| todo).collect()
    }

    fn keep(why: &str) -> Todo {
        Todo::Keep(why.to_owned())
    }

    #[test]
    fn what_is_absent_is_installed() {
        assert_eq!(decide(&set(), ["a"], &BTreeMap::new()), [("a", Todo::Install)]);
    }

    #[test]
    fn what_others_have_installed_is_kept_and_its_owner_named() {
        let helm = [("meta.helm.sh/release-namespace", "kube-system"), ("meta.helm.sh/release-name", "traefik-crd")];
        let cases = [
            (mark(&helm, &[]), "the Helm release kube-system/traefik-crd owns it"),
            (mark(&[], &[(MANAGED_BY, "addon-manager")]), "addon-manager manages it"),
            (mark(&[("release", "v1.10.0")], &[]), "somebody else installed it"),
        ];
        for (present, owner) in cases {
            assert_eq!(decided(present), [keep(owner), Todo::Install]);
        }
    }

    #[test]
    fn releases_are_not_mixed_with_those_of_others() {
        let todo = decided(mark(&[("release", "v1.4.1")], &[]));
        assert_eq!(todo[0], keep("somebody else installed it"));
        assert!(matches!(&todo[1], Todo::LeaveOut(why) if why.contains("v1.4.1")), "{todo:?}");
    }

    #[test]
    fn our_own_are_brought_forward_and_never_back() {
        let own = |release| decided(mark(&[(MARK, release), ("release", release)], &[]));
        assert_eq!(own("v1.9.3"), [Todo::Upgrade("v1.9.3".to_owned()), Todo::Install]);
        assert_eq!(own("v1.10.0"), [keep("it is current"), Todo::Install]);
        assert_eq!(own("v1.11.0")[0], keep("a newer Postern installed it, of release v1.11.0"));
    }
}
