//! Everything that is measured of one connection, and how its segments get there.

use super::held::Event;
use super::series::RelativeAck;
use super::{DataKind, DataPoint, Measures, Meter, Passing, Point, Series, SeriesKeeper, nanos};
use crate::connection::Connection;
use crate::dissect::Dissected;
use crate::follow::Seen;
use crate::model::{End, Ends};
use crate::step::{Cause, Fate, Meaning};
use core::time::Duration;
use transom_wire::Seq;
use transom_wire::tcp::Flags;

/// The segment size that a sender may use when none was asked for (RFC 9293 §3.7.1).
const MSS_DEFAULT: u32 = 536;
/// The largest segment over Ethernet, taken for a connection whose SYNs were not captured.
const MSS_ETHERNET: u32 = 1460;
/// Bytes that timestamps take of each segment (RFC 7323 Appendix A).
const TIMESTAMPS_LEN: u32 = 12;

/// What is measured of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    pub(crate) meters: Ends<Meter>,
    /// The largest single segment of each end.
    largest: Ends<u16>,
    series: Option<Box<SeriesKeeper>>,
}

impl Survey {
    /// Keeps up to `series` points of each kind and direction for graphs.
    pub(crate) fn new(series: usize) -> Self {
        Self {
            series: (series > 0).then(|| Box::new(SeriesKeeper::new(series))),
            ..Self::default()
        }
    }
}

impl Connection {
    /// What was measured of each end: of its half of the path, and of what it sent.
    #[must_use]
    pub fn measures(&self) -> Ends<Measures> {
        let known = self.lanes[End::Client].has_syn && self.lanes[End::Server].has_syn;
        let of = |end: End| {
            let data = self.totals[end].bytes;
            self.survey.meters[end].measures(self.lanes[end].scale, known, data)
        };
        Ends {
            client: of(End::Client),
            server: of(End::Server),
        }
    }

    /// The handshake's round trips: from the capture point to the server and back (SYN to SYN,ACK),
    /// and to the client and back (SYN,ACK to the client's ACK). The larger one tells on which side
    /// of the capture point the delay is. `None` where it was not captured, and where a segment that
    /// was sent again leaves open which of the two was answered.
    #[must_use]
    pub fn handshake_rtt(&self) -> Ends<Option<Duration>> {
        let meters = &self.survey.meters;
        Ends {
            client: meters.client.handshake_rtt(),
            server: meters.server.handshake_rtt(),
        }
    }

    /// The points for graphs, if [`Limits::series`](crate::Limits::series) asks for them.
    #[must_use]
    pub fn series(&self) -> Option<&Series> {
        self.survey.series.as_ref().map(|keeper| keeper.series())
    }

    /// What a full segment of an end holds: what the other end asked for, what options take of it,
    /// and what was seen.
    pub(crate) fn full_segment(&self, from: End) -> u32 {
        let largest = u32::from(self.survey.largest[from]);
        if largest >= MSS_DEFAULT {
            return largest;
        }
        let meters = &self.survey.meters;
        let asked = meters[from.other()].mss().map(u32::from);
        let options = if meters.client.has_timestamps() && meters.server.has_timestamps() {
            TIMESTAMPS_LEN
        } else {
            0
        };
        let default = if self.lanes[from.other()].has_syn {
            MSS_DEFAULT
        } else {
            MSS_ETHERNET
        };
        asked.unwrap_or(default).saturating_sub(options).max(1)
    }

    /// Whether a segment holds less than its sender could have put into it.
    fn is_short(&self, from: End, len: u32, gso_size: u16) -> bool {
        let full = match gso_size {
            0 => self.full_segment(from),
            size => u32::from(size),
        };
        // A super-packet is cut into full segments and a rest.
        !len.is_multiple_of(full)
    }

