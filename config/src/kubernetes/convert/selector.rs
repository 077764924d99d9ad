//! Label selectors, as `metav1.LabelSelector` defines them.

use std::{collections::BTreeMap, sync::Arc};

use crate::kubernetes::object::selector::{LabelOperator, LabelRequirement, LabelSelector};

pub(in crate::kubernetes::convert) type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// Whether all of `selector` holds for `labels`; an empty selector holds for everything.
pub(in crate::kubernetes::convert) fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(|requirement| holds(requirement, labels))
}

/// What is wrong with `selector`, if anything: the API server would not take it.
pub(in crate::kubernetes::convert) fn problem(selector: &LabelSelector) -> Option<&'static str> {
    selector.match_expressions.iter().find_map(|requirement| {
        match (requirement.operator, requirement.values.is_empty()) {
            (LabelOperator::In | LabelOperator::NotIn, true) => Some("In and NotIn need values"),
            (LabelOperator::Exists | LabelOperator::DoesNotExist, false) => {
                Some("Exists and DoesNotExist take no values")
            }
            (LabelOperator::Unknown, _) => Some("operators are In, NotIn, Exists and DoesNotExist"),
            _ => None,
        }
    })
}

fn holds(requirement: &LabelRequirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    let listed = value.is_some_and(|value| requirement.values.contains(value));
    match requirement.operator {
        LabelOperator::In => listed,
        LabelOperator::NotIn => !listed,
        LabelOperator::Exists => value.is_some(),
        LabelOperator::DoesNotExist => value.is_none(),
        LabelOperator::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_holds_when_all_of_its_parts_do() {
        let labels: Labels = [("team", "web"), ("tier", "front")].map(|(k, v)| (k.into(), v.into())).into();
        for (selector, want) in [
            ("{}", true),
            (r#"{"matchLabels": {"team": "web"}}"#, true),
            (r#"{"matchLabels": {"team": "web", "tier": "back"}}"#, false),
            (r#"{"matchExpressions": [{"key": "team", "operator": "In", "values": ["db", "web"]}]}"#, true),
            (r#"{"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["web"]}]}"#, false),
            (r#"{"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}"#, true),
            (r#"{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}"#, false),
            (r#"{"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}"#, true),
            (
                r#"{"matchLabels": {"team": "web"}, "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}"#,
                false,
            ),
        ] {
            let parsed: LabelSelector = serde_json::from_str(selector).expect("a valid selector");
            assert_eq!(matches(&parsed, &labels), want, "{selector}");
        }
    }
}
