//! Who wants what and who has what, all together: what whoever keeps the record writes by.

use std::{collections::BTreeMap, sync::Arc};

use imbl::OrdMap;

use super::{Allocation, Claim, Pools};
use crate::model::id::ObjectId;

/// See the module. A copy shares everything with the original.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// The pools, by name.
    pub pools: Arc<Pools>,
    /// The object that each pool is written in.
    pub pool_objects: Arc<BTreeMap<ObjectId, Arc<str>>>,
    /// Who wants what.
    pub claims: OrdMap<ObjectId, Arc<Claim>>,
    /// Who has what, by what is on record.
    pub allocation: Arc<Allocation>,
}
