//! A snapshot of a connection, for `ss`, diagrams and tests.

use core::time::Duration;

use transom_wire::Seq;

use crate::connection::{Block, Connection};
use crate::discard::Discard;
use crate::ecn::AccurateInfo;
use crate::env::Env;
use crate::pack::{In, Like, Rare, packed};
use crate::recovery::AckOutcome;
use crate::recv::Receiver;
use crate::send::Sender;
use crate::state::State;
use crate::tcb::Tcb;
use crate::time::Instant;

/// What a connection knows, as plain values; named after RFC 9293 §3.3.1 and Linux's `tcp_info`.
///
/// Before the handshake most values are zero; after the end they are those of the last moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The state.
    pub state: State,
    /// SND.UNA.
    pub snd_una: Seq,
    /// SND.NXT.
    pub snd_nxt: Seq,
    /// SND.WND in octets, scaled.
    pub snd_wnd: u32,
    /// Initial send sequence number.
    pub iss: Seq,
    /// RCV.NXT.
    pub rcv_nxt: Seq,
    /// RCV.WND in octets: the window as last advertised, less what came since.
    pub rcv_wnd: u32,
    /// Initial receive sequence number.
    pub irs: Seq,
    /// The MSS that the peer offered, or the default.
    pub peer_mss: u16,
    /// Octets of payload in a full segment that we send, options taken off.
    pub eff_snd_mss: u16,
    /// The MSS that we offered.
    pub advertised_mss: u16,
    /// Timestamps are in use.
    pub timestamps: bool,
    /// Selective acknowledgements are in use.
    pub sack: bool,
    /// Explicit congestion notification is in use for what we send.
    pub ecn: bool,
    /// What accurate feedback (RFC 9768) has counted, where it is in use.
    pub accurate_ecn: Option<AccurateInfo>,
    /// The shift that the peer applies to its window, when scaling is in use.
    pub snd_wind_shift: Option<u8>,
    /// The shift that we apply to ours.
    pub rcv_wind_shift: Option<u8>,
    /// Congestion window in octets.
    pub cwnd: u64,
    /// Slow-start threshold in octets; `u64::MAX` before the first loss.
    pub ssthresh: u64,
    /// Name of the congestion controller.
    pub congestion: &'static str,
    /// Octets per second at which data goes out, when it is paced.
    pub pacing_rate: Option<u64>,
    /// Octets per second that the path delivered of late, and whether the application gave no more;
    /// measured for controllers that work by rate.
    pub delivery_rate: Option<(u64, bool)>,
    /// Octets believed to be in the network (RFC 6675's pipe).
    pub pipe: u64,
    /// Fast recovery is under way.
    pub in_recovery: bool,
    /// Smoothed round-trip time.
    pub srtt: Option<Duration>,
    /// Round-trip time variation.
    pub rttvar: Duration,
    /// Smallest round-trip time seen lately.
    pub min_rtt: Option<Duration>,
    /// Retransmission timeout, backoff included.
    pub rto: Duration,
    /// Retransmissions by timeout since the last progress.
    pub backoff: u32,
    /// Octets that wait for the application: Recv-Q.
    pub recv_queue: usize,
    /// Octets received out of order.
    pub recv_out_of_order: usize,
    /// Octets not yet acknowledged by the peer, sent or not: Send-Q.
    pub send_queue: usize,
    /// Octets written and not yet sent once.
    pub unsent: usize,
    /// Octets that the peer has reported by SACK blocks.
    pub sacked: u64,
    /// Octets believed lost and not acknowledged.
    pub lost: u64,
    /// Octets sent again and not yet acknowledged.
    pub resent: u64,
    /// By how many segments the path was seen to reorder at most (up to 255); 0 when it was not.
    pub reordering: u8,
    /// Where the connection stands with respect to congestion.
    pub congestion_state: CongestionState,
    /// Window and keep-alive probes since the peer was last heard.
    pub probes: u32,
    /// The path MTU in force.
    pub path_mtu: usize,
    /// Octets that went with our SYN, when the SYN-ACK acknowledged all of them (RFC 7413).
    pub syn_data_acked: u32,
    /// Octets that came with the peer's SYN and were taken, because its cookie was valid (RFC 7413).
    pub syn_data_taken: u32,
    /// The peer's segment size as seen.
    pub rcv_mss: u16,
    /// When data was last sent.
    pub last_sent: Option<Instant>,
    /// When data was last received; before that, when the peer's SYN was.
    pub last_received: Option<Instant>,
    /// Totals since the connection began.
    pub counters: Counters,
    /// Reason of the last discarded segment.
    pub last_discard: Option<Discard>,
}

