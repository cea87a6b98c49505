//! The kernel's `struct tcp_info`, as sock_diag and getsockopt(TCP_INFO) give it.

use std::time::Duration;

/// What we show of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TcpInfo {
    /// Largest segment sent, payload bytes.
    pub(crate) snd_mss: u32,
    /// Path MTU, bytes.
    pub(crate) pmtu: u32,
    /// Smoothed round-trip time.
    pub(crate) rtt: Duration,
    /// Its variation.
    pub(crate) rttvar: Duration,
    /// Retransmission timeout.
    pub(crate) rto: Duration,
    /// Slow-start threshold, segments; None while it is infinite.
    pub(crate) ssthresh_segs: Option<u32>,
    /// Congestion window, segments.
    pub(crate) cwnd_segs: u32,
    /// Segments sent again so far.
    pub(crate) retransmitted_segs: u32,
    /// Sent and acknowledged, bytes.
    pub(crate) bytes_acked: u64,
    /// Received in order, bytes.
    pub(crate) bytes_received: u64,
    /// The smallest round-trip time seen; zero until one was measured.
    pub(crate) min_rtt: Duration,
}

/// The structure as the kernel gives it, field by field; fields that an older kernel does not have are
/// zero. Offsets are those of include/uapi/linux/tcp.h.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a>(pub(crate) &'a [u8]);

impl Raw<'_> {
    /// A field of one byte.
    pub(crate) fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or_default()
    }

    /// A field of four bytes.
    pub(crate) fn word(self, at: usize) -> u32 {
        u32::from_ne_bytes(self.field(at))
    }

    /// A field of eight bytes.
    pub(crate) fn long(self, at: usize) -> u64 {
        u64::from_ne_bytes(self.field(at))
    }

    fn field<const N: usize>(self, at: usize) -> [u8; N] {
        let field = self.0.get(at..).and_then(|rest| rest.first_chunk());
        field.copied().unwrap_or([0; N])
    }

    /// tcpi_state: whether the handshake is over, and the connection has not failed since.
    pub(crate) fn is_open(self) -> bool {
        // TCP_ESTABLISHED, and TCP_CLOSE_WAIT, when the peer has finished at once.
        matches!(self.byte(0), 1 | 8)
    }

    /// tcpi_retransmits: of the segment that waits for an answer now.
    pub(crate) fn retransmits(self) -> u8 {
        self.byte(2)
    }

    /// tcpi_probes: window or keep-alive probes without an answer.
    pub(crate) fn probes(self) -> u8 {
        self.byte(3)
    }

    /// tcpi_last_data_sent, ms ago.
    pub(crate) fn last_data_sent(self) -> u32 {
        self.word(44)
    }

    /// tcpi_last_data_recv, ms ago. A FIN counts as data here.
    pub(crate) fn last_data_recv(self) -> u32 {
        self.word(52)
    }

    /// tcpi_last_ack_recv, ms ago.
    pub(crate) fn last_ack_recv(self) -> u32 {
        self.word(56)
    }

    /// tcpi_notsent_bytes: written, and not sent for lack of window.
    pub(crate) fn notsent_bytes(self) -> u32 {
        self.word(144)
    }

    /// tcpi_snd_wnd: the window that the peer gives.
    pub(crate) fn snd_wnd(self) -> Option<u32> {
        (self.0.len() >= 232).then(|| self.word(228))
    }
}

/// TCP_INFINITE_SSTHRESH
const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;

impl TcpInfo {
    /// Reads the fields that are there: older kernels give a shorter structure.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let raw = Raw(bytes);
        let word = |at| raw.word(at);
        let micros = |at| Duration::from_micros(u64::from(word(at)));
        let ssthresh = word(76);
        Self {
            rto: micros(8),
            snd_mss: word(16),
            pmtu: word(60),
            rtt: micros(68),
            rttvar: micros(72),
            ssthresh_segs: (ssthresh < INFINITE_SSTHRESH).then_some(ssthresh),
            cwnd_segs: word(80),
            retransmitted_segs: word(100),
            bytes_acked: raw.long(120),
            bytes_received: raw.long(128),
            // The kernel reports "not measured" as all ones.
            min_rtt: if word(148) == u32::MAX {
                Duration::ZERO
            } else {
                micros(148)
            },
        }
    }
}
