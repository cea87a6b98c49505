//! Two hosts and a network that the input rules: what arrives is what was sent, or the connection fails cleanly.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;
use transom_stack::tcp::{CloseReason, Config, Instant, State};
use transom_stack::{
    ConnId, ConnectOptions, ListenOn, ListenOptions, Stack, StackConfig, StackEvent,
};
use transom_wire::RxFrame;

use super::{Trace, at, check, drain, stack};
use crate::Input;

const MAX_STEPS: usize = 150;
/// Frames under way in one direction; what comes on top is lost, as at a router.
const QUEUE: usize = 64;

/// A frame on its way. Only one bit of it falls over: two may escape the checksum, and the stack is not to blame.
#[derive(Clone)]
struct Frame {
    bytes: Vec<u8>,
    damaged: bool,
}

/// One end and its application.
struct End {
    stack: Stack,
    connection: Option<ConnId>,
    /// Frames on their way to this end.
    under_way: VecDeque<Frame>,
    sent: u64,
    received: u64,
    finished: bool,
    saw_end: bool,
    failed: bool,
}

struct World {
    ends: [End; 2],
    now: Instant,
    trace: Trace,
    /// An application has aborted.
    aborted: bool,
}

/// The octet at a position of either stream.
fn octet(end: usize, position: u64) -> u8 {
    (position % 251) as u8 ^ (end as u8 * 0x55)
}

pub(super) fn run(mut input: Input<'_>) -> Trace {
    let mut world = World::new(&mut input);
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
        world.settle();
    }
    world.finish();
    world.trace
}

impl End {
    fn new(tcp: Config, v4: &str, v6: &str) -> Self {
        Self {
            stack: stack(StackConfig::default().tcp(tcp), v4, v6),
            connection: None,
            under_way: VecDeque::new(),
            sent: 0,
            received: 0,
            finished: false,
            saw_end: false,
            failed: false,
        }
    }

    /// The connection ended, and not as both wanted.
    fn gave_up(&self) -> bool {
        let connection = self.connection.and_then(|id| self.stack.tcp_connection(id));
        let reason = connection.and_then(|connection| connection.closed());
        self.failed || reason.is_some_and(|reason| reason != CloseReason::Normal)
    }

    fn state(&self) -> Option<State> {
        self.stack.tcp_state(self.connection?)
    }
}

impl World {
    fn new(input: &mut Input<'_>) -> Self {
        let mut config = || {
            let bits = input.byte();
            Config::default()
                .timestamps(bits & 1 != 0)
                .sack(bits & 2 != 0)
                .rack(bits & 4 != 0)
                .window_scaling(bits & 8 != 0)
                .nodelay(bits & 16 != 0)
                .recv_buffer([100, 3000, 20_000, 1 << 17][usize::from(bits >> 6)])
                .send_buffer(1 << 16)
        };
        let mut client = End::new(config(), "10.0.0.1/24", "2001:db8::1/64");
        let mut server = End::new(config(), "10.0.0.2/24", "2001:db8::2/64");
        let on = ListenOptions::new(ListenOn::AnyAddress(80));
        server.stack.tcp_listen(on).expect("the port is free");
        let remote = input.of(&["10.0.0.2:80", "[2001:db8::2]:80"]);
        let to = ConnectOptions::new(remote.parse().expect("an address"));
        client.connection = client.stack.tcp_connect(at(1000), to).ok();
        let mut world = Self {
            ends: [client, server],
            now: at(1000),
            trace: Trace(0),
            aborted: false,
        };
        world.settle();
        world
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let which = input.below(2);
        match input.below(16) {
            // The first frame, or one of those behind it, arrives.
            0..6 => {
                let index = if input.byte() < 200 {
                    0
                } else {
                    input.below(8)
                };
                self.arrive(which, index, false);
            }
            6 => {
                let index = input.below(8);
                self.ends[which].under_way.remove(index);
            }
            7 => {
                let index = input.below(8);
                self.arrive(which, index, true);
            }
            8 => {
                // One bit falls over: the checksum must find it.
                let index = input.below(8);
                let bit = input.short();
                if let Some(frame) = self.ends[which].under_way.get_mut(index)
                    && !frame.damaged
                {
                    let at = usize::from(bit >> 3) % frame.bytes.len();
                    frame.bytes[at] ^= 1 << (bit & 7);
                    frame.damaged = true;
                }
            }
            9..12 => self.write(which, input.of(&[1, 100, 1448, 5000, 30_000])),
            12 => {
                let max = input.of(&[1, 1000, 50_000]);
                self.read(which, max);
            }
            13 => self.now += Duration::from_millis(u64::from(input.short()) & 0x3fff),
            14 => {
                let wait = self.next().unwrap_or(self.now);
                self.now = self.now.max(wait);
                self.expire();
            }
            _ => {
                if input.byte() < 220 {
                    self.shut(which);
                } else if let Some(id) = self.ends[which].connection {
                    self.aborted = true;
                    // What was not read is thrown away, and nobody reads any more.
                    self.ends[which].failed = true;
                    self.ends[which].stack.tcp_abort(self.now, id);
                }
            }
        }
    }

