//! What TCP knows of a connection (`-i`), in the words and the order of `ss` 6.1.

use std::fmt::Write;

use super::number::{push_g, push_millis, push_rate};
use crate::kernel::inet_diag::{Attributes, KernelState};
use crate::kernel::tcp_info::Raw;

/// TCPI_OPT_…
const TIMESTAMPS: u8 = 1;
const SACK: u8 = 2;
const WINDOW_SCALE: u8 = 4;
const ECN: u8 = 8;
const ECN_SEEN: u8 = 16;
const SYN_DATA: u8 = 32;
/// TCP_TIMEOUT_INIT as `ss` takes it: a retransmission timeout that says nothing.
const UNSET_RTO: u32 = 3_000_000;
/// A threshold from here on was never lowered.
const NO_SSTHRESH: u32 = 0xffff;
/// TCP_REORDERING
const USUAL_REORDERING: u32 = 3;

/// How to write it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Exact rates (`-n`).
    pub(crate) exact: bool,
    /// Which TCP options were agreed on; `ss` tells with `-o` and `-e`.
    pub(crate) options: bool,
}

/// Appends everything, each field behind a space.
pub(crate) fn push(to: &mut String, state: KernelState, from: &Attributes<'_>, style: Style) {
    let Some(info) = from.info().map(Raw) else {
        if let Some(name) = from.congestion() {
            let _ = write!(to, " {name}");
        }
        return;
    };
    push_options(to, info, style);
    if let Some(name) = from.congestion() {
        let _ = write!(to, " {name}");
    }
    if info.byte(5) & WINDOW_SCALE != 0 {
        let scales = info.byte(6);
        let _ = write!(to, " wscale:{},{}", scales & 15, scales >> 4);
    }
    push_times(to, info);
    push_sizes(to, info);
    push_counters(to, info);
    push_congestion(to, from, style);
    push_rates(to, info, from, style);
    push_limits(to, info);
    push_losses(to, info, state);
    push_receiver(to, info);
    if let Some(name) = from.upper() {
        let _ = write!(to, " tcp-ulp-{name}");
    }
}

fn push_options(to: &mut String, info: Raw<'_>, style: Style) {
    if !style.options {
        return;
    }
    let agreed = info.byte(5);
    for (bit, name) in [
        (TIMESTAMPS, " ts"),
        (SACK, " sack"),
        (ECN, " ecn"),
        (ECN_SEEN, " ecnseen"),
        (SYN_DATA, " fastopen"),
    ] {
        if agreed & bit != 0 {
            to.push_str(name);
        }
    }
}

fn push_times(to: &mut String, info: Raw<'_>) {
    let (rto, ato, rtt, rttvar) = (info.word(8), info.word(12), info.word(68), info.word(72));
    if rto != 0 && rto != UNSET_RTO {
        to.push_str(" rto:");
        push_millis(to, rto);
    }
    number(to, "backoff", info.byte(4).into());
    if rtt != 0 {
        to.push_str(" rtt:");
        push_millis(to, rtt);
        to.push('/');
        push_millis(to, rttvar);
    }
    if ato != 0 {
        to.push_str(" ato:");
        push_millis(to, ato);
    }
}

fn push_sizes(to: &mut String, info: Raw<'_>) {
    number(to, "mss", info.word(16).into());
    number(to, "pmtu", info.word(60).into());
    number(to, "rcvmss", info.word(20).into());
    number(to, "advmss", info.word(84).into());
    number(to, "cwnd", info.word(80).into());
    if info.word(76) < NO_SSTHRESH {
        number(to, "ssthresh", info.word(76).into());
    }
}

fn push_counters(to: &mut String, info: Raw<'_>) {
    number(to, "bytes_sent", info.long(200));
    number(to, "bytes_retrans", info.long(208));
    number(to, "bytes_acked", info.long(120));
    number(to, "bytes_received", info.long(128));
    number(to, "segs_out", info.word(136).into());
    number(to, "segs_in", info.word(140).into());
    number(to, "data_segs_out", info.word(156).into());
    number(to, "data_segs_in", info.word(152).into());
}

