//! The ends of the connections: processes that do what they are told on stdin.

use std::io::{self, BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transom_device::PacketSocket;
use transom_stack::StackConfig;
use transom_stack::tcp::congestion::Algorithm;
use transom_stack::tcp::{Config, EcnUse};

use super::cell::{Cell, FAR, INTERFACE, OURS};
use super::smol;
use crate::net::{SINK, SOURCE};
use crate::sys::{self, KernelInfo};

/// What a connection did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Sent {
    /// Octets that arrived.
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    /// Octets sent (at the far end: segments received), and those sent again (received again).
    pub(super) sent: u64,
    pub(super) retransmitted: u64,
    pub(super) words: String,
}

pub(super) fn node(role: &str, text: &str) -> io::Result<()> {
    let cell: Cell = serde_json::from_str(text)?;
    sys::die_with_parent();
    match role {
        "far" => far(&cell),
        _ if cell.is_ours() => ours(&cell),
        _ if cell.is_smoltcp() => smol::node(&cell),
        _ => obey(|what, number| kernel(&cell, what, number)),
    }
}

#[expect(clippy::print_stdout, reason = "the parent reads these lines")]
pub(super) fn say(line: &str) {
    println!("{line}");
}

pub(super) fn answer(sent: &Sent) -> io::Result<()> {
    say(&serde_json::to_string(sent)?);
    Ok(())
}

/// A line that says what to do, and how much of it.
pub(super) fn order(line: &str) -> io::Result<(&str, u64)> {
    let (what, number) = line.split_once(' ').unwrap_or((line, "0"));
    Ok((what, number.parse().map_err(io::Error::other)?))
}

/// Does what each line says.
fn obey(mut act: impl FnMut(&str, u64) -> io::Result<Sent>) -> io::Result<()> {
    say("ready");
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (what, number) = order(&line)?;
        answer(&act(what, number)?)?;
    }
    Ok(())
}

/// The far end: the kernel serves both ports for ever.
fn far(cell: &Cell) -> io::Result<()> {
    sys::own_network()?;
    say("ready");
    for line in io::stdin().lock().lines() {
        if line?.trim() == "listen" {
            for port in [SINK, SOURCE] {
                let listener = TcpListener::bind((FAR, port))?;
                sys::set_congestion(&listener, cell.kernel_algorithm())?;
                thread::spawn(move || {
                    for stream in listener.incoming().flatten() {
                        thread::spawn(move || serve(port, stream));
                    }
                });
            }
        } else {
            answer(&duplicates()?)?;
        }
    }
    Ok(())
}

fn serve(port: u16, mut stream: TcpStream) {
    let mut buffer = vec![0; 256 << 10];
    if port == SINK {
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
    } else {
        while stream.write_all(&buffer).is_ok() {}
    }
}

/// Segments that this kernel received, and those whose data it had already: each is answered by a D-SACK.
fn duplicates() -> io::Result<Sent> {
    let read = |path: &str, wanted: &[&str]| -> io::Result<u64> {
        let text = std::fs::read_to_string(path)?;
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
        let mut sum = 0;
        for pair in lines.chunks(2) {
            let [names, values] = pair else { continue };
            for (name, value) in names.iter().zip(values) {
                if names.first() == values.first() && wanted.contains(name) {
                    sum += value.parse::<u64>().unwrap_or(0);
                }
            }
        }
        Ok(sum)
    };
    Ok(Sent {
        sent: read("/proc/net/snmp", &["InSegs"])?,
        retransmitted: read("/proc/net/netstat", &["TCPDSACKOldSent", "TCPDSACKOfoSent"])?,
        ..Sent::default()
    })
}

