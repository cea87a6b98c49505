//! The receiving half: the variables of RFC 9293 §3.3.1 and the queue of what was received.
//!
//! ```text
//!             1          2          3
//!        ----------|----------|----------
//!               RCV.NXT    RCV.NXT
//!                         +RCV.WND = the edge
//!  1 received and acknowledged   2 may be received   3 may not be received yet
//! ```
//!
//! Invariant: the edge never moves left (RFC 9293 §3.8.6 SHLD-14), whatever is received or read.

pub(crate) mod ack;
mod assembler;
mod autotune;
mod out_of_order;
pub(crate) mod window;

pub use assembler::{Inserted, RecvQueue};

use ack::AckOwed;
use autotune::RightSizing;
use transom_wire::tcp::{Options, SackBlocks};
use transom_wire::{Seq, SeqRange};

use crate::config::Config;
use crate::pack::{Empty, In, Like, Rare, packed, packed_choice};
use crate::time::{Instant, nanos};

/// RFC 7323 §5.5: TS.Recent may be older than the timestamp clock's half turn. In nanoseconds.
const TS_RECENT_VALID: u64 = nanos(core::time::Duration::from_secs(24 * 24 * 3600));

/// Who reads what is received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reader {
    /// The application.
    Open,
    /// Nobody, but the peer need not know: data is acknowledged and thrown away.
    Shut,
    /// Nobody: the application has closed, and data is answered with a reset.
    Gone,
}

packed_choice!(Reader { Open, Shut, Gone });

/// RCV.* and what goes with them.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) queue: RecvQueue,
    pub(crate) irs: Seq,
    /// RCV.NXT + RCV.WND as advertised: the largest edge that the peer was ever offered.
    pub(crate) edge: Seq,
    /// The number of the peer's FIN, once one was seen, perhaps beyond a gap.
    pub(crate) fin: Option<Seq>,
    /// The peer's FIN is in order: RCV.NXT has passed it.
    pub(crate) fin_received: bool,
    /// RCV.UP: the octet after the urgent data.
    pub(crate) up: Option<Seq>,
    /// TS.Recent of RFC 7323 §4.3, and when it was set.
    pub(crate) ts_recent: u32,
    pub(crate) ts_recent_at: Instant,
    /// Last.ACK.sent of RFC 7323 §4.3.
    pub(crate) last_ack_sent: Seq,
    /// Octets that the window may offer now; grows towards `Config::recv_buffer`.
    pub(crate) capacity: u32,
    /// Largest segment that the peer was seen to send: RMSS.
    pub(crate) rmss: u16,
    pub(crate) ack: AckOwed,
    /// Segments at the start that are acknowledged at once.
    pub(crate) quick_acks: u8,
    pub(crate) last_data_at: Instant,
    pub(crate) sizing: RightSizing,
    pub(crate) reader: Reader,
}

impl Empty for AckOwed {}

packed!(Receiver {
    irs,
    edge,
    sizing,
    queue,
    last_ack_sent: Like,
    fin: Rare,
    fin_received,
    up: Rare,
    ts_recent,
    ts_recent_at,
    capacity: In<3>,
    rmss,
    quick_acks,
    last_data_at,
    reader;
    ack,
});

/// Most memory for what lies beyond a gap.
#[inline]
pub(crate) const fn out_of_order_limit(config: &Config) -> usize {
    config.recv_buffer.saturating_mul(2)
}

impl Receiver {
    /// The receiver of a connection whose peer's SYN is `irs`.
    ///
    /// `window`: octets offered in our own SYN.
    pub(crate) fn new(config: &Config, irs: Seq, window: u32, syn: &Options, now: Instant) -> Self {
        let nxt = irs + 1;
        Self {
            queue: RecvQueue::new(nxt, out_of_order_limit(config)),
            irs,
            edge: nxt + window,
            fin: None,
            fin_received: false,
            up: None,
            ts_recent: syn.timestamps.map_or(0, |ts| ts.val),
            ts_recent_at: now,
            last_ack_sent: nxt,
            capacity: window::initial_capacity(config),
            rmss: ack::INITIAL_RMSS,
            ack: AckOwed::No,
            quick_acks: config.quick_acks,
            last_data_at: now,
            sizing: RightSizing::new(nxt + window, now),
            reader: Reader::Open,
        }
    }

    /// RCV.NXT.
    pub(crate) fn nxt(&self) -> Seq {
        self.queue.rcv_nxt() + u32::from(self.fin_received)
    }

    /// RCV.WND: what was offered and is not used yet.
    pub(crate) fn wnd(&self) -> u32 {
        let nxt = self.nxt();
        if self.edge.gt(nxt) {
            self.edge.since(nxt)
        } else {
            0
        }
    }

    /// Where the application reads.
    pub(crate) fn read_seq(&self) -> Seq {
        self.queue.rcv_nxt() - window::octets(self.queue.readable())
    }

    /// Octets of urgent data that the application has not read (RFC 9293 MUST-33).
    pub(crate) fn urgent_remaining(&self) -> u32 {
        let read = self.read_seq();
        self.up
            .map_or(0, |up| if up.gt(read) { up.since(read) } else { 0 })
    }

    /// Forgets urgent data that has been read. A pointer left where it was would lie *ahead* once
    /// half of the sequence space has passed.
    pub(crate) fn forget_read_urgent(&mut self) {
        let read = self.read_seq();
        self.up = self.up.filter(|up| up.gt(read));
    }

    /// RFC 7323 §5.3 R1: the timestamp is older than TS.Recent.
    pub(crate) fn is_old_timestamp(&self, ts_val: u32, now: Instant) -> bool {
        // RFC 7323 §5.2 TS-13: comparison is modulo 2^32. §5.5 PAWS-4: after 24 days TS.Recent is
        // no longer comparable, and the segment is believed.
        Seq::new(ts_val).lt(Seq::new(self.ts_recent))
            && now.nanos_since(self.ts_recent_at) < TS_RECENT_VALID
    }

    /// RFC 7323 §4.3 (2): takes over the timestamp of a segment that is to be acknowledged next.
    pub(crate) fn update_ts_recent(&mut self, ts_val: u32, seq: Seq, now: Instant) {
        let newer = Seq::new(ts_val).ge(Seq::new(self.ts_recent))
            || now.nanos_since(self.ts_recent_at) >= TS_RECENT_VALID;
        // TS-6, TS-7: only the segment at Last.ACK.sent, the earliest not yet acknowledged.
        if newer && seq.le(self.last_ack_sent) {
            self.ts_recent = ts_val;
            self.ts_recent_at = now;
        }
    }

    /// The blocks of the next acknowledgement. RFC 2018 §3: a FIN behind a gap belongs to the block that it ends, or
    /// the peer sends it again.
    pub(crate) fn sack_blocks(&self, max: usize) -> SackBlocks {
        let blocks = self.queue.sack_blocks(max);
        let Some(fin) = self.fin.filter(|fin| fin.gt(self.queue.rcv_nxt())) else {
            return blocks;
        };
        blocks
            .iter()
            .map(|block| SeqRange {
                start: block.start,
                end: block.end + u32::from(block.end == fin),
            })
            .collect()
    }

    /// A block that we reported as received ends here.
    pub(crate) fn is_sack_edge(&self, seq: Seq) -> bool {
        self.queue.out_of_order_bytes() > 0
            && self.sack_blocks(4).iter().any(|block| block.end == seq)
    }
}
