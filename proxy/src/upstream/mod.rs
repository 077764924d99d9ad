//! Chooses a live endpoint and gets an answer from it.
//!
//! [`forward()`] is the whole of it for HTTP, [`connect()`] for bytes, [`client::fetch`] for what middlewares ask of
//! other servers. Pools and balancing cursors belong to a worker ([`WorkerState`]); health, retry budgets and
//! in-flight counts are shared per node ([`Live`]) and found by cluster and endpoint, so that they survive every
//! change of the plan.
//!
//! ```text
//! forward ─> cluster (which endpoint: balance, sticky, health) ─> pool (an idle connection, or connect) ─> attempt
//!    ^                                                                                                      │
//!    └──────────────────────── retry (may it be repeated, is there budget) <── failed ──────────────────────┘
//! ```

mod again;
mod attempt;
pub mod balance;
mod body;
mod budget;
pub mod client;
mod cluster;
mod connect;
mod driven;
mod forward;
pub mod head;
pub mod health;
mod live;
mod pool;
mod resolve;
mod retry;
mod sticky;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod upgrade;

pub use cluster::{Cluster, Member};
pub use connect::Stream;
pub use forward::forward;
pub use live::{ClusterLive, EndpointState, Live};
pub use pool::WorkerState;
pub use stream::{connect, connect_terminated};
