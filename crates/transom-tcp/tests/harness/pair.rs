//! Two connections with a path between them, in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use bytes::Bytes;
use transom_tcp::{Config, Connection, Identity, Instant, Path, Segment, Transmit};
use transom_wire::tcp::Flags;
use transom_wire::{Ecn, Seq};

use super::{fold, octet, start, stream};

/// What the path does with the n-th segment of one direction.
pub type Fate = Box<dyn FnMut(u64, &Transmit) -> Passage>;

/// How a segment fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Arrives,
    Lost,
    /// Arrives so much later than usual.
    Late(Duration),
    Twice,
    /// Arrives, marked by a router if it is ECN-capable.
    Marked,
}

/// A segment under way. Ordered by arrival, then by sending.
struct Flying {
    arrives: Instant,
    order: u64,
    to: usize,
    segment: Segment,
}

impl PartialEq for Flying {
    fn eq(&self, other: &Self) -> bool {
        (self.arrives, self.order) == (other.arrives, other.order)
    }
}
impl Eq for Flying {}
impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Flying {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.arrives, self.order).cmp(&(other.arrives, other.order))
    }
}

/// One end and what its application does.
pub struct Side {
    pub conn: Option<Connection>,
    pub config: Config,
    pub max_payload: usize,
    /// Octets that the application still wants to write, and has written.
    pub to_write: u64,
    pub written: u64,
    /// Octets read; each is checked.
    pub read: u64,
    /// The application shuts down when it has written everything.
    pub finish: bool,
    finished: bool,
    pub saw_end: bool,
    pub reads: bool,
    pub sent: u64,
    fate: Fate,
}

/// Two ends: 0 connects, 1 is accepted.
pub struct Pair {
    pub now: Instant,
    pub sides: [Side; 2],
    pub delay: Duration,
    pub path: Path,
    flying: BinaryHeap<Reverse<Flying>>,
    order: u64,
    pub trace: Vec<String>,
    pub tracing: bool,
    server_iss: Seq,
}

impl Side {
    fn new(config: Config) -> Self {
        Self {
            conn: None,
            config,
            max_payload: 0,
            to_write: 0,
            written: 0,
            read: 0,
            finish: true,
            finished: false,
            saw_end: false,
            reads: true,
            sent: 0,
            fate: Box::new(|_, _| Passage::Arrives),
        }
    }

    pub fn conn(&mut self) -> &mut Connection {
        self.conn.as_mut().expect("a connection")
    }
}

impl Pair {
    pub fn new(config: Config) -> Self {
        Self::with(config.clone(), config)
    }

    pub fn with(client: Config, server: Config) -> Self {
        let path = Path::new(1500, 20);
        let now = start();
        let mut sides = [Side::new(client), Side::new(server)];
        let identity = Identity::new(Seq::new(u32::MAX - 1000), 77);
        sides[0].conn = Some(Connection::connect(
            sides[0].config.clone(),
            path,
            identity,
            now,
        ));
        Self {
            now,
            sides,
            delay: Duration::from_millis(10),
            path,
            flying: BinaryHeap::new(),
            order: 0,
            trace: Vec::new(),
            tracing: false,
            server_iss: Seq::new(0x7fff_ff00),
        }
    }

    /// Begins again, with these initial sequence numbers.
    pub fn numbers(mut self, client: u32, server: u32) -> Self {
        let identity = Identity::new(Seq::new(client), 77);
        let config = self.sides[0].config.clone();
        self.sides[0].conn = Some(Connection::connect(config, self.path, identity, self.now));
        self.server_iss = Seq::new(server);
        self
    }

    /// Decides what becomes of each segment that `side` sends.
    pub fn fate(&mut self, side: usize, fate: impl FnMut(u64, &Transmit) -> Passage + 'static) {
        self.sides[side].fate = Box::new(fate);
    }

    /// Runs until both ends are closed (or in TIME-WAIT) or nothing more will happen, at most for
    /// `limit`. Gives the time that it took.
    #[track_caller]
    pub fn run(&mut self, limit: Duration) -> Duration {
        let begin = self.now;
        if !self.steps(begin + limit) {
            panic!("not done after {limit:?}: {}", self.status());
        }
        self.now - begin
    }

    /// Runs up to an instant, done or not.
    pub fn run_until(&mut self, end: Instant) {
        self.steps(end);
        self.now = self.now.max(end);
    }

    /// Whether everything was done before `end`.
    fn steps(&mut self, end: Instant) -> bool {
        // Bounded in steps as well as in time.
        for _ in 0..5_000_000_u64 {
            self.applications();
            self.transmit();
            if self.is_done() {
                return true;
            }
            let Some(next) = self.next() else { return true };
            if next > end {
                return false;
            }
            self.now = self.now.max(next);
            self.deliver();
            for side in &mut self.sides {
                if let Some(conn) = &mut side.conn
                    && conn
                        .poll_timeout()
                        .is_some_and(|deadline| deadline <= self.now)
                {
                    conn.handle_timeout(self.now);
                }
            }
        }
        panic!("too many steps: {}", self.status());
    }

