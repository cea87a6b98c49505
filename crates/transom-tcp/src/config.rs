//! What can be chosen for a connection, each choice with its default and the reason for it.

use core::time::Duration;

use transom_wire::Seq;

use crate::congestion::Algorithm;
use crate::pack::{In, Like, packed};

/// The choices for one connection. `Default` behaves as Linux does where the RFCs leave freedom.
///
/// Share one value between many connections through `Arc<Config>`; a connection that changes an
/// option of its own makes a copy.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Most octets that the receive window ever offers. Default 6 MiB, as Linux. Decides the
    /// window scale that is offered, so it cannot grow later.
    pub recv_buffer: usize,
    /// Octets that the receive window offers at first; it grows towards `recv_buffer` as long as
    /// the application keeps up. Default 1 MiB. Equal to `recv_buffer` means no growth.
    pub recv_buffer_initial: usize,
    /// Most octets of unacknowledged and unsent data ever held for the application. Default 4 MiB, as Linux.
    pub send_buffer: usize,
    /// Octets held for the application at first; it grows to twice the congestion window, up to `send_buffer`.
    /// Default 256 KiB. Equal to `send_buffer` means no growth.
    pub send_buffer_initial: usize,
    /// Most octets held that were not yet sent once (the option TCP_NOTSENT_LOWAT): an application
    /// that writes no earlier can change its mind later. Default none.
    pub unsent_limit: Option<usize>,
    /// Offer RFC 7323 timestamps. Default true: they give PAWS and a round-trip time per ACK.
    pub timestamps: bool,
    /// Offer RFC 2018 selective acknowledgements. Default true.
    pub sack: bool,
    /// Tell loss by time, and probe the tail (RACK-TLP, RFC 8985), where both ends permit SACK.
    /// Default true; otherwise RFC 6675 counts duplicates.
    pub rack: bool,
    /// With `rack`: probe the tail of what was sent before the retransmission timer (RFC 8985 §7).
    /// Default true.
    pub tail_loss_probe: bool,
    /// Begin slow start anew after an idle time of one retransmission timeout (RFC 5681 §4.1).
    /// Default true, as Linux.
    pub restart_after_idle: bool,
    /// Offer RFC 7323 window scaling. Default true; without it the window ends at 64 KiB.
    pub window_scaling: bool,
    /// Largest segment to offer and to send (the option TCP_MAXSEG). Default none: the path's.
    pub max_segment: Option<u16>,
    /// Which congestion controller. Default CUBIC (RFC 9438).
    pub congestion: Algorithm,
    /// End the first slow start when the round trip grows, before the queue overflows (HyStart++,
    /// RFC 9406). Default true.
    pub hystart: bool,
    /// Spread what the window admits over the round trip, with CUBIC and Reno too, at the rates that
    /// Linux takes: twice the window per round trip in slow start, 1.2 times afterwards. Default true:
    /// who receives acknowledgements in clumps would send bursts that short queues cannot take. A
    /// controller that works by rate is always paced.
    pub pacing: bool,
    /// Initial window in segments (RFC 6928). Default 10.
    pub initial_window_segs: u32,
    /// Send small segments at once (RFC 9293 MUST-17). Default false: Nagle's algorithm.
    pub nodelay: bool,
    /// Longest time that an acknowledgement is delayed. Default 40 ms (RFC 9293 MUST-40: < 500 ms).
    pub delayed_ack: Duration,
    /// Segments at the start of a connection that are acknowledged at once. Default 16, as Linux:
    /// a sender in slow start is not held up.
    pub quick_acks: u8,
    /// Retransmission timeout before a round trip was measured. Default 1 s (RFC 6298 §2.1).
    pub rto_initial: Duration,
    /// Shortest retransmission timeout. Default 200 ms, as Linux; RFC 6298 §2.4 says 1 s.
    pub rto_min: Duration,
    /// Longest retransmission timeout. Default 60 s, the least that RFC 6298 §2.5 allows.
    pub rto_max: Duration,
    /// SYNs sent again before giving up. Default 7, 183 s in all (RFC 9293 MUST-23: ≥ 180 s).
    pub syn_retries: u8,
    /// SYN-ACKs sent again before giving up. Default 5, as Linux.
    pub syn_ack_retries: u8,
    /// R1: retransmissions of the same data before the application is told. Default 3 (SHLD-10).
    pub retries_r1: u8,
    /// R2: retransmissions of the same data before the connection is given up. Default 15, as
    /// Linux: about 15 min (SHLD-11: ≥ 100 s).
    pub retries_r2: u8,
    /// R2 of a connection whose application has closed. Default 8, as Linux.
    pub orphan_retries: u8,
    /// Most time that data may stay unacknowledged, over and above the counts (MUST-21). Default
    /// none.
    pub user_timeout: Option<Duration>,
    /// Keep-alive probes. Default none (RFC 9293 MUST-25).
    pub keep_alive: Option<KeepAlive>,
    /// How long TIME-WAIT lasts. Default 60 s, as Linux; 2 MSL of RFC 9293 is 4 min.
    pub time_wait: Duration,
    /// How long a connection whose application has closed waits in FIN-WAIT-2. Default 60 s.
    pub fin_wait_2: Duration,
    /// Least time between two challenge ACKs of one connection. Default 500 ms, as Linux; there is
    /// no shared counter, because one can be measured from outside (CVE-2016-5696).
    pub challenge_interval: Duration,
    /// Also accept a reset at the right edge of a SACK block that we sent, as Linux. Default true.
    pub reset_at_sack_edge: bool,
    /// Longest time that a corked partial segment is held. Default 200 ms, as Linux.
    pub cork_limit: Duration,
    /// Longest time that sender-side silly-window avoidance holds data. Default 200 ms
    /// (RFC 9293 §3.8.6.2.1: 0.1 to 1 s).
    pub sws_override: Duration,
    /// Explicit congestion notification (RFC 3168, RFC 9768). Default [`EcnUse::Accept`], as Linux: nothing that we ask for
    /// makes a middlebox drop our SYN.
    pub ecn: EcnUse,
    /// Which segments carry the option of accurate feedback, where that is in use (`tcp_ecn_option` of Linux). Default
    /// [`AccEcnOption::Needed`].
    pub accecn_option: AccEcnOption,
    /// With accurate feedback: mark acknowledgements, probes and what is sent again as ECN-capable too, as Linux does
    /// (an experiment that RFC 8311 allows). Default false: RFC 3168 §6.1.4, §6.1.5.
    pub ecn_everywhere: bool,
    /// Reduce the congestion window less for a congestion mark than for loss (ABE, RFC 8511). Default
    /// false, as Linux.
    pub abe: bool,
    /// RTO restart (RFC 7765): with fewer than four segments outstanding or waiting, the retransmission timeout counts from when the
    /// oldest was sent, not from the last acknowledgement. Off, as in Linux; it matters where tails are not probed, which is without
    /// SACK and in a recovery.
    pub rto_restart: bool,
    /// Differentiated-services code point for every segment (6 bits). Default 0.
    pub dscp: u8,
    /// Find out with data of our own what the path carries (RFC 4821). Default [`MtuProbing::Off`], as Linux.
    pub mtu_probing: MtuProbing,
    /// Report soft errors as events (RFC 9293 SHLD-20). Default true.
    pub report_soft_errors: bool,
    /// What `close` does with data not yet sent. Default `Linger::Background`.
    pub linger: Linger,
    /// Data in the SYN of an active open (RFC 7413). Default [`FastOpenUse::Off`].
    pub fast_open: FastOpenUse,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            recv_buffer: 6 << 20,
            recv_buffer_initial: 1 << 20,
            send_buffer: 4 << 20,
            send_buffer_initial: 256 << 10,
            unsent_limit: None,
            timestamps: true,
            sack: true,
            rack: true,
            tail_loss_probe: true,
            restart_after_idle: true,
            window_scaling: true,
            max_segment: None,
            congestion: Algorithm::Cubic,
            hystart: true,
            pacing: true,
            initial_window_segs: 10,
            nodelay: false,
            delayed_ack: Duration::from_millis(40),
            quick_acks: 16,
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(60),
            syn_retries: 7,
            syn_ack_retries: 5,
            retries_r1: 3,
            retries_r2: 15,
            orphan_retries: 8,
            user_timeout: None,
            keep_alive: None,
            time_wait: Duration::from_secs(60),
            fin_wait_2: Duration::from_secs(60),
            challenge_interval: Duration::from_millis(500),
            reset_at_sack_edge: true,
            cork_limit: Duration::from_millis(200),
            sws_override: Duration::from_millis(200),
            ecn: EcnUse::Accept,
            accecn_option: AccEcnOption::Needed,
            ecn_everywhere: false,
            abe: false,
            rto_restart: false,
            dscp: 0,
            mtu_probing: MtuProbing::Off,
            report_soft_errors: true,
            linger: Linger::Background,
            fast_open: FastOpenUse::Off,
        }
    }
}

