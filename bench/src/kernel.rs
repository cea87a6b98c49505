//! The kernel's end of a bulk transfer.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::net::{SINK, SOURCE, STACK};

/// Which way the bytes go, seen from the stack under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The kernel sends.
    Receives,
    /// The stack sends.
    Sends,
}

/// Moves bytes between the kernel and the stack for a while after a warm-up.
///
/// Returns gigabytes (10⁹) a second.
pub(crate) fn bulk(way: Way, warm_up: Duration, window: Duration) -> io::Result<f64> {
    let port = if way == Way::Receives { SINK } else { SOURCE };
    let mut stream = TcpStream::connect((STACK, port))?;
    stream.set_nodelay(true)?;
    let moved = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
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
    thread::sleep(warm_up);
    let (before, started) = (moved.load(Ordering::Relaxed), Instant::now());
    thread::sleep(window);
    let bytes = moved.load(Ordering::Relaxed) - before;
    let seconds = started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    // Unblocks the worker; a peer that is gone already is no error here.
    drop(watch.shutdown(std::net::Shutdown::Both));
    drop(worker.join());
    if bytes == 0 {
        return Err(io::Error::other("no bytes moved in the window"));
    }
    Ok(bytes as f64 / seconds / 1e9)
}
