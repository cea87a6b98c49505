//! One measurement: two network namespaces, the bad wire between them, and a sender at each end that is asked for.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use transom_device::{Port, PortOptions, Wire};
use transom_sim::Impairment;

use super::sender::Sent;
use crate::net::ip;
use crate::sys;

/// The address of the kernel at the near end, of our stack there, and of the kernel at the far end.
pub(super) const NEAR: &str = "10.8.0.1";
pub(super) const OURS: &str = "10.8.0.3";
pub(super) const FAR: &str = "10.8.0.2";
pub(super) const INTERFACE: &str = "e0";

/// Behind the name of an algorithm of the kernel.
const PACED: &str = "-paced";

/// Which way the data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mode {
    /// The stack under test sends: short flows, then one long one.
    Send,
    /// The kernel at the far end sends for as long.
    Receive,
    /// A flow of the stack under test beside one of the kernel.
    Share,
}

/// What is measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Cell {
    /// `transom`, perhaps with the name of its algorithm and `unpaced` (`transom-reno`, `transom-cubic-unpaced`), the
    /// kernel's algorithm, perhaps with `-paced`, or `smoltcp`, perhaps with the name of its.
    pub(super) stack: String,
    pub(super) mode: Mode,
    /// From data's sender to its receiver, and back.
    pub(super) data: String,
    pub(super) acks: String,
    pub(super) ecn: bool,
    /// Of the long flow.
    pub(super) milliseconds: u64,
    /// Short flows of each size.
    pub(super) flows: usize,
    /// Write the packets of the near end there.
    pub(super) capture: Option<String>,
}

/// What came out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Octets that arrived, per second.
    pub(super) goodput: f64,
    /// Octets sent again, of those sent.
    pub(super) retransmitted: f64,
    /// Segments that the receiver had already, of those that it got.
    pub(super) spurious: f64,
    /// Mean wait in the wire's queue, seconds.
    pub(super) wait: f64,
    /// Seconds that each flow of 10 kB and of 100 kB took.
    pub(super) short: Vec<f64>,
    pub(super) medium: Vec<f64>,
    /// Goodput of the kernel's flow beside, octets a second.
    pub(super) beside: f64,
    /// What the sender says of itself at the end.
    pub(super) words: String,
}

impl Cell {
    /// What the kernel's sockets use. A namespace cannot choose it, as the system allows it few.
    pub(super) fn kernel_algorithm(&self) -> &str {
        if self.is_ours() || self.is_smoltcp() {
            return "cubic";
        }
        self.stack.trim_end_matches(PACED)
    }

    /// Whether the kernel is to pace what it sends.
    pub(super) fn is_kernel_paced(&self) -> bool {
        !self.is_ours() && self.stack.ends_with(PACED)
    }

    pub(super) fn is_smoltcp(&self) -> bool {
        self.stack.starts_with("smoltcp")
    }

    pub(super) fn is_ours(&self) -> bool {
        self.stack.starts_with("transom")
    }
}

/// Runs a cell in a process of its own.
pub(super) fn run(cell: &Cell) -> io::Result<Measured> {
    let output = Command::new(std::env::current_exe()?)
        .arg("recovery-cell")
        .arg(serde_json::to_string(cell)?)
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.trim()).map_err(|error| {
        io::Error::other(format!(
            "the measurement failed (see above; {}): {error}",
            output.status
        ))
    })
}

/// In that process.
#[expect(clippy::print_stdout, reason = "the parent reads this line")]
pub(super) fn inside(text: &str) -> io::Result<()> {
    let cell: Cell = serde_json::from_str(text)?;
    sys::die_with_parent();
    sys::own_network()?;
    println!("{}", serde_json::to_string(&measure(&cell)?)?);
    Ok(())
}

fn measure(cell: &Cell) -> io::Result<Measured> {
    // The far end, in its own namespace; it says "ready" when it is there.
    let mut far = Node::start("far", cell)?;
    let namespace = std::fs::File::open(format!("/proc/{}/ns/net", far.child.id()))?;
    let near = port(cell, NEAR)?;
    let there = thread::scope(|scope| {
        let inside = scope.spawn(|| {
            sys::enter_network(namespace.as_fd())?;
            port(cell, FAR)
        });
        inside
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("no far end")))
    })?;
    far.tell("listen")?;
    let (data, acks) = (impairment(&cell.data)?, impairment(&cell.acks)?);
    let (out, back) = match cell.mode {
        Mode::Receive => (acks, data),
        _ => (data, acks),
    };
    let wires = [
        Wire::new(near.try_clone()?, there.try_clone()?, out),
        Wire::new(there, near, back),
    ];
    let waits = Mutex::new(Duration::ZERO);
    let (stop, stopper) = io::pipe()?;
    thread::scope(|scope| {
        for (index, wire) in wires.into_iter().enumerate() {
            let (stop, waits) = (&stop, &waits);
            let carries_data = (index == 1) == (cell.mode == Mode::Receive);
            scope.spawn(move || carry(wire, stop, carries_data.then_some(waits)));
        }
        let measured = exchange(cell, &mut far, &waits);
        drop(stopper);
        measured
    })
}

