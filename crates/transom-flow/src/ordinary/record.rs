//! What is kept of each segment, and a whole connection made of it.

use super::{LINE_KEPT, Ordinary};
use crate::application::{DNS_PORT, FIRST_MAX};
use crate::connection::Connection;
use crate::dissect::Dissected;
use crate::follow::Seen;
use crate::hint::{self, is_http, line_end};
use crate::measure::nanos;
use crate::model::End;
use crate::step::Fate;
use core::time::Duration;
use transom_wire::Seq;
use transom_wire::tcp::{Flags, Options, Timestamps};

/// A segment of the record: small, as these are most of what is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) nanos: u64,
    /// Counted from the first of the record.
    frame: u32,
    ack: Seq,
    /// TSval and TSecr, if it has any.
    clock: [u32; 2],
    len: u32,
    /// What the IP packet is longer than its data.
    headers_len: u16,
    /// Where its data begins in the bytes that are kept.
    at: u16,
    window: u16,
    ip_id: u16,
    flags: Flags,
    has_clock: bool,
    from: End,
}

impl Record {
    pub(super) const BLANK: Self = Self {
        nanos: 0,
        frame: 0,
        ack: Seq::new(0),
        clock: [0; 2],
        len: 0,
        headers_len: 0,
        at: 0,
        window: 0,
        ip_id: 0,
        flags: Flags::EMPTY,
        has_clock: false,
        from: End::Client,
    };

    /// Reads its first and its last bytes.
    pub(super) fn read(&self) -> u64 {
        self.nanos.wrapping_add(u64::from(self.has_clock))
    }
}

impl Ordinary {
    pub(super) fn record(&mut self, from: End, seen: Seen, segment: &Dissected<'_>) {
        let at = self.bytes.len();
        if segment.len > 0 {
            let port = self.server.port();
            let own = &mut self.sides[from];
            let told = own.bytes as usize;
            if told == 0 {
                own.is_read = port != DNS_PORT && is_read_at_once(segment.data);
            }
            // Nobody looks at the rest.
            let line = if told == 0 || is_http(segment.data) {
                LINE_KEPT
            } else {
                0
            };
            let wanted = if own.is_read {
                line
            } else {
                FIRST_MAX.saturating_sub(told).max(line)
            };
            let wanted = segment.data.get(..wanted).unwrap_or(segment.data);
            self.bytes.extend(wanted);
            own.bytes += segment.len;
        }
        let clock = segment.options.timestamps;
        self.records.push(Record {
            nanos: nanos(seen.time),
            frame: u32::try_from(seen.frame - self.first_frame).unwrap_or(u32::MAX),
            ack: segment.ack.unwrap_or_default(),
            clock: clock.map_or([0; 2], |clock| [clock.val, clock.ecr]),
            len: segment.len,
            headers_len: u16::try_from(segment.ip_len - segment.len).unwrap_or(u16::MAX),
            at: u16::try_from(at).unwrap_or(u16::MAX),
            window: segment.window,
            ip_id: segment.ip_id,
            flags: segment.flags,
            has_clock: clock.is_some(),
            from,
        });
    }

    /// Follows the segments of the record as if they came only now.
    pub(crate) fn follow(&self, connection: &mut Connection) {
        connection.renew(
            self.number,
            self.client,
            self.server,
            self.start(),
            &self.limits,
        );
        for end in End::BOTH {
            if let Some(host) = &self.hosts[end] {
                connection.set_host(end, host);
            }
        }
        let mut behind = self.records.iter().skip(1);
        let mut next = self.first_seq;
        for record in self.records.iter() {
            let is_syn = record.flags.contains(Flags::SYN);
            let own = &self.sides[record.from];
            let end = behind
                .next()
                .map_or(self.bytes.len(), |next| usize::from(next.at));
            let data = self
                .bytes
                .get(usize::from(record.at)..end)
                .unwrap_or_default();
            let mut options = Options::EMPTY;
            let [val, ecr] = record.clock;
            options.timestamps = record.has_clock.then_some(Timestamps { val, ecr });
            if is_syn {
                options.mss = Some(own.mss);
                options.window_scale = own.shift;
                options.sack_permitted = own.sack_permitted;
            }
            let seq = next[record.from];
            let control = u32::from(is_syn) + u32::from(record.flags.contains(Flags::FIN));
            next[record.from] = seq + record.len + control;
            let segment = Dissected {
                src: self.addr(record.from),
                dst: self.addr(record.from.other()),
                seq,
                ack: record.flags.contains(Flags::ACK).then_some(record.ack),
                flags: record.flags,
                window: record.window,
                has_clock_at_most: !is_syn,
                options,
                len: record.len,
                captured: record.len,
                data,
                ip_len: record.len + u32::from(record.headers_len),
                hop_limit: own.hop_limit,
                ip_id: record.ip_id,
            };
            let seen = Seen {
                time: Duration::from_nanos(record.nanos),
                frame: self.first_frame + u64::from(record.frame),
                gso_size: 0,
                fate: Fate::Unknown,
            };
            connection.segment(seen, &segment);
        }
        connection.closed_at = self.closed_at;
        if let Some(until) = self.watched_until {
            connection.finish(until);
        }
    }
}

/// Whether the first bytes of a direction show what it speaks: the line of an HTTP/1 message does.
fn is_read_at_once(data: &[u8]) -> bool {
    let head = data.get(..hint::LINE_MAX).unwrap_or(data);
    is_http(data) && line_end(head).is_some()
}
