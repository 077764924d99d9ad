//! Whether this node should get traffic: everything that was listed at start is programmed and every socket is bound,
//! and no stop was asked for.

use std::sync::Mutex;

/// What readiness depends on. All conditions start out unmet.
#[derive(Debug, Default)]
pub struct Readiness {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    programmed: bool,
    listening: bool,
    stopping: bool,
}

/// Why this node is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    /// Objects that were there at start are not served yet.
    #[error("the objects that were listed at start are not all programmed yet")]
    NotProgrammed,
    /// A socket could not be bound.
    #[error("not every listener could be bound")]
    NotListening,
    /// A stop was asked for.
    #[error("stopping")]
    Stopping,
}

impl Readiness {
    /// The first plan with all objects is in force; it stays so.
    pub fn programmed(&self) {
        self.change(|state| state.programmed = true);
    }

    /// Whether all sockets are bound at the moment.
    pub fn listening(&self, all: bool) {
        self.change(|state| state.listening = all);
    }

    /// A stop was asked for; there is no way back.
    pub fn stopping(&self) {
        self.change(|state| state.stopping = true);
    }

    /// Ready, or the reason why not.
    pub fn check(&self) -> Result<(), Unready> {
        let state = *self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match state {
            State { stopping: true, .. } => Err(Unready::Stopping),
            State { programmed: false, .. } => Err(Unready::NotProgrammed),
            State { listening: false, .. } => Err(Unready::NotListening),
            _ => Ok(()),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_programmed_and_listening_until_it_stops() {
        let readiness = Readiness::default();
        assert_eq!(readiness.check(), Err(Unready::NotProgrammed));
        readiness.programmed();
        assert_eq!(readiness.check(), Err(Unready::NotListening));
        readiness.listening(true);
        assert_eq!(readiness.check(), Ok(()));
        readiness.stopping();
        assert_eq!(readiness.check(), Err(Unready::Stopping));
    }
}
