//! How much may be sent: the congestion window (RFC 9293 §3.8.2).
//!
//! A controller hears what the network did, as values, and answers with `cwnd` and `ssthresh`. It
//! does not know which octets were lost or what is resent; that is `recovery/`.
//!
//! Everything is counted in octets, so that one acknowledgement of a 64 KiB super-segment weighs
//! the same as forty-four of single segments.
//!
//! Invariants
//! - `cwnd() ≥ 1 SMSS` and `ssthresh() ≥ 2 SMSS` at all times; neither overflows.
//! - A window that was not used does not grow (RFC 5681 §3.1, RFC 9438 §5.8).

mod bbr;
mod cubic;
mod hystart;
mod reno;

use alloc::boxed::Box;
use core::fmt::Debug;
use core::time::Duration;

pub use bbr::Bbr;
pub use cubic::Cubic;
use hystart::HyStart;
pub use reno::Reno;

use crate::pack::{
    CONTROLLER_HERE, Either, In, Kind, Pack, Packer, Rare, SELDOM, Unless, Unpacker, packed,
    packed_choice,
};
use crate::time::Instant;

/// No window ever exceeds this: the largest that window scaling can express.
pub(crate) const MAX_CWND: u64 = 1 << 30;
/// RFC 5681 §3.1: ssthresh starts arbitrarily high.
pub(crate) const INFINITE_SSTHRESH: u64 = u64::MAX >> 1;

/// The initial window of RFC 6928: `min(10·MSS, max(2·MSS, 14600))`.
///
/// `mss`: SMSS in octets.
pub const fn initial_window(mss: u64) -> u64 {
    let two = mss.saturating_mul(2);
    let floor = if two > 14_600 { two } else { 14_600 };
    let ten = mss.saturating_mul(10);
    if ten < floor { ten } else { floor }
}

/// What an acknowledgement said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AckInfo {
    /// When the acknowledgement arrived.
    pub now: Instant,
    /// Octets newly known to have arrived, cumulatively or selectively.
    pub bytes_acked: u64,
    /// Octets in flight before this acknowledgement.
    pub bytes_in_flight_before: u64,
    /// Octets in flight after it.
    pub bytes_in_flight: u64,
    /// Round-trip time measured by this acknowledgement.
    pub rtt: Option<Duration>,
    /// Smoothed round-trip time.
    pub srtt: Option<Duration>,
    /// Least round-trip time of late.
    pub min_rtt: Option<Duration>,
    /// The congestion window, and nothing else, held the sender back during the last round trip.
    pub is_cwnd_limited: bool,
    /// The application had nothing more to send.
    pub app_limited: bool,
    /// SND.UNA passed the place that SND.NXT had one round trip ago.
    pub round_end: bool,
    /// Fast recovery is under way (not: slow start after a timeout).
    pub in_recovery: bool,
    /// The path was seen to deliver in another order than was sent (RFC 8985 §6.2 step 4), so that what a queue drops is dear: the
    /// copy that fills the gap moves the receiver's clock on, and what it overtakes is thrown away (RFC 7323 §5.3 R1).
    pub reorders: bool,
}

/// What the delivery of something tells of the path (draft-ietf-ccwg-bbr §4.1, `RS`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateSample {
    /// Octets per second, where they could be measured.
    pub delivery_rate: Option<u64>,
    /// Octets delivered since what was just acknowledged had been sent.
    pub delivered: u64,
    /// Octets that had been delivered when it was sent.
    pub prior_delivered: u64,
    /// The application gave less than could be sent, when it was sent.
    pub is_app_limited: bool,
    /// Octets in flight just after it was sent.
    pub tx_in_flight: u64,
    /// Octets found lost since.
    pub lost: u64,
    /// Octets delivered since the connection began.
    pub total_delivered: u64,
}

/// What an acknowledgement delivered, whatever else it meant; for controllers that model the path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeliveryInfo {
    /// When it arrived.
    pub now: Instant,
    /// What it tells of the path.
    pub sample: Option<RateSample>,
    /// Octets newly known to have arrived, cumulatively or selectively.
    pub newly_acked: u64,
    /// Octets newly believed lost.
    pub newly_lost: u64,
    /// Octets in flight after it.
    pub in_flight: u64,
    /// Packets newly known to have been marked: exact with accurate feedback (RFC 9768), 1 for a classic echo.
    pub ce_packets: u32,
    /// Round-trip time measured by it.
    pub rtt: Option<Duration>,
    /// The congestion window held the sender back during the last round trip.
    pub is_cwnd_limited: bool,
    /// The application gives less than could be sent.
    pub is_app_limited: bool,
    /// Fast recovery, or the slow start after a timeout, is under way.
    pub in_recovery: bool,
}

