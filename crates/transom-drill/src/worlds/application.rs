//! The application at one end of a random connection.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use transom_sim::Random;
use transom_stack::tcp::{Instant, State};
use transom_stack::{ConnId, ConnectOptions, ListenerId, Stack};

/// How an application ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Shuts its sending half when it has sent all, and reads on.
    HalfClose,
    /// Shuts its sending half when it has sent all and the peer has ended.
    AfterPeer,
    /// Closes both ways when it has sent all, whatever the peer has still to say.
    Close,
    /// Aborts after it has sent or read so many octets.
    Abort(u64),
}

/// What an application does.
#[derive(Clone, Debug)]
pub(super) struct Script {
    /// Where its octets begin in the pattern.
    pub(super) label: usize,
    pub(super) bytes: u64,
    pub(super) write_size: usize,
    pub(super) read_size: usize,
    /// After so many octets read, it reads nothing for so long.
    pub(super) pauses: Vec<(u64, Duration)>,
    /// How long it does nothing before it ends.
    pub(super) rest: Duration,
    pub(super) ending: Ending,
    /// It lets go of the connection as soon as it has what it wants.
    pub(super) lets_go: bool,
}

/// How long an application waits for any progress before it aborts.
pub(super) const PATIENCE: Duration = Duration::from_secs(2 * 3600);

const PERIOD: usize = 65_521;

/// Octets that repeat after a prime number, twice.
fn pattern() -> &'static [u8] {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    PATTERN.get_or_init(|| {
        let mut random = Random::new(0x7061_7474);
        let once: Vec<u8> = (0..PERIOD).map(|_| random.next_u64() as u8).collect();
        [once.as_slice(), once.as_slice()].concat()
    })
}

/// So many octets of a sender's data from a place on, at most a period.
fn data(label: usize, from: u64, length: usize) -> &'static [u8] {
    let start = ((from + label as u64) % PERIOD as u64) as usize;
    pattern()
        .get(start..start + length.min(PERIOD))
        .unwrap_or(&[])
}

/// Where an application's connection comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Connects(SocketAddr, Duration),
    Accepts(ListenerId),
}

/// An application at work.
#[derive(Debug)]
pub(super) struct Application {
    pub(super) script: Script,
    /// The script of the other end: what must arrive.
    pub(super) peer: Script,
    /// Both ends mean to hear each other out.
    pub(super) is_orderly: bool,
    source: Source,
    connection: Option<ConnId>,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) end_seen: bool,
    pub(super) shut: bool,
    pub(super) released: bool,
    pub(super) failed: Option<String>,
    pub(super) gave_up: bool,
    /// What must never be.
    pub(super) broken: Option<String>,
    paused_until: Option<Duration>,
    pauses_taken: usize,
    rests_until: Option<Duration>,
    last_progress: Duration,
    acts: u32,
}

impl Application {
    pub(super) fn new(script: Script, peer: Script, source: Source) -> Self {
        let orderly =
            |script: &Script| matches!(script.ending, Ending::HalfClose | Ending::AfterPeer);
        Self {
            is_orderly: orderly(&script) && orderly(&peer),
            script,
            peer,
            source,
            connection: None,
            sent: 0,
            received: 0,
            end_seen: false,
            shut: false,
            released: false,
            failed: None,
            gave_up: false,
            broken: None,
            paused_until: None,
            pauses_taken: 0,
            rests_until: None,
            last_progress: Duration::ZERO,
            acts: 0,
        }
    }

