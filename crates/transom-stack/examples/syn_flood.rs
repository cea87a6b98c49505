//! A SYN flood, and a connection that goes on transferring meanwhile.
//!
//! `cargo run --release -p transom-stack --example syn_flood -- [SYNS] [MIB]`
//!
//! Two stacks in memory, one thread, MTU 1500, checksums in software. A transfer of MIB (default 1024) runs alone, then
//! again with SYNS (default 1,000,000) SYNs from random addresses among its segments.
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "results of a command-line program, on frames of its own making"
)]

use core::time::Duration;
use std::error::Error;
use std::time;

use bytes::Bytes;
use transom_stack::tcp::Instant;
use transom_stack::wire::ip::ipv4;
use transom_stack::wire::tcp::{Flags, Header, Options, Timestamps};
use transom_stack::wire::{Capabilities, Protocol, RxFrame, Seq, TxFrame};
use transom_stack::{ConnId, ConnectOptions, ListenOn, ListenOptions, RouteTarget, Stack};

type Outcome<T> = Result<T, Box<dyn Error>>;

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];
/// SYNs between two rounds of the transfer.
const BATCH: u32 = 256;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse());
    let (syns, mib): (u32, u32) = (number(1_000_000)?, number(1024)?);
    let bytes = (mib as usize) << 20;
    let mut world = World::new()?;
    world.transfer(bytes / 8, 0)?;
    let alone = world.transfer(bytes, 0)?;
    let before = resident()?;
    let flooded = world.transfer(bytes, syns)?;
    let after = resident()?;
    let counters = world.server.counters();
    let rate = |elapsed: Duration| bytes as f64 / elapsed.as_secs_f64() / 1e9;
    let each = flooded.flood.as_secs_f64() * 1e9 / f64::from(syns.max(1));
    println!(
        "goodput alone                   {:.3} GB/s",
        rate(alone.whole)
    );
    println!(
        "goodput in the flood            {:.3} GB/s of the time that the SYNs left over, {:.3} GB/s of all",
        rate(flooded.whole - flooded.flood),
        rate(flooded.whole)
    );
    println!("time of a SYN and its SYN-ACK   {each:.0} ns ({syns} SYNs)");
    println!(
        "embryos, cookies sent           {}, {}",
        world.server.connections().count() - 1,
        counters.syn_cookies_out
    );
    println!(
        "memory before, after, at most   {before} KiB, {after} KiB, {} KiB",
        peak()?
    );
    let retransmitted = world
        .client
        .tcp_info(world.sender)?
        .counters
        .retransmissions;
    println!("retransmissions                 {retransmitted}");
    Ok(())
}

/// How long a transfer took, and how much of that went into the flood.
struct Took {
    whole: Duration,
    flood: Duration,
}

struct World {
    client: Stack,
    server: Stack,
    sender: ConnId,
    receiver: ConnId,
    began: time::Instant,
    random: u64,
}

impl World {
    fn new() -> Outcome<Self> {
        let now = Instant::from_origin(Duration::from_secs(1));
        let make = |address: [u8; 4], secret| -> Outcome<Stack> {
            let mut stack = Stack::new(
                transom_stack::StackConfig::default(),
                Capabilities::ip(1500),
                [secret; 32],
                now,
            );
            let [a, b, c, d] = address;
            stack.add_address(format!("{a}.{b}.{c}.{d}/24").parse()?);
            stack.add_route("0.0.0.0/0".parse()?, RouteTarget::OnLink);
            Ok(stack)
        };
        let (mut client, mut server) = (make(CLIENT, 1)?, make(SERVER, 2)?);
        let listener = server.tcp_listen(ListenOptions::new(ListenOn::AnyAddress(80)))?;
        let sender = client.tcp_connect(now, ConnectOptions::new("10.0.0.2:80".parse()?))?;
        while exchange(now, &mut client, &mut server) {}
        let receiver = server.tcp_accept(listener).ok_or("no connection")?;
        Ok(Self {
            client,
            server,
            sender,
            receiver,
            began: time::Instant::now(),
            random: 0x2545_f491_4f6c_dd1d,
        })
    }

