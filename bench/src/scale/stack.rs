//! The stack without sockets: what a connection costs it, in bytes and in time, as their number grows.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use transom_stack::tcp::Instant as StackInstant;
use transom_stack::wire::Capabilities;
use transom_stack::{ConnId, ListenOn, ListenOptions, ListenerId, RouteTarget, Stack, StackConfig};

use super::Figures;
use super::peer::{Crowd, FIN, PORT, Random, STACK, SYN, octets, packet_len, resident};

/// Connections opened, or closed, side by side.
const BATCH: usize = 256;
/// Bytes of a request, and of its answer.
const REQUEST: usize = 100;
const ANSWER: usize = 1000;

struct Host {
    stack: Stack,
    listener: ListenerId,
    ids: Vec<ConnId>,
    crowd: Crowd,
    now: StackInstant,
}

impl Host {
    /// A stack, and who will connect to it.
    fn new(count: usize) -> io::Result<Self> {
        let now = StackInstant::from_origin(Duration::from_secs(1000));
        let mut stack = Stack::new(StackConfig::default(), Capabilities::ip(1500), [1; 32], now);
        stack.add_address("10.0.0.1/24".parse().map_err(io::Error::other)?);
        let everybody = "0.0.0.0/0".parse().map_err(io::Error::other)?;
        stack.add_route(everybody, RouteTarget::OnLink);
        let here = (STACK, PORT).into();
        let listener = stack
            .tcp_listen(ListenOptions::new(ListenOn::Address(here)))
            .map_err(io::Error::other)?;
        Ok(Self {
            stack,
            listener,
            ids: Vec::with_capacity(count),
            crowd: Crowd::new(count),
            now,
        })
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.crowd.clock += u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    }

    /// What the stack owes goes to the crowd, which answers a SYN-ACK, data and a FIN.
    fn exchange(&mut self) {
        loop {
            let mut answers = Vec::new();
            while let Some(frame) = self.stack.poll_transmit(self.now) {
                let Some(heard) = self.crowd.hear(&octets(&frame)) else {
                    continue;
                };
                if heard.flags & FIN != 0 {
                    answers.push(self.crowd.fin(heard.who));
                } else if heard.flags & SYN != 0 || heard.len > 0 {
                    answers.push(self.crowd.ack(heard.who));
                }
            }
            while self.stack.poll_event().is_some() {}
            if answers.is_empty() {
                return;
            }
            self.pass(Duration::from_micros(50));
            for frame in answers {
                self.stack.handle_frame(self.now, frame);
            }
        }
    }

    /// Brings the number of connections to `count`; each gets a request and answers it.
    fn open(&mut self, count: usize) -> io::Result<()> {
        while self.ids.len() < count {
            let first = self.ids.len();
            let batch = first..(first + BATCH).min(count);
            for who in batch.clone() {
                let syn = self.crowd.syn(who);
                self.stack.handle_frame(self.now, syn);
            }
            self.exchange();
            while let Some(id) = self.stack.tcp_accept(self.listener) {
                self.ids.push(id);
            }
            if self.ids.len() < batch.end {
                return Err(io::Error::other("a connection was not accepted"));
            }
            for who in batch {
                let request = self.crowd.data(who, REQUEST);
                self.stack.handle_frame(self.now, request);
                self.read(self.ids[who]);
                let answer = Bytes::from_static(&[1; ANSWER]);
                self.stack
                    .tcp_send(self.now, self.ids[who], answer)
                    .map_err(io::Error::other)?;
            }
            self.exchange();
            self.pass(Duration::from_millis(1));
            self.stack.handle_timeout(self.now);
        }
        Ok(())
    }

    fn read(&mut self, id: ConnId) {
        while let Ok(Some(data)) = self.stack.tcp_recv(self.now, id, 65_536) {
            if data.is_empty() {
                break;
            }
        }
    }

