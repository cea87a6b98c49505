//! Points of one connection for graphs: what was sent, acknowledged, in flight, and how long round
//! trips took.
//!
//! Bounded: when a list is full, every second of its ordinary points is left out, and from then on
//! every second that comes; what a graph is looked at for (retransmissions, SACK) is left out last.
//!
//! Invariants
//! - A list never holds more than its limit, and is in the order of time of capture.

use crate::model::{End, Ends};
use core::time::Duration;

/// What a piece of data was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataKind {
    /// New.
    New,
    /// Sent again.
    Retransmission,
    /// New, and behind what was sent after it.
    OutOfOrder,
    /// A probe of a closed window, or of an idle connection.
    Probe,
}

/// A segment with data, SYN or FIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataPoint {
    /// When it passed.
    pub time: Duration,
    /// Its frame.
    pub frame: u64,
    /// Its first sequence number, counted from the initial one and never wrapped.
    pub seq: u64,
    /// Its length in sequence numbers.
    pub len: u32,
    /// What it was.
    pub kind: DataKind,
    /// Whether it is known to be lost.
    pub is_lost: bool,
}

/// An acknowledgement, in the numbers of the direction that it acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AckPoint {
    /// When it passed.
    pub time: Duration,
    /// Its frame.
    pub frame: u64,
    /// The first number not acknowledged, counted as in [`DataPoint::seq`].
    pub ack: u64,
    /// The first number that the receiver's window does not allow; where the shift is unknown, as
    /// the header says it.
    pub window_edge: u64,
    /// Selectively acknowledged ranges, start and end.
    sack: [(u64, u64); 4],
    /// Those of them in use.
    sack_len: u8,
}

impl AckPoint {
    /// The ranges above [`ack`](Self::ack) that arrived (and, first, one that arrived twice): start
    /// and the first number after.
    #[must_use]
    pub fn sack(&self) -> &[(u64, u64)] {
        self.sack.get(..usize::from(self.sack_len)).unwrap_or(&[])
    }
}

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Point<T> {
    /// When.
    pub time: Duration,
    /// The frame that showed it.
    pub frame: u64,
    /// The value.
    pub value: T,
}

/// One direction: what one end sent, and what the other said to it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Track {
    /// What the end sent.
    pub data: Vec<DataPoint>,
    /// The other end's acknowledgements of it.
    pub acks: Vec<AckPoint>,
    /// Round trips from the capture point to the *other* end and back.
    pub rtt: Vec<Point<Duration>>,
    /// What the end had in flight at the capture point, in bytes.
    pub in_flight: Vec<Point<u32>>,
}

/// Points of a connection for graphs.
#[derive(Clone, Debug, Default)]
pub struct Series {
    pub(super) tracks: Ends<Track>,
}

impl Series {
    /// The direction in which `from` sends.
    #[must_use]
    pub fn track(&self, from: End) -> &Track {
        &self.tracks[from]
    }
}

/// A bounded list that thins itself out evenly.
#[derive(Clone, Copy, Debug, Default)]
struct Thinner {
    /// Of the ordinary points, each `1 << shift`-th is kept.
    shift: u8,
    /// Ordinary points offered.
    offered: u64,
}

impl Thinner {
    /// Adds a point, if its turn has come or it is special.
    fn push<T>(
        &mut self,
        list: &mut Vec<T>,
        limit: usize,
        point: T,
        is_special: impl Fn(&T) -> bool,
    ) {
        let special = is_special(&point);
        if !special {
            let turn = self.offered & ((1u64 << self.shift.min(63)) - 1);
            self.offered += 1;
            if turn != 0 {
                return;
            }
        }
        if list.len() >= limit {
            self.halve(list, limit, &is_special);
        }
        list.push(point);
    }

