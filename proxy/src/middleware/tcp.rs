//! Judges TCP connections before their bytes go anywhere: each middleware lets one in, for as long as its [`Admission`]
//! lives, or has it closed without a word.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use postern_config::model::{id::MiddlewareId, middleware::tcp as model};

use super::{Kind, Live, Slot, source::Networks};
use crate::{listener::counted_as, plan::Plan};

/// Running state.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "built once per configuration and only borrowed")]
pub(super) enum Tcp {
    IpAllowList(Networks),
    InFlightConn { amount: u64, connections: Arc<Connections> },
}

/// Leave to go on; given back when dropped.
#[derive(Debug, Default)]
pub struct Admission {
    passes: Vec<Pass>,
}

/// Why a connection is closed; for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The client's address is not in the list.
    #[error("{0}: the address is not in the list")]
    NotListed(MiddlewareId),
    /// As many connections of the address are open as may be.
    #[error("{0}: too many connections of one address")]
    TooMany(MiddlewareId),
    /// The middleware is missing, refused, or none for connections.
    #[error("closed: {0}")]
    Closed(Arc<str>),
}

/// Asks all of `middlewares` whether a connection of `peer` may go on. The first that refuses decides.
pub fn admit(plan: &Plan, middlewares: &[MiddlewareId], peer: IpAddr) -> Result<Admission, Refusal> {
    let mut admission = Admission::default();
    for id in middlewares {
        let tcp = match plan.middlewares.get(id).map(|slot| &**slot) {
            Some(Slot::Ready(middleware)) => match &middleware.0 {
                Kind::Tcp(tcp) => tcp,
                _ => return Err(Refusal::Closed(format!("{id} is no middleware for connections").into())),
            },
            Some(Slot::Closed { reason }) => return Err(Refusal::Closed(reason.clone())),
            None => return Err(Refusal::Closed(format!("middleware {id} is not there").into())),
        };
        admission.passes.extend(tcp.judge(id, peer)?);
    }
    Ok(admission)
}

impl Tcp {
    pub(super) fn build(id: &MiddlewareId, spec: &model::Tcp, live: &Live) -> Self {
        match spec {
            model::Tcp::IpAllowList(ranges) => Self::IpAllowList(Networks::new(ranges)),
            model::Tcp::InFlightConn { amount } => Self::InFlightConn {
                amount: *amount,
                connections: live.connections.state(id, &(), Connections::default),
            },
        }
    }

    fn judge(&self, id: &MiddlewareId, peer: IpAddr) -> Result<Option<Pass>, Refusal> {
        match self {
            Self::IpAllowList(networks) if networks.contains(peer) => Ok(None),
            Self::IpAllowList(_) => Err(Refusal::NotListed(id.clone())),
            Self::InFlightConn { amount, connections } => {
                let pass = connections.enter(counted_as(peer), *amount);
                pass.map(Some).ok_or_else(|| Refusal::TooMany(id.clone()))
            }
        }
    }
}

/// Connections at the moment, by address: exact, of all workers. An address is there only while it has one, so there
/// are never more than there are connections. One lock when a connection opens and one when it closes.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: Mutex<HashMap<IpAddr, u64>>,
}

/// A place among the connections of one address.
#[derive(Debug)]
struct Pass {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    fn enter(self: &Arc<Self>, address: IpAddr, most: u64) -> Option<Pass> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(&address).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        open.insert(address, count + 1);
        Some(Pass { connections: self.clone(), address })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        let left = open.get(&self.address).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            open.remove(&self.address);
        } else {
            open.insert(self.address, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use postern_config::model::middleware::{MiddlewareSlot, Spec};

    use super::*;

    const ID: &str = "tcp:default/m";

    /// A plan whose slot holds `spec`.
    fn plan(spec: model::Tcp, live: &Live) -> Plan {
        let (mut plan, id) = (Plan::default(), MiddlewareId::new(ID));
        let slot = MiddlewareSlot::Ready(Arc::new(Spec::Tcp(spec)));
        plan.middlewares.insert(id.clone(), Arc::new(Slot::build(&id, &slot, live)));
        plan
    }

    fn enter(plan: &Plan, peer: &str) -> Result<Admission, Refusal> {
        admit(plan, &[MiddlewareId::new(ID)], peer.parse().expect("an address"))
    }

    #[test]
    fn only_listed_addresses_are_let_in() {
        let range = |text: &str| text.parse().expect("a range");
        let list = model::Tcp::IpAllowList(vec![range("10.0.0.0/8"), range("2001:db8::/32")]);
        let plan = plan(list, &Live::default());
        for (peer, want) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("2001:db8::1", true),
            ("11.1.2.3", false),
            ("::ffff:11.1.2.3", false),
            ("2001:db9::1", false),
        ] {
            let got = enter(&plan, peer).map(drop);
            assert_eq!(got, if want { Ok(()) } else { Err(Refusal::NotListed(MiddlewareId::new(ID))) }, "{peer}");
        }
    }

    #[test]
    fn an_address_has_so_many_connections_at_a_time() {
        let plan = plan(model::Tcp::InFlightConn { amount: 2 }, &Live::default());
        let first = enter(&plan, "192.0.2.1").expect("the first");
        let mapped = enter(&plan, "::ffff:192.0.2.1").expect("the second");
        assert_eq!(enter(&plan, "192.0.2.1").err(), Some(Refusal::TooMany(MiddlewareId::new(ID))));
        let other = enter(&plan, "192.0.2.2").expect("another address has places of its own");
        drop(first);
        let third = enter(&plan, "192.0.2.1").expect("a place was given back");
        drop((mapped, other, third));
        let one = [enter(&plan, "2001:db8::1"), enter(&plan, "2001:db8::2")].map(|entered| entered.expect("a place"));
        assert!(enter(&plan, "2001:db8::3").is_err(), "whoever has one address of a /64 has them all");
        drop(one);
    }

    #[test]
    fn counts_survive_a_change_of_the_limit() {
        let live = Live::default();
        let before = plan(model::Tcp::InFlightConn { amount: 1 }, &live);
        let held = enter(&before, "192.0.2.1").expect("the first");
        let after = plan(model::Tcp::InFlightConn { amount: 2 }, &live);
        drop(before);
        let second = enter(&after, "192.0.2.1").expect("the limit is two now");
        assert!(enter(&after, "192.0.2.1").is_err(), "the one of before counts");
        drop((held, second));
    }

    #[test]
    fn nobody_is_let_in_by_what_is_missing_or_no_middleware_for_connections() {
        assert!(matches!(enter(&Plan::default(), "192.0.2.1"), Err(Refusal::Closed(_))));
        let nobody = plan(model::Tcp::InFlightConn { amount: 0 }, &Live::default());
        assert!(enter(&nobody, "192.0.2.1").is_err());
        let (mut plan, id) = (Plan::default(), MiddlewareId::new(ID));
        plan.middlewares.insert(id, Arc::new(Slot::Ready(crate::middleware::testing::spec("compress: {}"))));
        assert!(matches!(enter(&plan, "192.0.2.1"), Err(Refusal::Closed(_))));
    }
}