    pub fn status(&self) -> String {
        self.sides
            .iter()
            .map(|side| {
                let conn = side.conn.as_ref();
                format!(
                    "[{:?} wrote {} read {} end {} closed {:?}]",
                    conn.map(Connection::state),
                    side.written,
                    side.read,
                    side.saw_end,
                    conn.and_then(Connection::closed)
                )
            })
            .collect()
    }

    fn is_done(&self) -> bool {
        self.flying.is_empty()
            && self.sides.iter().all(|side| {
                side.conn.as_ref().is_some_and(|conn| {
                    conn.closed().is_some() || conn.state() == transom_tcp::State::TimeWait
                })
            })
    }

    fn next(&self) -> Option<Instant> {
        let deadlines = self
            .sides
            .iter()
            .filter_map(|s| s.conn.as_ref().and_then(Connection::poll_timeout));
        let arrivals = self.flying.peek().map(|Reverse(flying)| flying.arrives);
        deadlines.chain(arrivals).min()
    }

    fn applications(&mut self) {
        for side in &mut self.sides {
            let Some(conn) = &mut side.conn else { continue };
            while side.to_write > 0 {
                let len = side.to_write.min(32 * 1024) as usize;
                match conn.send(self.now, stream(side.written, len)) {
                    Ok(0) | Err(_) => break,
                    Ok(taken) => {
                        side.written += taken as u64;
                        side.to_write -= taken as u64;
                    }
                }
            }
            if side.to_write == 0 && side.finish && !side.finished {
                side.finished = true;
                if conn.state() != transom_tcp::State::SynSent {
                    conn.shutdown_write(self.now).ok();
                } else {
                    side.finished = false;
                }
            }
            while side.reads
                && let Ok(Some(data)) = conn.recv(self.now, usize::MAX)
            {
                if data.is_empty() {
                    side.saw_end = true;
                    break;
                }
                for (offset, byte) in data.iter().enumerate() {
                    let position = side.read + offset as u64;
                    assert_eq!(*byte, octet(position), "octet {position}");
                }
                side.read += data.len() as u64;
            }
            while conn.poll_event().is_some() {}
        }
    }

    fn transmit(&mut self) {
        for from in 0..2 {
            loop {
                let side = &mut self.sides[from];
                let Some(conn) = &mut side.conn else { break };
                let Some(transmit) = conn.poll_transmit(self.now, side.max_payload) else {
                    fold(conn);
                    break;
                };
                let number = side.sent;
                side.sent += 1;
                let passage = (side.fate)(number, &transmit);
                if self.tracing {
                    self.trace.push(format!(
                        "{:?} {} {} {:?} seq {} ack {} len {} win {} {passage:?}",
                        self.now - start(),
                        from,
                        transmit.flags,
                        transmit.kind,
                        transmit.seq,
                        transmit.ack,
                        transmit.payload.len(),
                        transmit.window,
                    ));
                }
                let usual = self.now + self.delay;
                match passage {
                    Passage::Lost => {}
                    Passage::Arrives => self.fly(usual, 1 - from, &transmit),
                    Passage::Late(by) => self.fly(usual + by, 1 - from, &transmit),
                    Passage::Twice => {
                        self.fly(usual, 1 - from, &transmit);
                        self.fly(usual, 1 - from, &transmit);
                    }
                    Passage::Marked => {
                        let mut marked = transmit.clone();
                        if marked.ecn != Ecn::NotEct {
                            marked.ecn = Ecn::Ce;
                        }
                        self.fly(usual, 1 - from, &marked);
                    }
                }
            }
        }
    }

    fn fly(&mut self, arrives: Instant, to: usize, transmit: &Transmit) {
        self.order += 1;
        let segment = arriving(transmit, arrives);
        self.flying.push(Reverse(Flying {
            arrives,
            order: self.order,
            to,
            segment,
        }));
    }

    fn deliver(&mut self) {
        while let Some(Reverse(flying)) = self.flying.peek() {
            if flying.arrives > self.now {
                break;
            }
            let Some(Reverse(flying)) = self.flying.pop() else {
                break;
            };
            let side = &mut self.sides[flying.to];
            match &mut side.conn {
                Some(conn) => {
                    conn.handle_segment(self.now, &flying.segment).ok();
                }
                None if flying.segment.flags.contains(Flags::SYN) => {
                    let identity = Identity::new(self.server_iss, 4_000_000_000);
                    side.conn = Connection::accept(
                        side.config.clone(),
                        self.path,
                        identity,
                        &flying.segment,
                        self.now,
                    )
                    .ok();
                }
                None => {}
            }
        }
    }
}

/// A transmitted segment as the other end sees it.
pub fn arriving(transmit: &Transmit, received: Instant) -> Segment {
    let cut = transmit.payload.len() > usize::from(transmit.segment_size);
    Segment {
        seq: transmit.seq,
        ack: transmit.ack,
        flags: transmit.flags,
        window: transmit.window,
        urgent: transmit.urgent,
        options: transmit.options,
        payload: Bytes::from(transmit.payload.to_vec()),
        ecn: transmit.ecn,
        received,
        gso_size: if cut { transmit.segment_size } else { 0 },
    }
}
