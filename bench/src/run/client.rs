//! The program: a plain one, with sockets of the kernel, which does not know how it is run.
//!
//! It tells on its standard output when a measurement begins and what came of it.

use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::server::{ANSWER, ECHO, HOLD, REQUEST};
use super::{BLOCK, SERVER};
use crate::kernel::Way;
use crate::net::{SINK, SOURCE};
use crate::sys;

const WARM_UP: Duration = Duration::from_millis(500);
const WINDOW: Duration = Duration::from_millis(1500);
const RATE_WINDOW: Duration = Duration::from_millis(1200);
/// Round trips before those that count, and those that do.
const UNCOUNTED: usize = 300;
const COUNTED: usize = 6000;
/// Connections held open at once.
pub(super) const HELD: usize = 1000;

/// Does what the arguments name, in that order.
pub(super) fn measure(arguments: &[String]) -> io::Result<()> {
    if crate::has(arguments, "--own-network") {
        sys::own_network()?;
        crate::net::ip(&["link", "set", "lo", "up"])?;
        super::settings();
        crate::net::ready();
        go_on()?;
    }
    for name in arguments {
        match name.as_str() {
            "send" => bulk(name, Way::Sends)?,
            "receive" => bulk(name, Way::Receives)?,
            "ping" => ping()?,
            "rate-1" => rate(name, 1)?,
            "rate-8" => rate(name, 8)?,
            "hold" => hold()?,
            _ => {}
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the parent reads these lines")]
fn tell(line: &str) {
    println!("{line}");
}

/// Waits until the parent has looked.
fn go_on() -> io::Result<()> {
    io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((SERVER, port))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Gigabytes (10⁹) a second on one connection.
fn bulk(name: &str, way: Way) -> io::Result<()> {
    let port = if way == Way::Sends { SINK } else { SOURCE };
    let mut stream = connect(port)?;
    let (moved, stop) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let (count, stopped) = (Arc::clone(&moved), Arc::clone(&stop));
    let watch = stream.try_clone()?;
    let worker = thread::spawn(move || {
        let mut block = vec![0; BLOCK];
        while !stopped.load(Ordering::Relaxed) {
            let result = match way {
                Way::Sends => stream.write(&block),
                Way::Receives => stream.read(&mut block),
            };
            match result {
                Ok(n) if n > 0 => count.fetch_add(n as u64, Ordering::Relaxed),
                _ => break,
            };
        }
    });
    thread::sleep(WARM_UP);
    tell(&format!("begin {name}"));
    let (before, started) = (moved.load(Ordering::Relaxed), Instant::now());
    thread::sleep(WINDOW);
    let bytes = moved.load(Ordering::Relaxed) - before;
    let seconds = started.elapsed().as_secs_f64();
    tell(&format!("end {name} {}", bytes as f64 / seconds / 1e9));
    // What a process has used is not to be read any more once it has ended.
    go_on()?;
    stop.store(true, Ordering::Relaxed);
    sys::reset_on_close(&watch)?;
    drop(watch.shutdown(std::net::Shutdown::Both));
    drop(worker.join());
    Ok(())
}

/// One byte there and back, again and again: microseconds, half of them and 99 of 100.
fn ping() -> io::Result<()> {
    let mut stream = connect(ECHO)?;
    let mut times = Vec::with_capacity(COUNTED);
    let mut byte = [0];
    for round in 0..UNCOUNTED + COUNTED {
        let started = Instant::now();
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        if round >= UNCOUNTED {
            times.push(started.elapsed());
        }
    }
    times.sort();
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e6;
    tell(&format!("value ping-p50 {}", at(50)));
    tell(&format!("value ping-p99 {}", at(99)));
    Ok(())
}

/// Connections a second on each of which a request is made and answered, so many at a time.
fn rate(name: &str, at_once: usize) -> io::Result<()> {
    let started = Instant::now();
    let clients: Vec<_> = (0..at_once)
        .map(|_| {
            thread::spawn(move || {
                let mut done = 0_u32;
                while started.elapsed() < RATE_WINDOW {
                    request()?;
                    done += 1;
                }
                io::Result::Ok(done)
            })
        })
        .collect();
    let mut done = 0;
    for client in clients {
        done += client
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("a client panicked")))?;
    }
    let rate = f64::from(done) / started.elapsed().as_secs_f64();
    tell(&format!("value {name} {rate}"));
    Ok(())
}

fn request() -> io::Result<()> {
    let mut stream = connect(ANSWER)?;
    stream.write_all(&[7; REQUEST])?;
    let mut answer = Vec::with_capacity(2 * REQUEST);
    // To the end: the server closes first.
    stream.read_to_end(&mut answer)?;
    if answer.len() == REQUEST {
        Ok(())
    } else {
        Err(io::Error::other("a wrong answer"))
    }
}

/// Keeps many connections open, each of which has carried something, until the parent has looked.
fn hold() -> io::Result<()> {
    let mut held = Vec::with_capacity(HELD);
    for _ in 0..HELD {
        let mut stream = connect(HOLD)?;
        stream.write_all(&[1])?;
        stream.read_exact(&mut [0])?;
        held.push(stream);
    }
    // What is freed late is freed by then.
    thread::sleep(Duration::from_millis(200));
    tell("held");
    go_on()
}