    /// An acknowledgement of something new passes.
    pub(crate) fn measure_round_trip(
        &mut self,
        from: End,
        segment: &Dissected<'_>,
        ack: Seq,
        seen: Seen,
    ) {
        let sender = from.other();
        let echo = segment.options.timestamps.map(|clock| clock.ecr);
        let trip = self.lanes[sender].end_round_trips(ack, echo, nanos(seen.time));
        let Some(trip) = trip else { return };
        self.survey.meters[from].answered(trip.nanos, trip.is_handshake);
        if let Some(series) = &mut self.survey.series {
            series.rtt(
                sender,
                Point {
                    time: seen.time,
                    frame: seen.frame,
                    value: Duration::from_nanos(trip.nanos),
                },
            );
        }
    }

    /// Takes the measures of a segment that was just learnt from.
    pub(crate) fn measure(
        &mut self,
        from: End,
        segment: &Dissected<'_>,
        seen: Seen,
        meaning: Meaning,
    ) {
        let flags = segment.flags;
        if flags.contains(Flags::RST) {
            return;
        }
        let mut passing = Passing::at(seen.time);
        passing.hop_limit = Some(segment.hop_limit);
        if flags.contains(Flags::SYN) {
            self.survey.meters[from].opened(&segment.options);
        } else {
            passing.window = Some(self.window_of(from, segment));
        }
        let is_new = matches!(
            meaning,
            Meaning::Data | Meaning::DataAfterGap | Meaning::OutOfOrder | Meaning::Fin
        );
        passing.has_new_data = is_new && segment.len > 0;
        self.survey.meters[from].sent(&passing);
        self.measure_sender(from, segment, seen, meaning, passing.has_new_data);
        self.measure_receiver(from, segment, seen, meaning);
        if self.survey.series.is_some() {
            self.keep_points(from, segment, seen, meaning);
        }
    }

    /// The bytes that an end has under way at the capture point.
    pub(crate) fn in_flight(&self, from: End) -> u32 {
        let highest = self.lanes[from].passed.highest();
        match self.lanes[from.other()].last_ack {
            Some(ack) if ack.lt(highest) => highest.since(ack),
            _ => 0,
        }
    }

    /// What a segment says of its sender's sending.
    fn measure_sender(
        &mut self,
        from: End,
        segment: &Dissected<'_>,
        seen: Seen,
        meaning: Meaning,
        has_new_data: bool,
    ) {
        if segment.len == 0 {
            return;
        }
        let event = if has_new_data {
            if u32::from(self.survey.largest[from]) < segment.len && seen.gso_size == 0 {
                self.learn_largest(from, segment.len);
            }
            Event::Data {
                push: segment.flags.contains(Flags::PSH) || segment.flags.contains(Flags::FIN),
                short: self.is_short(from, segment.len, seen.gso_size),
            }
        } else if let Meaning::Retransmission { cause, .. } = meaning {
            Event::Again {
                by_timer: matches!(cause, Cause::Timeout | Cause::TailLossProbe),
            }
        } else {
            Event::Other
        };
        let highest = self.lanes[from].passed.highest();
        let in_flight = self.in_flight(from);
        let full = self.full_segment(from);
        let meter = &mut self.survey.meters[from];
        meter.in_flight(in_flight);
        let half_rtt = meter.mean_rtt().unwrap_or(0);
        meter.held.event(nanos(seen.time), event, half_rtt);
        if matches!(event, Event::Again { .. }) {
            meter.held.begin_repair(highest);
        }
        if has_new_data {
            meter
                .held
                .note_end(nanos(seen.time), highest, full, half_rtt);
        }
        let room = self.room(from);
        let ack = self.lanes[from.other()].last_ack;
        self.survey.meters[from].held.set_room(ack, room, full);
        if let Some(series) = &mut self.survey.series {
            let (time, frame) = (seen.time, seen.frame);
            series.in_flight(
                from,
                Point {
                    time,
                    frame,
                    value: in_flight,
                },
            );
        }
    }

    fn learn_largest(&mut self, from: End, len: u32) {
        let asked = self.survey.meters[from.other()].mss();
        let possible = asked.map_or(MSS_ETHERNET, u32::from);
        if len <= possible {
            self.survey.largest[from] = u16::try_from(len).unwrap_or(u16::MAX);
        }
    }