    /// Leaves out every second ordinary point; every second of all, if that does not make room.
    fn halve<T>(&mut self, list: &mut Vec<T>, limit: usize, is_special: impl Fn(&T) -> bool) {
        self.shift = self.shift.saturating_add(1);
        let mut odd = false;
        list.retain(|point| {
            is_special(point) || {
                odd = !odd;
                odd
            }
        });
        if list.len() > limit - limit / 4 {
            list.retain(|_| {
                odd = !odd;
                odd
            });
        }
        // What is kept next continues the rhythm of what was kept.
        self.offered = 0;
    }
}

/// What of a direction is needed to keep points, besides the points.
#[derive(Clone, Copy, Debug, Default)]
struct Rhythm {
    data: Thinner,
    acks: Thinner,
    rtt: Thinner,
    in_flight: Thinner,
    /// The highest number so far, never wrapped.
    highest: u64,
}

/// Series that are being kept.
#[derive(Clone, Debug)]
pub(crate) struct SeriesKeeper {
    limit: usize,
    rhythms: Ends<Rhythm>,
    series: Series,
}

/// An acknowledgement in 32-bit numbers relative to the initial one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelativeAck {
    pub(crate) ack: u32,
    pub(crate) window: u32,
    pub(crate) sack: [(u32, u32); 4],
    pub(crate) sack_len: u8,
}

impl SeriesKeeper {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(16),
            rhythms: Ends::default(),
            series: Series::default(),
        }
    }

    pub(crate) const fn series(&self) -> &Series {
        &self.series
    }

    /// The number without wrapping that is nearest to the highest one of the direction.
    fn unwrap(&mut self, from: End, relative: u32) -> u64 {
        let highest = &mut self.rhythms[from].highest;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "sequence numbers are taken modulo 2^32"
        )]
        let ahead = relative.wrapping_sub(*highest as u32).cast_signed();
        let number = highest.saturating_add_signed(i64::from(ahead));
        *highest = number.max(*highest);
        number
    }

    /// Data, SYN or FIN that `from` sent.
    pub(crate) fn data(&mut self, from: End, mut point: DataPoint, relative: u32) {
        point.seq = self.unwrap(from, relative);
        let list = &mut self.series.tracks[from].data;
        let is_special = |point: &DataPoint| point.kind != DataKind::New || point.is_lost;
        self.rhythms[from]
            .data
            .push(list, self.limit, point, is_special);
    }

    /// An acknowledgement of what `from` sent.
    pub(crate) fn ack(&mut self, from: End, time: Duration, frame: u64, said: &RelativeAck) {
        let ack = self.unwrap(from, said.ack);
        let mut sack = [(0, 0); 4];
        for (block, relative) in sack
            .iter_mut()
            .zip(said.sack)
            .take(usize::from(said.sack_len))
        {
            let near = |relative: u32| {
                let ahead = relative.wrapping_sub(said.ack).cast_signed();
                ack.saturating_add_signed(i64::from(ahead))
            };
            *block = (near(relative.0), near(relative.1));
        }
        let point = AckPoint {
            time,
            frame,
            ack,
            window_edge: ack.saturating_add(u64::from(said.window)),
            sack,
            sack_len: said.sack_len.min(4),
        };
        let list = &mut self.series.tracks[from].acks;
        let is_special = |point: &AckPoint| point.sack_len > 0 || point.window_edge == point.ack;
        self.rhythms[from]
            .acks
            .push(list, self.limit, point, is_special);
    }

    /// A round trip between the capture point and the end that `from` sends to.
    pub(crate) fn rtt(&mut self, from: End, point: Point<Duration>) {
        let list = &mut self.series.tracks[from].rtt;
        self.rhythms[from]
            .rtt
            .push(list, self.limit, point, |_| false);
    }

    /// What `from` has in flight.
    pub(crate) fn in_flight(&mut self, from: End, point: Point<u32>) {
        let list = &mut self.series.tracks[from].in_flight;
        self.rhythms[from]
            .in_flight
            .push(list, self.limit, point, |_| false);
    }
}