/// The kernel at the near end.
fn kernel(cell: &Cell, what: &str, number: u64) -> io::Result<Sent> {
    let start = Instant::now();
    let port = if what == "receive" { SOURCE } else { SINK };
    let mut stream = TcpStream::connect((FAR, port))?;
    sys::set_congestion(&stream, cell.kernel_algorithm())?;
    if cell.is_kernel_paced() {
        sys::set_paced(&stream)?;
    }
    let mut buffer = vec![0; 256 << 10];
    if what == "flow" {
        stream.write_all(&vec![0; usize::try_from(number).unwrap_or(0)])?;
        stream.shutdown(std::net::Shutdown::Write)?;
        // The far end closes when it has everything.
        stream.read_to_end(&mut Vec::new())?;
        return Ok(Sent {
            bytes: number,
            seconds: start.elapsed().as_secs_f64(),
            ..Sent::default()
        });
    }
    let until = start + Duration::from_millis(number);
    let mut received = 0;
    while Instant::now() < until {
        let left = until.saturating_duration_since(Instant::now());
        let left = Some(left.max(Duration::from_millis(1)));
        stream.set_read_timeout(left)?;
        stream.set_write_timeout(left)?;
        let result = if what == "receive" {
            stream.read(&mut buffer)
        } else {
            stream.write(&buffer)
        };
        match result {
            Ok(count) => received += count as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    let info = KernelInfo::of(&stream)?;
    let seconds = start.elapsed().as_secs_f64();
    sys::reset_on_close(&stream)?;
    Ok(Sent {
        bytes: if what == "receive" {
            received
        } else {
            info.bytes_acked
        },
        seconds,
        sent: info.bytes_sent,
        retransmitted: info.bytes_retransmitted,
        words: info.words(),
    })
}

/// Our stack at the near end, beside the kernel on the same interface.
fn ours(cell: &Cell) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ecn = if cell.ecn {
        EcnUse::Request
    } else {
        EcnUse::Accept
    };
    let mut tcp = Config::default().ecn(ecn);
    for word in cell.stack.split('-').skip(1) {
        tcp = match word {
            "unpaced" => tcp.pacing(false),
            name => tcp.congestion(Algorithm::from_name(name).ok_or_else(|| {
                io::Error::other(format!("{name} is no congestion control of ours"))
            })?),
        };
    }
    let stack = runtime.block_on(async {
        transom::Stack::builder()
            .config(StackConfig::default().mac([2, 0, 0, 0, 0, 3]).tcp(tcp))
            .address(format!("{OURS}/24").as_str())
            .device(PacketSocket::open(INTERFACE)?)
            .spawn()
    })?;
    // The driver runs on this thread's runtime: between commands too.
    let (sender, mut commands) = tokio::sync::mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    say("ready");
    runtime.block_on(async {
        while let Some(line) = commands.recv().await {
            let (what, number) = order(&line)?;
            answer(&act(&stack, what, number).await?)?;
        }
        Ok(())
    })
}

async fn act(stack: &transom::Stack, what: &str, number: u64) -> io::Result<Sent> {
    let start = Instant::now();
    let port = if what == "receive" { SOURCE } else { SINK };
    let mut stream = transom::TcpStream::connect(stack, (FAR, port)).await?;
    if what == "flow" {
        let bytes = vec![0; usize::try_from(number).unwrap_or(0)];
        stream.write_all(&bytes).await?;
        stream.shutdown().await?;
        stream.read_to_end(&mut Vec::new()).await?;
        return Ok(Sent {
            bytes: number,
            seconds: start.elapsed().as_secs_f64(),
            ..Sent::default()
        });
    }
    let data = Bytes::from(vec![0; 256 << 10]);
    let mut received = 0;
    let work = async {
        loop {
            if what == "receive" {
                received += stream.recv_chunk(usize::MAX).await?.len() as u64;
            } else {
                stream.send_bytes(data.clone()).await?;
            }
        }
    };
    let until = tokio::time::Instant::from_std(start) + Duration::from_millis(number);
    let ended: Result<io::Result<()>, _> = tokio::time::timeout_at(until, work).await;
    if let Ok(Err(error)) = ended {
        return Err(error);
    }
    let seconds = start.elapsed().as_secs_f64();
    let info = stream
        .info()
        .ok_or_else(|| io::Error::other("the connection is gone"))?;
    stream.set_zero_linger()?;
    let counters = info.counters;
    Ok(Sent {
        bytes: if what == "receive" {
            received
        } else {
            counters.bytes_acked
        },
        seconds,
        sent: counters.bytes_sent,
        retransmitted: counters.bytes_retransmitted,
        words: format!(
            "{} cwnd {} ssthresh {} srtt {:?} rwnd {} unsent {} timeouts {}",
            info.congestion,
            info.cwnd / u64::from(info.eff_snd_mss.max(1)),
            info.ssthresh / u64::from(info.eff_snd_mss.max(1)),
            info.srtt.unwrap_or_default(),
            info.snd_wnd,
            info.unsent,
            counters.timeouts,
        ),
    })
}
