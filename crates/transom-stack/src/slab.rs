//! Slots with generation counters, so that a stale handle never reaches a new tenant.

/// Names one tenant of a [`Slab`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SlabKey {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Slots of a page. A slab grows by one page: nothing is moved, and no more than this is left over.
const PAGE: usize = 64;
/// Most slots: what tables beside the slab have bits for.
pub(crate) const MAX_SLOTS: u32 = 1 << 30;

/// Values under stable small indices; insert, look-up and removal are O(1).
#[derive(Debug)]
pub(crate) struct Slab<T> {
    /// All but the last have [`PAGE`] slots.
    pages: Vec<Vec<Slot<T>>>,
    /// Slots of all pages.
    slots: u32,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self {
            pages: Vec::new(),
            slots: 0,
            free: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots as usize - self.free.len()
    }

    #[inline]
    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        let index = index as usize;
        self.pages.get(index / PAGE)?.get(index % PAGE)
    }

    #[inline]
    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        let index = index as usize;
        self.pages.get_mut(index / PAGE)?.get_mut(index % PAGE)
    }

    /// Stores a value. `None` when the index space is used up.
    pub(crate) fn insert(&mut self, value: T) -> Option<SlabKey> {
        if let Some(index) = self.free.pop() {
            let slot = self.slot_mut(index)?;
            slot.value = Some(value);
            let generation = slot.generation;
            return Some(SlabKey { index, generation });
        }
        if self.slots >= MAX_SLOTS {
            return None;
        }
        let slot = Slot {
            generation: 0,
            value: Some(value),
        };
        match self.pages.last_mut() {
            Some(page) if page.len() < PAGE => page.push(slot),
            _ => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(slot);
                self.pages.push(page);
            }
        }
        let index = self.slots;
        self.slots += 1;
        Some(SlabKey {
            index,
            generation: 0,
        })
    }

    #[inline]
    pub(crate) fn get(&self, key: SlabKey) -> Option<&T> {
        let slot = self.slot(key.index)?;
        if slot.generation != key.generation {
            return None;
        }
        slot.value.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: SlabKey) -> Option<&mut T> {
        let slot = self.slot_mut(key.index)?;
        if slot.generation != key.generation {
            return None;
        }
        slot.value.as_mut()
    }

    /// The tenant of a slot whatever its generation: for tables that are kept in step with the slab.
    pub(crate) fn at(&self, index: u32) -> Option<&T> {
        self.slot(index)?.value.as_ref()
    }

    /// The full key of the tenant at `index`.
    pub(crate) fn key_at(&self, index: u32) -> Option<SlabKey> {
        let slot = self.slot(index)?;
        slot.value.as_ref()?;
        Some(SlabKey {
            index,
            generation: slot.generation,
        })
    }

    pub(crate) fn remove(&mut self, key: SlabKey) -> Option<T> {
        let slot = self.slot_mut(key.index)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlabKey, &T)> {
        let slots = self.pages.iter().flatten().enumerate();
        slots.filter_map(|(index, slot)| {
            let key = SlabKey {
                index: u32::try_from(index).ok()?,
                generation: slot.generation,
            };
            slot.value.as_ref().map(|value| (key, value))
        })
    }

    /// The keys of the tenants for which `keep` holds.
    pub(crate) fn keys_where(&self, keep: impl Fn(&T) -> bool) -> Vec<SlabKey> {
        self.iter()
            .filter(|(_, value)| keep(value))
            .map(|(key, _)| key)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn req_sec_res_4_stale_key_never_reaches_a_new_tenant() {
        let mut slab = Slab::new();
        let old = slab.insert("old").unwrap();
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new").unwrap();
        assert_eq!(old.index, new.index);
        assert_eq!(slab.get(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get(new), Some(&"new"));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn a_slab_of_many_pages_finds_every_tenant() {
        let mut slab = Slab::new();
        let count = 3 * PAGE + 1;
        let keys: Vec<_> = (0..count).map(|n| slab.insert(n).unwrap()).collect();
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(slab.get(*key), Some(&n));
            assert_eq!(slab.key_at(key.index), Some(*key));
        }
        assert_eq!(slab.remove(keys[PAGE]), Some(PAGE));
        assert_eq!(slab.iter().count(), count - 1);
        assert_eq!(slab.insert(7).map(|key| key.index as usize), Some(PAGE));
        assert_eq!(slab.len(), count);
    }
}
