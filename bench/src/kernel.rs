//! The kernel's end: the client of what the stack under test serves.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::net::{ECHO, REQUESTS, SINK, SOURCE, STACK};

/// Round trips before any is counted.
const WARM_UP: usize = 1000;
/// A peer that takes longer to answer has lost it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Threads that open idle connections.
const IDLE_OPENERS: usize = 32;
/// For one of those to be opened, among others.
const IDLE_PATIENCE: Duration = Duration::from_secs(20);

/// Which way the bytes go, seen from the stack under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The kernel sends.
    Receives,
    /// The stack sends.
    Sends,
}

/// Moves bytes between the kernel and the stack for a while after a warm-up, on so many connections.
///
/// Returns gigabytes (10⁹) a second.
pub(crate) fn bulk(
    way: Way,
    connections: usize,
    warm_up: Duration,
    window: Duration,
) -> io::Result<f64> {
    let port = if way == Way::Receives { SINK } else { SOURCE };
    let stack = STACK.parse().map_err(io::Error::other)?;
    let moved = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let mut workers = Vec::new();
    for _ in 0..connections {
        // The machine's default may be a paced algorithm, which measures the pacing.
        let mut stream = crate::sys::connect_with("cubic", SocketAddrV4::new(stack, port))?;
        stream.set_nodelay(true)?;
        let (count, stopped) = (Arc::clone(&moved), Arc::clone(&stop));
        let watch = stream.try_clone()?;
        let worker = thread::spawn(move || {
            let mut buffer = vec![0u8; 262_144];
            while !stopped.load(Ordering::Relaxed) {
                let result = match way {
                    Way::Receives => stream.write(&buffer),
                    Way::Sends => stream.read(&mut buffer),
                };
                match result {
                    Ok(n) if n > 0 => count.fetch_add(n as u64, Ordering::Relaxed),
                    _ => break,
                };
            }
        });
        workers.push((watch, worker));
    }
    thread::sleep(warm_up);
    let (before, started) = (moved.load(Ordering::Relaxed), Instant::now());
    thread::sleep(window);
    let bytes = moved.load(Ordering::Relaxed) - before;
    let seconds = started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for (watch, worker) in workers {
        // Unblocks the worker; a peer that is gone already is no error here.
        drop(watch.shutdown(std::net::Shutdown::Both));
        drop(worker.join());
    }
    if bytes == 0 {
        return Err(io::Error::other("no bytes moved in the window"));
    }
    Ok(bytes as f64 / seconds / 1e9)
}

/// What a thread gives, or that it panicked.
pub(crate) fn join<T>(thread: JoinHandle<io::Result<T>>) -> io::Result<T> {
    let panicked = || Err(io::Error::other("a thread panicked"));
    thread.join().unwrap_or_else(|_| panicked())
}

/// Connections to the stack on which nothing happens, as long as what is returned is there.
pub(crate) fn idle(count: usize) -> io::Result<Vec<TcpStream>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    crate::sys::raise_descriptor_limit();
    let to: SocketAddr = format!("{STACK}:{REQUESTS}")
        .parse()
        .map_err(io::Error::other)?;
    let openers: Vec<_> = (0..IDLE_OPENERS)
        .map(|at| {
            let share = count / IDLE_OPENERS + usize::from(at < count % IDLE_OPENERS);
            thread::spawn(move || {
                (0..share)
                    .map(|_| TcpStream::connect_timeout(&to, IDLE_PATIENCE))
                    .collect::<io::Result<Vec<_>>>()
            })
        })
        .collect();
    let mut streams = Vec::with_capacity(count);
    for opener in openers {
        streams.extend(join(opener)?);
    }
    Ok(streams)
}

/// One byte there and back, again and again.
///
/// Returns the median, the 99th and the 99.9th percentile, in microseconds.
pub(crate) fn ping_pong(count: usize) -> io::Result<Vec<f64>> {
    let mut stream = TcpStream::connect((STACK, ECHO))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut byte = [7];
    let mut times = Vec::with_capacity(count);
    for round in 0..WARM_UP + count {
        let started = Instant::now();
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        if round >= WARM_UP {
            times.push(started.elapsed().as_nanos() as f64 / 1000.0);
        }
    }
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    Ok(vec![at(0.5), at(0.99), at(0.999)])
}

/// Connects, sends a byte, waits for it to come back, and closes; so many at a time.
///
/// Returns connections a second.
pub(crate) fn connect(
    address: &str,
    at_once: usize,
    warm_up: Duration,
    window: Duration,
) -> io::Result<f64> {
    let done = Arc::new(AtomicU64::new(0));
    let failed = Arc::new(AtomicU64::new(0));
    let to: SocketAddr = format!("{address}:{REQUESTS}")
        .parse()
        .map_err(io::Error::other)?;
    for _ in 0..at_once {
        let (done, failed) = (Arc::clone(&done), Arc::clone(&failed));
        // They end with this process.
        thread::spawn(move || {
            loop {
                let count = if request(to).is_ok() { &done } else { &failed };
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    thread::sleep(warm_up);
    let (before, started) = (done.load(Ordering::Relaxed), Instant::now());
    thread::sleep(window);
    let count = done.load(Ordering::Relaxed) - before;
    let seconds = started.elapsed().as_secs_f64();
    let failed = failed.load(Ordering::Relaxed);
    if count == 0 || failed * 100 > count {
        return Err(io::Error::other(format!(
            "{count} connections succeeded, {failed} failed"
        )));
    }
    Ok(count as f64 / seconds)
}

fn request(to: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut byte = [7];
    stream.write_all(&byte)?;
    stream.read_exact(&mut byte)
}