    /// What a segment says to the other end as a sender.
    fn measure_receiver(
        &mut self,
        from: End,
        segment: &Dissected<'_>,
        seen: Seen,
        meaning: Meaning,
    ) {
        let sender = from.other();
        if segment.ack.is_none() || segment.flags.contains(Flags::SYN) {
            return;
        }
        let last_ack = self.lanes[from].last_ack;
        let room = self.room(sender);
        let meter = &mut self.survey.meters[sender];
        let event = if meter.held.is_news(last_ack, room) {
            Event::Room
        } else {
            Event::Other
        };
        let half_rtt = meter.mean_rtt().unwrap_or(0);
        meter.held.event(nanos(seen.time), event, half_rtt);
        // Three in a row start a repair, or what SACK reports (RFC 5681 §3.2, RFC 8985 §6.2); the
        // first segment sent again may pass much later here.
        let has_blocks = self.lanes[from].sacked_above;
        let is_shown = match meaning {
            Meaning::DuplicateAck(count) => count >= 3 || has_blocks,
            _ => false,
        };
        let meter = &mut self.survey.meters[sender];
        if is_shown {
            meter.held.begin_repair(self.lanes[sender].passed.highest());
        }
        if let Some(ack) = last_ack {
            meter.held.end_repair(ack);
            if let Some(room) = room {
                let edge = self.lanes[sender].passed.highest().max(ack) + room;
                let now = nanos(seen.time);
                self.survey.meters[sender]
                    .held
                    .note_edge(now, edge, half_rtt);
            }
        }
        let full = self.full_segment(sender);
        self.survey.meters[sender]
            .held
            .set_room(last_ack, room, full);
    }

    /// Bytes that the other end's window allows beyond what an end has sent; `None` if that cannot be
    /// told.
    fn room(&self, from: End) -> Option<u32> {
        let peer = &self.lanes[from.other()];
        let (ack, window) = (peer.last_ack?, peer.window?);
        if window > 0 && !(peer.has_syn && self.lanes[from].has_syn) {
            return None;
        }
        let used = self.lanes[from].passed.highest().offset_from(ack);
        Some(window.saturating_sub(u32::try_from(used).unwrap_or(0)))
    }

    /// Keeps points for graphs.
    fn keep_points(&mut self, from: End, segment: &Dissected<'_>, seen: Seen, meaning: Meaning) {
        let relative_seq = self.lanes[from].relative(segment.seq).unwrap_or(0);
        let peer = &self.lanes[from.other()];
        let mut said = segment
            .ack
            .and_then(|ack| peer.relative(ack))
            .map(|ack| RelativeAck {
                ack,
                window: 0,
                sack: [(0, 0); 4],
                sack_len: 0,
            });
        if let Some(said) = &mut said {
            said.window = self.window_of(from, segment);
            for (block, sack) in said.sack.iter_mut().zip(segment.options.sack.iter()) {
                let relative = |seq: Seq| peer.relative(seq).unwrap_or(0);
                *block = (relative(sack.start), relative(sack.end));
                said.sack_len += 1;
            }
        }
        let Some(series) = &mut self.survey.series else {
            return;
        };
        let len = crate::meaning::range(segment).len();
        if len > 0 {
            let kind = match meaning {
                Meaning::Retransmission { .. } => DataKind::Retransmission,
                Meaning::OutOfOrder => DataKind::OutOfOrder,
                Meaning::KeepAlive | Meaning::WindowProbe => DataKind::Probe,
                _ => DataKind::New,
            };
            let point = DataPoint {
                time: seen.time,
                frame: seen.frame,
                seq: 0,
                len,
                kind,
                is_lost: seen.fate == Fate::Lost,
            };
            series.data(from, point, relative_seq);
        }
        if let Some(said) = said {
            series.ack(from.other(), seen.time, seen.frame, &said);
        }
    }
}
