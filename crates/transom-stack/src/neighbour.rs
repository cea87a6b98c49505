//! Who on the link has which address: ARP (RFC 826, RFC 1122 §2.3.2) and neighbour discovery (RFC 4861 §7.3).
//!
//! One state machine serves both. INCOMPLETE asks; REACHABLE is trusted for a while; STALE is used, but its first
//! use starts DELAY, and when nothing confirms the entry meanwhile PROBE asks again, this time the neighbour itself.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use transom_tcp::Instant;
use transom_wire::TxFrame;

use crate::secret::{Key, Map};

// RFC 4861 §10 (ND-4); ARP-5 asks for at most one request a second as well.
const RETRANSMIT: Duration = Duration::from_millis(1000);
const MAX_SOLICIT: u8 = 3;
const REACHABLE: Duration = Duration::from_secs(30);
const DELAY_FIRST_PROBE: Duration = Duration::from_secs(5);
/// How long an unused entry is kept (ARP-6).
const UNUSED: Duration = Duration::from_secs(20 * 60);
/// Frames that wait for one neighbour; the oldest goes first (ND-5, RFC 1122 §2.3.2.2: at least one).
const MAX_WAITING: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Incomplete,
    Reachable,
    Stale,
    Delay,
    Probe,
    /// Configured: neither ages nor changes.
    Static,
}

#[derive(Debug)]
struct Entry {
    state: State,
    mac: [u8; 6],
    /// Solicitations sent in this state.
    asked: u8,
    deadline: Option<Instant>,
    used: Instant,
    waiting: VecDeque<TxFrame>,
}

/// Somebody has to be asked for the link address of `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Solicit {
    pub(crate) target: IpAddr,
    /// Ask this neighbour alone; otherwise all.
    pub(crate) unicast: Option<[u8; 6]>,
}

/// What an advertisement (or an ARP reply) says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Advertisement {
    /// The link address, if it was given.
    pub(crate) mac: Option<[u8; 6]>,
    /// It answers a solicitation.
    pub(crate) solicited: bool,
    /// It may replace another address.
    pub(crate) override_flag: bool,
}

/// What came of the deadlines.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) solicit: Vec<Solicit>,
    /// Frames for neighbours that do not answer.
    pub(crate) failed: Vec<TxFrame>,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Neighbours {
    entries: Map<IpAddr, Entry>,
    capacity: usize,
    /// No entry is due before this.
    next: Option<Instant>,
    /// After this no entry is in DELAY or PROBE.
    in_doubt_until: Instant,
    key: Key,
}

impl Neighbours {
    pub(crate) fn new(capacity: usize, key: Key) -> Self {
        Self {
            entries: Map::with_hasher(key),
            capacity: capacity.max(1),
            next: None,
            in_doubt_until: Instant::ORIGIN,
            key,
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// The link address to send to, if it is known.
    pub(crate) fn lookup(&mut self, now: Instant, address: IpAddr) -> Option<[u8; 6]> {
        let entry = self.entries.get_mut(&address)?;
        if entry.state == State::Incomplete {
            return None;
        }
        entry.used = now;
        if entry.state == State::Stale {
            entry.state = State::Delay;
            entry.asked = 0;
            let at = now + DELAY_FIRST_PROBE;
            entry.deadline = Some(at);
            let mac = entry.mac;
            self.wake_by(at);
            self.in_doubt_until = at + RETRANSMIT * u32::from(MAX_SOLICIT);
            return Some(mac);
        }
        Some(entry.mac)
    }

    /// Whether it would help to know that a neighbour can be reached.
    pub(crate) fn is_in_doubt(&self, now: Instant) -> bool {
        now < self.in_doubt_until
    }

    /// What was sent by way of `address` has arrived: there is no need to ask.
    // RFC 4861 §7.3.1 (ND-6).
    pub(crate) fn confirm(&mut self, now: Instant, address: IpAddr) {
        let lifetime = self.reachable_time(address, now);
        let Some(entry) = self.entries.get_mut(&address) else {
            return;
        };
        if matches!(entry.state, State::Delay | State::Probe) {
            entry.state = State::Reachable;
            entry.asked = 0;
            entry.deadline = Some(now + lifetime);
            self.wake_by(now + lifetime);
        }
    }

    /// Keeps a frame until `address` answers. Says whom to ask, and whether an older frame had to go.
    pub(crate) fn wait(
        &mut self,
        now: Instant,
        address: IpAddr,
        frame: TxFrame,
    ) -> (Option<Solicit>, bool) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.used = now;
            let full = entry.waiting.len() >= MAX_WAITING;
            if full {
                entry.waiting.pop_front();
            }
            entry.waiting.push_back(frame);
            return (None, full);
        }
        if !self.make_room() {
            return (None, true);
        }
        let deadline = now + RETRANSMIT;
        self.entries.insert(
            address,
            Entry {
                state: State::Incomplete,
                mac: [0; 6],
                asked: 1,
                deadline: Some(deadline),
                used: now,
                waiting: VecDeque::from([frame]),
            },
        );
        self.wake_by(deadline);
        let solicit = Solicit {
            target: address,
            unicast: None,
        };
        (Some(solicit), false)
    }

