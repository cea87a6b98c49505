//! What a link does to packets, as a value.

use std::time::Duration;

use crate::{Loss, Random};

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
}

impl Queue {
    /// The queue in front of a rate limit when none is named: 1000 packets, as a Linux device.
    pub const DEFAULT: Self = Self::Packets(1000);
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
/// | `reorder=2%` | these packets are held back and overtaken; `reorder=2%:30ms` says by how much |
/// | `duplicate=1%` | a copy arrives right after the packet |
/// | `corrupt=0.1%` | one bit of the packet is flipped |
/// | `rate=10mbit` | bits per second: `bit`, `kbit`, `mbit`, `gbit` (powers of 1000) |
/// | `queue=64k` | bytes that may wait for the rate: `64k`, `1m` (powers of 1024), or `100p` packets |
/// | `mtu=1400` | larger packets vanish without a word (a black hole) |
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
