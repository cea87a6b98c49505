//! One connection, and the test as its peer.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use transom_tcp::{
    CloseReason, Config, Connection, Discard, Event, Identity, Instant, Path, Segment, State,
    Transmit,
};
use transom_wire::Seq;

use super::notation::{Line, matches, relative, show};
use super::{fold, start, stream};

/// Our SYN's number: the first data octets cross 2^32.
const ISS: Seq = Seq::new(u32::MAX - 5);
/// The peer's.
const IRS: Seq = Seq::new(u32::MAX - 3);
/// The peer's window where a line does not say.
const PEER_WINDOW: u16 = 60_000;

/// How to build an [`E`].
pub struct Setup {
    config: Config,
    path: Path,
    peer_syn: String,
    iss: Seq,
    irs: Seq,
    max_payload: usize,
}

/// The fixture: `E::established()` is E(ESTABLISHED) of the requirement tables.
///
/// Without other wishes the peer offers an MSS of 1000 and nothing else, its window is 60 000, no
/// acknowledgement is "quick" (so that delays are visible), and single segments are sent.
pub struct E {
    pub conn: Connection,
    pub now: Instant,
    pub iss: Seq,
    pub irs: Seq,
    pub max_payload: usize,
    out: VecDeque<Transmit>,
    /// Octets written so far, to write the next of the stream.
    written: u64,
    /// Octets read so far, to check what is read.
    read: u64,
    pub last: Result<(), Discard>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            // Each answer at once: what pacing does has tests of its own.
            config: Config::default()
                .timestamps(false)
                .quick_acks(0)
                .pacing(false),
            path: Path::new(1500, 20),
            peer_syn: "mss 1000".to_owned(),
            iss: ISS,
            irs: IRS,
            max_payload: 0,
        }
    }
}

impl Setup {
    pub fn config(mut self, change: impl FnOnce(Config) -> Config) -> Self {
        self.config = change(self.config);
        self
    }

    pub fn path(mut self, path: Path) -> Self {
        self.path = path;
        self
    }

    /// The options of the peer's SYN or SYN-ACK.
    pub fn peer(mut self, options: &str) -> Self {
        self.peer_syn = options.to_owned();
        self
    }

    /// Both initial sequence numbers.
    pub fn numbers(mut self, iss: u32, irs: u32) -> Self {
        (self.iss, self.irs) = (Seq::new(iss), Seq::new(irs));
        self
    }

    /// Super-segments of up to so many octets.
    pub fn max_payload(mut self, octets: usize) -> Self {
        self.max_payload = octets;
        self
    }

    fn build(self, conn: Connection) -> E {
        E {
            conn,
            now: start(),
            iss: self.iss,
            irs: self.irs,
            max_payload: self.max_payload,
            out: VecDeque::new(),
            written: 0,
            read: 0,
            last: Ok(()),
        }
    }

    /// E(SYN-SENT), the SYN not yet sent.
    pub fn fresh(self) -> E {
        let identity = Identity::new(self.iss, 0);
        let conn = Connection::connect(self.config.clone(), self.path, identity, start());
        self.build(conn)
    }

    /// E(SYN-SENT), the SYN already seen.
    pub fn syn_sent(self) -> E {
        self.syn_sent_with("S 0:0")
    }

    /// E(SYN-SENT), the SYN already seen: it must be this one.
    pub fn syn_sent_with(self, syn: &str) -> E {
        let mut e = self.fresh();
        e.gt(syn);
        e
    }

    /// E(SYN-RECEIVED), from a listener and a SYN changed in this way; the SYN-ACK not yet sent.
    pub fn passive(self, change: impl FnOnce(&mut Segment)) -> E {
        let identity = Identity::new(self.iss, 0);
        let syn = Line::parse(&format!("S 0:0 <{}>", self.peer_syn));
        let mut syn = syn.segment(self.irs, self.iss, PEER_WINDOW);
        change(&mut syn);
        let conn =
            Connection::accept(self.config.clone(), self.path, identity, &syn, start()).unwrap();
        self.build(conn)
    }

    /// E(SYN-RECEIVED), from a listener, the SYN-ACK already seen.
    pub fn syn_received(self) -> E {
        let mut e = self.passive(|_| {});
        e.gt("S. 0:0 ack 1");
        e
    }

