//! Whom the last segments were for, so that the next of the same connection need not be asked who it is for, and whether its
//! addresses are good.
//!
//! A place is only a guess: the connection's own tuple says whether a segment is for it. What was found of its addresses holds until
//! the host's epoch moves, which it does whenever an address or a route comes or goes.

use crate::endpoint::Endpoints;
use crate::slab::SlabKey;
use crate::tuple::Tuple;

/// At most so many connections that take turns find their places; it is a matter of chance, by their ports, and a miss costs nothing to
/// speak of.
const PLACES: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Place {
    key: SlabKey,
    epoch: u32,
}

/// Connections that were heard lately, by their ports.
#[derive(Debug)]
pub(crate) struct Known([Place; PLACES]);

impl Known {
    pub(crate) const fn new() -> Self {
        // No slab has a slot of this number.
        let key = SlabKey {
            index: u32::MAX,
            generation: 0,
        };
        Self([Place { key, epoch: 0 }; PLACES])
    }

    #[inline]
    fn index(tuple: &Tuple) -> usize {
        usize::from(tuple.local_port ^ tuple.remote_port) % PLACES
    }
}

impl Endpoints {
    /// A segment between these sockets, whose addresses were found to be good, is for this connection.
    pub(crate) fn note_known(&mut self, tuple: &Tuple, key: SlabKey, epoch: u32) {
        if let Some(place) = self.known.0.get_mut(Known::index(tuple)) {
            *place = Place { key, epoch };
        }
    }

    /// For which connection a segment between these sockets is, if one was heard lately and nothing has changed since about which
    /// addresses are good.
    #[inline]
    pub(crate) fn known(&self, tuple: &Tuple, epoch: u32) -> Option<SlabKey> {
        let place = *self.known.0.get(Known::index(tuple))?;
        let slot = self.tenants.connections.get(place.key)?;
        (place.epoch == epoch && slot.linked && slot.tuple == *tuple).then_some(place.key)
    }
}
