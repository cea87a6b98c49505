//! Fragments put together, with bounded memory and time (RFC 791 §3.2, RFC 8200 §4.5).
//!
//! - A copy of a fragment, as a port mirror makes them, is passed over; other overlap discards the
//!   datagram, as hosts do (RFC 5722).
//! - Fragments that were cut when captured count with the length that they had: the whole packet
//!   then states its true length, and holds what was captured up to the first gap.

use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use transom_wire::ip::{Fragment, MAX_PACKET_LEN, Packet};

const DATAGRAMS_MAX: usize = 1024;
const BYTES_MAX: usize = 8 << 20;
/// 65,535 bytes in fragments of 128.
const PARTS_MAX: usize = 512;
/// Memory that a fragment takes beside its bytes.
const OVERHEAD: usize = 64;
/// How long the rest of a datagram is waited for: hosts wait 30 s (Linux) to 120 s (RFC 1122 §3.3.2).
const PATIENCE: Duration = Duration::from_secs(60);
/// How long after a datagram was complete its fragments still count as copies. Identifications are used
/// anew soon where many packets are fragmented.
const COPIES: Duration = Duration::from_millis(100);

/// What became of a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It waits for the others.
    Waiting,
    /// It was there already.
    Copy,
    /// It contradicts another one, or the rules for fragments.
    Refused,
    /// All are there.
    Whole {
        /// The packet as it was before it was cut into fragments.
        packet: Vec<u8>,
        /// Its length on the wire in bytes; more than there is if a fragment was cut.
        wire_len: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    /// IPv6 tells datagrams apart without it: 0.
    protocol: u8,
    id: u32,
}

#[derive(Debug)]
struct Part {
    start: usize,
    /// On the wire.
    len: usize,
    /// As captured.
    data: Vec<u8>,
}

#[derive(Debug, Default)]
struct Datagram {
    /// Tells it from an earlier one with the same key.
    serial: u64,
    began: Duration,
    /// The IP header as it is in front of the whole.
    header: Option<Vec<u8>>,
    /// Ordered, without overlap.
    parts: Vec<Part>,
    /// Length of the whole payload, once the last fragment has come.
    total: Option<usize>,
    /// Bytes on the wire.
    held: usize,
    /// Memory.
    memory: usize,
    /// Complete, and when; or refused.
    ended: Option<Duration>,
}

/// Datagrams that are not complete yet.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    datagrams: HashMap<Key, Datagram>,
    /// In the order begun.
    order: VecDeque<(u64, Key)>,
    serial: u64,
    memory: usize,
    /// Datagrams given up: the rest did not come in time, or there were too many.
    incomplete: u64,
}

impl Fragments {
    /// Datagrams of which some fragments are missing still.
    pub(super) fn pending(&self) -> u64 {
        let open = self
            .datagrams
            .values()
            .filter(|datagram| datagram.ended.is_none());
        open.count() as u64
    }

    /// Datagrams given up because some fragments did not come.
    pub(super) const fn incomplete(&self) -> u64 {
        self.incomplete
    }

    /// Takes a fragment.
    pub(super) fn add(&mut self, time: Duration, packet: &[u8]) -> Outcome {
        let Ok(ip) = Packet::lax(packet) else {
            return Outcome::Refused;
        };
        let Some(fragment) = ip.fragment() else {
            return Outcome::Refused;
        };
        let Some(part) = part(&ip, fragment) else {
            return Outcome::Refused;
        };
        self.give_up(time);
        let key = Key {
            src: ip.src(),
            dst: ip.dst(),
            protocol: if ip.is_ipv6() { 0 } else { ip.protocol().raw() },
            id: fragment.id,
        };
        // The identification is in use anew.
        let is_over = self.datagrams.get(&key).is_some_and(|datagram| {
            let ended = datagram.ended.filter(|_| datagram.held > 0);
            ended.is_some_and(|ended| time.saturating_sub(ended) > COPIES)
        });
        if is_over {
            self.datagrams.remove(&key);
        }
        let datagram = self.datagrams.entry(key).or_insert_with(|| {
            self.serial += 1;
            self.order.push_back((self.serial, key));
            Datagram {
                serial: self.serial,
                began: time,
                ..Datagram::default()
            }
        });
        let before = datagram.memory;
        let outcome = datagram.add(time, part, fragment, || header(packet, &ip));
        self.memory = self.memory + datagram.memory - before;
        while (self.memory > BYTES_MAX || self.datagrams.len() > DATAGRAMS_MAX)
            && self.forget_oldest()
        {}
        outcome
    }

