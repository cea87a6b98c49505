//! Values beside the stack's own tables: one for each handle that an application holds.

/// Values under a handle's index, guarded by its generation as the stack's tables are.
#[derive(Debug)]
pub(crate) struct Table<T>(Vec<Option<(u32, T)>>);

/// Index and generation of a handle of the stack.
pub(crate) type Handle = (u32, u32);

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn insert(&mut self, (index, generation): Handle, value: T) {
        let index = index as usize;
        if index >= self.0.len() {
            self.0.resize_with(index + 1, || None);
        }
        if let Some(place) = self.0.get_mut(index) {
            *place = Some((generation, value));
        }
    }

    pub(crate) fn get_mut(&mut self, (index, generation): Handle) -> Option<&mut T> {
        match self.0.get_mut(index as usize)? {
            Some((found, value)) if *found == generation => Some(value),
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, handle: Handle) -> Option<T> {
        self.get_mut(handle)?;
        let value = self.0.get_mut(handle.0 as usize)?.take();
        while self.0.last().is_some_and(Option::is_none) {
            self.0.pop();
        }
        value.map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flatten().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_handle_reaches_nothing() {
        let mut table = Table::new();
        table.insert((3, 0), "old");
        assert_eq!(table.remove((3, 1)), None);
        assert_eq!(table.remove((3, 0)), Some("old"));
        assert!(table.0.is_empty());
        table.insert((3, 1), "new");
        assert_eq!(table.get_mut((3, 0)), None);
        assert_eq!(table.get_mut((3, 1)), Some(&mut "new"));
        assert_eq!(table.values_mut().count(), 1);
    }
}
