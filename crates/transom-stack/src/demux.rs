//! The demultiplexing table: which tenant has a 4-tuple.

use hashbrown::HashTable;

use crate::secret::Key;
use crate::slab::MAX_SLOTS;
use crate::tuple::Tuple;

/// The tenant of a 4-tuple: an index into one of the slabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Connection(u32),
    TimeWait(u32),
    Incoming(u32),
    Embryo(u32),
}

/// A tenant in the table, with half of its tuple's hash: a table that grows, and a look-up that meets strangers, need not
/// go to the tenants themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    hash: u32,
    /// Which slab, in the upper two bits, and the index in it.
    tenant: u32,
}

impl Place {
    fn new(hash: u32, entry: Entry) -> Self {
        let (slab, index) = match entry {
            Entry::Connection(index) => (0, index),
            Entry::TimeWait(index) => (1, index),
            Entry::Incoming(index) => (2, index),
            Entry::Embryo(index) => (3, index),
        };
        Self {
            hash,
            tenant: slab << 30 | index,
        }
    }

    const fn entry(self) -> Entry {
        let index = self.tenant % MAX_SLOTS;
        match self.tenant >> 30 {
            0 => Entry::Connection(index),
            1 => Entry::TimeWait(index),
            2 => Entry::Incoming(index),
            _ => Entry::Embryo(index),
        }
    }

    /// The hash as the table wants it, which takes its bits from both ends.
    fn spread(&self) -> u64 {
        spread(self.hash)
    }
}

fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

/// The table. It does not know the tuples, which stand with the tenants.
#[derive(Debug)]
pub(crate) struct Demux {
    places: HashTable<Place>,
    key: Key,
}

impl Demux {
    pub(crate) const fn new(key: Key) -> Self {
        Self {
            places: HashTable::new(),
            key,
        }
    }

    /// Half of the hash of a tuple.
    pub(crate) fn hash(&self, tuple: &Tuple) -> u32 {
        let [_, _, _, _, a, b, c, d] = tuple.hash(&self.key).to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// The tenant with this hash of which `is_it` holds.
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(Entry) -> bool) -> Option<Entry> {
        let found = self.places.find(spread(hash), |place| {
            place.hash == hash && is_it(place.entry())
        })?;
        Some(found.entry())
    }

    /// Enters a tenant, of a tuple with this hash.
    pub(crate) fn insert(&mut self, hash: u32, entry: Entry) {
        let place = Place::new(hash, entry);
        self.places
            .insert_unique(place.spread(), place, Place::spread);
    }

    pub(crate) fn remove(&mut self, hash: u32, entry: Entry) {
        let place = Place::new(hash, entry);
        if let Ok(found) = self
            .places
            .find_entry(place.spread(), |known| *known == place)
        {
            found.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_tells_its_tenant() {
        for index in [0, 1, MAX_SLOTS - 1] {
            let entries = [
                Entry::Connection(index),
                Entry::TimeWait(index),
                Entry::Incoming(index),
                Entry::Embryo(index),
            ];
            for entry in entries {
                assert_eq!(Place::new(u32::MAX, entry).entry(), entry);
            }
        }
    }
}
