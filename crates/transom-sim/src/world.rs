//! Hosts, the links between them, and a clock that jumps.

use std::time::Duration;

use crate::{Fate, Impairment, Link, Trace, TraceEntry};

/// Something with a network interface, driven in virtual time.
///
/// While it owes anything, [`Host::poll_timeout`] may return the present; the world then drains
/// [`Host::poll_transmit`] before it calls [`Host::handle_timeout`].
pub trait Host {
    /// A frame arrived.
    fn handle_frame(&mut self, now: Duration, frame: Vec<u8>);

    /// The next frame that the host wants to send.
    fn poll_transmit(&mut self, now: Duration) -> Option<Vec<u8>>;

    /// When the host wants [`Host::handle_timeout`] to be called.
    fn poll_timeout(&self) -> Option<Duration>;

    /// The time that `poll_timeout` named has come.
    fn handle_timeout(&mut self, now: Duration);

    /// Which of its links a frame goes out on, in the order in which they were connected. `None`
    /// sends it on each of them, as on a shared wire; a host with one link need not care.
    fn egress(&self, _frame: &[u8]) -> Option<usize> {
        None
    }
}

impl<H: Host + ?Sized> Host for Box<H> {
    fn handle_frame(&mut self, now: Duration, frame: Vec<u8>) {
        (**self).handle_frame(now, frame);
    }

    fn poll_transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        (**self).poll_transmit(now)
    }

    fn poll_timeout(&self) -> Option<Duration> {
        (**self).poll_timeout()
    }

    fn handle_timeout(&mut self, now: Duration) {
        (**self).handle_timeout(now);
    }

    fn egress(&self, frame: &[u8]) -> Option<usize> {
        (**self).egress(frame)
    }
}

/// A host of a [`World`]. Valid in the world that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(usize);

impl HostId {
    /// Hosts are numbered from 0 in the order in which they were added.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// One direction of a connection between two hosts. Valid in the world that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(usize);

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Nothing is on any link and no host waits for anything.
    Idle,
    /// The time limit was reached; something is still to come.
    TimeReached,
    /// The step limit was reached: too much happened, or hosts went on for ever at one instant.
    StepsExhausted,
    /// The caller's condition was false after a step ([`World::run_while`]).
    Stopped,
}

struct Wire {
    link: Link,
    from: HostId,
    to: HostId,
    /// What the link answered to [`Link::next`] last.
    next: Option<Duration>,
    /// Its owner may have changed it since.
    touched: bool,
}

/// What the world remembers of a host, so that it need not ask every host at every step.
#[derive(Default)]
struct Seat {
    /// The links that leave it, in the order in which they were connected.
    wires: Vec<usize>,
    /// What it answered to [`Host::poll_timeout`] after it was touched last.
    deadline: Option<Duration>,
    /// Something happened to it since: it may owe frames, and have another deadline.
    touched: bool,
}

/// Hosts joined by point-to-point links, with one clock.
///
/// A step delivers what has arrived, tells hosts whose deadline has come, and sends what they owe;
/// when nothing of that is left to do, the clock jumps to the earliest deadline of any host or link.
/// Hosts and links are always visited in the order in which they were added, so a world with the
/// same hosts and seeds runs the same way each time.
///
/// Only what was touched is asked again: a host's deadline and what it owes must not change but by calls of
/// [`Host`] and through [`World::host_mut`].
pub struct World<H> {
    now: Duration,
    hosts: Vec<H>,
    seats: Vec<Seat>,
    wires: Vec<Wire>,
    trace: Trace,
}

impl<H: Host> Default for World<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: Host> World<H> {
    /// Steps at one instant after which [`World::run_until`] takes the hosts for stuck.
    pub const MAX_STEPS_PER_INSTANT: u64 = 1 << 20;
    /// Frames taken from one host in one step; more come in the next.
    const BURST: usize = 256;

