//! Failures of real requests: so many in a row put an endpoint aside for a while.

use std::sync::atomic::Ordering::Relaxed;

use postern_config::model::cluster::PassiveHealth;

use crate::upstream::live::{EndpointState, millis};

/// Notes a failure at `now`; says whether it put the endpoint aside.
pub(in crate::upstream) fn failed(state: &EndpointState, policy: &PassiveHealth, now: u64) -> bool {
    if policy.failures == 0 {
        return false;
    }
    let in_row = state.failures_in_row.fetch_add(1, Relaxed) + 1;
    if in_row < policy.failures {
        return false;
    }
    state.failures_in_row.store(0, Relaxed);
    // Requests that were under way when it was put aside fail too; they count as the same time aside.
    let was = state.aside_until.swap(now.saturating_add(millis(policy.aside)), Relaxed);
    was <= now
}

/// Notes a success. A store only when there is something to forget: the line stays shared otherwise.
pub(in crate::upstream) fn succeeded(state: &EndpointState) {
    if state.failures_in_row.load(Relaxed) != 0 {
        state.failures_in_row.store(0, Relaxed);
    }
}

/// Notes a success of a request that was sent because every endpoint was aside: this one is back. A success of a
/// request from before it was put aside says nothing of that kind.
pub(in crate::upstream) fn revived(state: &EndpointState) {
    state.aside_until.store(0, Relaxed);
}

/// Whether the endpoint is aside; `now` is asked only when it might be.
pub(in crate::upstream) fn is_aside(state: &EndpointState, now: impl FnOnce() -> u64) -> bool {
    let until = state.aside_until.load(Relaxed);
    until != 0 && until > now()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use postern_config::model::{cluster::EndpointAddress, id::ClusterId};

    use super::*;
    use crate::upstream::Live;

    fn state(live: &Live) -> std::sync::Arc<EndpointState> {
        let cluster = live.cluster(&ClusterId::new("a/b:80"));
        live.endpoint(&cluster, &EndpointAddress::Name("b".into(), 80))
    }

    #[test]
    fn so_many_failures_in_a_row_put_it_aside_for_a_while() {
        let live = Live::default();
        let state = state(&live);
        let policy = PassiveHealth { failures: 3, aside: Duration::from_secs(10) };
        state.failed(&policy, 1);
        state.failed(&policy, 2);
        state.succeeded();
        state.failed(&policy, 3);
        state.failed(&policy, 4);
        assert!(!is_aside(&state, || 5), "a success in between starts the count anew");
        state.failed(&policy, 5);
        assert!(is_aside(&state, || 6));
        assert!(is_aside(&state, || 10_004));
        assert!(!is_aside(&state, || 10_005));
        assert_eq!(state.ejections(), 1);
    }

    #[test]
    fn no_failures_are_too_many_when_it_is_switched_off() {
        let live = Live::default();
        let state = state(&live);
        let policy = PassiveHealth { failures: 0, aside: Duration::from_secs(10) };
        (0..100).for_each(|now| state.failed(&policy, now));
        assert!(!is_aside(&state, || 101));
    }

    #[test]
    fn a_burst_of_failures_is_one_ejection() {
        let live = Live::default();
        let state = state(&live);
        (1..100).for_each(|now| state.failed(&PassiveHealth::default(), now));
        assert_eq!(state.ejections(), 1);
    }
}
