//! Many connections: what each costs while it is idle, and that folding it up changes nothing.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the failure")]

mod sys;

use core::time::Duration;

use bytes::Bytes;
use transom_stack::tcp::congestion::Algorithm;
use transom_stack::tcp::{Config, Instant, KeepAlive, State};
use transom_stack::wire::{Capabilities, RxFrame};
use transom_stack::{
    ConnId, ConnectOptions, ListenOn, ListenOptions, ListenerId, Stack, StackConfig,
};

/// Two stacks and a wire that takes a millisecond.
struct Pair {
    stacks: [Stack; 2],
    listener: ListenerId,
    now: Instant,
    /// Frames carried, and a sum over all that they are and when they came.
    frames: u64,
    sum: u64,
    /// What is under way arrives in one batch.
    together: bool,
}

fn make(config: StackConfig, last: u8, now: Instant) -> Stack {
    let mut stack = Stack::new(config, Capabilities::ip(1500), [last; 32], now);
    stack.add_address(format!("10.0.0.{last}/24").parse().unwrap());
    stack
}

impl Pair {
    fn new(config: &StackConfig) -> Self {
        let now = Instant::from_origin(Duration::from_secs(1));
        let client = make(config.clone(), 1, now);
        let mut server = make(config.clone(), 2, now);
        let listener = server
            .tcp_listen(ListenOptions::new(ListenOn::AnyAddress(80)))
            .unwrap();
        Self {
            stacks: [client, server],
            listener,
            now,
            frames: 0,
            sum: 0,
            together: false,
        }
    }

    /// Everything that is owed, there and back, until nothing is.
    fn exchange(&mut self) {
        loop {
            let mut moved = false;
            for from in 0..2 {
                let mut under_way = Vec::new();
                while let Some(mut frame) = self.stacks[from].poll_transmit(self.now) {
                    frame.fill_checksum();
                    under_way.push(frame.to_vec());
                }
                moved |= !under_way.is_empty();
                self.now += Duration::from_micros(500);
                under_way.iter().for_each(|frame| self.note(frame));
                let under_way = under_way.into_iter();
                let mut arrived: Vec<_> =
                    under_way.map(|f| RxFrame::from(Bytes::from(f))).collect();
                let to = &mut self.stacks[1 - from];
                if self.together {
                    to.handle_frames(self.now, &mut arrived);
                    assert!(arrived.is_empty());
                } else {
                    for frame in arrived {
                        to.handle_frame(self.now, frame);
                    }
                }
            }
            for stack in &mut self.stacks {
                while stack.poll_event().is_some() {}
            }
            if !moved {
                return;
            }
        }
    }

    fn note(&mut self, frame: &[u8]) {
        self.frames += 1;
        let when = self.now.since_origin().as_nanos() as u64;
        for word in frame.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        }) {
            self.sum = (self.sum ^ word ^ when)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29);
        }
    }

    /// Time passes.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.exchange();
            let next = self.stacks.iter().filter_map(|s| s.poll_timeout(self.now));
            match next.min().filter(|at| *at <= end) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
            for stack in &mut self.stacks {
                stack.handle_timeout(self.now);
            }
        }
        self.now = self.now.max(end);
    }

    fn connect(&mut self) -> [ConnId; 2] {
        let options = ConnectOptions::new("10.0.0.2:80".parse().unwrap());
        let client = self.stacks[0].tcp_connect(self.now, options).unwrap();
        self.exchange();
        [client, self.stacks[1].tcp_accept(self.listener).unwrap()]
    }

    /// One end sends, the other reads.
    fn send(&mut self, ids: [ConnId; 2], from: usize, len: usize) {
        let data = Bytes::from(vec![7; len]);
        let taken = self.stacks[from].tcp_send(self.now, ids[from], data);
        assert_eq!(taken, Ok(len));
        let mut left = len;
        while left > 0 {
            self.exchange();
            while let Ok(Some(data)) = self.stacks[1 - from].tcp_recv(self.now, ids[1 - from], len)
            {
                left -= data.len();
            }
            if left > 0 {
                self.wait(Duration::from_millis(1));
            }
        }
    }
}

#[test]
fn an_idle_connection_takes_512_bytes_of_a_stack_all_included() {
    const COUNT: usize = 20_000;
    let config = StackConfig::default();
    let mut pair = Pair::new(&config);
    let before = sys::held();
    let mut ids = Vec::with_capacity(COUNT);
    let own = COUNT * size_of::<[ConnId; 2]>();
    for n in 0..COUNT {
        let pair_of_ids = pair.connect();
        pair.send(pair_of_ids, 0, 300);
        pair.send(pair_of_ids, 1, 5000 + n % 1000);
        ids.push(pair_of_ids);
    }
    pair.wait(Duration::from_secs(3));
    let each = (sys::held() - before - own) / (2 * COUNT);
    assert!(each <= 512, "{each} bytes");
    // They are what they were.
    for pair_of_ids in ids.iter().step_by(997) {
        pair.send(*pair_of_ids, 1, 100);
        for (stack, id) in pair.stacks.iter().zip(pair_of_ids) {
            assert_eq!(stack.tcp_state(*id), Some(State::Established));
        }
    }
}

