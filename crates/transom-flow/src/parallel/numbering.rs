//! One numbering of connections over all workers.

use super::Numbered;
use super::share::{Outcome, Share};
use std::collections::{HashMap, VecDeque};

/// Numbers connections by their first frames.
pub(super) struct Numbering {
    /// Connections numbered so far.
    numbered: u64,
    own: Vec<OwnNumbers>,
}

/// The numbers that one worker gave.
#[derive(Default)]
pub(super) struct OwnNumbers {
    /// Connections that began so far.
    begun: u64,
    /// The numbers among all of the connections that are not over, by the worker's own.
    numbers: HashMap<u64, u64>,
}

impl Numbering {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            numbered: 0,
            own: (0..workers).map(|_| OwnNumbers::default()).collect(),
        }
    }

    /// Numbers what began in a round, and passes on what ended; returns the shares to be filled again.
    pub(super) fn merge<T: Numbered>(
        &mut self,
        outcomes: Vec<Outcome<T>>,
        ready: &mut VecDeque<T>,
    ) -> Vec<Share> {
        let mut begun: Vec<(u64, usize, u64)> = Vec::new();
        for outcome in &outcomes {
            let Some(own) = self.own.get_mut(outcome.worker) else {
                continue;
            };
            for frame in &outcome.begun {
                own.begun += 1;
                begun.push((*frame, outcome.worker, own.begun));
            }
        }
        begun.sort_unstable();
        for (_, worker, number) in begun {
            self.numbered += 1;
            if let Some(own) = self.own.get_mut(worker) {
                own.numbers.insert(number, self.numbered);
            }
        }
        let mut over: Vec<(u64, T)> = Vec::new();
        let mut shares = Vec::new();
        for outcome in outcomes {
            shares.push(outcome.share);
            let Some(own) = self.own.get_mut(outcome.worker) else {
                continue;
            };
            over.extend(outcome.over.into_iter().map(|(number, mut over)| {
                let number = own.numbers.remove(&number).unwrap_or(number);
                over.set_number(number);
                (number, over)
            }));
        }
        over.sort_unstable_by_key(|(number, _)| *number);
        ready.extend(over.into_iter().map(|(_, over)| over));
        shares
    }
}