/// Whether routers may mark our data instead of dropping it, and how marks are fed back: classically (RFC 3168), as one
/// signal in a round trip, or accurately (RFC 9768), all of them counted. Where accurate feedback is accepted, so is classic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum EcnUse {
    /// Never (`tcp_ecn=0` of Linux).
    Off,
    /// When the peer asks for it, classically (2).
    Accept,
    /// Also ask for it, in the first SYN of an active open (1).
    Request,
    /// Ask for accurate feedback, in the first two SYNs of an active open; take classic feedback if the peer knows no
    /// other (3).
    Accurate,
    /// Ask for classic feedback, but accept both (4).
    RequestClassic,
    /// Ask for nothing, and accept both (5).
    AcceptAccurate,
}

impl EcnUse {
    pub(crate) const fn accepts_accurate(self) -> bool {
        matches!(
            self,
            Self::Accurate | Self::RequestClassic | Self::AcceptAccurate
        )
    }
}

/// Which segments carry the accurate-ECN option (RFC 9768 §3.2.3.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AccEcnOption {
    /// None: the three bits of the header have to do.
    Never,
    /// SYN-ACK, the first acknowledgement and the first data; then those before which a counter changed, the next after it, and
    /// three in a round trip, so that a lost one does no harm. It has the counters that ever changed.
    Needed,
    /// All, with all counters where there is room, if the peer sends the option too, as Linux.
    Always,
}

