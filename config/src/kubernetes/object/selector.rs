//! Label selectors (`metav1.LabelSelector`), which kinds of many groups have.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;

use super::field::or_default;

/// `matchLabels` and `matchExpressions`, all of which must hold.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels and their values.
    #[serde(deserialize_with = "or_default")]
    pub match_labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Requirements on labels.
    #[serde(deserialize_with = "or_default")]
    pub match_expressions: Vec<LabelRequirement>,
}

/// One requirement on one label.
#[derive(Debug, PartialEq, Deserialize)]
pub struct LabelRequirement {
    /// The label.
    pub key: Arc<str>,
    /// How it is judged.
    pub operator: LabelOperator,
    /// Values for `In` and `NotIn`.
    #[serde(default, deserialize_with = "or_default")]
    pub values: Vec<Arc<str>>,
}

/// How a label is judged. The schema takes any text, and no more than the selector may go wrong by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Arc<str>")]
pub enum LabelOperator {
    /// Its value is one of `values`.
    In,
    /// It is absent, or its value is none of `values`.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
    /// None that is known.
    Unknown,
}

impl From<Arc<str>> for LabelOperator {
    fn from(text: Arc<str>) -> Self {
        match &*text {
            "In" => Self::In,
            "NotIn" => Self::NotIn,
            "Exists" => Self::Exists,
            "DoesNotExist" => Self::DoesNotExist,
            _ => Self::Unknown,
        }
    }
}
