//! One numbering of connections over all lanes.

use super::Numbered;
use super::desk::Outcome;
use hashbrown::HashTable;
use std::collections::VecDeque;

/// Numbers connections by their first frames.
pub(super) struct Numbering {
    /// Connections numbered so far.
    numbered: u64,
    own: Vec<OwnNumbers>,
}

/// The numbers that one lane gave.
#[derive(Default)]
pub(super) struct OwnNumbers {
    /// Connections that began so far.
    begun: u64,
    /// The lane's own numbers of the connections that are not over, and those that they have among all.
    numbers: HashTable<(u64, u64)>,
}

impl OwnNumbers {
    /// No two own numbers are the same, and nobody chooses them.
    const fn hash(own: u64) -> u64 {
        own.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn insert(&mut self, own: u64, number: u64) {
        let hash = |entry: &(u64, u64)| Self::hash(entry.0);
        self.numbers
            .insert_unique(Self::hash(own), (own, number), hash);
    }

    fn remove(&mut self, own: u64) -> Option<u64> {
        let is_it = |entry: &(u64, u64)| entry.0 == own;
        let entry = self.numbers.find_entry(Self::hash(own), is_it).ok()?;
        let ((_, number), _) = entry.remove();
        Some(number)
    }
}

impl Numbering {
    pub(super) fn new(lanes: usize) -> Self {
        Self {
            numbered: 0,
            own: (0..lanes).map(|_| OwnNumbers::default()).collect(),
        }
    }

    /// Numbers what began in a round, and passes on what ended; the outcomes are in the order of the lanes.
    pub(super) fn merge<T: Numbered>(
        &mut self,
        outcomes: Vec<Outcome<T>>,
        ready: &mut VecDeque<T>,
    ) {
        let mut begun: Vec<(u64, usize, u64)> = Vec::new();
        for (lane, (own, outcome)) in self.own.iter_mut().zip(&outcomes).enumerate() {
            for frame in &outcome.begun {
                own.begun += 1;
                begun.push((*frame, lane, own.begun));
            }
        }
        begun.sort_unstable();
        for (_, lane, number) in begun {
            self.numbered += 1;
            if let Some(own) = self.own.get_mut(lane) {
                own.insert(number, self.numbered);
            }
        }
        let mut over: Vec<(u64, T)> = Vec::new();
        for (own, outcome) in self.own.iter_mut().zip(outcomes) {
            over.extend(outcome.over.into_iter().map(|(number, mut over)| {
                let number = own.remove(number).unwrap_or(number);
                over.set_number(number);
                (number, over)
            }));
        }
        over.sort_unstable_by_key(|(number, _)| *number);
        ready.extend(over.into_iter().map(|(_, over)| over));
    }
}