    /// Nanoseconds for a packet with a request at one of the first `among` connections, until it is read and what is owed
    /// for it is made; of packets that arrive so many together.
    fn packet(
        &mut self,
        among: usize,
        packets: usize,
        together: usize,
        random: &mut Random,
    ) -> f64 {
        let mut spent = Duration::ZERO;
        let mut done = 0;
        while done < packets {
            // The frames are made before, and what comes out is looked at afterwards.
            let mut batches = Vec::new();
            for _ in 0..512 / together {
                let chosen: Vec<usize> = (0..together).map(|_| random.below(among)).collect();
                let frames = chosen.iter().map(|who| self.crowd.data(*who, REQUEST));
                let frames: Vec<_> = frames.collect();
                let ids: Vec<_> = chosen.iter().map(|who| self.ids[*who]).collect();
                batches.push((frames, ids));
            }
            let mut out = Vec::with_capacity(1024);
            let start = Instant::now();
            for (frames, ids) in &mut batches {
                self.stack.handle_frames(self.now, frames);
                for id in ids {
                    self.read(*id);
                }
                while let Some(frame) = self.stack.poll_transmit(self.now) {
                    out.push(frame);
                }
                while self.stack.poll_event().is_some() {}
                done += together;
            }
            spent += start.elapsed();
            for frame in out {
                self.crowd.hear(&octets(&frame));
            }
            self.pass(Duration::from_millis(1));
            self.stack.handle_timeout(self.now);
            self.exchange();
        }
        spent.as_nanos() as f64 / done as f64
    }

    /// What a packet costs that arrives alone, and with others.
    fn packets(
        &mut self,
        among: usize,
        packets: usize,
        word: &str,
        random: &mut Random,
        figures: &mut Figures,
    ) {
        for (together, how) in [(1, ""), (32, " of 32"), (128, " of 128")] {
            let each = self.packet(among, packets, together, random);
            figures.insert(format!("packet{how}, ns, at {word}"), each);
        }
    }

    /// Nanoseconds for each of many full segments that one connection receives.
    fn bulk(&mut self, segments: usize) -> f64 {
        let mut spent = Duration::ZERO;
        let mut done = 0;
        while done < segments {
            let mut frames: Vec<_> = (0..32).map(|_| self.crowd.data(0, 1448)).collect();
            let mut out = Vec::with_capacity(64);
            let start = Instant::now();
            self.stack.handle_frames(self.now, &mut frames);
            self.read(self.ids[0]);
            while let Some(frame) = self.stack.poll_transmit(self.now) {
                out.push(frame);
            }
            while self.stack.poll_event().is_some() {}
            spent += start.elapsed();
            done += 32;
            for frame in out {
                self.crowd.hear(&octets(&frame));
            }
            self.pass(Duration::from_micros(500));
            self.stack.handle_timeout(self.now);
        }
        spent.as_nanos() as f64 / done as f64
    }

    /// Nanoseconds for asking for the next deadline and acting on none; and for each retransmission timer that expires at
    /// some of the first `among` connections.
    fn ticks(&mut self, among: usize, random: &mut Random) -> io::Result<[f64; 2]> {
        const EMPTY: u32 = 200_000;
        let start = Instant::now();
        for _ in 0..EMPTY {
            std::hint::black_box(self.stack.poll_timeout(self.now));
            self.stack.handle_timeout(self.now);
        }
        let empty = start.elapsed().as_nanos() as f64 / f64::from(EMPTY);
        let (mut spent, mut expired) = (Duration::ZERO, 0_u32);
        for _ in 0..8 {
            for _ in 0..250 {
                let id = self.ids[random.below(among)];
                let sent = self
                    .stack
                    .tcp_send(self.now, id, Bytes::from_static(&[2; 300]));
                sent.map_err(io::Error::other)?;
            }
            // Lost on their way.
            while self.stack.poll_transmit(self.now).is_some() {}
            while let Some(at) = self.stack.poll_timeout(self.now) {
                let step = at.duration_since(self.now);
                self.pass(step);
                let start = Instant::now();
                self.stack.handle_timeout(self.now);
                spent += start.elapsed();
                let mut answers = Vec::new();
                while let Some(frame) = self.stack.poll_transmit(self.now) {
                    expired += 1;
                    if let Some(heard) = self.crowd.hear(&octets(&frame)) {
                        answers.push(self.crowd.ack(heard.who));
                    }
                }
                for answer in answers {
                    self.stack.handle_frame(self.now, answer);
                }
                while self.stack.poll_event().is_some() {}
            }
        }
        Ok([empty, spent.as_nanos() as f64 / f64::from(expired.max(1))])
    }

