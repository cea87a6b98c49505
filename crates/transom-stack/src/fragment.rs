//! Putting datagrams together from fragments, with bounded memory (RFC 791, RFC 815, RFC 8200 §4.5).
//!
//! - Overlap discards the whole datagram, and what comes of it later (RFC 5722; for IPv4 likewise).
//! - An exact copy of a fragment is harmless and ignored.
//! - Bytes, datagrams and fragments of a datagram are limited; the oldest datagram goes first.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;
use transom_tcp::Instant;
use transom_wire::Ecn;

use crate::discard::Discard;
use crate::secret::{Key, Map};

/// IPv4: RFC 1122 §3.3.2 says 60 to 120 s; 30 s as Linux (IP4-11).
const TIMEOUT_V4: Duration = Duration::from_secs(30);
/// IPv6: RFC 8200 §4.5 (IP6-7).
const TIMEOUT_V6: Duration = Duration::from_secs(60);
const MAX_DATAGRAMS: usize = 1024;
const MAX_FROM_ONE_SOURCE: usize = 64;
/// 65535 bytes in the smallest fragments that links produce (576) are 118.
const MAX_FRAGMENTS: usize = 192;
/// Memory that a held fragment takes beside its bytes.
const OVERHEAD: usize = 128;

/// Which datagram a fragment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FragmentKey {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    /// Of no meaning in IPv6, where it is 0.
    pub(crate) protocol: u8,
    pub(crate) id: u32,
}

/// One fragment.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) start: usize,
    pub(crate) more: bool,
    pub(crate) data: Bytes,
    pub(crate) ecn: Ecn,
    /// The protocol that the reassembled payload begins with; that of the first fragment counts.
    pub(crate) protocol: u8,
    /// The start of the packet that the first fragment came in, for an error about it.
    pub(crate) packet: Bytes,
}

/// A datagram that is complete.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) payload: Bytes,
    pub(crate) protocol: u8,
    pub(crate) ecn: Ecn,
    /// The packet of the first fragment.
    pub(crate) first: Bytes,
}

/// A datagram whose rest did not come in time.
#[derive(Debug)]
pub(crate) struct Expired {
    pub(crate) key: FragmentKey,
    /// The packet of the first fragment, if that one came.
    pub(crate) first: Option<Bytes>,
}

#[derive(Debug)]
struct Datagram {
    began: Instant,
    /// Sorted by start, without overlap.
    parts: Vec<(usize, Bytes)>,
    total: Option<usize>,
    held: usize,
    bytes: usize,
    ce: bool,
    not_ect: bool,
    capable: Ecn,
    first: Option<(u8, Bytes)>,
    poisoned: bool,
}

impl Datagram {
    fn new(began: Instant) -> Self {
        Self {
            began,
            parts: Vec::new(),
            total: None,
            held: 0,
            bytes: 0,
            ce: false,
            not_ect: false,
            capable: Ecn::NotEct,
            first: None,
            poisoned: false,
        }
    }

    /// Drops what is held and refuses what comes.
    fn poison(&mut self) {
        *self = Self {
            poisoned: true,
            ..Self::new(self.began)
        };
    }

    fn add(&mut self, part: Part) -> Result<(), Discard> {
        if self.poisoned {
            return Err(Discard::FragmentOverlap);
        }
        let (start, end) = (part.start, part.start + part.data.len());
        let reach = self.parts.last().map_or(0, |(at, data)| at + data.len());
        // IP4-14: two ends, or data beyond the end.
        let conflict = match self.total {
            Some(total) => end > total || (!part.more && end != total),
            None => !part.more && reach > end,
        };
        if conflict {
            self.poison();
            return Err(Discard::FragmentLength);
        }
        let at = self.parts.partition_point(|(begin, _)| *begin < start);
        if let Some((begin, data)) = self.parts.get(at)
            && *begin == start
            && *data == part.data
        {
            return Err(Discard::FragmentDuplicate);
        }
        let before = at.checked_sub(1).and_then(|before| self.parts.get(before));
        let overlaps = before.is_some_and(|(begin, data)| begin + data.len() > start)
            || self.parts.get(at).is_some_and(|(begin, _)| *begin < end);
        if overlaps {
            self.poison();
            return Err(Discard::FragmentOverlap);
        }
        if self.parts.len() >= MAX_FRAGMENTS {
            self.poison();
            return Err(Discard::FragmentLimit);
        }
        if !part.more {
            self.total = Some(end);
        }
        match part.ecn {
            Ecn::Ce => self.ce = true,
            Ecn::NotEct => self.not_ect = true,
            capable => self.capable = capable,
        }
        if start == 0 {
            self.first = Some((part.protocol, part.packet));
        }
        self.held += part.data.len();
        self.bytes += part.data.len() + OVERHEAD;
        self.parts.insert(at, (start, part.data));
        Ok(())
    }

    fn is_complete(&self) -> bool {
        // Without overlap, as many bytes as the total means no hole.
        self.total == Some(self.held) && self.first.is_some()
    }