    /// Gives up what has waited for too long.
    fn give_up(&mut self, now: Duration) {
        while let Some((serial, key)) = self.order.front()
            && self
                .datagrams
                .get(key)
                .filter(|datagram| datagram.serial == *serial)
                .is_none_or(|datagram| now.saturating_sub(datagram.began) > PATIENCE)
        {
            self.forget_oldest();
        }
    }

    /// False if there is none.
    fn forget_oldest(&mut self) -> bool {
        let Some((serial, key)) = self.order.pop_front() else {
            return false;
        };
        let is_same = self
            .datagrams
            .get(&key)
            .is_some_and(|datagram| datagram.serial == serial);
        if is_same && let Some(datagram) = self.datagrams.remove(&key) {
            self.memory -= datagram.memory;
            self.incomplete += u64::from(datagram.ended.is_none());
        }
        true
    }
}

/// The payload of a fragment; none if it breaks the rules.
fn part(ip: &Packet<'_>, fragment: Fragment) -> Option<Part> {
    let claimed = match ip {
        Packet::V4(view) => usize::from(view.total_len()).checked_sub(view.header_len())?,
        Packet::V6(view, chain) => usize::from(view.payload_len()).checked_sub(chain.len)?,
    };
    let start = usize::from(fragment.offset);
    let is_cut_wrong = fragment.more && !claimed.is_multiple_of(8);
    if claimed == 0 || is_cut_wrong || start + claimed + ip.header_len() > MAX_PACKET_LEN {
        return None;
    }
    Some(Part {
        start,
        len: claimed,
        data: ip.payload().to_vec(),
    })
}

/// The header of a first fragment as it is in front of the whole packet, but for its length.
fn header(packet: &[u8], ip: &Packet<'_>) -> Option<Vec<u8>> {
    match ip {
        Packet::V4(view) => {
            let mut header = packet.get(..view.header_len())?.to_vec();
            // Neither "more fragments" nor an offset; "don't fragment" stays.
            if let [flags, offset] = header.get_mut(6..8)? {
                *flags &= 0x40;
                *offset = 0;
            }
            Some(header)
        }
        Packet::V6(_, chain) => {
            // Past the headers in front of the fragment header, which takes itself out.
            let end = ip.header_len().checked_sub(8)?;
            let mut header = packet.get(..end)?.to_vec();
            let mut field = 6;
            let mut at = 40;
            while at < end {
                field = at;
                let words = usize::from(*header.get(at + 1)?);
                // The authentication header counts in another unit, and is not in front of fragments.
                at += (words + 1) * 8;
            }
            *header.get_mut(field)? = chain.protocol.raw();
            Some(header)
        }
    }
}

