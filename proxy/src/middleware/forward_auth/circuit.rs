//! Whether an auth server is asked at all: after failures in a row it is not for a while, and requests are refused at
//! once in place of each waiting for its end. Pure: it is told the time.

use std::time::Duration;

use postern_config::model::middleware::forward_auth::DeadServer;

/// What is known of an auth server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Circuit {
    /// In a row.
    failures: u32,
    /// Not asked before, but for one request at this time.
    shut_until: Option<Duration>,
}

impl Circuit {
    /// Whether a request may ask at `now`. While the server is taken for dead, one in each pause may: it finds out.
    pub(super) fn admits(&mut self, spec: &DeadServer, now: Duration) -> bool {
        match self.shut_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                self.shut_until = Some(now + spec.pause);
                true
            }
        }
    }

    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// No answer; true when the server is taken for dead from now on.
    pub(super) fn failed(&mut self, spec: &DeadServer, now: Duration) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures < spec.failures.get() {
            return false;
        }
        let was_open = self.shut_until.is_none();
        self.shut_until = Some(now + spec.pause);
        was_open
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn a_dead_server_is_asked_once_per_pause_until_it_answers() {
        let at = Duration::from_secs;
        let spec = DeadServer { failures: NonZeroU32::new(3).expect("not zero"), pause: at(2) };
        let mut circuit = Circuit::default();
        assert!(!circuit.failed(&spec, at(0)));
        circuit.answered();
        assert!(!circuit.failed(&spec, at(0)) && !circuit.failed(&spec, at(0)), "an answer begins the row anew");
        assert!(circuit.admits(&spec, at(0)));
        assert!(circuit.failed(&spec, at(0)));
        assert!(!circuit.admits(&spec, at(1)));
        assert!(circuit.admits(&spec, at(2)), "one finds out");
        assert!(!circuit.admits(&spec, at(2)), "and others do not wait with it");
        assert!(!circuit.failed(&spec, at(3)), "that is no news");
        assert!(!circuit.admits(&spec, at(4)));
        assert!(circuit.admits(&spec, at(5)));
        circuit.answered();
        assert!(circuit.admits(&spec, at(5)) && circuit.admits(&spec, at(5)));
    }
}
