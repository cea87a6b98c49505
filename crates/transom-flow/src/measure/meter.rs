//! The numbers kept of each end, and how a segment changes them.

use super::held::Held;
use crate::meaning::HalfRtt;

use super::{Limited, Measures, Range, Rtt, nanos};
use core::time::Duration;
use transom_wire::tcp::Options;

/// Stands for a time that is not known.
const NEVER: u64 = u64::MAX;

/// A segment as far as measuring needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passing {
    /// When it passed, in nanoseconds.
    pub(crate) time: u64,
    /// Its window in bytes, if it counts: not for a SYN or a reset.
    pub(crate) window: Option<u32>,
    /// It carries new data.
    pub(crate) has_new_data: bool,
    /// Hop limit of its packet, if known.
    pub(crate) hop_limit: Option<u8>,
}

/// Round trips, summed up.
#[derive(Clone, Copy, Debug)]
struct Gauge {
    samples: u32,
    min: u64,
    max: u64,
    sum: u64,
    /// Kept, as it is asked for much more often than a sample comes.
    mean: u64,
    first: u64,
}

impl Default for Gauge {
    fn default() -> Self {
        Self {
            samples: 0,
            min: NEVER,
            max: 0,
            sum: 0,
            mean: 0,
            first: NEVER,
        }
    }
}

impl Gauge {
    fn add(&mut self, sample: u64) {
        if self.samples == 0 {
            self.first = sample;
        }
        self.samples = self.samples.saturating_add(1);
        self.min = self.min.min(sample);
        self.max = self.max.max(sample);
        self.sum = self.sum.saturating_add(sample);
        self.mean = self.sum / u64::from(self.samples);
    }

    fn mean(&self) -> Option<u64> {
        (self.samples > 0).then_some(self.mean)
    }

    fn rtt(&self) -> Rtt {
        let Some(mean) = self.mean() else {
            return Rtt::default();
        };
        Rtt {
            samples: u64::from(self.samples),
            min: Duration::from_nanos(self.min),
            max: Duration::from_nanos(self.max),
            mean: Duration::from_nanos(mean),
            first: Some(Duration::from_nanos(self.first)),
        }
    }
}

/// What is measured of one end.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    gauge: Gauge,
    /// The handshake's round trip.
    handshake: u64,
    window: Option<Range>,
    in_flight_max: u32,
    first_data: u64,
    last_data: u64,
    hop_limits: Option<(u8, u8)>,
    mss: Option<u16>,
    sack_permitted: bool,
    timestamps: bool,
    needless: u32,
    pub(super) held: Held,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            gauge: Gauge::default(),
            handshake: NEVER,
            window: None,
            in_flight_max: 0,
            first_data: NEVER,
            last_data: NEVER,
            hop_limits: None,
            mss: None,
            sack_permitted: false,
            timestamps: false,
            needless: 0,
            held: Held::default(),
        }
    }
}

const fn known(time: u64) -> Option<Duration> {
    match time {
        NEVER => None,
        time => Some(Duration::from_nanos(time)),
    }
}

impl Meter {
    /// The end sent a segment.
    pub(crate) fn sent(&mut self, passing: &Passing) {
        if let Some(window) = passing.window {
            let range = self.window.get_or_insert(Range {
                min: window,
                max: window,
                last: window,
            });
            range.min = range.min.min(window);
            range.max = range.max.max(window);
            range.last = window;
        }
        if passing.has_new_data {
            if self.first_data == NEVER {
                self.first_data = passing.time;
            }
            self.last_data = passing.time;
        }
        if let Some(hops) = passing.hop_limit {
            let (least, most) = self.hop_limits.get_or_insert((hops, hops));
            *least = hops.min(*least);
            *most = hops.max(*most);
        }
    }

    /// The end sent a SYN.
    pub(crate) const fn opened(&mut self, options: &Options) {
        self.mss = options.mss;
        self.sack_permitted = options.sack_permitted;
        self.timestamps = options.timestamps.is_some();
    }

    /// The end answered after this many nanoseconds what had been sent to it.
    pub(crate) fn answered(&mut self, rtt: u64, is_handshake: bool) {
        self.gauge.add(rtt);
        if is_handshake && self.handshake == NEVER {
            self.handshake = rtt;
        }
    }

    /// The end has this much under way.
    pub(crate) fn in_flight(&mut self, bytes: u32) {
        self.in_flight_max = self.in_flight_max.max(bytes);
    }

    /// Retransmissions of the end that were not needed.
    pub(crate) fn needless(&self) -> u64 {
        u64::from(self.needless)
    }

    /// A retransmission of the end was not needed.
    pub(crate) const fn found_needless(&mut self) {
        self.needless = self.needless.saturating_add(1);
    }

    /// The mean round trip of the end's half of the path, in nanoseconds.
    pub(crate) fn mean_rtt(&self) -> Option<u64> {
        self.gauge.mean()
    }

    /// The mean and the shortest round trip of the end's half, in nanoseconds.
    pub(crate) fn mean_and_min(&self) -> Option<(u64, u64)> {
        Some((self.gauge.mean()?, self.gauge.min))
    }

    /// Round trips of the end's half of the path.
    pub(crate) fn half_rtt(&self) -> HalfRtt {
        HalfRtt {
            min: (self.gauge.samples > 0).then(|| Duration::from_nanos(self.gauge.min)),
            mean: self.gauge.mean().map(Duration::from_nanos),
        }
    }

    /// The handshake's round trip of the end's half of the path.
    pub(crate) const fn handshake_rtt(&self) -> Option<Duration> {
        known(self.handshake)
    }

    /// The segment size that the end asked for.
    pub(crate) const fn mss(&self) -> Option<u16> {
        self.mss
    }

    /// Whether the end's SYN carried timestamps.
    pub(crate) const fn has_timestamps(&self) -> bool {
        self.timestamps
    }

    /// As shown to the outside; `data` are the bytes of new data.
    pub(crate) fn measures(
        &self,
        window_scale: Option<u8>,
        is_window_known: bool,
        data: u64,
    ) -> Measures {
        Measures {
            path_rtt: self.gauge.rtt(),
            mss: self.mss,
            window_scale,
            is_window_known,
            sack_permitted: self.sack_permitted,
            timestamps: self.timestamps,
            window: self.window.unwrap_or_default(),
            in_flight_max: u64::from(self.in_flight_max),
            first_data: known(self.first_data),
            last_data: known(self.last_data),
            hop_limit: self.hop_limits,
            needless: u64::from(self.needless),
            limited: self.held.limited(),
            data,
        }
    }
}

impl Passing {
    pub(crate) fn at(time: Duration) -> Self {
        Self {
            time: nanos(time),
            window: None,
            has_new_data: false,
            hop_limit: None,
        }
    }
}

impl From<[u64; 4]> for Limited {
    fn from([application, receiver_window, loss, network]: [u64; 4]) -> Self {
        Self {
            application: Duration::from_nanos(application),
            receiver_window: Duration::from_nanos(receiver_window),
            loss: Duration::from_nanos(loss),
            network: Duration::from_nanos(network),
        }
    }
}