    fn arrive(&mut self, which: usize, index: usize, again: bool) {
        let end = &mut self.ends[which];
        let frame = if again {
            end.under_way.get(index).cloned()
        } else {
            end.under_way.remove(index)
        };
        if let Some(frame) = frame {
            end.stack
                .handle_frame(self.now, RxFrame::from(Bytes::from(frame.bytes)));
        }
    }

    fn write(&mut self, which: usize, len: u64) {
        let end = &mut self.ends[which];
        let Some(id) = end.connection else { return };
        let data: Vec<u8> = (end.sent..end.sent + len)
            .map(|position| octet(which, position))
            .collect();
        if let Ok(taken) = end.stack.tcp_send(self.now, id, Bytes::from(data)) {
            end.sent += taken as u64;
        }
    }

    /// INV-3: what is read is a prefix of what was sent.
    ///
    /// Gives whether there may be more.
    fn read(&mut self, which: usize, max: usize) -> bool {
        let sent = self.ends[1 - which].sent;
        let end = &mut self.ends[which];
        let Some(id) = end.connection else {
            return false;
        };
        if end.saw_end || end.failed {
            return false;
        }
        match end.stack.tcp_recv(self.now, id, max) {
            Ok(Some(data)) if data.is_empty() => {
                end.saw_end = true;
                assert_eq!(end.received, sent, "the end came early");
            }
            Ok(Some(data)) => {
                for byte in &data {
                    let expected = octet(1 - which, end.received);
                    assert_eq!(*byte, expected, "octet {}", end.received);
                    end.received += 1;
                }
                assert!(end.received <= sent, "more was read than was sent");
                return true;
            }
            Ok(None) => {}
            Err(_) => end.failed = true,
        }
        false
    }

    fn shut(&mut self, which: usize) {
        let end = &mut self.ends[which];
        let Some(id) = end.connection else { return };
        if end.state() == Some(State::SynSent) {
            return;
        }
        if end.stack.tcp_shutdown_write(self.now, id).is_ok() {
            end.finished = true;
        }
    }

    fn next(&self) -> Option<Instant> {
        self.ends
            .iter()
            .filter_map(|end| end.stack.poll_timeout(self.now))
            .min()
    }

    fn expire(&mut self) {
        for end in &mut self.ends {
            end.stack.handle_timeout(self.now);
        }
    }

    fn settle(&mut self) {
        for which in 0..2 {
            let end = &mut self.ends[which];
            while let Some(event) = end.stack.poll_event() {
                if let StackEvent::Acceptable(listener) = event
                    && let Some(id) = end.stack.tcp_accept(listener)
                {
                    // A second one can only come from the client's repetition after an abort.
                    if end.connection.is_none() {
                        end.connection = Some(id);
                    } else {
                        end.stack.tcp_release(self.now, id);
                    }
                }
            }
            for frame in drain(&mut end.stack, self.now) {
                self.trace.add(self.now, &frame);
                let to = &mut self.ends[1 - which].under_way;
                if to.len() < QUEUE {
                    to.push_back(Frame {
                        bytes: frame,
                        damaged: false,
                    });
                }
            }
            check(&self.ends[which].stack, self.now);
        }
    }

    /// INV-11: once the network delivers, both ends come to their end.
    fn finish(&mut self) {
        for _ in 0..60_000 {
            for which in 0..2 {
                while !self.ends[which].under_way.is_empty() {
                    self.arrive(which, 0, false);
                }
                while self.read(which, usize::MAX) {}
                if !self.ends[which].finished {
                    self.shut(which);
                }
            }
            self.settle();
            let quiet = self.ends.iter().all(|end| end.under_way.is_empty());
            if !quiet {
                continue;
            }
            if self.is_done() {
                return self.check_end();
            }
            let Some(next) = self.next() else { break };
            self.now = self.now.max(next);
            self.expire();
            self.settle();
        }
        let states: Vec<_> = self.ends.iter().map(End::state).collect();
        // One has aborted, or has given up in silence: its reset may have been lost, and who only waits to receive then
        // waits for ever.
        let is_over = self.aborted || self.ends.iter().any(End::gave_up);
        let done = self.is_done() || is_over;
        assert!(done, "{states:?}, and nothing more happens");
    }

    fn is_done(&self) -> bool {
        self.ends.iter().all(|end| {
            end.failed || matches!(end.state(), None | Some(State::Closed | State::TimeWait))
        })
    }

    fn check_end(&self) {
        let [client, server] = &self.ends;
        let whole =
            !self.aborted && !client.failed && !server.failed && server.connection.is_some();
        if whole && client.finished && server.finished {
            assert!(client.saw_end && server.saw_end, "an end was not seen");
        }
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for bits in [0x80, 0xdf, 0x4f] {
        let mut seed = vec![1, bits, bits, bits & 1];
        // The handshake, data both ways with a loss and a change of order, the end.
        seed.extend([
            1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 4, 1, 10, 3, 1, 6, 0, 1, 0, 0, 1, 0, 201, 1,
        ]);
        seed.extend([
            0, 0, 0, 0, 0, 0, 1, 14, 0, 14, 1, 12, 2, 0, 12, 2, 0, 15, 0, 1, 8, 0, 0, 99,
        ]);
        seed.extend([1, 0, 0, 0, 14, 1, 7, 0, 1, 0, 0, 1, 15, 0, 0, 14]);
        seeds.push(seed);
    }
    seeds
}
