//! Which packets a link loses.

use crate::{Probability, Random};

/// A rule that says which packets are lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Loss {
    /// None is lost.
    #[default]
    None,
    /// Each packet is lost with the same probability, independently of the others.
    Random(Probability),
    /// The two-state model of Gilbert and Elliott: losses come in bursts. Before each packet the
    /// state may change; then the packet is lost with the probability of the state.
    GilbertElliott {
        /// From the good state to the bad one, per packet.
        to_bad: Probability,
        /// From the bad state back to the good one, per packet; its inverse is the mean length of
        /// a burst in packets.
        to_good: Probability,
        /// Loss while the state is good; usually 0.
        good: Probability,
        /// Loss while the state is bad; usually 1.
        bad: Probability,
    },
    /// Every n-th packet: n, 2n, 3n, … counted from 1. Zero loses nothing.
    EveryNth(u64),
    /// These packets and no others, counted from 1 in the order of sending.
    List(Vec<u64>),
}

/// A [`Loss`] at work: the count of packets seen and the state of the burst model.
#[derive(Clone, Debug)]
pub(crate) struct LossProcess {
    loss: Loss,
    seen: u64,
    bad: bool,
    random: Random,
}

impl LossProcess {
    pub(crate) fn new(loss: Loss, random: Random) -> Self {
        Self {
            loss,
            seen: 0,
            bad: false,
            random,
        }
    }

    /// Whether the next packet is lost. To be asked once for each packet, in order of sending.
    pub(crate) fn takes_next(&mut self) -> bool {
        self.seen += 1;
        match &self.loss {
            Loss::None => false,
            Loss::Random(probability) => probability.draw(&mut self.random),
            Loss::GilbertElliott {
                to_bad,
                to_good,
                good,
                bad,
            } => {
                let change = if self.bad { to_good } else { to_bad };
                if change.draw(&mut self.random) {
                    self.bad = !self.bad;
                }
                let loss = if self.bad { bad } else { good };
                loss.draw(&mut self.random)
            }
            Loss::EveryNth(0) => false,
            Loss::EveryNth(n) => self.seen.is_multiple_of(*n),
            Loss::List(numbers) => numbers.contains(&self.seen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(loss: Loss, packets: usize) -> Vec<usize> {
        let mut process = LossProcess::new(loss, Random::new(3));
        (1..=packets).filter(|_| process.takes_next()).collect()
    }

    #[test]
    fn every_nth_counts_from_one() {
        assert_eq!(lost(Loss::EveryNth(3), 10), [3, 6, 9]);
        assert!(lost(Loss::EveryNth(0), 10).is_empty());
    }

    #[test]
    fn list_loses_exactly_its_numbers() {
        assert_eq!(lost(Loss::List(vec![2, 5]), 10), [2, 5]);
    }

    #[test]
    fn random_loss_is_near_its_probability() {
        let count = lost(Loss::Random(Probability::percent(10)), 10_000).len();
        assert!((900..1100).contains(&count), "{count} of 10000 at 10 %");
    }

    /// With mean burst 4 and 5 % entries, about 1/6 of packets are lost, mostly in runs.
    #[test]
    fn gilbert_elliott_loses_in_bursts() {
        let numbers = lost(
            Loss::GilbertElliott {
                to_bad: Probability::percent(5),
                to_good: Probability::percent(25),
                good: Probability::NEVER,
                bad: Probability::ALWAYS,
            },
            10_000,
        );
        assert!(
            (1400..1950).contains(&numbers.len()),
            "{} lost",
            numbers.len()
        );
        let bursts = 1 + numbers
            .windows(2)
            .filter(|pair| pair[1] != pair[0] + 1)
            .count();
        let mean = numbers.len() as f64 / bursts as f64;
        assert!((3.3..4.7).contains(&mean), "mean burst {mean}");
    }
}