impl Datagram {
    fn add(
        &mut self,
        time: Duration,
        part: Part,
        fragment: Fragment,
        header: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Outcome {
        if self.ended.is_some() {
            return if self.held > 0 {
                Outcome::Copy
            } else {
                Outcome::Refused
            };
        }
        let end = part.start + part.len;
        let reach = self.parts.last().map_or(0, |last| last.start + last.len);
        // Two ends, or data behind the end.
        let contradicts = match self.total {
            Some(total) => end > total || (!fragment.more && end != total),
            None => !fragment.more && reach > end,
        };
        let at = self.parts.partition_point(|other| other.start < part.start);
        let next = self.parts.get(at);
        if let Some(same) = next
            && same.start == part.start
            && same.len == part.len
            && same.data == part.data
        {
            return Outcome::Copy;
        }
        let before = at.checked_sub(1).and_then(|before| self.parts.get(before));
        let overlaps = before.is_some_and(|before| before.start + before.len > part.start)
            || next.is_some_and(|next| next.start < end);
        if contradicts || overlaps || self.parts.len() >= PARTS_MAX {
            return self.refuse(time);
        }
        if !fragment.more {
            self.total = Some(end);
        }
        if fragment.is_first() {
            match header() {
                Some(header) => self.header = Some(header),
                None => return self.refuse(time),
            }
        }
        self.held += part.len;
        self.memory += part.data.len() + OVERHEAD;
        self.parts.insert(at, part);
        // Without overlap, as many bytes as there are in all leave no gap.
        match (self.total, self.header.take()) {
            (Some(total), Some(header)) if total == self.held => self.whole(time, header),
            (_, header) => {
                self.header = header;
                Outcome::Waiting
            }
        }
    }

    fn refuse(&mut self, time: Duration) -> Outcome {
        *self = Self {
            serial: self.serial,
            began: self.began,
            ended: Some(time),
            ..Self::default()
        };
        Outcome::Refused
    }

    fn whole(&mut self, time: Duration, header: Vec<u8>) -> Outcome {
        let len = header.len() + self.held;
        let mut packet = header;
        let is_ipv6 = packet.first().is_some_and(|first| first >> 4 == 6);
        let (at, stated) = if is_ipv6 { (4, len - 40) } else { (2, len) };
        if let Some(field) = packet.get_mut(at..at + 2) {
            let stated = u16::try_from(stated).unwrap_or(u16::MAX);
            field.copy_from_slice(&stated.to_be_bytes());
        }
        for part in self.parts.drain(..) {
            packet.extend(&part.data);
            if part.data.len() < part.len {
                break;
            }
        }
        self.parts = Vec::new();
        self.memory = 0;
        self.ended = Some(time);
        Outcome::Whole {
            packet,
            wire_len: u32::try_from(len).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use transom_wire::ip::{Protocol, ipv4};

    fn fragment(id: u16, offset: u16, more: bool, data: &[u8]) -> Vec<u8> {
        let header = ipv4::Header::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), Protocol::TCP);
        let mut packet = vec![0; 20];
        header.emit(&mut packet, data.len());
        packet.splice(4..6, id.to_be_bytes());
        packet.splice(6..8, ((u16::from(more) << 13) | (offset / 8)).to_be_bytes());
        packet.extend(data);
        packet
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn memory_stays_within_its_bound_and_the_oldest_goes_first() {
        let mut fragments = Fragments::default();
        let data = vec![7; 32_000];
        for id in 0..2_000 {
            let outcome = fragments.add(at(u64::from(id)), &fragment(id, 0, true, &data));
            assert_eq!(outcome, Outcome::Waiting);
            assert!(fragments.memory <= BYTES_MAX);
            assert!(fragments.order.len() <= DATAGRAMS_MAX + 1);
        }
        assert_eq!(fragments.pending() + fragments.incomplete(), 2_000);
        let last = fragment(1_999, 32_000, false, b"end");
        assert!(matches!(
            fragments.add(at(2_000), &last),
            Outcome::Whole { .. }
        ));
        let first = fragment(0, 32_000, false, b"end");
        assert_eq!(fragments.add(at(2_000), &first), Outcome::Waiting);
    }

    #[test]
    fn what_does_not_come_in_time_is_given_up() {
        let mut fragments = Fragments::default();
        fragments.add(at(0), &fragment(1, 0, true, &[1; 8]));
        fragments.add(at(60_001), &fragment(2, 0, true, &[1; 8]));
        assert_eq!((fragments.pending(), fragments.incomplete()), (1, 1));
        assert_eq!(fragments.memory, 8 + OVERHEAD);
    }

    #[test]
    fn an_identification_is_used_anew() {
        let mut fragments = Fragments::default();
        for round in 0..3 {
            let start = round * 200;
            let first = fragment(1, 0, true, &[1; 8]);
            let last = fragment(1, 8, false, b"x");
            assert_eq!(fragments.add(at(start), &first), Outcome::Waiting);
            assert_eq!(fragments.add(at(start), &first), Outcome::Copy);
            let whole = fragments.add(at(start + 1), &last);
            assert!(
                matches!(whole, Outcome::Whole { wire_len: 29, .. }),
                "{whole:?}"
            );
            assert_eq!(fragments.add(at(start + 2), &last), Outcome::Copy);
        }
        assert_eq!(fragments.memory, 0);
    }

    #[test]
    fn overlap_discards_the_datagram() {
        let mut fragments = Fragments::default();
        fragments.add(at(0), &fragment(1, 0, true, &[1; 16]));
        let over = fragment(1, 8, false, &[2; 16]);
        assert_eq!(fragments.add(at(1), &over), Outcome::Refused);
        let rest = fragment(1, 16, false, &[2; 8]);
        assert_eq!(fragments.add(at(2), &rest), Outcome::Refused);
        assert_eq!(fragments.memory, 0);
    }
}