    fn now(&self) -> Instant {
        Instant::from_origin(Duration::from_secs(1) + self.began.elapsed())
    }

    /// Carries `bytes`, with `syns` SYNs spread over them.
    fn transfer(&mut self, bytes: usize, syns: u32) -> Outcome<Took> {
        let data = Bytes::from(vec![7; 65_536]);
        let mut buffer = vec![0; 65_536];
        let (mut received, mut sent_syns) = (0, 0);
        let mut flood = Duration::ZERO;
        let began = time::Instant::now();
        while received < bytes || sent_syns < syns {
            let now = self.now();
            while self.client.tcp_send(now, self.sender, data.clone())? > 0 {}
            let moved = exchange(now, &mut self.client, &mut self.server);
            while let Some(n @ 1..) = self.server.tcp_recv_into(now, self.receiver, &mut buffer)? {
                received += n;
            }
            let due = (f64::from(syns) * received as f64 / bytes as f64) as u32;
            while sent_syns < due.min(syns) || (received >= bytes && sent_syns < syns) {
                let batch = BATCH.min(syns - sent_syns);
                flood += self.batch(batch);
                sent_syns += batch;
            }
            if !moved {
                let now = self.now();
                self.client.handle_timeout(now);
                self.server.handle_timeout(now);
            }
        }
        Ok(Took {
            whole: began.elapsed(),
            flood,
        })
    }

    /// Some SYNs; the time that the server took for them.
    fn batch(&mut self, count: u32) -> Duration {
        let frames: Vec<_> = (0..count).map(|_| self.syn()).collect();
        let now = self.now();
        // What the connection owes is not the flood's.
        exchange(now, &mut self.client, &mut self.server);
        let began = time::Instant::now();
        for frame in frames {
            self.server.handle_frame(now, frame);
            // The SYN-ACK goes nowhere.
            drop(self.server.poll_transmit(now));
        }
        began.elapsed()
    }

    /// A SYN from anywhere, as Linux sends them.
    fn syn(&mut self) -> RxFrame {
        let random = self.next();
        let [_, b, c, d, p0, p1, ..] = random.to_be_bytes();
        let src = [20 + (random % 60) as u8, b, c, d].into();
        let options = Options {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps {
                val: self.next() as u32,
                ecr: 0,
            }),
            ..Options::EMPTY
        };
        let header = Header {
            src_port: u16::from_be_bytes([p0, p1]).max(1),
            dst_port: 80,
            seq: Seq::new(self.next() as u32),
            ack: Seq::default(),
            flags: Flags::SYN,
            window: 64_240,
            urgent: 0,
            options,
        };
        let at = ipv4::MIN_HEADER_LEN;
        let mut frame = vec![0; at + header.header_len()];
        let ip = ipv4::Header::new(src, SERVER.into(), Protocol::TCP);
        let len = frame.len() - at;
        ip.emit(&mut frame, len);
        header.emit_with_checksum(&mut frame[at..], src.into(), SERVER.into(), &[]);
        RxFrame::from(Bytes::from(frame))
    }

    /// xorshift64*.
    fn next(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// Hands frames over until neither stack has one; false when there was none.
fn exchange(now: Instant, client: &mut Stack, server: &mut Stack) -> bool {
    let mut moved = false;
    loop {
        let mut any = false;
        while let Some(frame) = client.poll_transmit(now) {
            server.handle_frame(now, received(&frame));
            any = true;
        }
        while let Some(frame) = server.poll_transmit(now) {
            let bytes = received(&frame);
            // What answers the flood goes nowhere.
            if bytes.data.get(16..20) == Some(&CLIENT) {
                client.handle_frame(now, bytes);
            }
            any = true;
        }
        if !any {
            return moved;
        }
        moved = true;
    }
}

fn received(frame: &TxFrame) -> RxFrame {
    RxFrame::from(Bytes::from(frame.to_vec()))
}

fn resident() -> Outcome<u64> {
    status("VmRSS:")
}

fn peak() -> Outcome<u64> {
    status("VmHWM:")
}

/// A line of `/proc/self/status`, in KiB.
fn status(name: &str) -> Outcome<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no such line")?.parse()?)
}