/// Where a connection stands with respect to congestion, as Linux names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum CongestionState {
    /// Nothing suspicious.
    #[default]
    Open,
    /// Duplicate acknowledgements or SACK blocks, not yet taken for loss.
    Disorder,
    /// The window was reduced because a router marked a packet.
    Reduced,
    /// Fast recovery.
    Recovery,
    /// After a retransmission timeout.
    Loss,
}

/// Totals of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Octets of data sent, retransmissions not counted.
    pub bytes_sent: u64,
    /// Octets of data that the peer acknowledged.
    pub bytes_acked: u64,
    /// Octets of data received in order.
    pub bytes_received: u64,
    /// Octets of data sent again.
    pub bytes_retransmitted: u64,
    /// Segments sent; a super-segment counts for each of its pieces.
    pub segments_sent: u32,
    /// Segments received; a super-segment counts for each of its pieces.
    pub segments_received: u32,
    /// Segments sent again.
    pub retransmissions: u32,
    /// Retransmission time-outs.
    pub timeouts: u32,
    /// Acknowledgements in which the peer reported a duplicate (RFC 2883); saturates.
    pub duplicates_reported: u16,
    /// Congestion episodes that were taken back, because nothing had been lost; saturates.
    pub undone: u16,
    /// Segments received that were discarded.
    pub discards: u32,
}

packed!(Counters {
    bytes_sent: In<4>,
    bytes_acked: Like,
    bytes_received: In<4>,
    bytes_retransmitted: Rare,
    segments_sent: In<3>,
    segments_received: In<3>,
    retransmissions: Rare,
    timeouts: Rare,
    duplicates_reported: Rare,
    undone: Rare,
    discards: Rare,
});

impl Counters {
    pub(crate) fn count_outcome(&mut self, outcome: &AckOutcome) {
        let dsack = u16::from(outcome.dsack);
        self.duplicates_reported = self.duplicates_reported.saturating_add(dsack);
        let undone = u16::from(outcome.spurious.is_some());
        self.undone = self.undone.saturating_add(undone);
    }
}

impl ConnectionInfo {
    /// The snapshot of a connection of which nothing but its state is known.
    fn new(state: State, env: &Env) -> Self {
        Self {
            state,
            snd_una: Seq::default(),
            snd_nxt: Seq::default(),
            snd_wnd: 0,
            iss: Seq::default(),
            rcv_nxt: Seq::default(),
            rcv_wnd: 0,
            irs: Seq::default(),
            peer_mss: 0,
            eff_snd_mss: 0,
            advertised_mss: env.path.advertised_mss(),
            timestamps: false,
            sack: false,
            ecn: false,
            accurate_ecn: None,
            snd_wind_shift: None,
            rcv_wind_shift: None,
            cwnd: 0,
            ssthresh: 0,
            congestion: env.config.congestion.name(),
            pacing_rate: None,
            delivery_rate: None,
            pipe: 0,
            in_recovery: false,
            srtt: None,
            rttvar: Duration::ZERO,
            min_rtt: None,
            rto: Duration::ZERO,
            backoff: 0,
            recv_queue: 0,
            recv_out_of_order: 0,
            send_queue: 0,
            unsent: 0,
            sacked: 0,
            lost: 0,
            resent: 0,
            reordering: 0,
            congestion_state: CongestionState::Open,
            probes: 0,
            path_mtu: env.path.mtu,
            syn_data_acked: env.fast_open.as_ref().map_or(0, |open| open.acknowledged),
            syn_data_taken: env.fast_open.as_ref().map_or(0, |open| open.taken),
            rcv_mss: 0,
            last_sent: None,
            last_received: None,
            counters: env.counters,
            last_discard: env.last_discard,
        }
    }