    /// No hosts, time zero.
    #[must_use]
    pub fn new() -> Self {
        Self {
            now: Duration::ZERO,
            hosts: Vec::new(),
            seats: Vec::new(),
            wires: Vec::new(),
            trace: Trace::default(),
        }
    }

    /// Replaces the trace, for other limits than the default ones.
    #[must_use]
    pub fn with_trace(mut self, trace: Trace) -> Self {
        self.trace = trace;
        self
    }

    /// The time since the world's start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// What was sent so far.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What was sent, for who needs the world no more.
    #[must_use]
    pub fn into_trace(self) -> Trace {
        self.trace
    }

    /// Forgets what was sent so far.
    pub fn clear_trace(&mut self) {
        self.trace.clear();
    }

    /// Adds a host without links.
    pub fn add_host(&mut self, host: H) -> HostId {
        self.hosts.push(host);
        self.seats.push(Seat {
            touched: true,
            ..Seat::default()
        });
        HostId(self.hosts.len() - 1)
    }

    /// Joins two hosts; each direction has an impairment of its own. Gives the link from `a` to `b`
    /// and the one from `b` to `a`.
    ///
    /// When both carry the same seed they still do the same to equal numbers of packets; give them
    /// different seeds where that matters.
    pub fn connect(
        &mut self,
        a: HostId,
        b: HostId,
        a_to_b: Impairment,
        b_to_a: Impairment,
    ) -> (LinkId, LinkId) {
        let first = self.wires.len();
        for (from, to, impairment) in [(a, b, a_to_b), (b, a, b_to_a)] {
            if let Some(seat) = self.seats.get_mut(from.0) {
                seat.wires.push(self.wires.len());
            }
            self.wires.push(Wire {
                link: Link::new(impairment),
                from,
                to,
                next: None,
                touched: false,
            });
        }
        (LinkId(first), LinkId(first + 1))
    }

    /// A host.
    ///
    /// # Panics
    /// When the id is of another world.
    #[must_use]
    pub fn host(&self, id: HostId) -> &H {
        &self.hosts[id.0]
    }

    /// A host, to make it do something at [`World::now`].
    ///
    /// # Panics
    /// When the id is of another world.
    #[must_use]
    pub fn host_mut(&mut self, id: HostId) -> &mut H {
        self.seats[id.0].touched = true;
        &mut self.hosts[id.0]
    }

    /// A link, to look at its counters.
    ///
    /// # Panics
    /// When the id is of another world.
    #[must_use]
    pub fn link(&self, id: LinkId) -> &Link {
        &self.wires[id.0].link
    }

    /// A link, to change what it does.
    ///
    /// # Panics
    /// When the id is of another world.
    #[must_use]
    pub fn link_mut(&mut self, id: LinkId) -> &mut Link {
        let wire = &mut self.wires[id.0];
        wire.touched = true;
        &mut wire.link
    }

