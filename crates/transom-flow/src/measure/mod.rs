//! What can be measured on a connection: round trips on each side of the capture point, windows,
//! data in flight, and what held a sender back.
//!
//! All of it is kept in a few hundred bytes a connection and brought up to date with each segment in
//! constant time; [`Series`], which hold points for graphs, are kept only where they are asked for.

mod held;
mod meter;
mod series;
mod survey;

pub(crate) use meter::{Meter, Passing};
pub(crate) use series::SeriesKeeper;
pub use series::{AckPoint, DataKind, DataPoint, Point, Series, Track};
pub(crate) use survey::Survey;

use core::time::Duration;

/// What was measured of one end: of its half of the path, and of what it sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Measures {
    /// Round trips from the capture point to this end and back: from segments sent to this end to
    /// the acknowledgements that it answers them with (its delay in acknowledging is part of it).
    /// The sum of both ends' is the round trip of the whole path.
    pub path_rtt: Rtt,
    /// The maximum segment size that the end offered in its SYN.
    pub mss: Option<u16>,
    /// The window shift that the end offered in its SYN.
    pub window_scale: Option<u8>,
    /// Whether the end's windows are known in bytes: a SYN of each end was captured. Otherwise the
    /// shift is unknown, and its windows are what the header says, perhaps to be multiplied.
    pub is_window_known: bool,
    /// Whether the end offered selective acknowledgement in its SYN (RFC 2018).
    pub sack_permitted: bool,
    /// Whether the end's first segment carried timestamps (RFC 7323).
    pub timestamps: bool,
    /// The window that the end advertised, in bytes; resets and SYNs left out.
    pub window: Range,
    /// The most data that this end had sent, and not yet seen acknowledged, at the capture point.
    pub in_flight_max: u64,
    /// When its first byte of data passed.
    pub first_data: Option<Duration>,
    /// When its last byte of new data passed.
    pub last_data: Option<Duration>,
    /// The lowest and the highest hop limit (TTL) of its packets.
    pub hop_limit: Option<(u8, u8)>,
    /// Retransmissions of this end that were not needed, as the other end's acknowledgements showed
    /// afterwards (RFC 2883, RFC 3522).
    pub needless: u64,
    /// What held this end's sending back between its first and its last data.
    pub limited: Limited,
    /// New data of this end that passed, for [`throughput`](Self::throughput).
    data: u64,
}

impl Measures {
    /// New data in bytes a second, from the first data to the last; `None` for less than two
    /// segments of data.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate is an estimate, and 2^53 bytes are many"
    )]
    pub fn throughput(&self) -> Option<f64> {
        let time = self.last_data?.saturating_sub(self.first_data?);
        (!time.is_zero()).then(|| self.data as f64 / time.as_secs_f64())
    }

    /// What held the end's sending back for most of the time, if anything did.
    #[must_use]
    pub fn limit(&self) -> Option<Limit> {
        let limited = &self.limited;
        let [first, rest @ ..] = [
            (limited.application, Limit::Application),
            (limited.receiver_window, Limit::ReceiverWindow),
            (limited.loss, Limit::Loss),
            (limited.network, Limit::Network),
        ];
        let (time, limit) =
            rest.into_iter().fold(
                first,
                |most, other| if other.0 > most.0 { other } else { most },
            );
        (!time.is_zero()).then_some(limit)
    }
}

/// Round trips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rtt {
    /// Samples taken. The times below are zero while there are none.
    pub samples: u64,
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// The mean.
    pub mean: Duration,
    /// The first, which is the handshake's where that was captured.
    pub first: Option<Duration>,
}

/// Values that a number took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Range {
    /// The least.
    pub min: u32,
    /// The greatest.
    pub max: u32,
    /// The newest.
    pub last: u32,
}

/// For how long each reason held a sender back. The times add up to about the time between its first
/// and its last data; pauses after the last data are nobody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limited {
    /// All that there was to send had been sent.
    pub application: Duration,
    /// The receiver's window had no room for a further segment.
    pub receiver_window: Duration,
    /// A loss was being repaired: from the segment sent again to the acknowledgement of all that had
    /// been sent before it.
    pub loss: Duration,
    /// Acknowledgements set the pace: the congestion window, or the rate of the path.
    pub network: Duration,
}

impl Limited {
    /// All together.
    #[must_use]
    pub const fn total(&self) -> Duration {
        self.application
            .saturating_add(self.receiver_window)
            .saturating_add(self.loss)
            .saturating_add(self.network)
    }
}

/// What held a sender back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// Its application.
    Application,
    /// The other end's receive window.
    ReceiverWindow,
    /// Loss, and its repair.
    Loss,
    /// Congestion control, or the rate of the path.
    Network,
}

impl Limit {
    /// A stable identifier, such as `receiver_window`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::ReceiverWindow => "receiver_window",
            Self::Loss => "loss",
            Self::Network => "network",
        }
    }
}

impl core::fmt::Display for Limit {
    /// In words, such as `the receiver's window`.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Self::Application => "the sender's application",
            Self::ReceiverWindow => "the receiver's window",
            Self::Loss => "loss and its repair",
            Self::Network => "the network",
        })
    }
}

/// A time in nanoseconds, for arithmetic on every segment.
pub(crate) const fn nanos(time: Duration) -> u64 {
    time.as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(time.subsec_nanos() as u64)
}
