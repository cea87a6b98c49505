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

/// TCP_INFINITE_SSTHRESH
const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;

impl TcpInfo {
    /// Reads the fields that are there: older kernels give a shorter structure.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let word = |at: usize| {
            let field = bytes
                .get(at..at + 4)
                .and_then(|field| field.try_into().ok());
            u32::from_ne_bytes(field.unwrap_or_default())
        };
        let long = |at: usize| {
            let field = bytes
                .get(at..at + 8)
                .and_then(|field| field.try_into().ok());
            u64::from_ne_bytes(field.unwrap_or_default())
        };
        let micros = |at: usize| Duration::from_micros(u64::from(word(at)));
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
            bytes_acked: long(120),
            bytes_received: long(128),
            // The kernel reports "not measured" as all ones.
            min_rtt: if word(148) == u32::MAX {
                Duration::ZERO
            } else {
                micros(148)
            },
        }
    }
}