    /// Takes over what a control block knows.
    ///
    /// Destructured without `..`, so that a new field asks whether people want to see it.
    fn with_tcb(self, env: &Env, tcb: &Tcb) -> Self {
        let Tcb {
            phase: _,
            awaited: _,
            loss_probe_owed: _,
            snd,
            rcv,
            negotiated,
            recovery,
            congestion,
            pacer,
            delivery,
            rtt,
            ecn,
            handshake: _,
            reply: _,
            probe_owed: _,
            keep_alive_owed: _,
            keep_alive_probes,
            last_heard: _,
            mtu_search: _,
            doubted_mtu: _,
        } = tcb;
        Self {
            peer_mss: negotiated.peer_mss,
            eff_snd_mss: tcb.mss(env),
            advertised_mss: negotiated.advertised_mss,
            timestamps: negotiated.timestamps,
            sack: negotiated.sack,
            ecn: ecn.is_capable(),
            accurate_ecn: ecn.accurate.as_ref().map(|accurate| accurate.info()),
            snd_wind_shift: negotiated.shifts.map(|(snd, _)| snd),
            rcv_wind_shift: negotiated.shifts.map(|(_, rcv)| rcv),
            cwnd: congestion.cwnd(),
            ssthresh: congestion.ssthresh(),
            congestion: congestion.name(),
            pacing_rate: pacer.as_ref().map(|pacer| pacer.rate()),
            delivery_rate: delivery.as_ref().and_then(|delivery| delivery.rate()),
            pipe: recovery.pipe(),
            in_recovery: recovery.is_in_recovery(),
            srtt: rtt.srtt(),
            rttvar: rtt.rttvar(),
            min_rtt: rtt.min_rtt(),
            rto: rtt.rto(),
            backoff: rtt.backoff_count(),
            sacked: recovery.sacked(),
            lost: recovery.lost(),
            resent: recovery.resent_in_flight(),
            reordering: recovery.reordering(),
            congestion_state: match () {
                () if recovery.is_in_loss() => CongestionState::Loss,
                () if recovery.is_in_recovery() => CongestionState::Recovery,
                () if ecn.in_episode() => CongestionState::Reduced,
                () if recovery.dup_acks() > 0 || recovery.sacked() > 0 => CongestionState::Disorder,
                () => CongestionState::Open,
            },
            probes: u32::from(snd.probes.max(*keep_alive_probes)),
            ..self.with_sender(snd).with_receiver(rcv)
        }
    }

    fn with_sender(self, snd: &Sender) -> Self {
        let Sender {
            queue,
            iss,
            una,
            nxt,
            wnd,
            ..
        } = snd;
        Self {
            snd_una: *una,
            snd_nxt: *nxt,
            snd_wnd: *wnd,
            iss: *iss,
            send_queue: queue.len(),
            unsent: snd.unsent() as usize,
            last_sent: (snd.nxt != snd.iss + 1).then_some(snd.last_sent),
            ..self
        }
    }

    fn with_receiver(self, rcv: &Receiver) -> Self {
        Self {
            rcv_nxt: rcv.nxt(),
            rcv_wnd: rcv.wnd(),
            irs: rcv.irs,
            recv_queue: rcv.queue.readable(),
            recv_out_of_order: rcv.queue.out_of_order_bytes(),
            rcv_mss: rcv.rmss,
            last_received: Some(rcv.last_data_at),
            ..self
        }
    }
}

impl Connection {
    /// STATUS (RFC 9293 §3.10.6): a snapshot.
    pub fn info(&self) -> ConnectionInfo {
        let info = ConnectionInfo::new(self.state(), &self.env);
        match &self.block {
            Block::SynSent(syn_sent) => ConnectionInfo {
                snd_una: syn_sent.iss,
                snd_nxt: syn_sent.iss + 1 + self.env.syn_data_sent(),
                iss: syn_sent.iss,
                rto: syn_sent.rtt.rto(),
                backoff: syn_sent.rtt.backoff_count(),
                send_queue: syn_sent.queue.len(),
                ..info
            },
            Block::Tcb(tcb) => info.with_tcb(&self.env, tcb),
            Block::Closed(closed) => ConnectionInfo {
                state: State::Closed,
                recv_queue: self.recv_queue(),
                recv_out_of_order: 0,
                send_queue: 0,
                counters: self.env.counters,
                last_discard: self.env.last_discard,
                ..(*closed.last).clone()
            },
        }
    }
}
