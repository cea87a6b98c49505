//! What happened in a world, packet by packet.

use std::io::{self, Write};
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

    /// Writes the packets that `keep` wants as a pcap file of raw IP packets with nanoseconds, each at the time at which it
    /// was sent, the lost ones too. A packet that passes routers stands in the trace once for each link: keep what hosts sent.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_pcap(
        &self,
        mut out: impl Write,
        keep: impl Fn(&TraceEntry) -> bool,
    ) -> io::Result<()> {
        const LINKTYPE_RAW: u32 = 101;
        for word in [0xa1b2_3c4d, 0x0004_0002, 0, 0, 1 << 18, LINKTYPE_RAW] {
            out.write_all(&u32::to_le_bytes(word))?;
        }
        for entry in self.entries.iter().filter(|entry| keep(entry)) {
            // No packet is that long, and no world that old; if one is, its header says as much as it can.
            let length = u32::try_from(entry.packet.len()).unwrap_or(u32::MAX);
            let seconds = u32::try_from(entry.sent.as_secs()).unwrap_or(u32::MAX);
            for word in [seconds, entry.sent.subsec_nanos(), length, length] {
                out.write_all(&word.to_le_bytes())?;
            }
            out.write_all(&entry.packet)?;
        }
        out.flush()
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