    /// The application closes everything, and the crowd closes too.
    fn close(&mut self) {
        let ids = std::mem::take(&mut self.ids);
        for batch in ids.chunks(BATCH) {
            for id in batch {
                self.stack.tcp_release(self.now, *id);
            }
            self.exchange();
            self.pass(Duration::from_millis(1));
            self.stack.handle_timeout(self.now);
        }
    }
}

/// The costs with a thousand connections and with `count`.
pub(super) fn measure(count: usize) -> io::Result<Figures> {
    let mut random = Random(88_172_645_463_325_252);
    let mut figures = Figures::new();
    let mut host = Host::new(count)?;
    let before = resident();
    host.open(1)?;
    figures.insert("bulk, ns a segment, alone".into(), host.bulk(200_000));
    host.open(1000)?;
    host.packets(1000, 20_000, "1000", &mut random, &mut figures);
    let [empty, timer] = host.ticks(1000, &mut random)?;
    figures.insert("empty tick, ns, at 1000".into(), empty);
    figures.insert("timer, ns, at 1000".into(), timer);
    host.open(10_000.min(count))?;
    figures.insert(
        "bulk, ns a segment, beside 10000 idle".into(),
        host.bulk(200_000),
    );
    let start = Instant::now();
    let opened = count - host.ids.len();
    host.open(count)?;
    let each = start.elapsed().as_secs_f64() / opened.max(1) as f64;
    figures.insert("accept all, s".into(), each * count as f64);
    host.pass(Duration::from_secs(2));
    host.stack.handle_timeout(host.now);
    host.exchange();
    figures.insert(
        "bytes a connection".into(),
        (resident() - before) / count as f64,
    );
    let packets = 200_000.min(count * 4);
    host.packets(count, packets, "all", &mut random, &mut figures);
    let [empty, timer] = host.ticks(count, &mut random)?;
    figures.insert("empty tick, ns, at all".into(), empty);
    figures.insert("timer, ns, at all".into(), timer);
    figures.insert(
        "bulk, ns a segment, beside all idle".into(),
        host.bulk(200_000),
    );
    figures.insert(
        "bytes a connection, in use".into(),
        (resident() - before) / count as f64,
    );
    let start = Instant::now();
    host.close();
    figures.insert("close all, s".into(), start.elapsed().as_secs_f64());
    Ok(figures)
}

/// How evenly many connections that all have enough to send share a link: Jain's index, and the least and the most that
/// one was given, as shares of the mean.
pub(super) fn fairness(count: usize) -> io::Result<Figures> {
    let mut host = Host::new(count)?;
    host.open(count)?;
    let data = Bytes::from(vec![3; 64 << 10]);
    let mut got = vec![0_f64; count];
    for _ in 0..1200 {
        for id in &host.ids {
            while host
                .stack
                .tcp_send(host.now, *id, data.clone())
                .is_ok_and(|taken| taken == data.len())
            {}
        }
        // A millisecond carries so many packets.
        let mut answers = Vec::new();
        for _ in 0..1000 {
            let Some(frame) = host.stack.poll_transmit(host.now) else {
                break;
            };
            if let Some(heard) = host.crowd.hear(&octets(&frame)) {
                got[heard.who] += packet_len(heard.len as usize) as f64;
                answers.push(host.crowd.ack(heard.who));
            }
        }
        host.pass(Duration::from_millis(1));
        for answer in answers {
            host.stack.handle_frame(host.now, answer);
        }
        host.stack.handle_timeout(host.now);
        while host.stack.poll_event().is_some() {}
    }
    let sum: f64 = got.iter().sum();
    let squares: f64 = got.iter().map(|n| n * n).sum();
    let mean = sum / count as f64;
    let least = got.iter().copied().fold(f64::INFINITY, f64::min);
    let most = got.iter().copied().fold(0.0, f64::max);
    Ok(Figures::from([
        ("Jain's index".into(), sum * sum / (count as f64 * squares)),
        ("least share".into(), least / mean),
        ("greatest share".into(), most / mean),
    ]))
}
