//! What Postern must be allowed, and is or is not.

use super::Diagnosis;
use crate::kubernetes::{object::Kind, status::has_status};

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
    /// What comes of it where it is missing.
    pub without: &'static str,
}

/// Everything that is needed; `plural` says how the API names a kind.
pub fn needed(plural: impl Fn(Kind) -> String, writes: bool) -> Vec<Right> {
    let right =
        |group: &str, resource: String, verb, without| Right { group: group.to_owned(), resource, verb, without };
    let mut needed = Vec::new();
    for kind in Kind::ALL.iter().copied() {
        for verb in ["get", "list", "watch"] {
            needed.push(right(kind.group(), plural(kind), verb, "its objects are not served"));
        }
        if writes && has_status(kind) {
            needed.push(right(kind.group(), format!("{}/status", plural(kind)), "update", "its status is not written"));
        }
    }
    needed.push(right("", "pods".to_owned(), "list", "Postern observes unless it is told to own"));
    if writes {
        for verb in ["get", "create", "update"] {
            needed.push(right("coordination.k8s.io", "leases".to_owned(), verb, "nobody writes status"));
        }
        for verb in ["create", "update", "delete"] {
            let resource = plural(Kind::EndpointSlice);
            needed.push(right(
                Kind::EndpointSlice.group(),
                resource,
                verb,
                "an adopted Service does not lead to Postern",
            ));
        }
    }
    needed
}

/// `answers` say of each right whether it is granted, or why that is not known.
pub fn check(answers: &[(Right, Result<bool, String>)]) -> Vec<Diagnosis> {
    let of = |(right, answer): &(Right, Result<bool, String>)| {
        let Right { group, resource, verb, without } = right;
        let name = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
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
        let reading = needed(plural, false);
        assert!(reading.iter().all(|right| ["get", "list", "watch"].contains(&right.verb)), "{reading:?}");
        let all = needed(plural, true);
        assert!(all.len() > reading.len());
        let granted: Vec<_> = all.iter().cloned().map(|right| (right, Ok(true))).collect();
        assert_eq!(check(&granted)[0].outcome, Outcome::Good);
        let mut answers = granted;
        answers[0].1 = Ok(false);
        answers[1].1 = Err("no answer".to_owned());
        let outcomes: Vec<_> = check(&answers).iter().map(|found| found.outcome).collect();
        assert_eq!(outcomes, [Outcome::Breaks, Outcome::Unknown]);
    }
}