/// What `close` does with data that was not yet sent or acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Linger {
    /// Send it in the background and finish in order.
    Background,
    /// Throw it away and reset the connection (SO_LINGER with time 0).
    Reset,
    /// Send it, but reset when that takes longer.
    Limit(Duration),
}

/// When an idle peer is asked whether it is still there (RFC 9293 §3.8.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepAlive {
    /// Silence before the first probe. Default 2 h (RFC 9293 MUST-28).
    pub idle: Duration,
    /// Time between probes. Default 75 s.
    pub interval: Duration,
    /// Unanswered probes before the connection is given up (RFC 9293 MUST-29: more than one).
    /// Default 9.
    pub probes: u8,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(7200),
            interval: Duration::from_secs(75),
            probes: 9,
        }
    }
}

/// Whether data of our own is used to find out what the path carries (RFC 4821; `tcp_mtu_probing` of Linux). Needs SACK
/// and [`Config::rack`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum MtuProbing {
    /// ICMP errors are believed, and nothing is tried.
    #[default]
    Off,
    /// A path that swallows large packets and says nothing is taken for what it is: when the same full segments were lost
    /// three times, packets of 1024 octets (1280 in IPv6) are sent, and larger ones tried from there.
    BlackHole,
    /// Begin with such small packets, and try larger ones at once.
    Always,
}

/// Whether an active opener puts data into its SYN (TCP Fast Open, RFC 7413), which saves a round trip.
///
/// It is off unless an application asks for it, because **the server may then get the data twice**: a copy of the SYN that
/// the network delivers when the connection is over opens another one. It suits requests that may be repeated, and
/// protocols that find out (a TLS client hello).
// RFC 7413 §2, §6, TFO-11.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum FastOpenUse {
    /// Never.
    #[default]
    Off,
    /// With the cookie that the server gave out before; without one, the SYN asks for one.
    Cookie,
    /// Data without a cookie, for servers that are known to want none (`TCP_FASTOPEN_NO_COOKIE` of Linux).
    WithoutCookie,
}

