//! Lists in memory that was written before.

use core::ops::Deref;

/// A list that is filled anew for one connection after the other. All its memory holds something, so that what
/// comes next can be read ahead of time: whoever adds to it then need not wait for memory.
#[derive(Clone, Debug)]
pub(super) struct Kept<T> {
    memory: Vec<T>,
    len: usize,
}

impl<T: Copy> Kept<T> {
    /// With room for so many.
    pub(super) fn new(usual: usize, blank: T) -> Self {
        Self {
            memory: vec![blank; usual],
            len: 0,
        }
    }

    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) fn push(&mut self, one: T) {
        match self.memory.get_mut(self.len) {
            Some(next) => *next = one,
            None => self.memory.push(one),
        }
        self.len += 1;
    }

    pub(super) fn extend(&mut self, more: &[T]) {
        let room = self.memory.get_mut(self.len..).unwrap_or_default();
        let (fit, rest) = more.split_at(more.len().min(room.len()));
        if let Some(room) = room.get_mut(..fit.len()) {
            room.copy_from_slice(fit);
        }
        self.memory.extend_from_slice(rest);
        self.len += more.len();
    }

    /// What stands so far behind the end.
    pub(super) fn ahead(&self, by: usize) -> Option<&T> {
        self.memory.get(self.len + by)
    }
}

impl<T> Deref for Kept<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.memory.get(..self.len).unwrap_or_default()
    }
}