    /// The earliest moment at which anything happens; the present when something is due already.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let arrivals = self.wires.iter().filter_map(|wire| match wire.touched {
            true => wire.link.next(self.now),
            false => wire.next,
        });
        let timeouts = self
            .seats
            .iter()
            .zip(&self.hosts)
            .filter_map(|(seat, host)| {
                if seat.touched {
                    host.poll_timeout()
                } else {
                    seat.deadline
                }
            });
        arrivals
            .chain(timeouts)
            .min()
            .map(|deadline| deadline.max(self.now))
    }

    /// Does everything that is due at the present moment, once. Returns whether anything was.
    pub fn step(&mut self) -> bool {
        // Calls made by the owner between steps may have left something to send.
        let mut busy = self.transmit();
        for wire in &mut self.wires {
            if !wire.touched && wire.next.is_none_or(|next| next > self.now) {
                continue;
            }
            while let Some(packet) = wire.link.pop(self.now) {
                busy = true;
                self.seats[wire.to.0].touched = true;
                self.hosts[wire.to.0].handle_frame(self.now, packet);
            }
            wire.next = wire.link.next(self.now);
            wire.touched = false;
        }
        busy |= self.transmit();
        for (seat, host) in self.seats.iter_mut().zip(&mut self.hosts) {
            if seat.deadline.is_some_and(|deadline| deadline <= self.now) {
                busy = true;
                seat.touched = true;
                host.handle_timeout(self.now);
            }
        }
        self.transmit() || busy
    }

    /// Runs up to `deadline` and sets the clock to it, also when nothing happens until then.
    pub fn run_until(&mut self, deadline: Duration) -> Outcome {
        let outcome = self.run(None, deadline, |_| true);
        if outcome != Outcome::StepsExhausted {
            self.now = self.now.max(deadline);
        }
        outcome
    }

    /// Runs until nothing is left to do, at most `max_steps` steps and until the clock shows
    /// `max_time`.
    pub fn run_bounded(&mut self, max_steps: u64, max_time: Duration) -> Outcome {
        self.run(Some(max_steps), max_time, |_| true)
    }

    /// As [`World::run_bounded`], and ends as soon as `condition` is false after a step.
    pub fn run_while(
        &mut self,
        max_steps: u64,
        max_time: Duration,
        condition: impl FnMut(&mut Self) -> bool,
    ) -> Outcome {
        self.run(Some(max_steps), max_time, condition)
    }

    fn run(
        &mut self,
        max_steps: Option<u64>,
        max_time: Duration,
        mut condition: impl FnMut(&mut Self) -> bool,
    ) -> Outcome {
        let mut steps = 0;
        let mut steps_at_instant = 0;
        loop {
            if !condition(self) {
                return Outcome::Stopped;
            }
            let limit_reached = max_steps.is_some_and(|max| steps >= max);
            if limit_reached || steps_at_instant >= Self::MAX_STEPS_PER_INSTANT {
                return Outcome::StepsExhausted;
            }
            steps += 1;
            steps_at_instant += 1;
            if self.step() {
                continue;
            }
            match self.next_deadline() {
                None => return Outcome::Idle,
                Some(deadline) if deadline > max_time => return Outcome::TimeReached,
                Some(deadline) => {
                    if deadline > self.now {
                        steps_at_instant = 0;
                    }
                    self.now = deadline;
                }
            }
        }
    }

    /// Puts on the links what the hosts want to send that something happened to.
    fn transmit(&mut self) -> bool {
        let mut busy = false;
        for index in 0..self.hosts.len() {
            if !self.seats[index].touched {
                continue;
            }
            let mut is_drained = false;
            for _ in 0..Self::BURST {
                let Some(frame) = self.hosts[index].poll_transmit(self.now) else {
                    is_drained = true;
                    break;
                };
                busy = true;
                self.send(HostId(index), frame);
            }
            let seat = &mut self.seats[index];
            seat.touched = !is_drained;
            seat.deadline = self.hosts[index].poll_timeout();
        }
        busy
    }

    fn send(&mut self, from: HostId, frame: Vec<u8>) {
        let seat = &self.seats[from.0];
        match self.hosts[from.0].egress(&frame) {
            Some(chosen) => {
                if let Some(&wire) = seat.wires.get(chosen) {
                    self.push(wire, frame);
                }
            }
            None => {
                let Some(&last) = seat.wires.last() else {
                    return;
                };
                for position in 0..seat.wires.len() - 1 {
                    self.push(self.seats[from.0].wires[position], frame.clone());
                }
                self.push(last, frame);
            }
        }
    }

    fn push(&mut self, index: usize, frame: Vec<u8>) {
        let wire = &mut self.wires[index];
        let kept = if self.trace.has_room(frame.len()) {
            Some(frame.clone())
        } else {
            self.trace.omit();
            None
        };
        let fate: Fate = wire.link.push(self.now, frame);
        wire.next = wire.link.next(self.now);
        if let Some(packet) = kept {
            self.trace.record(TraceEntry {
                sent: self.now,
                from: wire.from,
                to: wire.to,
                link: LinkId(index),
                packet,
                fate,
            });
        }
    }
}
