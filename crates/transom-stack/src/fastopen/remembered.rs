//! What is remembered of servers: cookies, segment sizes, and what went wrong.

use core::net::IpAddr;
use core::time::Duration;

use transom_tcp::{FastOpenAnswer, FastOpenNews, Instant, SynData};
use transom_wire::tcp::FastOpen;

use crate::secret::{Key, Map};

/// Our address and the server's: a cookie is good for one of ours.
type Pair = (IpAddr, IpAddr);

/// How long Fast Open rests with a server after data in a SYN was in vain twice; doubles each time.
const FIRST_REST: Duration = Duration::from_secs(60);
/// Doublings of a rest, and of a pause, as Linux.
const MOST_DOUBLINGS: u32 = 6;

/// What is known about a server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// The maximum segment size in its last SYN-ACK.
    pub(crate) mss: Option<u16>,
    pub(crate) cookie: Option<FastOpen>,
    /// Requests that it did not answer: after one in the assigned form the next is in the experimental form, and after
    /// that it is the assigned one for good.
    requests: u8,
    /// Times in a row that data in a SYN was in vain.
    failures: u32,
    failed: Instant,
    /// When it was last asked for.
    used: Instant,
}

impl Known {
    /// The option that asks for a cookie.
    // As Linux: some servers know nothing but the form from before RFC 7413.
    pub(crate) fn request(&self) -> FastOpen {
        FastOpen::REQUEST.experimental(self.requests == 1)
    }

    /// Whether Fast Open is not to be tried now.
    // RFC 7413 §4.1.3.1, TFO-10.
    fn rests(&self, now: Instant) -> bool {
        let rest = doubled(FIRST_REST, self.failures);
        self.failures > 1 && now.duration_since(self.failed) < rest
    }

    fn answered(&mut self, answer: &FastOpenAnswer, now: Instant) {
        self.mss = Some(answer.mss);
        let asked_in_vain = answer.cookie.is_none() && answer.data == SynData::None;
        match (answer.cookie, answer.asked) {
            (Some(cookie), _) => self.cookie = Some(cookie),
            (None, Some(asked)) if asked_in_vain && self.cookie.is_none() => {
                let form = if asked.is_experimental() { 2 } else { 1 };
                self.requests = self.requests.max(form);
            }
            _ => {}
        }
        match answer.data {
            SynData::Taken | SynData::Partly => self.failures = 0,
            SynData::Lost if answer.cookie.is_some() => self.failures = 0,
            SynData::Refused | SynData::Lost => self.failed(now),
            SynData::None => {}
        }
    }

    const fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.failed = now;
    }
}

/// What is known about all of them.
#[derive(Debug)]
pub(crate) struct Remembered {
    servers: Map<Pair, Known>,
    capacity: usize,
    /// How long Fast Open pauses altogether after the first sign of a black hole; zero for never.
    pause: Duration,
    paused: Instant,
    /// Pauses without a success in between.
    pauses: u32,
}

impl Remembered {
    pub(crate) fn new(capacity: usize, pause: Duration, key: Key) -> Self {
        Self {
            servers: Map::with_hasher(key),
            capacity,
            pause,
            paused: Instant::ORIGIN,
            pauses: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.servers.clear();
        self.pauses = 0;
    }

    pub(crate) const fn set_pause(&mut self, pause: Duration) {
        self.pause = pause;
    }

    /// Whether nobody is to try now: middleboxes that swallow data after a Fast Open stand near us more often than near
    /// the server.
    // TFO-10, as Linux (tcp_fastopen_blackhole_timeout_sec).
    fn is_paused(&self, now: Instant) -> bool {
        let pause = doubled(self.pause, self.pauses.saturating_sub(1));
        self.pauses > 0 && now.duration_since(self.paused) < pause
    }

    /// What to begin with; `None` when Fast Open is not to be tried.
    pub(crate) fn recall(&mut self, pair: Pair, now: Instant) -> Option<Known> {
        if self.is_paused(now) {
            return None;
        }
        let Some(known) = self.servers.get_mut(&pair) else {
            return Some(Known::default());
        };
        known.used = now;
        (!known.rests(now)).then_some(*known)
    }

    /// A connection tells what it has learnt.
    pub(crate) fn learn(&mut self, pair: Pair, news: FastOpenNews, now: Instant) {
        match news {
            FastOpenNews::Answered(answer) => {
                if let Some(known) = self.server(pair, now) {
                    known.answered(&answer, now);
                }
            }
            FastOpenNews::Unanswered => {
                if let Some(known) = self.server(pair, now) {
                    known.failed(now);
                }
            }
            FastOpenNews::BlackHole if !self.pause.is_zero() => {
                self.pauses = self.pauses.saturating_add(1);
                self.paused = now;
            }
            FastOpenNews::Works if !self.is_paused(now) => self.pauses = 0,
            _ => {}
        }
    }

    /// The entry of a server; the one that was not asked for the longest makes room for it.
    fn server(&mut self, pair: Pair, now: Instant) -> Option<&mut Known> {
        if self.capacity == 0 {
            return None;
        }
        if self.servers.len() >= self.capacity && !self.servers.contains_key(&pair) {
            let oldest = self.servers.iter().min_by_key(|(_, known)| known.used);
            let oldest = oldest.map(|(pair, _)| *pair)?;
            self.servers.remove(&oldest);
        }
        let known = self.servers.entry(pair).or_default();
        known.used = now;
        Some(known)
    }
}

fn doubled(time: Duration, doublings: u32) -> Duration {
    time.saturating_mul(1 << doublings.min(MOST_DOUBLINGS))
}