/// What the congestion control says of itself.
fn push_congestion(to: &mut String, from: &Attributes<'_>, style: Style) {
    if let Some(dctcp) = from.dctcp().map(Raw) {
        let enabled = dctcp.byte(0) != 0 || dctcp.byte(1) != 0;
        if enabled {
            let ce_state = dctcp.word(0) >> 16;
            let _ = write!(
                to,
                " dctcp:(ce_state:{ce_state},alpha:{},ab_ecn:{},ab_tot:{})",
                dctcp.word(4),
                dctcp.word(8),
                dctcp.word(12)
            );
        } else {
            to.push_str(" dctcp:fallback_mode");
        }
    }
    if let Some(bbr) = from.bbr().map(Raw) {
        let bandwidth = u64::from(bbr.word(4)) << 32 | u64::from(bbr.word(0));
        to.push_str(" bbr:(bw:");
        push_rate(to, bits(bandwidth), style.exact);
        to.push_str(",mrtt:");
        push_millis(to, bbr.word(8));
        for (name, at) in [("pacing_gain", 12), ("cwnd_gain", 16)] {
            if bbr.word(at) != 0 {
                let _ = write!(to, ",{name}:");
                push_g(to, f64::from(bbr.word(at)) / 256.0);
            }
        }
        to.push(')');
    }
}

fn push_rates(to: &mut String, info: Raw<'_>, from: &Attributes<'_>, style: Style) {
    let (mss, rtt, cwnd) = (info.word(16), info.word(68), info.word(80));
    let rtt = vegas_rtt(from).unwrap_or(rtt);
    if mss != 0 && rtt != 0 && cwnd != 0 {
        to.push_str(" send ");
        let bits = f64::from(cwnd) * f64::from(mss) * 8_000_000.0 / f64::from(rtt);
        push_rate(to, bits, style.exact);
    }
    number(to, "lastsnd", info.last_data_sent().into());
    number(to, "lastrcv", info.last_data_recv().into());
    number(to, "lastack", info.last_ack_recv().into());
    let known = |rate: u64| rate != 0 && rate != u64::MAX;
    let (pacing, most) = (info.long(104), info.long(112));
    if known(pacing) {
        to.push_str(" pacing_rate ");
        push_rate(to, bits(pacing), style.exact);
        if known(most) {
            to.push('/');
            push_rate(to, bits(most), style.exact);
        }
    }
    if info.long(160) != 0 {
        to.push_str(" delivery_rate ");
        push_rate(to, bits(info.long(160)), style.exact);
    }
    number(to, "delivered", info.word(192).into());
    number(to, "delivered_ce", info.word(196).into());
    if info.byte(7) & 1 != 0 {
        to.push_str(" app_limited");
    }
}

/// What held sending back, and for how long.
fn push_limits(to: &mut String, info: Raw<'_>) {
    let busy = info.long(168);
    if busy == 0 {
        return;
    }
    let _ = write!(to, " busy:{}ms", busy / 1000);
    for (name, at) in [("rwnd_limited", 176), ("sndbuf_limited", 184)] {
        let limited = info.long(at);
        if limited != 0 {
            let share = bits(limited) / bits(busy) * 100.0;
            let _ = write!(to, " {name}:{}ms({share:.1}%)", limited / 1000);
        }
    }
}

fn push_losses(to: &mut String, info: Raw<'_>, state: KernelState) {
    number(to, "unacked", info.word(24).into());
    let (retrans, total) = (info.word(36), info.word(100));
    if retrans != 0 || total != 0 {
        let _ = write!(to, " retrans:{retrans}/{total}");
    }
    number(to, "lost", info.word(32).into());
    // Of a listener it is the backlog, which stands in Send-Q.
    if state != KernelState::LISTEN {
        number(to, "sacked", info.word(28).into());
    }
    number(to, "dsack_dups", info.word(216).into());
    number(to, "fackets", info.word(40).into());
    if info.word(88) != USUAL_REORDERING {
        number(to, "reordering", info.word(88).into());
    }
    number(to, "reord_seen", info.word(220).into());
}

fn push_receiver(to: &mut String, info: Raw<'_>) {
    if info.word(92) != 0 {
        to.push_str(" rcv_rtt:");
        push_millis(to, info.word(92));
    }
    number(to, "rcv_space", info.word(96).into());
    number(to, "rcv_ssthresh", info.word(64).into());
    number(to, "notsent", info.notsent_bytes().into());
    // The kernel reports "not measured" as all ones.
    if info.word(148) != 0 && info.word(148) != u32::MAX {
        to.push_str(" minrtt:");
        push_millis(to, info.word(148));
    }
    number(to, "rcv_ooopack", info.word(224).into());
    number(to, "snd_wnd", info.word(228).into());
}

fn vegas_rtt(from: &Attributes<'_>) -> Option<u32> {
    let vegas = from.vegas().map(Raw)?;
    let rtt = vegas.word(8);
    (vegas.word(0) != 0 && rtt != 0 && rtt != 0x7fff_ffff).then_some(rtt)
}

/// A field, unless it is zero.
fn number(to: &mut String, name: &str, value: u64) {
    if value != 0 {
        let _ = write!(to, " {name}:{value}");
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "rates are shown in a few digits; ss computes them as doubles, too"
)]
fn bits(bytes: u64) -> f64 {
    bytes as f64 * 8.0
}
