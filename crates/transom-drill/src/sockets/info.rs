//! `tcp_info`, with the names of Linux's fields.

use std::time::Duration;

use transom_stack::ConnId;
use transom_stack::tcp::{CongestionState, ConnectionInfo, Instant, State};

use super::names::{
    TCP_INFINITE_SSTHRESH, TCPI_OPT_ECN, TCPI_OPT_SACK, TCPI_OPT_SYN_DATA, TCPI_OPT_TIMESTAMPS,
    TCPI_OPT_WSCALE,
};
use super::{Fd, Sockets};

/// Linux's number of a state.
pub(super) const fn state_number(state: State) -> i64 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
        _ => 7,
    }
}

impl Sockets {
    /// The fields of `tcp_info` of a socket; empty when `fd` is none.
    #[must_use]
    pub fn tcp_info(&self, now: Instant, fd: Fd) -> Vec<(&'static str, i64)> {
        let Ok(tcp) = self.tcp(fd) else {
            return Vec::new();
        };
        match tcp.connection() {
            Some(id) => self.connection_info(now, id),
            None => {
                let listens = matches!(tcp.stage, super::file::Stage::Listening(_));
                vec![
                    ("tcpi_state", if listens { 10 } else { 7 }),
                    ("tcpi_options", 0),
                ]
            }
        }
    }

    /// The same of a connection; empty when the stack has forgotten it.
    #[must_use]
    pub fn connection_info(&self, now: Instant, id: ConnId) -> Vec<(&'static str, i64)> {
        let Ok(info) = self.stack.tcp_info(id) else {
            return Vec::new();
        };
        let limits = self.limits.get(&id).copied().unwrap_or_default().until(now);
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let mut fields = fields(now, &info);
        fields.extend(accurate(&info));
        fields.push(("tcpi_busy_time", micros(limits.busy)));
        fields.push(("tcpi_rwnd_limited", micros(limits.window)));
        fields.push(("tcpi_sndbuf_limited", micros(limits.buffer)));
        fields
    }
}

/// Fields counted in segments on Linux are octets here, divided by the segment size.
fn fields(now: Instant, info: &ConnectionInfo) -> Vec<(&'static str, i64)> {
    let mss = u64::from(info.eff_snd_mss.max(1));
    let segments = |octets: u64| number(octets.div_ceil(mss));
    let flight = u64::from(info.snd_nxt.since(info.snd_una));
    let micros = |time: Option<Duration>| {
        time.map_or(0, |time| {
            i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
        })
    };
    let since = |then: Option<Instant>| {
        then.map_or(0, |then| {
            i64::try_from(now.duration_since(then).as_millis()).unwrap_or(i64::MAX)
        })
    };
    let ssthresh =
        if info.ssthresh / mss >= TCP_INFINITE_SSTHRESH.unsigned_abs() || info.ssthresh == 0 {
            TCP_INFINITE_SSTHRESH
        } else {
            number(info.ssthresh / mss)
        };
    let counters = &info.counters;
    vec![
        ("tcpi_state", state_number(info.state)),
        ("tcpi_ca_state", congestion_number(info.congestion_state)),
        ("tcpi_retransmits", info.backoff.into()),
        ("tcpi_probes", info.probes.into()),
        ("tcpi_backoff", info.backoff.into()),
        ("tcpi_options", options(info)),
        ("tcpi_snd_wscale", info.snd_wind_shift.unwrap_or(0).into()),
        ("tcpi_rcv_wscale", info.rcv_wind_shift.unwrap_or(0).into()),
        ("tcpi_rto", micros(Some(info.rto))),
        ("tcpi_snd_mss", info.eff_snd_mss.into()),
        ("tcpi_rcv_mss", info.rcv_mss.into()),
        ("tcpi_unacked", segments(flight)),
        ("tcpi_sacked", segments(info.sacked)),
        ("tcpi_lost", segments(info.lost)),
        ("tcpi_retrans", segments(info.resent)),
        ("tcpi_fackets", 0),
        ("tcpi_last_data_sent", since(info.last_sent)),
        ("tcpi_last_data_recv", since(info.last_received)),
        ("tcpi_pmtu", number(info.path_mtu as u64)),
        ("tcpi_rtt", micros(info.srtt)),
        ("tcpi_rttvar", micros(Some(info.rttvar))),
        ("tcpi_snd_ssthresh", ssthresh),
        ("tcpi_snd_cwnd", number(info.cwnd / mss)),
        ("tcpi_advmss", info.advertised_mss.into()),
        // Linux begins with the threshold of fast retransmit.
        ("tcpi_reordering", i64::from(info.reordering.max(3))),
        ("tcpi_total_retrans", counters.retransmissions.into()),
        ("tcpi_bytes_acked", number(counters.bytes_acked)),
        ("tcpi_bytes_received", number(counters.bytes_received)),
        ("tcpi_segs_out", counters.segments_sent.into()),
        ("tcpi_segs_in", counters.segments_received.into()),
        ("tcpi_notsent_bytes", number(info.unsent as u64)),
        ("tcpi_min_rtt", micros(info.min_rtt)),
        ("tcpi_delivered", delivered(info, segments)),
        ("tcpi_bytes_sent", number(counters.bytes_sent)),
        ("tcpi_bytes_retrans", number(counters.bytes_retransmitted)),
        ("tcpi_snd_wnd", info.snd_wnd.into()),
        ("tcpi_rcv_wnd", info.rcv_wnd.into()),
    ]
}

/// The fields of accurate ECN.
fn accurate(info: &ConnectionInfo) -> [(&'static str, i64); 8] {
    let ecn = info.accurate_ecn.unwrap_or_default();
    [
        ("tcpi_delivered_ce", ecn.delivered_ce.into()),
        ("tcpi_received_ce", ecn.received_ce.into()),
        ("tcpi_delivered_e1_bytes", number(ecn.delivered_ect1_bytes)),
        ("tcpi_delivered_e0_bytes", number(ecn.delivered_ect0_bytes)),
        ("tcpi_delivered_ce_bytes", number(ecn.delivered_ce_bytes)),
        ("tcpi_received_e1_bytes", number(ecn.received_ect1_bytes)),
        ("tcpi_received_e0_bytes", number(ecn.received_ect0_bytes)),
        ("tcpi_received_ce_bytes", number(ecn.received_ce_bytes)),
    ]
}

/// Segments that have arrived, as Linux counts them: the SYN is one, with the data in it.
fn delivered(info: &ConnectionInfo, segments: impl Fn(u64) -> i64) -> i64 {
    let octets = info.counters.bytes_acked + info.sacked;
    let syn = i64::from(info.snd_una != info.iss);
    syn + segments(octets.saturating_sub(info.syn_data_acked.into()))
}

fn options(info: &ConnectionInfo) -> i64 {
    let bit = |on: bool, bit: i64| if on { bit } else { 0 };
    bit(info.timestamps, TCPI_OPT_TIMESTAMPS)
        | bit(info.sack, TCPI_OPT_SACK)
        | bit(info.snd_wind_shift.is_some(), TCPI_OPT_WSCALE)
        | bit(info.ecn || info.accurate_ecn.is_some(), TCPI_OPT_ECN)
        | bit(
            info.syn_data_acked > 0 || info.syn_data_taken > 0,
            TCPI_OPT_SYN_DATA,
        )
}

const fn congestion_number(state: CongestionState) -> i64 {
    match state {
        CongestionState::Open => 0,
        CongestionState::Disorder => 1,
        CongestionState::Reduced => 2,
        CongestionState::Recovery => 3,
        CongestionState::Loss => 4,
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