    fn into_whole(self) -> Result<Whole, Discard> {
        // RFC 3168 §5.3 (IP4-15): one CE marks the whole, but not together with a part that says it cannot be marked.
        if self.ce && self.not_ect {
            return Err(Discard::FragmentEcn);
        }
        let ecn = if self.ce {
            Ecn::Ce
        } else if self.not_ect {
            Ecn::NotEct
        } else {
            self.capable
        };
        let (protocol, first) = self.first.ok_or(Discard::FragmentHeaders)?;
        let mut payload = Vec::with_capacity(self.held);
        for (_, data) in &self.parts {
            payload.extend_from_slice(data);
        }
        Ok(Whole {
            payload: payload.into(),
            protocol,
            ecn,
            first,
        })
    }
}

/// All datagrams under way.
#[derive(Debug)]
pub(crate) struct Reassembler {
    datagrams: Map<FragmentKey, Datagram>,
    /// In the order begun.
    order: VecDeque<(Instant, FragmentKey)>,
    bytes: usize,
    max_bytes: usize,
}

impl Reassembler {
    pub(crate) fn new(max_bytes: usize, key: Key) -> Self {
        Self {
            datagrams: Map::with_hasher(key),
            order: VecDeque::new(),
            bytes: 0,
            max_bytes,
        }
    }

    /// Adds a fragment; gives the datagram once it is whole.
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        key: FragmentKey,
        part: Part,
    ) -> Result<Option<Whole>, Discard> {
        if !self.datagrams.contains_key(&key) {
            self.make_room(part.data.len() + OVERHEAD, key.src)?;
            self.datagrams.insert(key, Datagram::new(now));
            self.order.push_back((now, key));
        }
        let Some(datagram) = self.datagrams.get_mut(&key) else {
            return Err(Discard::FragmentLimit);
        };
        let before = datagram.bytes;
        let outcome = datagram.add(part);
        self.bytes = self.bytes + datagram.bytes - before;
        let complete = datagram.is_complete();
        outcome?;
        if complete && let Some(datagram) = self.remove(&key) {
            return datagram.into_whole().map(Some);
        }
        while self.bytes > self.max_bytes {
            if !self.evict_oldest() {
                break;
            }
        }
        Ok(None)
    }

    /// Takes out the datagrams whose time is over.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Expired> {
        let mut expired = Vec::new();
        // Two lifetimes, one queue: an IPv4 datagram behind a younger-lived IPv6 one is looked at when that one goes,
        // at most 30 s late.
        while let Some(&(began, key)) = self.order.front() {
            if !self.is_current(began, &key) {
                self.order.pop_front();
                continue;
            }
            if began + lifetime(&key) > now {
                break;
            }
            self.order.pop_front();
            if let Some(datagram) = self.remove(&key)
                && !datagram.poisoned
            {
                expired.push(Expired {
                    key,
                    first: datagram.first.map(|(_, packet)| packet),
                });
            }
        }
        expired
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.order
            .front()
            .map(|(began, key)| *began + lifetime(key))
    }

    fn is_current(&self, began: Instant, key: &FragmentKey) -> bool {
        self.datagrams
            .get(key)
            .is_some_and(|datagram| datagram.began == began)
    }

    fn remove(&mut self, key: &FragmentKey) -> Option<Datagram> {
        let datagram = self.datagrams.remove(key)?;
        self.bytes -= datagram.bytes;
        if self.datagrams.is_empty() {
            self.order.clear();
        }
        Some(datagram)
    }

    fn evict_oldest(&mut self) -> bool {
        while let Some((began, key)) = self.order.pop_front() {
            if self.is_current(began, &key) {
                return self.remove(&key).is_some();
            }
        }
        false
    }

    // IP4-12: bytes, datagrams, and datagrams of one source are limited.
    fn make_room(&mut self, bytes: usize, source: IpAddr) -> Result<(), Discard> {
        if bytes > self.max_bytes {
            return Err(Discard::FragmentLimit);
        }
        if self.datagrams.len() >= MAX_FROM_ONE_SOURCE {
            let of_source = self
                .datagrams
                .keys()
                .filter(|key| key.src == source)
                .count();
            if of_source >= MAX_FROM_ONE_SOURCE {
                return Err(Discard::FragmentLimit);
            }
        }
        while self.datagrams.len() >= MAX_DATAGRAMS || self.bytes + bytes > self.max_bytes {
            if !self.evict_oldest() {
                return Err(Discard::FragmentLimit);
            }
        }
        if self.order.len() > 4 * MAX_DATAGRAMS {
            let datagrams = &self.datagrams;
            self.order.retain(|(began, key)| {
                datagrams
                    .get(key)
                    .is_some_and(|datagram| datagram.began == *began)
            });
        }
        Ok(())
    }
}

fn lifetime(key: &FragmentKey) -> Duration {
    if key.src.is_ipv4() {
        TIMEOUT_V4
    } else {
        TIMEOUT_V6
    }
}