/// What was found lost; for controllers that model the path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LostInfo {
    /// When that was found.
    pub now: Instant,
    /// Octets.
    pub newly_lost: u64,
    /// Ranges of sequence numbers in which they lie.
    pub ranges: u32,
    /// What was known when the newest of them was sent; `lost` counts them.
    pub sample: RateSample,
}

/// What was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SentInfo {
    /// The time.
    pub now: Instant,
    /// Octets.
    pub bytes: u64,
    /// Octets in flight before it.
    pub in_flight_before: u64,
    /// The application had given less than could be sent.
    pub is_app_limited: bool,
}

/// Why a congestion episode begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LossKind {
    /// Loss was inferred from acknowledgements.
    FastRetransmit,
    /// The retransmission timer expired.
    Timeout {
        /// For the first time for this data; repeated timeouts leave ssthresh alone.
        first: bool,
    },
    /// The peer echoed a congestion mark.
    Ecn,
}

/// The start of a congestion episode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LossInfo {
    /// When it was noticed.
    pub now: Instant,
    /// How it was noticed.
    pub kind: LossKind,
    /// Octets sent and not cumulatively acknowledged, limited transmit not counted.
    pub flight_size: u64,
    /// Octets believed to be in flight now, without what is lost.
    pub in_flight: u64,
    /// The window held the sender back in this round trip or in the one before: what is missing of it in
    /// flight had only not had its turn.
    pub is_cwnd_limited: bool,
    /// SMSS in octets.
    pub mss: u64,
}

/// How large the congestion window is.
///
/// One value per connection, behind a `Box`; a virtual call per acknowledgement is not measurable.
pub trait Controller: Debug + Send {
    /// Name for people: "reno", "cubic".
    fn name(&self) -> &'static str;
    /// The congestion window, in octets.
    fn cwnd(&self) -> u64;
    /// The slow-start threshold, in octets.
    fn ssthresh(&self) -> u64;
    /// Data was acknowledged.
    fn on_ack(&mut self, ack: &AckInfo);
    /// A congestion episode begins; called once per episode, before anything is resent.
    fn on_loss(&mut self, loss: &LossInfo);
    /// Everything that was outstanding when the episode began is acknowledged.
    ///
    /// `flight_size`: octets outstanding now; ssthresh, where PRR has brought them there (RFC 9937).
    fn on_recovery_exit(&mut self, now: Instant, flight_size: u64);
    /// Sending starts again after `idle` without any, longer than `rto`.
    fn on_idle_restart(&mut self, now: Instant, idle: Duration, rto: Duration);
    /// The last episode was a mistake (the data had only been late): take the reduction back.
    /// Comes during the episode, or after its end and before the next begins; at most once.
    fn on_spurious(&mut self) {}
    /// The segment size changed (path MTU).
    fn on_mss_change(&mut self, mss: u64);
    /// Data was sent for the first time.
    fn on_sent(&mut self, _sent: &SentInfo) {}
    /// The controller wants [`Self::on_delivery`] and [`Self::on_lost`].
    fn wants_samples(&self) -> bool {
        false
    }
    /// Something was delivered or lost; comes after every other call for the same acknowledgement.
    fn on_delivery(&mut self, _delivery: &DeliveryInfo) {}
    /// Something was found lost; comes before [`Self::on_delivery`].
    fn on_lost(&mut self, _lost: &LostInfo) {}
    /// What is delivered now measures no bandwidth: the controller holds the sender back.
    fn limits_delivery(&self) -> bool {
        false
    }
    /// The handshake has measured a round trip.
    fn on_handshake(&mut self, _now: Instant, _rtt: Duration) {}
    /// Octets per second at which to space segments, when the controller wants that.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }
    /// Whether the window grows exponentially.
    fn in_slow_start(&self) -> bool {
        self.cwnd() < self.ssthresh()
    }
    /// Sets the window during fast recovery (proportional rate reduction, inflation).
    fn set_recovery_cwnd(&mut self, cwnd: u64);
    /// Writes down which controller it is and all that it knows, to be made again from that; false when it cannot, and its
    /// connection is never folded up.
    #[doc(hidden)]
    fn write_down(&self, _to: &mut Packer<'_>) -> bool {
        false
    }
    /// Becomes the controller that was written down, if that was one of its own kind.
    #[doc(hidden)]
    fn read_into(&mut self, _from: &Unpacker<'_>) -> bool {
        false
    }
}

