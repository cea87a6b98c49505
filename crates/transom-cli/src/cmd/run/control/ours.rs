//! The states of our own stack's ends, kept for whoever asks.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use transom_tcp::State;

use super::super::spread::Table;

/// Program's socket and peer → our end's state, and since when.
pub(crate) type States = Table<(SocketAddr, SocketAddr), (State, Instant)>;

/// Ends remembered; of more connections only the program's end is told.
const MAX_ENDS: usize = 16_384;

/// The states; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ours {
    states: Arc<Mutex<States>>,
}

impl Ours {
    /// Notes that our end of the connection between `program` and `peer` is in a state now.
    pub(crate) fn note(&self, program: SocketAddr, peer: SocketAddr, state: State) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (program, peer);
        if state == State::Closed {
            states.remove(&key);
        } else if states.len() < MAX_ENDS || states.contains_key(&key) {
            states.insert(key, (state, Instant::now()));
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> States {
        self.states
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_is_forgotten_and_memory_is_bounded() {
        let ours = Ours::default();
        let address = |n: usize| SocketAddr::from(([10, 0, 0, 1], u16::try_from(n).unwrap()));
        for port in 0..MAX_ENDS + 10 {
            ours.note(address(port), address(1), State::Established);
        }
        assert_eq!(ours.all().len(), MAX_ENDS);
        ours.note(address(3), address(1), State::CloseWait);
        assert_eq!(ours.all()[&(address(3), address(1))].0, State::CloseWait);
        ours.note(address(3), address(1), State::Closed);
        assert_eq!(ours.all().len(), MAX_ENDS - 1);
    }
}