    /// When it wants to act next, whatever happens.
    pub(super) fn wake(&self) -> Option<Duration> {
        if self.released {
            return None;
        }
        if let (Source::Connects(_, at), None) = (self.source, self.connection) {
            return Some(at);
        }
        self.connection?;
        let patience = (!self.gave_up).then(|| self.last_progress + PATIENCE);
        [patience, self.paused_until, self.rests_until]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether it never got a connection, and nothing is to be expected of it.
    pub(super) fn is_waiting(&self) -> bool {
        self.connection.is_none()
    }

    /// Does all that it can do now.
    pub(super) fn act(&mut self, stack: &mut Stack, now: Duration) {
        if self.released {
            return;
        }
        let instant = Instant::from_origin(now);
        let Some(connection) = self.open(stack, now) else {
            return;
        };
        let before = self.progress();
        self.read(stack, connection, now);
        self.write(stack, connection, instant);
        self.end(stack, connection, now);
        if self.progress() != before {
            self.last_progress = now;
        }
        if now >= self.last_progress + PATIENCE && !self.gave_up {
            self.gave_up = true;
            stack.tcp_abort(instant, connection);
        }
        self.acts += 1;
        if self.acts.is_multiple_of(16) {
            self.check_memory(stack, connection);
        }
        self.let_go(stack, connection, instant);
    }

    /// What changes when something is achieved.
    fn progress(&self) -> (u64, u64, bool, bool, usize) {
        (
            self.sent,
            self.received,
            self.end_seen,
            self.shut,
            self.pauses_taken,
        )
    }

    fn open(&mut self, stack: &mut Stack, now: Duration) -> Option<ConnId> {
        if self.connection.is_some() {
            return self.connection;
        }
        self.connection = match self.source {
            Source::Connects(to, at) if at <= now => {
                match stack.tcp_connect(Instant::from_origin(now), ConnectOptions::new(to)) {
                    Ok(connection) => Some(connection),
                    Err(error) => {
                        self.broken = Some(format!("cannot connect: {error}"));
                        self.released = true;
                        None
                    }
                }
            }
            Source::Connects(..) => None,
            Source::Accepts(listener) => stack.tcp_accept(listener),
        };
        self.last_progress = now;
        self.connection
    }

    /// It has closed both ways and reads no more.
    fn is_deaf(&self) -> bool {
        self.shut && matches!(self.script.ending, Ending::Close | Ending::Abort(_))
    }

    fn read(&mut self, stack: &mut Stack, connection: ConnId, now: Duration) {
        if self.is_deaf() || self.gave_up {
            self.paused_until = None;
            return;
        }
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.paused_until = None;
        while !self.end_seen && self.failed.is_none() {
            let pause = self.script.pauses.get(self.pauses_taken).copied();
            if let Some((after, length)) = pause
                && self.received >= after
            {
                self.pauses_taken += 1;
                self.paused_until = Some(now + length);
                return;
            }
            let instant = Instant::from_origin(now);
            match stack.tcp_recv(instant, connection, self.script.read_size.min(PERIOD)) {
                Ok(Some(bytes)) if bytes.is_empty() => {
                    self.end_seen = true;
                    let is_short = self.received != self.peer.bytes;
                    if is_short && !matches!(self.peer.ending, Ending::Abort(_)) {
                        self.break_with(format!("an end after {} octets", self.received));
                    }
                }
                Ok(Some(bytes)) => {
                    if bytes != data(self.peer.label, self.received, bytes.len()) {
                        self.break_with(format!("other octets at {}", self.received));
                    }
                    self.received += bytes.len() as u64;
                    if self.received > self.peer.bytes {
                        self.break_with("more octets than were sent".to_owned());
                    }
                }
                Ok(None) => break,
                Err(error) => self.failed = Some(error.to_string()),
            }
        }
    }

    fn break_with(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    fn write(&mut self, stack: &mut Stack, connection: ConnId, now: Instant) {
        while self.sent < self.script.bytes && !self.shut && self.failed.is_none() {
            let left = self.script.bytes - self.sent;
            let length = usize::try_from(left).unwrap_or(usize::MAX);
            let length = length.min(self.script.write_size);
            match stack.tcp_send_slice(now, connection, data(self.script.label, self.sent, length))
            {
                Ok(0) => break,
                Ok(taken) => self.sent += taken as u64,
                Err(error) => self.failed = Some(error.to_string()),
            }
        }
    }

    /// Ends its side when its script says so.
    fn end(&mut self, stack: &mut Stack, connection: ConnId, now: Duration) {
        if self.shut || self.failed.is_some() {
            return;
        }
        let instant = Instant::from_origin(now);
        if let Ending::Abort(after) = self.script.ending {
            if self.sent + self.received >= after {
                self.shut = true;
                stack.tcp_abort(instant, connection);
            }
            return;
        }
        let is_opening = stack.tcp_state(connection) == Some(State::SynSent);
        let waits = self.script.ending == Ending::AfterPeer && !self.end_seen;
        if self.sent < self.script.bytes || waits || is_opening {
            return;
        }
        let until = *self
            .rests_until
            .get_or_insert_with(|| now + self.script.rest);
        if now < until {
            return;
        }
        self.rests_until = None;
        self.shut = true;
        match self.script.ending {
            Ending::Close => stack.tcp_close(instant, connection),
            _ => {
                if let Err(error) = stack.tcp_shutdown_write(instant, connection) {
                    self.failed = Some(error.to_string());
                }
            }
        }
    }

    fn check_memory(&mut self, stack: &Stack, connection: ConnId) {
        let Some(connection) = stack.tcp_connection(connection) else {
            return;
        };
        let (info, limits) = (connection.info(), connection.config());
        let held = info.recv_queue + info.recv_out_of_order;
        if held > limits.recv_buffer + 65_536 {
            self.break_with(format!("{held} octets received and held"));
        }
        if info.send_queue > limits.send_buffer + 65_536 {
            self.break_with(format!("{} octets to send", info.send_queue));
        }
    }

    /// Gives the handle back when nothing more is wanted of the connection.
    fn let_go(&mut self, stack: &mut Stack, connection: ConnId, now: Instant) {
        let is_over = match stack.tcp_state(connection) {
            None | Some(State::Closed | State::TimeWait) => true,
            Some(_) => false,
        };
        let is_content = self.shut && (self.end_seen || self.script.ending == Ending::Close);
        // What was received before the end is read to the end.
        let is_read = self.end_seen || self.failed.is_some() || self.gave_up || self.is_deaf();
        if (is_over && is_read) || (is_content && self.script.lets_go) {
            self.released = true;
            stack.tcp_release(now, connection);
        }
    }
}
