//! What happened in a world, packet by packet.

use std::time::Duration;

use crate::{Fate, HostId, LinkId};

/// One packet that a host sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceEntry {
    /// When it was sent.
    pub sent: Duration,
    /// Who sent it.
    pub from: HostId,
    /// To whom the link leads.
    pub to: HostId,
    /// Over which link.
    pub link: LinkId,
    /// The packet as it was sent, before any corruption.
    pub packet: Vec<u8>,
    /// What became of it, as far as it was known then: when it arrives, why it does not, or that it waits
    /// in a queue which decides later.
    pub fate: Fate,
}

/// The packets of a world in the order of sending; bounded, see [`Trace::with_limits`].
#[derive(Clone, Debug)]
pub struct Trace {
    entries: Vec<TraceEntry>,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
    omitted: u64,
}

impl Default for Trace {
    /// At most 65,536 packets and 64 MiB.
    fn default() -> Self {
        Self::with_limits(65_536, 64 << 20)
    }
}

impl Trace {
    /// An empty trace that keeps the first `max_entries` packets, or fewer when these have
    /// `max_bytes` together, and counts the others.
    #[must_use]
    pub fn with_limits(max_entries: usize, max_bytes: usize) -> Self {
        Self {
            entries: Vec::new(),
            bytes: 0,
            max_entries,
            max_bytes,
            omitted: 0,
        }
    }

    /// The packets that were kept.
    #[must_use]
    pub fn entries(&self) -> &[TraceEntry] {
        &self.entries
    }

    /// How many packets were sent after the trace was full.
    #[must_use]
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// Forgets everything, keeps the limits.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
        self.omitted = 0;
    }

    /// Whether one more packet of this size would be kept.
    pub(crate) fn has_room(&self, size: usize) -> bool {
        self.omitted == 0
            && self.entries.len() < self.max_entries
            && self.bytes.saturating_add(size) <= self.max_bytes
    }

    pub(crate) fn omit(&mut self) {
        self.omitted += 1;
    }

    pub(crate) fn record(&mut self, entry: TraceEntry) {
        self.bytes += entry.packet.len();
        self.entries.push(entry);
    }
}