/// What a number of connections do in some minutes, when so many of those at rest stay unfolded.
fn talk(unfolded_idle: usize, tcp: &Config) -> (u64, u64) {
    let config = StackConfig::default()
        .unfolded_idle(unfolded_idle)
        .tcp(tcp.clone());
    let mut pair = Pair::new(&config);
    let ids: Vec<_> = (0..30).map(|_| pair.connect()).collect();
    let mut random = 88_172_645_463_325_252_u64;
    for turn in 0..1500 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let which = ids[(random % 30) as usize];
        let from = (random >> 8 & 1) as usize;
        let len = 1 << (random >> 16 & 15);
        if turn < 1400 {
            pair.send(which, from, len + (random >> 32) as usize % len);
        } else if turn == 1400 {
            // Half-closed ones rest too.
            for ids in ids.iter().take(10) {
                pair.stacks[0].tcp_shutdown_write(pair.now, ids[0]).unwrap();
            }
        } else {
            pair.send(which, 1, len);
        }
        match random >> 24 & 7 {
            0 => pair.wait(Duration::from_secs(random >> 40 & 15)),
            1 => pair.wait(Duration::from_millis(random >> 40 & 255)),
            _ => {}
        }
    }
    for [client, server] in ids {
        pair.stacks[0].tcp_release(pair.now, client);
        pair.wait(Duration::from_millis(random >> 40 & 255));
        pair.stacks[1].tcp_release(pair.now, server);
    }
    assert!(pair.stacks.iter().any(|stack| stack.unfinished() > 0));
    pair.wait(Duration::from_secs(100));
    for stack in &pair.stacks {
        assert_eq!((stack.unfinished(), stack.connections().count()), (0, 0));
    }
    (pair.frames, pair.sum)
}

#[test]
fn folding_up_changes_no_octet_of_what_is_sent() {
    let keep_alive = KeepAlive {
        idle: Duration::from_secs(5),
        interval: Duration::from_secs(1),
        probes: 3,
    };
    for algorithm in Algorithm::ALL {
        let tcp = Config::default()
            .congestion(*algorithm)
            .keep_alive(Some(keep_alive));
        let whole = talk(1000, &tcp);
        assert!(whole.0 > 20_000, "{} frames", whole.0);
        for unfolded in [0, 5] {
            assert_eq!(talk(unfolded, &tcp), whole, "{}", algorithm.name());
        }
    }
}

/// What many connections do, some of which come and go in the midst of others' segments.
fn talk_at_once(together: bool) -> (u64, u64) {
    const COUNT: usize = 1500;
    let config = StackConfig::default().unfolded_idle(100);
    let mut pair = Pair::new(&config);
    pair.together = together;
    let mut ids: Vec<_> = (0..COUNT).map(|_| pair.connect()).collect();
    let mut random = 88_172_645_463_325_252_u64;
    for turn in 0..100 {
        for _ in 0..70 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let [client, server] = ids[random as usize % ids.len()];
            let data = || Bytes::from(vec![7; 1 + (random >> 32) as usize % 4000]);
            match random >> 24 & 63 {
                0 => pair.stacks[0].tcp_abort(pair.now, client),
                1 => pair.stacks[1].tcp_release(pair.now, server),
                2..32 => drop(pair.stacks[1].tcp_send(pair.now, server, data())),
                _ => drop(pair.stacks[0].tcp_send(pair.now, client, data())),
            }
        }
        pair.exchange();
        for (stack, id) in ids.iter().flat_map(|[a, b]| [(0, *a), (1, *b)]) {
            while let Ok(Some(data)) = pair.stacks[stack].tcp_recv(pair.now, id, usize::MAX) {
                if data.is_empty() {
                    break;
                }
            }
        }
        if turn % 10 == 0 {
            ids.push(pair.connect());
        }
        pair.wait(Duration::from_millis(30));
    }
    (pair.frames, pair.sum)
}

#[test]
fn frames_that_arrive_together_do_what_they_do_one_by_one() {
    let one_by_one = talk_at_once(false);
    assert!(one_by_one.0 > 20_000, "{} frames", one_by_one.0);
    assert_eq!(talk_at_once(true), one_by_one);
}
