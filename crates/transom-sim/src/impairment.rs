//! What a link does to packets, as a value.

use std::sync::Arc;
use std::time::Duration;

use crate::{Bandwidth, Loss, Outage, Policer, Random};

/// A probability in steps of 10^-8, so that what was typed is kept exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probability(u32);

impl Probability {
    /// 0 %.
    pub const NEVER: Self = Self(0);
    /// 100 %.
    pub const ALWAYS: Self = Self(Self::ONE);
    /// Parts in the whole.
    const ONE: u32 = 100_000_000;

    /// So many parts of a hundred million; more than the whole is the whole.
    #[must_use]
    pub const fn from_parts(parts: u32) -> Self {
        if parts > Self::ONE {
            Self::ALWAYS
        } else {
            Self(parts)
        }
    }

    /// Whole per cents; more than 100 is 100.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self::from_parts(percent.saturating_mul(1_000_000))
    }

    /// Parts of a hundred million.
    #[must_use]
    pub const fn parts(self) -> u32 {
        self.0
    }

    /// Whether this one happens. Draws nothing for 0 % and 100 %.
    pub fn draw(self, random: &mut Random) -> bool {
        match self.0 {
            0 => false,
            Self::ONE => true,
            parts => random.below(u64::from(Self::ONE)) < u64::from(parts),
        }
    }
}

/// How much may wait in front of a link's transmitter; what comes on top is dropped (drop-tail).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Bytes of packets. A packet is taken when the queue is empty, whatever its size.
    Bytes(u64),
    /// Packets.
    Packets(u64),
    /// So long a wait. A packet is taken when the queue is empty.
    Time(Duration),
    /// Hundredths of the product of bandwidth and delay, which is a wait of so many hundredths of a round
    /// trip: the one given to [`Impairment::resolve`], else twice this link's delay.
    Bdp(u32),
}

impl Queue {
    /// The queue in front of a rate limit when none is named: 1000 packets, as a Linux device.
    pub const DEFAULT: Self = Self::Packets(1000);
}

/// Which packets a queue drops before it is full (active queue management).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aqm {
    /// None: the queue drops at its end when it is full.
    #[default]
    DropTail,
    /// CoDel (RFC 8289): it drops when packets stood longer than `target` for an `interval`.
    Codel {
        /// The standing delay that is tolerated.
        target: Duration,
        /// For so long; in the order of a round trip.
        interval: Duration,
    },
}

impl Aqm {
    /// CoDel with the values of RFC 8289: 5 ms in 100 ms.
    pub const CODEL: Self = Self::Codel {
        target: Duration::from_millis(5),
        interval: Duration::from_millis(100),
    };
}

/// When a queue marks packets whose sender understands that (RFC 3168).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Marking {
    /// Never.
    #[default]
    None,
    /// Instead of a drop by [`Aqm`].
    Instead,
    /// When more than this waits at the moment at which the packet comes.
    Above(Queue),
}

/// The description of one direction of a link. The default is a perfect one: no delay, no limit.
///
/// It can be typed; `parse` and `Display` are inverse. Words are `name=value`, joined by commas:
///
/// | word | meaning |
/// |---|---|
/// | `loss=1%` | each packet is lost with this probability; also `loss=0.01` |
/// | `loss=gilbert:5%:25%` | bursts: probability good→bad and bad→good per packet; optionally `:LOSS-IN-GOOD:LOSS-IN-BAD` (0 %, 100 %) |
/// | `loss=nth:10` | every tenth packet |
/// | `loss=list:3+7` | the third and the seventh packet |
/// | `delay=20ms` | one way; `ns`, `us`, `ms`, `s` |
/// | `jitter=5ms` | the delay varies evenly by up to this much both ways; order is kept |
/// | `reorder=2%` | these packets are held back and overtaken; `reorder=2%:30ms` says by how much; `reorder=2%:30ms:8` holds eight in a row |
/// | `duplicate=1%` | a copy arrives right after the packet |
/// | `corrupt=0.1%` | one bit of the packet is flipped |
/// | `rate=10mbit` | bits per second: `bit`, `kbit`, `mbit`, `gbit` (powers of 1000) |
/// | `queue=64k` | bytes that may wait for the rate: `64k`, `1m` (powers of 1024); or `100p` packets; or a wait of `50ms`; or `1bdp`, of round trips |
/// | `mtu=1400` | larger packets vanish without a word (a black hole) |
/// | `aqm=codel` | the queue drops as CoDel does; also `aqm=codel:5ms:100ms` (target, interval) |
/// | `ecn=on` | CoDel marks instead of dropping, where the sender understands it; `ecn=20p`, `ecn=30k`: everything is marked that finds so much waiting |
/// | `police=5mbit:64k` | what exceeds this rate by more than the burst is dropped at the entrance |
/// | `slot=10ms` | packets leave together at multiples of this time, as on a shared medium (ACKs arrive in bursts) |
/// | `thin=on` | an acknowledgement that waits is taken out when a later one of its connection comes |
/// | `outage=5s:300ms` | at 5 s nothing passes for 300 ms; `outage=5s:300ms:10s`: and again every 10 s |
/// | `seed=7` | the seed of chance, default 0 |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Impairment {
    /// Which packets are lost.
    pub loss: Loss,
    /// One-way delay.
    pub delay: Duration,
    /// The delay of each packet lies evenly within `delay ± jitter`, never below zero. Jitter alone
    /// does not change the order of packets; see [`Impairment::reorder`].
    pub jitter: Duration,
    /// Packets that are held back so that later ones overtake them.
    pub reorder: Probability,
    /// How long they are held; `None` means a quarter of the delay, at least 1 ms.
    pub reorder_by: Option<Duration>,
    /// How many packets in a row are held, once it happens; 0 and 1 mean one.
    pub reorder_run: u32,
    /// Packets that arrive twice.
    pub duplicate: Probability,
    /// Packets of which one bit is flipped.
    pub corrupt: Probability,
    /// Bits per second; `None` is unlimited.
    pub rate: Option<u64>,
    /// What may wait for the rate; [`Queue::DEFAULT`] when `None`.
    pub queue: Option<Queue>,
    /// Packets with more bytes are dropped silently. What is counted is the whole packet given to
    /// the link.
    pub mtu: Option<usize>,
    /// What the queue drops before it is full.
    pub aqm: Aqm,
    /// What the queue marks.
    pub ecn: Marking,
    /// Drops at the entrance what exceeds a rate.
    pub police: Option<Policer>,
    /// Packets leave at multiples of this time only; what came in between leaves together.
    pub slot: Option<Duration>,
    /// Acknowledgements that wait are taken out when a later one makes them needless.
    pub thin: bool,
    /// When nothing passes.
    pub outage: Option<Outage>,
    /// A recording of when the link can send; takes the place of `rate`. It has no text form.
    pub bandwidth: Option<Arc<Bandwidth>>,
    /// The seed of everything that happens by chance.
    pub seed: u64,
}

