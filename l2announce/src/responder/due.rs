//! Which address something is due for next.

use std::{collections::BTreeSet, net::IpAddr};

use crate::moment::Moment;

/// At most one moment for each address.
#[derive(Debug, Default)]
pub(super) struct Due(BTreeSet<(Moment, IpAddr)>);

impl Due {
    pub(super) fn first(&self) -> Option<Moment> {
        self.0.first().map(|(at, _)| *at)
    }

    /// An address for which something is due by `now`. Its moment is taken out.
    pub(super) fn pop(&mut self, now: Moment) -> Option<IpAddr> {
        let first = self.0.first().filter(|(at, _)| *at <= now).copied()?;
        self.0.remove(&first);
        Some(first.1)
    }

    pub(super) fn replace(&mut self, address: IpAddr, old: Option<Moment>, new: Option<Moment>) {
        if let Some(old) = old {
            self.0.remove(&(old, address));
        }
        self.0.extend(new.map(|new| (new, address)));
    }
}