/// Writes down a controller of ours, each in code of its own, so that all its places are known there.
#[inline(always)]
fn write_down_as<K: Kind<T>, T>(algorithm: Algorithm, controller: &T, to: &mut Packer<'_>) {
    let mut part = to.begin();
    In::<1>::pack(&algorithm, &mut part);
    K::pack(controller, &mut part);
    let outcome = part.outcome(CONTROLLER_HERE, SELDOM);
    to.end(outcome);
}

/// The reverse of [`write_down_as`], where it was this algorithm that was written down; whether it was.
#[inline(always)]
fn read_into_as<K: Kind<T>, T>(
    algorithm: Algorithm,
    controller: &mut T,
    from: &Unpacker<'_>,
) -> bool {
    let mut from = from.begin();
    let is_same = algorithm == In::<1>::unpack(&mut from);
    if is_same {
        K::unpack_into(controller, &mut from);
    }
    is_same
}

/// The controller that was written down.
pub(crate) fn read_back(from: &Unpacker<'_>) -> Box<dyn Controller> {
    let mut from = from.begin();
    let from = &mut from;
    match In::<1>::unpack(from) {
        Algorithm::Reno => Box::new(Reno::unpack(from)),
        Algorithm::Cubic => Box::new(Cubic::unpack(from)),
        Algorithm::Bbr => Box::new(Rare::unpack(from)) as Box<Bbr>,
    }
}

/// What a new controller is made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Setup {
    /// SMSS in octets.
    pub mss: u64,
    /// The first window in octets: see [`initial_window`], or one SMSS when a SYN had to be sent
    /// again (RFC 5681 §3.1).
    pub initial_window: u64,
    /// The time.
    pub now: Instant,
    /// End the first slow start when the round trip grows (HyStart++, RFC 9406), where the
    /// controller has a slow start. Default true.
    pub hystart: bool,
    /// Reduce less for a congestion mark than for loss (ABE, RFC 8511). Default false.
    pub abe: bool,
    /// The peer tells of each loss (SACK). Default true.
    pub selective_acks: bool,
    /// Any number, different between connections: flows that share a path are not to move in step.
    pub seed: u64,
}

impl Setup {
    /// The defaults.
    pub const fn new(mss: u64, initial_window: u64, now: Instant) -> Self {
        Self {
            mss,
            initial_window,
            now,
            hystart: true,
            abe: false,
            selective_acks: true,
            seed: 0,
        }
    }
}

/// Which congestion controller a connection uses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Algorithm {
    /// RFC 5681: one segment more per round trip, half on loss.
    Reno,
    /// RFC 9438, the default of every major system.
    #[default]
    Cubic,
    /// `draft-ietf-ccwg-bbr` (version 3): a model of the path instead of a window that loss halves.
    Bbr,
}

packed_choice!(Algorithm { Reno, Cubic, Bbr });

impl Algorithm {
    /// All of them, the simplest first.
    pub const ALL: &[Self] = &[Self::Reno, Self::Cubic, Self::Bbr];

    /// A controller for a new connection.
    pub fn build(self, setup: &Setup) -> Box<dyn Controller> {
        match self {
            Self::Reno => Box::new(Reno::new(setup)),
            Self::Cubic => Box::new(Cubic::new(setup)),
            Self::Bbr => Box::new(Bbr::new(setup)),
        }
    }

    /// Name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reno => "reno",
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
        }
    }

    /// The algorithm of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// Where a connection stands with respect to loss; shared by the controllers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// No episode.
    Open,
    /// Fast recovery: the window does not grow.
    FastRecovery,
    /// After a timeout: slow start over what is resent.
    Loss,
}

packed_choice!(Phase {
    Open,
    FastRecovery,
    Loss,
});

/// What slow start and restart have in common in every loss-based controller.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Window {
    mss: u64,
    cwnd: u64,
    ssthresh: u64,
    /// The initial window, to which an idle connection falls back.
    initial: u64,
    phase: Phase,
    /// Most segments by which one acknowledgement may open the window in slow start. None: as
    /// many as it acknowledges.
    abc_limit_segs: Option<u32>,
    hystart: Option<Box<HyStart>>,
    abe: bool,
}

packed!(Window {
    mss: In<2>,
    cwnd: In<4>,
    ssthresh: Unless<INFINITE_SSTHRESH>,
    initial: In<3>,
    phase,
    abc_limit_segs: Rare,
    hystart: Either,
    abe,
});

