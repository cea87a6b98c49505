//! What a stack counts.

use crate::discard::Discard;

/// Counters of one stack since it was made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Counters {
    /// Frames handed in.
    pub frames_in: u64,
    /// Frames handed out.
    pub frames_out: u64,
    /// Bytes of frames handed in.
    pub bytes_in: u64,
    /// Bytes of frames handed out.
    pub bytes_out: u64,
    /// TCP segments (a merged one counts once) handed to a connection, a listener or TIME-WAIT.
    pub segments_in: u64,
    /// TCP segments (one to be cut by the device counts once) sent.
    pub segments_out: u64,
    /// UDP datagrams delivered to a socket.
    pub datagrams_in: u64,
    /// UDP datagrams sent.
    pub datagrams_out: u64,
    /// Datagrams put together from fragments.
    pub reassembled: u64,
    /// Datagrams sent in fragments.
    pub fragmented: u64,
    /// ICMP messages sent, echo replies included.
    pub icmp_out: u64,
    /// Resets sent for segments without a connection.
    pub resets_out: u64,
    /// Connections opened by us.
    pub active_opens: u64,
    /// Connections opened by a peer.
    pub passive_opens: u64,
    /// SYNs answered with a SYN cookie because the queue of handshakes was full.
    pub syn_cookies_out: u64,
    /// Connections opened by the acknowledgement of a SYN cookie.
    pub syn_cookies_in: u64,
    /// Connections opened by a SYN whose data the server took (RFC 7413).
    pub fast_opens_out: u64,
    /// SYNs whose data the server did not take, or that nobody answered.
    pub fast_open_failures: u64,
    /// Connections opened by a SYN with a valid Fast Open cookie, its data taken.
    pub fast_opens_in: u64,
    /// SYNs with a Fast Open cookie that was not valid.
    pub fast_open_refusals: u64,
    /// Fast Open cookies given out because they were asked for.
    pub fast_open_cookies_out: u64,
    /// SYNs with data or a Fast Open option for which too many handshakes with data were under way.
    pub fast_open_overflows: u64,
    /// TIME-WAIT entries thrown out early because there were too many (TW-12).
    pub time_wait_overflows: u64,
    /// Connections reset because too many were left behind by their applications.
    pub orphan_overflows: u64,
    /// Connections whose data beyond a gap was forgotten because all together held too much.
    pub out_of_order_overflows: u64,
    /// Connections reset because all together held too much unsent data, and this one's peer took none.
    pub send_overflows: u64,
    discards: Box<[u64]>,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            frames_in: 0,
            frames_out: 0,
            bytes_in: 0,
            bytes_out: 0,
            segments_in: 0,
            segments_out: 0,
            datagrams_in: 0,
            datagrams_out: 0,
            reassembled: 0,
            fragmented: 0,
            icmp_out: 0,
            resets_out: 0,
            active_opens: 0,
            passive_opens: 0,
            syn_cookies_out: 0,
            syn_cookies_in: 0,
            fast_opens_out: 0,
            fast_open_failures: 0,
            fast_opens_in: 0,
            fast_open_refusals: 0,
            fast_open_cookies_out: 0,
            fast_open_overflows: 0,
            time_wait_overflows: 0,
            orphan_overflows: 0,
            out_of_order_overflows: 0,
            send_overflows: 0,
            discards: vec![0; Discard::count()].into_boxed_slice(),
        }
    }

    /// How often something was discarded for `reason`.
    #[must_use]
    pub fn discarded(&self, reason: Discard) -> u64 {
        self.discards
            .get(reason.index())
            .copied()
            .unwrap_or_default()
    }

    /// Every reason for which something was discarded, with how often.
    pub fn discards(&self) -> impl Iterator<Item = (Discard, u64)> {
        Discard::all()
            .zip(self.discards.iter().copied())
            .filter(|(_, count)| *count > 0)
    }

    /// Every number but those of the discards.
    pub(crate) fn numbers(&mut self) -> [&mut u64; 26] {
        // Taken apart, so that none is forgotten.
        let Self {
            frames_in,
            frames_out,
            bytes_in,
            bytes_out,
            segments_in,
            segments_out,
            datagrams_in,
            datagrams_out,
            reassembled,
            fragmented,
            icmp_out,
            resets_out,
            active_opens,
            passive_opens,
            syn_cookies_out,
            syn_cookies_in,
            fast_opens_out,
            fast_open_failures,
            fast_opens_in,
            fast_open_refusals,
            fast_open_cookies_out,
            fast_open_overflows,
            time_wait_overflows,
            orphan_overflows,
            out_of_order_overflows,
            send_overflows,
            discards: _,
        } = self;
        [
            frames_in,
            frames_out,
            bytes_in,
            bytes_out,
            segments_in,
            segments_out,
            datagrams_in,
            datagrams_out,
            reassembled,
            fragmented,
            icmp_out,
            resets_out,
            active_opens,
            passive_opens,
            syn_cookies_out,
            syn_cookies_in,
            fast_opens_out,
            fast_open_failures,
            fast_opens_in,
            fast_open_refusals,
            fast_open_cookies_out,
            fast_open_overflows,
            time_wait_overflows,
            orphan_overflows,
            out_of_order_overflows,
            send_overflows,
        ]
    }

    pub(crate) fn add_discards(&mut self, other: &Self) {
        for (mine, theirs) in self.discards.iter_mut().zip(&other.discards) {
            *mine += *theirs;
        }
    }

    pub(crate) fn discard(&mut self, reason: Discard) {
        if let Some(count) = self.discards.get_mut(reason.index()) {
            *count += 1;
        }
    }
}
