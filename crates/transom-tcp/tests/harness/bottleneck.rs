//! One connection through a bottleneck: rate, queue, delay, loss and reordering, in virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use transom_tcp::{Config, Connection, Counters, Identity, Instant, Path, Segment, Transmit};
use transom_wire::tcp::Flags;
use transom_wire::{Ecn, Seq};

use super::pair::arriving;
use super::{fold, start, stream};

/// A path in one direction.
pub struct Link {
    /// Octets per second.
    rate: u64,
    /// Octets that may wait; what comes on top is dropped.
    queue: usize,
    delay: Duration,
    /// Lost at random, in ten-thousandths.
    loss: u64,
    random: u64,
    free_at: Instant,
    flying: BTreeMap<(Instant, u64), Segment>,
    order: u64,
    /// Packets that leave the queue, with their times.
    waiting: VecDeque<(Instant, usize)>,
    queued: usize,
    lost: u32,
    /// Octets in the queue beyond which an ECN-capable packet is marked.
    pub mark_above: usize,
    marked: u32,
    /// Overtaken by what follows, in ten-thousandths: later by `late`.
    pub reorder: u64,
    pub late: Duration,
}

impl Link {
    pub fn new(rate: u64, queue: usize, delay: Duration, loss: u64, seed: u64) -> Self {
        Self {
            rate,
            queue,
            delay,
            loss,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1,
            free_at: start(),
            flying: BTreeMap::new(),
            order: 0,
            waiting: VecDeque::new(),
            queued: 0,
            lost: 0,
            mark_above: usize::MAX,
            marked: 0,
            reorder: 0,
            late: Duration::ZERO,
        }
    }

    fn push(&mut self, now: Instant, transmit: &Transmit) {
        let size = usize::from(transmit.segment_size.max(1));
        let whole = arriving(transmit, now);
        let len = whole.payload.len();
        let mut at = 0;
        loop {
            let end = (at + size).min(len);
            let mut piece = whole.clone();
            piece.seq += at as u32;
            piece.payload = whole.payload.slice(at..end);
            piece.gso_size = 0;
            if end < len {
                piece.flags &= !(Flags::FIN | Flags::PSH);
            }
            self.push_one(now, piece);
            at = end;
            if at >= len {
                return;
            }
        }
    }

    fn push_one(&mut self, now: Instant, mut segment: Segment) {
        while let Some(&(leaves, octets)) = self.waiting.front()
            && leaves <= now
        {
            self.waiting.pop_front();
            self.queued -= octets;
        }
        let octets = segment.payload.len() + 60;
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        if self.queued + octets > self.queue || self.random % 10_000 < self.loss {
            self.lost += 1;
            return;
        }
        if self.queued > self.mark_above && segment.ecn != Ecn::NotEct {
            segment.ecn = Ecn::Ce;
            self.marked += 1;
        }
        self.free_at =
            self.free_at.max(now) + Duration::from_nanos(octets as u64 * 1_000_000_000 / self.rate);
        self.waiting.push_back((self.free_at, octets));
        self.queued += octets;
        segment.received = self.free_at + self.delay;
        if self.reorder > 0 && self.random >> 20 & 0xffff_ffff < (self.reorder << 32) / 10_000 {
            segment.received += self.late;
        }
        self.order += 1;
        self.flying.insert((segment.received, self.order), segment);
    }
}

/// What came of a transfer.
pub struct Outcome {
    pub took: Duration,
    pub counters: Counters,
    pub dropped: u32,
    pub marked: u32,
    pub srtt: Duration,
}

pub fn transfer(config: &Config, octets: u64, max_payload: usize, mut links: [Link; 2]) -> Outcome {
    let path = Path::new(1500, 20);
    let mut now = start();
    let client = Connection::connect(
        config.clone(),
        path,
        Identity::new(Seq::new(u32::MAX - 99), 7),
        now,
    );
    let mut ends = [Some(client), None];
    // The stream repeats every 251 octets.
    let text = stream(0, 65_536 + 251);
    let (mut written, mut read) = (0, 0);
    let mut finished = false;
    loop {
        for from in 0..2 {
            let Some(conn) = &mut ends[from] else {
                continue;
            };
            while let Ok(Some(data)) = conn.recv(now, usize::MAX) {
                if data.is_empty() {
                    break;
                }
                read += data.len() as u64;
            }
            while from == 0 && written < octets {
                let len = (octets - written).min(65_536) as usize;
                let from = (written % 251) as usize;
                match conn.send(now, text.slice(from..from + len)) {
                    Ok(0) | Err(_) => break,
                    Ok(taken) => written += taken as u64,
                }
            }
            while conn.poll_event().is_some() {}
            while let Some(transmit) = conn.poll_transmit(now, max_payload) {
                links[from].push(now, &transmit);
            }
            fold(conn);
            finished |= read == octets;
        }
        if finished {
            let info = ends[0].as_ref().unwrap().info();
            return Outcome {
                took: now - start(),
                counters: info.counters,
                dropped: links[0].lost,
                marked: links[0].marked,
                srtt: info.srtt.unwrap_or_default(),
            };
        }
        let deadlines = ends.iter().flatten().filter_map(Connection::poll_timeout);
        let arrivals = links
            .iter()
            .filter_map(|link| link.flying.keys().next().map(|&(at, _)| at));
        now = now.max(
            deadlines
                .chain(arrivals)
                .min()
                .expect("something is bound to happen"),
        );
        assert!(now - start() < Duration::from_secs(3600), "an hour");
        for to in 0..2 {
            while let Some(first) = links[1 - to].flying.first_entry()
                && first.key().0 <= now
            {
                let segment = first.remove();
                match &mut ends[to] {
                    Some(conn) => {
                        conn.handle_segment(now, &segment).ok();
                    }
                    empty => {
                        let identity = Identity::new(Seq::new(0x7fff_ff00), 9);
                        *empty =
                            Connection::accept(config.clone(), path, identity, &segment, now).ok();
                    }
                }
            }
            if let Some(conn) = &mut ends[to]
                && conn.poll_timeout().is_some_and(|deadline| deadline <= now)
            {
                conn.handle_timeout(now);
            }
        }
    }
}