impl Impairment {
    /// A perfect link.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`Impairment::loss`].
    #[must_use]
    pub fn loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// Sets [`Impairment::delay`].
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets [`Impairment::jitter`].
    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets [`Impairment::reorder`].
    #[must_use]
    pub fn reorder(mut self, probability: Probability) -> Self {
        self.reorder = probability;
        self
    }

    /// Sets [`Impairment::reorder_by`].
    #[must_use]
    pub fn reorder_by(mut self, held_back: Duration) -> Self {
        self.reorder_by = Some(held_back);
        self
    }

    /// Sets [`Impairment::duplicate`].
    #[must_use]
    pub fn duplicate(mut self, probability: Probability) -> Self {
        self.duplicate = probability;
        self
    }

    /// Sets [`Impairment::corrupt`].
    #[must_use]
    pub fn corrupt(mut self, probability: Probability) -> Self {
        self.corrupt = probability;
        self
    }

    /// Sets [`Impairment::rate`] in bits per second.
    #[must_use]
    pub fn rate(mut self, bits_per_second: u64) -> Self {
        self.rate = Some(bits_per_second);
        self
    }

    /// Sets [`Impairment::queue`].
    #[must_use]
    pub fn queue(mut self, queue: Queue) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Sets [`Impairment::mtu`] in bytes.
    #[must_use]
    pub fn mtu(mut self, mtu: usize) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// Sets [`Impairment::reorder_run`].
    #[must_use]
    pub fn reorder_run(mut self, value: u32) -> Self {
        self.reorder_run = value;
        self
    }

    /// Sets [`Impairment::aqm`].
    #[must_use]
    pub fn aqm(mut self, value: Aqm) -> Self {
        self.aqm = value;
        self
    }

    /// Sets [`Impairment::ecn`].
    #[must_use]
    pub fn ecn(mut self, value: Marking) -> Self {
        self.ecn = value;
        self
    }

    /// Sets [`Impairment::police`].
    #[must_use]
    pub fn police(mut self, value: Policer) -> Self {
        self.police = Some(value);
        self
    }

    /// Sets [`Impairment::slot`].
    #[must_use]
    pub fn slot(mut self, value: Duration) -> Self {
        self.slot = Some(value);
        self
    }

    /// Sets [`Impairment::thin`].
    #[must_use]
    pub fn thin(mut self, value: bool) -> Self {
        self.thin = value;
        self
    }

    /// Sets [`Impairment::outage`].
    #[must_use]
    pub fn outage(mut self, value: Outage) -> Self {
        self.outage = Some(value);
        self
    }

    /// Sets [`Impairment::bandwidth`].
    #[must_use]
    pub fn bandwidth(mut self, value: Arc<Bandwidth>) -> Self {
        self.bandwidth = Some(value);
        self
    }

    /// Sets [`Impairment::seed`].
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long a reordered packet is held back.
    #[must_use]
    pub fn held_back(&self) -> Duration {
        self.reorder_by
            .unwrap_or_else(|| (self.delay / 4).max(Duration::from_millis(1)))
    }

    /// Makes times of the sizes that were given in round trips ([`Queue::Bdp`]).
    #[must_use]
    pub fn resolve(mut self, round_trip: Duration) -> Self {
        let time = |queue| match queue {
            Queue::Bdp(hundredths) => Queue::Time(round_trip.saturating_mul(hundredths) / 100),
            other => other,
        };
        self.queue = self.queue.map(time);
        if let Marking::Above(threshold) = self.ecn {
            self.ecn = Marking::Above(time(threshold));
        }
        self
    }

    /// Whether the link can do nothing to a packet: it arrives at once and unchanged.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        *self
            == Self {
                seed: self.seed,
                ..Self::default()
            }
    }
}