macro_rules! setters {
    ($($(#[doc = $doc:literal])* $name:ident: $type:ty,)+) => {
        impl Config {
            $(
                #[doc = concat!("Sets [`Config::", stringify!($name), "`].")]
                #[must_use]
                pub fn $name(mut self, $name: $type) -> Self {
                    self.$name = $name;
                    self
                }
            )+
        }
    };
}

setters! {
    recv_buffer_initial: usize,
    send_buffer_initial: usize,
    unsent_limit: Option<usize>,
    timestamps: bool,
    sack: bool,
    rack: bool,
    tail_loss_probe: bool,
    restart_after_idle: bool,
    window_scaling: bool,
    max_segment: Option<u16>,
    congestion: Algorithm,
    hystart: bool,
    pacing: bool,
    initial_window_segs: u32,
    nodelay: bool,
    delayed_ack: Duration,
    quick_acks: u8,
    rto_initial: Duration,
    rto_min: Duration,
    rto_max: Duration,
    syn_retries: u8,
    syn_ack_retries: u8,
    retries_r1: u8,
    retries_r2: u8,
    orphan_retries: u8,
    user_timeout: Option<Duration>,
    keep_alive: Option<KeepAlive>,
    time_wait: Duration,
    fin_wait_2: Duration,
    challenge_interval: Duration,
    reset_at_sack_edge: bool,
    cork_limit: Duration,
    sws_override: Duration,
    ecn: EcnUse,
    accecn_option: AccEcnOption,
    ecn_everywhere: bool,
    abe: bool,
    rto_restart: bool,
    dscp: u8,
    mtu_probing: MtuProbing,
    report_soft_errors: bool,
    linger: Linger,
    fast_open: FastOpenUse,
}

impl Config {
    /// Sets [`Config::recv_buffer`] and no automatic growth (`recv_buffer_initial` the same), as an
    /// explicit SO_RCVBUF does.
    #[must_use]
    pub fn recv_buffer(mut self, octets: usize) -> Self {
        self.recv_buffer = octets;
        self.recv_buffer_initial = octets;
        self
    }

    /// Most octets held for the application, when the congestion window has deserved so many.
    pub(crate) fn send_limit(&self, deserved: usize) -> usize {
        self.send_buffer.min(self.send_buffer_initial.max(deserved))
    }

    /// Sets [`Config::send_buffer`] and no automatic growth (`send_buffer_initial` the same), as an
    /// explicit SO_SNDBUF does.
    #[must_use]
    pub fn send_buffer(mut self, octets: usize) -> Self {
        self.send_buffer = octets;
        self.send_buffer_initial = octets;
        self
    }
}

/// What the path to the peer carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// Largest IP packet, in octets, that the path is known to carry now.
    pub mtu: usize,
    /// Largest IP packet that our own link carries; what we offer to receive follows it
    /// (RFC 2923 §2.3), not the path's.
    pub link_mtu: usize,
    /// Octets of IP header without options: 20 for IPv4, 40 for IPv6.
    pub ip_header_len: usize,
}

packed!(Path {
    mtu: In<3>,
    link_mtu: Like,
    ip_header_len: In<1>,
});

impl Path {
    /// A path of one link.
    pub const fn new(mtu: usize, ip_header_len: usize) -> Self {
        Self {
            mtu,
            link_mtu: mtu,
            ip_header_len,
        }
    }

    /// The MSS to offer: what the link carries less the fixed headers, options not counted
    /// (RFC 9293 MUST-67, RFC 6691 §2).
    pub fn advertised_mss(&self) -> u16 {
        Self::mss(self.link_mtu, self.ip_header_len)
    }

    /// Largest TCP payload plus options that the path carries now.
    pub fn send_mss(&self) -> u16 {
        Self::mss(self.mtu, self.ip_header_len)
    }

    /// What a peer that sends no MSS option accepts (RFC 9293 MUST-15).
    pub const fn default_mss(&self) -> u16 {
        if self.ip_header_len >= 40 { 1220 } else { 536 }
    }

    fn mss(mtu: usize, ip_header_len: usize) -> u16 {
        let octets = mtu.saturating_sub(ip_header_len).saturating_sub(20);
        u16::try_from(octets).unwrap_or(u16::MAX)
    }
}

/// What is derived from the stack's secret for this pair of sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Initial send sequence number (RFC 6528).
    pub iss: Seq,
    /// Added to the millisecond clock to give the timestamp option's value (RFC 7323 §5.4).
    pub ts_offset: u32,
}

impl Identity {
    /// Both values.
    pub const fn new(iss: Seq, ts_offset: u32) -> Self {
        Self { iss, ts_offset }
    }
}
