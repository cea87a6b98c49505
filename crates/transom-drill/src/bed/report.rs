//! What came of a run.

use std::time::Duration;

use transom_sim::{Backlog, LinkCounters, Outcome, Waits};
use transom_stack::tcp::{AccurateInfo, CongestionState, Counters};

/// A flow's sender at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// When.
    pub time: Duration,
    /// Congestion window in octets.
    pub cwnd: u64,
    /// Slow-start threshold in octets; very high before the first loss.
    pub ssthresh: u64,
    /// Octets believed to be in the network.
    pub in_flight: u64,
    /// Smoothed round-trip time; zero before the first.
    pub srtt: Duration,
    /// Octets that the receiver's application has read.
    pub received: u64,
    /// Octets sent for the first time.
    pub sent: u64,
    /// Octets sent again.
    pub retransmitted: u64,
    /// Where it stands with respect to congestion.
    pub state: CongestionState,
}

/// The bottleneck at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub time: Duration,
    /// What waits.
    pub backlog: Backlog,
}

/// What came of a flow.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlowReport {
    /// The congestion control.
    pub congestion: &'static str,
    /// When it was to be opened.
    pub starts: Duration,
    /// When the receiver had everything and the end; `None` if it never did.
    pub finished: Option<Duration>,
    /// Octets that the receiver's application read.
    pub received: u64,
    /// From the opening to the end, or to the end of the run.
    pub lasted: Duration,
    /// The sender's totals.
    pub counters: Counters,
    /// What the sender heard of marks, with accurate ECN.
    pub accurate_ecn: Option<AccurateInfo>,
    /// What the receiver counted.
    pub receiver_ecn: Option<AccurateInfo>,
    /// Why an application's call failed.
    pub failed: Option<String>,
    /// The sender over time.
    pub samples: Vec<Sample>,
}

impl FlowReport {
    /// Octets a second at the receiver's application, over all its time.
    #[must_use]
    pub fn goodput(&self) -> f64 {
        rate(self.received, self.lasted)
    }

    /// Octets a second at the receiver's application from `from` on, by the samples.
    #[must_use]
    pub fn goodput_from(&self, from: Duration) -> f64 {
        let at = |time: Duration| {
            let until = self.samples.partition_point(|sample| sample.time <= time);
            self.samples
                .get(until.saturating_sub(1))
                .map_or(0, |sample| sample.received)
        };
        let end = self.starts + self.lasted;
        rate(
            self.received.saturating_sub(at(from)),
            end.saturating_sub(from),
        )
    }

    /// Octets sent again, as a share of all octets sent.
    #[must_use]
    pub fn retransmitted_share(&self) -> f64 {
        let again = self.counters.bytes_retransmitted;
        share(again, self.counters.bytes_sent + again)
    }

    /// The mean of the smoothed round-trip times.
    #[must_use]
    pub fn mean_srtt(&self) -> Duration {
        let measured = self.samples.iter().filter(|sample| !sample.srtt.is_zero());
        let (sum, count) = measured.fold((Duration::ZERO, 0_u32), |(sum, count), sample| {
            (sum.saturating_add(sample.srtt), count + 1)
        });
        sum / count.max(1)
    }
}

/// What came of the bottleneck.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Bottleneck {
    /// What it did.
    pub counters: LinkCounters,
    /// How long packets waited.
    pub waits: Waits,
    /// Its queue over time.
    pub moments: Vec<Moment>,
}

/// What came of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The time at which it ended.
    pub ended: Duration,
    /// Why.
    pub outcome: Outcome,
    /// The flows, in the order in which they were given.
    pub flows: Vec<FlowReport>,
    /// The bottleneck, in the direction from left to right.
    pub bottleneck: Bottleneck,
    /// The way back.
    pub back: Bottleneck,
}

impl Report {
    /// Jain's index of the flows' goodput from `from` on: 1 when all have the same.
    #[must_use]
    pub fn fairness_from(&self, from: Duration) -> f64 {
        let goodputs: Vec<f64> = self
            .flows
            .iter()
            .map(|flow| flow.goodput_from(from))
            .collect();
        jain(&goodputs)
    }

    /// Octets a second of all flows together.
    #[must_use]
    pub fn goodput(&self) -> f64 {
        let received = self.flows.iter().map(|flow| flow.received).sum();
        rate(received, self.ended)
    }
}

/// Jain's index of fairness: `(Σx)² / (n·Σx²)`, from 1/n (one has all) to 1 (all have the same).
#[must_use]
pub fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    if squares == 0.0 {
        return 1.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of flows")]
    let count = shares.len() as f64;
    sum * sum / (count * squares)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn rate(octets: u64, time: Duration) -> f64 {
    if time.is_zero() {
        return 0.0;
    }
    octets as f64 / time.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