    /// E(ESTABLISHED), by an active open.
    pub fn established(self) -> E {
        let syn_ack = format!("S. 0:0 ack 1 <{}>", self.peer_syn);
        let timestamps = self.peer_syn.contains("TS");
        let mut e = self.syn_sent();
        e.wait(Duration::from_millis(10));
        e.lt(&syn_ack).ok();
        let _ = timestamps;
        e.gt(". 1:1 ack 1");
        e.silent();
        e.events();
        e
    }

    /// E(state) for every state of a connection with a control block, without data ever sent.
    pub fn state(self, state: State) -> E {
        let mut e = match state {
            State::SynSent => return self.syn_sent(),
            State::SynReceived => return self.syn_received(),
            _ => self.established(),
        };
        let timestamps = e.conn.info().timestamps;
        assert!(
            !timestamps,
            "fixtures beyond ESTABLISHED are without timestamps"
        );
        match state {
            State::Established => {}
            State::FinWait1 => e.shut(),
            State::FinWait2 => {
                e.shut();
                e.lt(". 1:1 ack 2").ok();
            }
            State::CloseWait => {
                e.lt("F. 1:1 ack 1").ok();
                e.gt(". 1:1 ack 2");
            }
            State::Closing => {
                e.shut();
                e.lt("F. 1:1 ack 1").ok();
                e.gt(". 2:2 ack 2");
            }
            State::LastAck => {
                e.lt("F. 1:1 ack 1").ok();
                e.gt(". 1:1 ack 2");
                e.conn.shutdown_write(e.now).unwrap();
                e.gt("F. 1:1 ack 2");
            }
            State::TimeWait => {
                e.shut();
                e.lt("F. 1:1 ack 2").ok();
                e.gt(". 2:2 ack 2");
            }
            State::Closed | State::Listen | State::SynSent | State::SynReceived => {
                panic!("{state} has no control block")
            }
        }
        e.is(state);
        e.silent();
        e.events();
        e
    }
}

impl E {
    pub fn established() -> Self {
        Setup::default().established()
    }

    pub fn state(state: State) -> Self {
        Setup::default().state(state)
    }

    /// Shuts the sending side down and sees the FIN.
    fn shut(&mut self) {
        self.conn.shutdown_write(self.now).unwrap();
        self.gt("F. 1:1 ack 1");
    }

    /// `<`: a segment arrives. What comes of it is sent at once.
    pub fn lt(&mut self, line: &str) -> Result<(), Discard> {
        self.lt_unanswered(line);
        self.drain();
        self.last
    }

    /// As `lt`, within a batch: nothing is sent yet.
    pub fn lt_unanswered(&mut self, line: &str) {
        let segment = self.segment(line);
        self.lt_segment_unanswered(&segment).ok();
    }

    /// The segment that a line of the peer's means.
    pub fn segment(&self, line: &str) -> Segment {
        let mut segment = Line::parse(line).segment(self.irs, self.iss, PEER_WINDOW);
        segment.received = self.now;
        segment
    }

    pub fn lt_segment(&mut self, segment: &Segment) -> Result<(), Discard> {
        self.lt_segment_unanswered(segment).ok();
        self.drain();
        self.last
    }

    pub fn lt_segment_unanswered(&mut self, segment: &Segment) -> Result<(), Discard> {
        self.last = self.conn.handle_segment(self.now, segment);
        self.last
    }

    /// Takes everything that the connection wants to send.
    pub fn drain(&mut self) {
        // A connection that never falls silent would fill memory: 10 000 segments are too many.
        for _ in 0..10_000 {
            match self.conn.poll_transmit(self.now, self.max_payload) {
                Some(transmit) => self.out.push_back(transmit),
                None => return fold(&mut self.conn),
            }
        }
        panic!("the connection does not stop sending");
    }

    /// `>`: the next segment that came out must be this one.
    #[track_caller]
    pub fn gt(&mut self, line: &str) {
        let expected = Line::parse(line);
        let transmit = self
            .next()
            .unwrap_or_else(|| panic!("expected {line:?}, but nothing came"));
        let text = show(&transmit, self.iss, self.irs);
        assert!(
            matches(&expected, &transmit, self.iss, self.irs),
            "expected {line:?}, but {text:?} came"
        );
        self.check_payload(&transmit);
    }