    /// An advertisement for `address`. Returns the frames that waited for it, addressed.
    ///
    // RFC 4861 §7.2.5 (ND-3). ND-7: an advertisement never creates an entry.
    pub(crate) fn advertised(
        &mut self,
        now: Instant,
        address: IpAddr,
        advertisement: Advertisement,
    ) -> VecDeque<TxFrame> {
        let lifetime = self.reachable_time(address, now);
        let Some(entry) = self.entries.get_mut(&address) else {
            return VecDeque::new();
        };
        let Advertisement {
            mac,
            solicited,
            override_flag,
        } = advertisement;
        let changes = mac.is_some_and(|mac| mac != entry.mac);
        let mut released = VecDeque::new();
        match entry.state {
            State::Static => return released,
            State::Incomplete => {
                let Some(mac) = mac else { return released };
                entry.mac = mac;
                entry.state = if solicited {
                    State::Reachable
                } else {
                    State::Stale
                };
                released = core::mem::take(&mut entry.waiting);
                for frame in &mut released {
                    crate::link::set_destination(frame, mac);
                }
            }
            State::Reachable if changes && !override_flag => entry.state = State::Stale,
            _ if changes && !override_flag => return released,
            _ => {
                entry.mac = mac.unwrap_or(entry.mac);
                if solicited {
                    entry.state = State::Reachable;
                } else if changes {
                    entry.state = State::Stale;
                }
            }
        }
        let deadline = match entry.state {
            State::Reachable => now + lifetime,
            State::Stale => now + UNUSED,
            _ => return released,
        };
        entry.asked = 0;
        entry.deadline = Some(deadline);
        self.wake_by(deadline);
        released
    }

    /// A neighbour spoke of itself without being asked (a solicitation, an ARP request). `create`: it spoke to us.
    ///
    // RFC 4861 §7.2.3, RFC 826 (ARP-3): update what is known, and add only who speaks to us.
    pub(crate) fn heard(
        &mut self,
        now: Instant,
        address: IpAddr,
        mac: [u8; 6],
        create: bool,
    ) -> VecDeque<TxFrame> {
        if self.entries.contains_key(&address) {
            return self.advertised(
                now,
                address,
                Advertisement {
                    mac: Some(mac),
                    solicited: false,
                    override_flag: true,
                },
            );
        }
        if create && self.make_room() {
            let deadline = now + UNUSED;
            self.entries.insert(
                address,
                Entry {
                    state: State::Stale,
                    mac,
                    asked: 0,
                    deadline: Some(deadline),
                    used: now,
                    waiting: VecDeque::new(),
                },
            );
            self.wake_by(deadline);
        }
        VecDeque::new()
    }

    /// Sets an entry for good (SEC-ARP-1). Returns the frames that waited for it, addressed.
    pub(crate) fn set_static(
        &mut self,
        now: Instant,
        address: IpAddr,
        mac: [u8; 6],
    ) -> VecDeque<TxFrame> {
        let mut waiting = self
            .entries
            .remove(&address)
            .map(|entry| entry.waiting)
            .unwrap_or_default();
        for frame in &mut waiting {
            crate::link::set_destination(frame, mac);
        }
        self.entries.insert(
            address,
            Entry {
                state: State::Static,
                mac,
                asked: 0,
                deadline: None,
                used: now,
                waiting: VecDeque::new(),
            },
        );
        waiting
    }

    /// Acts on the deadlines that have passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        if self.next.is_none_or(|next| next > now) {
            return due;
        }
        let mut gone = Vec::new();
        for (address, entry) in &mut self.entries {
            if entry.deadline.is_none_or(|deadline| deadline > now) {
                continue;
            }
            match entry.state {
                State::Reachable => {
                    entry.state = State::Stale;
                    entry.deadline = Some(entry.used.max(now) + UNUSED);
                }
                State::Stale => gone.push(*address),
                State::Incomplete | State::Probe if entry.asked >= MAX_SOLICIT => {
                    due.failed.extend(entry.waiting.drain(..));
                    gone.push(*address);
                }
                State::Incomplete | State::Delay | State::Probe => {
                    let unicast = (entry.state != State::Incomplete).then_some(entry.mac);
                    if entry.state == State::Delay {
                        entry.state = State::Probe;
                    }
                    entry.asked += 1;
                    entry.deadline = Some(now + RETRANSMIT);
                    due.solicit.push(Solicit {
                        target: *address,
                        unicast,
                    });
                }
                State::Static => {}
            }
        }
        for address in gone {
            self.entries.remove(&address);
        }
        self.next = self
            .entries
            .values()
            .filter_map(|entry| entry.deadline)
            .min();
        due
    }

    fn wake_by(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// 30 s, more or less by chance, so that neighbours are not asked all at once.
    fn reachable_time(&self, address: IpAddr, now: Instant) -> Duration {
        let mut seed = [0; 24];
        let (first, second) = seed.split_at_mut(16);
        first.copy_from_slice(&crate::tuple::octets16(address));
        second.copy_from_slice(&(now.since_origin().as_nanos() as u64).to_le_bytes());
        let spread = self.key.hash(&seed) % 1000;
        REACHABLE / 2 + REACHABLE * spread as u32 / 1000
    }

    /// Makes room for one more entry: the one used longest ago goes. False when all are configured.
    fn make_room(&mut self) -> bool {
        if self.entries.len() < self.capacity {
            return true;
        }
        let oldest = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.state != State::Static)
            .min_by_key(|(_, entry)| {
                let trusted = !matches!(entry.state, State::Incomplete | State::Stale);
                (trusted, entry.used)
            })
            .map(|(address, _)| *address);
        oldest.is_some_and(|address| self.entries.remove(&address).is_some())
    }
}
