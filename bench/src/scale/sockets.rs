//! The library's sockets: a million handles in one process.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use transom::TcpListener;
use transom_device::{Device, Notify, Readiness};
use transom_stack::wire::{Capabilities, RxFrame, TxFrame};

use super::Figures;
use super::peer::{Crowd, FIN, PORT, Random, STACK, SYN, octets, resident};

/// Frames that wait for the stack before more connections are opened.
const ENOUGH: usize = 256;

/// The crowd behind a device: it answers at once.
struct Line {
    crowd: Crowd,
    to_stack: VecDeque<RxFrame>,
    /// Who has not said anything yet.
    next: usize,
    /// So many are to connect.
    wanted: usize,
    closed: usize,
    waker: Option<Waker>,
    begin: Instant,
}

/// An end of the line: the stack's, or ours to look at it.
#[derive(Clone)]
struct End(Arc<Mutex<Line>>);

impl End {
    fn with<R>(&self, f: impl FnOnce(&mut Line) -> R) -> R {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut line);
        let waker = if line.has_frames() {
            line.waker.take()
        } else {
            None
        };
        drop(line);
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }
}

impl Line {
    fn has_frames(&self) -> bool {
        !self.to_stack.is_empty() || self.next < self.wanted
    }

    fn hear(&mut self, frame: &TxFrame) {
        let Some(heard) = self.crowd.hear(&octets(frame)) else {
            return;
        };
        let answer = if heard.flags & FIN != 0 {
            self.closed += 1;
            self.crowd.fin(heard.who)
        } else if heard.flags & SYN != 0 || heard.len > 0 {
            self.crowd.ack(heard.who)
        } else {
            return;
        };
        self.to_stack.push_back(answer);
    }
}

impl Device for End {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ip(1500)
    }

    fn recv(&mut self, out: &mut Vec<RxFrame>, max: usize) -> io::Result<usize> {
        self.with(|line| {
            let elapsed = u32::try_from(line.begin.elapsed().as_millis()).unwrap_or(u32::MAX);
            line.crowd.clock = 5_000_000 + elapsed;
            while line.to_stack.len() < ENOUGH && line.next < line.wanted {
                let syn = line.crowd.syn(line.next);
                line.to_stack.push_back(syn);
                line.next += 1;
            }
            let count = line.to_stack.len().min(max);
            out.extend(line.to_stack.drain(..count));
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(count)
        })
    }

    fn send(&mut self, frames: &mut VecDeque<TxFrame>) -> io::Result<usize> {
        let count = frames.len();
        self.with(|line| {
            for frame in frames.drain(..) {
                line.hear(&frame);
            }
        });
        Ok(count)
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Notify(self)
    }
}

impl Notify for End {
    fn register(&self, waker: &Waker) {
        self.with(|line| line.waker = Some(waker.clone()));
    }
}

/// Handles, and their stack, with `count` connections.
pub(super) fn measure(count: usize) -> io::Result<Figures> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(count))
}

async fn run(count: usize) -> io::Result<Figures> {
    let mut figures = Figures::new();
    let end = End(Arc::new(Mutex::new(Line {
        crowd: Crowd::new(count),
        to_stack: VecDeque::new(),
        next: 0,
        wanted: 0,
        closed: 0,
        waker: None,
        begin: Instant::now(),
    })));
    let mut streams = Vec::with_capacity(count);
    let stack = transom::Stack::builder()
        .address("10.0.0.1/24")
        .route("0.0.0.0/0", transom::RouteTarget::OnLink)
        .device(end.clone())
        .spawn()?;
    let listener = TcpListener::bind(&stack, (std::net::Ipv4Addr::from(STACK), PORT)).await?;
    let before = resident();
    let mut random = Random(88_172_645_463_325_252);
    let start = Instant::now();
    for (wanted, word) in [(1000, "1000"), (count, "all")] {
        end.with(|line| line.wanted = wanted);
        while streams.len() < wanted {
            streams.push(listener.accept().await?.0);
        }
        if word == "all" {
            figures.insert("accept all, s".into(), start.elapsed().as_secs_f64());
            tokio::time::sleep(Duration::from_secs(2)).await;
            let each = (resident() - before) / count as f64;
            figures.insert("bytes a connection".into(), each);
        }
        // A request comes, and the task that waits for it has it.
        const TURNS: u32 = 20_000;
        let asked = Instant::now();
        for _ in 0..TURNS {
            let who = random.below(wanted);
            end.with(|line| {
                let frame = line.crowd.data(who, 100);
                line.to_stack.push_back(frame);
            });
            // Whom the crowd counts is not who was accepted when, but nearly: it connects in order.
            let data = streams[who].recv_chunk(usize::MAX).await?;
            if data.is_empty() {
                return Err(io::Error::other("the stream ended"));
            }
        }
        let each = asked.elapsed().as_nanos() as f64 / f64::from(TURNS);
        figures.insert(format!("request to its task, ns, at {word}"), each);
    }
    let start = Instant::now();
    for (n, stream) in streams.into_iter().enumerate() {
        drop(stream);
        if n % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    while end.with(|line| line.closed) < count && start.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    figures.insert("close all, s".into(), start.elapsed().as_secs_f64());
    figures.insert("closed by FIN".into(), end.with(|line| line.closed) as f64);
    Ok(figures)
}