    /// `> R 5:5`, for a reset that answers a number of the peer's choosing.
    pub fn next(&mut self) -> Option<Transmit> {
        self.drain();
        self.out.pop_front()
    }

    /// The next segment as text.
    pub fn next_line(&mut self) -> Option<String> {
        self.next()
            .map(|transmit| show(&transmit, self.iss, self.irs))
    }

    fn check_payload(&self, transmit: &Transmit) {
        if !transmit.payload.is_empty() {
            let from = u64::from(transmit.seq.since(self.iss)) - 1;
            let expected = stream(from, transmit.payload.len());
            assert_eq!(
                transmit.payload.to_vec(),
                expected,
                "wrong octets at {from}"
            );
        }
    }

    /// `∅`: nothing came out.
    #[track_caller]
    pub fn silent(&mut self) {
        self.drain();
        let rest: Vec<String> = self
            .out
            .drain(..)
            .map(|t| show(&t, self.iss, self.irs))
            .collect();
        assert!(rest.is_empty(), "expected silence, but {rest:?} came");
    }

    /// Throws away what came out.
    pub fn skip(&mut self) {
        self.drain();
        self.out.clear();
    }

    /// `+t`: time passes; every deadline on the way is met.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        self.drain();
        // Bounded: a deadline that does not move would loop for ever.
        for _ in 0..100_000 {
            match self.conn.poll_timeout() {
                Some(deadline) if deadline <= end => {
                    self.now = self.now.max(deadline);
                    self.conn.handle_timeout(self.now);
                    self.drain();
                }
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("deadlines without end at {:?}", self.now);
    }

    /// Time until the next deadline.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.conn.poll_timeout().map(|deadline| deadline - self.now)
    }

    /// The application writes the next `len` octets of the stream; all must be taken.
    #[track_caller]
    pub fn write(&mut self, len: usize) {
        let data = stream(self.written, len);
        assert_eq!(self.conn.send(self.now, data), Ok(len));
        self.written += len as u64;
        self.drain();
    }

    /// Says how many octets of the stream were written otherwise.
    pub fn wrote(&mut self, len: usize) {
        self.written += len as u64;
    }

    /// The application reads everything that is there: so many octets, which are checked.
    #[track_caller]
    pub fn read(&mut self, expected: usize) {
        let mut len = 0;
        while let Some(data) = self.conn.recv(self.now, usize::MAX).unwrap() {
            if data.is_empty() {
                break;
            }
            assert_eq!(data, stream(self.read, data.len()), "wrong octets read");
            self.read += data.len() as u64;
            len += data.len();
        }
        assert_eq!(len, expected, "octets read");
        self.drain();
    }

    /// Reads up to `max` octets.
    pub fn read_some(&mut self, max: usize) -> Option<Bytes> {
        let data = self.conn.recv(self.now, max).unwrap();
        if let Some(data) = &data {
            self.read += data.len() as u64;
        }
        self.drain();
        data
    }

    /// RCV.NXT, relative.
    pub fn rnxt(&self) -> i64 {
        relative(self.irs, self.conn.info().rcv_nxt)
    }

    /// RCV.WND.
    pub fn rwnd(&self) -> i64 {
        i64::from(self.conn.info().rcv_wnd)
    }

    /// SND.NXT, relative.
    pub fn snxt(&self) -> i64 {
        relative(self.iss, self.conn.info().snd_nxt)
    }

    /// SND.UNA, relative.
    pub fn una(&self) -> i64 {
        relative(self.iss, self.conn.info().snd_una)
    }

    /// `> chg`: a challenge ACK and nothing else.
    #[track_caller]
    pub fn challenge(&mut self) {
        let (snxt, rnxt) = (self.snxt(), self.rnxt());
        self.gt(&format!(". {snxt}:{snxt} ack {rnxt}"));
        self.silent();
    }

    #[track_caller]
    pub fn is(&self, state: State) {
        assert_eq!(self.conn.state(), state);
    }

    #[track_caller]
    pub fn closed(&self, reason: CloseReason) {
        assert_eq!(self.conn.closed(), Some(reason));
    }

    /// `!`: every event since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.conn.poll_event()).collect()
    }
}