impl Window {
    fn new(setup: &Setup) -> Self {
        let mss = setup.mss.max(1);
        let initial = setup.initial_window.max(mss);
        Self {
            mss,
            cwnd: initial,
            // RFC 5681 §3.1 CC-4: arbitrarily high, so that slow start finds the path's capacity.
            ssthresh: INFINITE_SSTHRESH,
            initial,
            phase: Phase::Open,
            abc_limit_segs: None,
            hystart: setup.hystart.then(Box::default),
            abe: setup.abe,
        }
    }

    /// What is left of a window after an event: `loss` of it, or `mark` after a congestion mark where
    /// ABE is wanted; both are fractions.
    fn share(&self, kind: LossKind, flight_size: u64, loss: (u64, u64), mark: (u64, u64)) -> u64 {
        // RFC 8511 §3 ABE-1: a queue that marks is short, and half of the window would drain it.
        let (numerator, denominator) = match kind {
            LossKind::Ecn if self.abe => mark,
            _ => loss,
        };
        flight_size.saturating_mul(numerator) / denominator
    }

    /// RFC 9406 §4.2: takes the measurement of an acknowledgement in slow start; true when the delay
    /// has ended slow start, and ssthresh is the present window.
    fn watch_delay(&mut self, ack: &AckInfo) -> bool {
        let is_first = self.is_first_slow_start();
        let Some(hystart) = &mut self.hystart else {
            return false;
        };
        if !is_first {
            **hystart = HyStart::default();
            return false;
        }
        let is_over = hystart.on_ack(ack);
        if is_over {
            // HS-6.
            self.set_ssthresh(self.cwnd);
            self.hystart = None;
        }
        is_over
    }

    /// RFC 9406 §4.3 HS-8: ssthresh has not been set, or what set it was taken back.
    const fn is_first_slow_start(&self) -> bool {
        self.ssthresh == INFINITE_SSTHRESH
    }

    /// Grows by slow start; gives the acknowledged octets left when ssthresh is reached.
    fn slow_start(&mut self, bytes_acked: u64) -> u64 {
        // RFC 3465 §2.2: count octets, not acknowledgements, so dividing an ACK gains nothing.
        // Linux sets no limit per ACK, because receivers with offload acknowledge 64 KiB at once.
        // RFC 3465 §2.3: but one segment at most after a timeout, when a single cumulative
        // ACK may cover what had arrived before.
        let limit = match (self.phase, self.abc_limit_segs) {
            (Phase::Loss, _) => self.mss,
            (_, Some(segs)) => self.mss.saturating_mul(u64::from(segs)),
            (_, None) => u64::MAX,
        };
        // RFC 9406 §4.2 HS-3, HS-5: in conservative slow start a quarter of it.
        let divisor = self
            .hystart
            .as_ref()
            .filter(|_| self.is_first_slow_start())
            .map_or(1, |hystart| hystart.divisor());
        let counted = bytes_acked.min(limit) / divisor;
        let growth = counted.min(self.ssthresh.saturating_sub(self.cwnd));
        self.grow(growth);
        counted - growth
    }

    fn grow(&mut self, bytes: u64) {
        self.cwnd = self.cwnd.saturating_add(bytes).min(MAX_CWND.max(self.mss));
    }

    /// Sets the threshold, never below two segments (RFC 5681 §3.1 equation 4).
    fn set_ssthresh(&mut self, bytes: u64) {
        self.ssthresh = bytes.max(self.mss.saturating_mul(2));
    }

    fn set_cwnd(&mut self, bytes: u64) {
        self.cwnd = bytes.max(self.mss).min(MAX_CWND.max(self.mss));
    }

    /// RFC 5681 §4.1 and RFC 2861: the window of an idle connection is not to be trusted.
    fn idle_restart(&mut self, idle: Duration, rto: Duration) {
        // RFC 5681 §4.1: the restart window is min(IW, cwnd).
        let restart = self.initial.min(self.cwnd);
        // RFC 2861 §3.1: remember three quarters of the window before it decays.
        self.ssthresh = self.ssthresh.max(self.cwnd / 4 * 3);
        // RFC 2861 §3.1: halve once per timeout of silence, down to the restart window.
        let rto = rto.as_nanos().max(1);
        let halvings = u32::try_from(idle.as_nanos() / rto)
            .unwrap_or(u32::MAX)
            .min(63);
        self.set_cwnd((self.cwnd >> halvings).max(restart));
    }

    fn change_mss(&mut self, mss: u64) {
        self.mss = mss.max(1);
        self.set_cwnd(self.cwnd);
        self.set_ssthresh(self.ssthresh);
    }
}

#[cfg(test)]
mod tests;