/// The kernel's end of the wire in this thread's namespace.
fn port(cell: &Cell, address: &str) -> io::Result<Port> {
    let set = |name: &str, value: &str| std::fs::write(format!("/proc/sys/net/{name}"), value);
    set("ipv6/conf/default/disable_ipv6", "1")?;
    set("ipv4/tcp_no_metrics_save", "1")?;
    set("ipv4/tcp_ecn", if cell.ecn { "1" } else { "2" })?;
    ip(&["link", "set", "lo", "up"])?;
    let port = Port::create(&PortOptions::new(INTERFACE))?;
    ip(&["addr", "add", &format!("{address}/24"), "dev", INTERFACE])?;
    Ok(port)
}

fn impairment(text: &str) -> io::Result<Impairment> {
    text.parse().map_err(io::Error::other)
}

/// Moves frames until told to stop.
fn carry(mut wire: Wire, stop: &io::PipeReader, waits: Option<&Mutex<Duration>>) {
    sys::be_precise();
    let start = Instant::now();
    loop {
        if wire.carry(|| start.elapsed()).is_err() {
            return;
        }
        if let Some(waits) = waits {
            *waits.lock().unwrap_or_else(PoisonError::into_inner) = wire.waits().mean();
        }
        let now = start.elapsed();
        let wait = wire.next_deadline(now).map(|due| due.saturating_sub(now));
        if sys::wait_either(wire.descriptor(), stop.as_fd(), wait) {
            return;
        }
    }
}

/// Asks the senders for what the cell wants.
fn exchange(cell: &Cell, far: &mut Node, waits: &Mutex<Duration>) -> io::Result<Measured> {
    let mut capture = match &cell.capture {
        Some(path) => Some(
            Command::new("tcpdump")
                .args([
                    "-i",
                    INTERFACE,
                    "-s",
                    "128",
                    "-w",
                    path,
                    "-U",
                    "--immediate-mode",
                    "tcp",
                ])
                .stderr(Stdio::null())
                .spawn()?,
        ),
        None => None,
    };
    if capture.is_some() {
        thread::sleep(Duration::from_millis(500));
    }
    let mut node = Node::start("near", cell)?;
    // So that nobody has to be asked for an address later.
    node.ask("flow 100")?;
    let mut measured = Measured::default();
    let long = cell.milliseconds;
    let sent = match cell.mode {
        Mode::Send => {
            for _ in 0..cell.flows {
                measured.short.push(node.ask("flow 10000")?.seconds);
                measured.medium.push(node.ask("flow 100000")?.seconds);
            }
            node.ask(&format!("send {long}"))?
        }
        Mode::Receive => node.ask(&format!("receive {long}"))?,
        Mode::Share => {
            let mut kernel = cell.clone();
            kernel.stack = "cubic".to_owned();
            let mut beside = Node::start("near", &kernel)?;
            beside.ask("flow 100")?;
            beside.tell(&format!("send {long}"))?;
            node.tell(&format!("send {long}"))?;
            let other = beside.answer()?;
            measured.beside = other.bytes as f64 / other.seconds;
            node.answer()?
        }
    };
    measured.goodput = sent.bytes as f64 / sent.seconds;
    measured.retransmitted = sent.retransmitted as f64 / sent.sent.max(1) as f64;
    measured.words = sent.words;
    measured.wait = waits
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .as_secs_f64();
    let far = far.ask("counters")?;
    measured.spurious = far.retransmitted as f64 / far.sent.max(1) as f64;
    if let Some(capture) = &mut capture {
        sys::interrupt(capture)?;
        capture.wait()?;
    }
    Ok(measured)
}

/// A process that is told what to do, a line at a time, and answers.
struct Node {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Node {
    fn start(role: &str, cell: &Cell) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["recovery-node", role])
            .arg(serde_json::to_string(cell)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let none = || io::Error::other("no pipe");
        let input = child.stdin.take().ok_or_else(none)?;
        let output = BufReader::new(child.stdout.take().ok_or_else(none)?);
        let mut node = Self {
            child,
            input,
            output,
        };
        match node.line()?.as_str() {
            "ready" => Ok(node),
            other => Err(io::Error::other(format!("{role} did not start: {other:?}"))),
        }
    }

    fn tell(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.input, "{line}")?;
        self.input.flush()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            let status = self.child.wait()?;
            return Err(io::Error::other(format!("a sender ended: {status}")));
        }
        Ok(line.trim().to_owned())
    }

    fn answer(&mut self) -> io::Result<Sent> {
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn ask(&mut self, line: &str) -> io::Result<Sent> {
        self.tell(line)?;
        self.answer()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
