//! One measurement in a process and a network namespace of its own: a stack in a child process, the kernel as its peer.

use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use transom_device::{PacketSocket, XdpOptions, XdpSocket};

use crate::net::{self, Roles};
use crate::{kernel, kernel_server, null, null_device, ours, smol, sys};

/// Before anything is counted.
pub(crate) const WARM_UP: Duration = Duration::from_millis(800);
/// Before connections are counted.
pub(crate) const CONNECT_WARM_UP: Duration = Duration::from_millis(300);
/// How long bytes are counted.
const WINDOW: Duration = Duration::from_secs(2);
/// How long connections are counted.
pub(crate) const CONNECT_WINDOW: Duration = Duration::from_millis(1500);
/// Round trips that are counted.
const ROUND_TRIPS: usize = 10_000;
/// A stack that does not start, or answer, in this time does not at all.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long idle connections may take to open beyond that: who looks at all of them for each packet needs it.
const IDLE_PATIENCE: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub(crate) stack: Stack,
    pub(crate) wire: Wire,
    pub(crate) work: Work,
    /// IP MTU in bytes.
    pub(crate) mtu: usize,
    /// Connections beside, which the kernel has opened before and on which nothing happens.
    pub(crate) idle: usize,
}

/// A stack under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stack {
    /// A TCP that does as good as nothing: the ceiling.
    Null,
    /// The same with SACK and timestamps, over TUN.
    NullOptions,
    Transom,
    /// Ours, with busy polling on.
    TransomBusy,
    /// Ours, with so many queues and threads, on all processors.
    TransomQueues(usize),
    /// smoltcp behind the TUN device that it brings, with this buffer in bytes.
    Smoltcp(usize),
    /// smoltcp behind a device of ours, which does not allocate; with virtio headers if the wire has them.
    SmoltcpOurDevice(usize),
    /// As [`Stack::SmoltcpOurDevice`], its loop polling without sleep.
    SmoltcpSpinning(usize),
    /// The kernel at both ends.
    Kernel,
    /// One of `bench/peers`, or what is not ours at all: a program that is started with the device's name and MTU.
    Program(PathBuf),
}

/// What is between the stack and the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wire {
    Tun,
    /// With virtio headers: checksum and segmentation offload.
    TunOffload,
    /// A veth pair; the stack has a packet socket.
    Veth,
    /// A veth pair; the stack has an AF_XDP socket.
    AfXdp,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Work {
    /// The stack receives for a while. Gives GB/s.
    Receive,
    /// The stack sends for a while. Gives GB/s.
    Send,
    /// As [`Work::Receive`], on so many connections, both ends on all processors.
    ReceiveMany(usize),
    /// As [`Work::Send`], so.
    SendMany(usize),
    /// As [`Work::Accept`], so.
    AcceptMany(usize),
    /// One byte there and back, again and again. Gives the median, the 99th and the 99.9th percentile in µs.
    PingPong,
    /// The kernel connects, so many at a time; one byte there and back, and close. Gives connections a second.
    Accept(usize),
    /// The same, but the stack connects.
    Connect(usize),
}

impl Trial {
    /// Runs it. Gives the figures that [`Work`] names.
    pub(crate) fn run(&self) -> io::Result<Vec<f64>> {
        let output = Command::new(std::env::current_exe()?)
            .args(["trial", &serde_json::to_string(self)?])
            .output()?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last = errors.lines().last().map(str::to_owned);
            io::Error::other(last.unwrap_or_else(|| "no answer".to_owned()))
        })
    }

    fn roles(&self) -> Roles {
        let (vnet, device) = match self.wire {
            Wire::Tun => (false, "tun0"),
            Wire::TunOffload => (true, "tun0"),
            Wire::Veth => (true, net::THEIRS),
            Wire::AfXdp => (false, net::THEIRS),
        };
        Roles {
            device: device.to_owned(),
            vnet,
            mtu: self.mtu,
            buffer: match self.stack {
                Stack::Smoltcp(n) | Stack::SmoltcpOurDevice(n) | Stack::SmoltcpSpinning(n) => n,
                _ => 0,
            },
        }
    }

    /// Whether both ends may use all processors.
    fn is_spread(&self) -> bool {
        matches!(
            self.work,
            Work::ReceiveMany(_) | Work::SendMany(_) | Work::AcceptMany(_)
        )
    }

    /// Starts the stack, and waits until it can be talked to.
    fn start(&self, roles: &Roles) -> io::Result<Node> {
        let mut command = match &self.stack {
            Stack::Program(path) => {
                net::ip(&["tuntap", "add", "mode", "tun", "name", &roles.device])?;
                roles.configure()?;
                let mut command = Command::new(path);
                command.args([roles.device.as_str(), &roles.mtu.to_string()]);
                command
            }
            _ => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["node", &serde_json::to_string(self)?]);
                command
            }
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if !self.is_spread() {
            sys::pin_process(&child, 1);
        }
        let output = child.stdout.take().map(BufReader::new);
        let mut node = Node { child, output };
        if self.stack == Stack::Kernel {
            node.expect("away")?;
            let place = node.child.id().to_string();
            net::ip(&["link", "set", net::OURS, "netns", &place])?;
            // Its end of the pair is there, it may go on.
            drop(node.child.stdin.take());
        }
        node.expect("ready")?;
        Ok(node)
    }
}

/// The stack's process; it ends with this value.
struct Node {
    child: Child,
    output: Option<BufReader<ChildStdout>>,
}

impl Node {
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if let Some(output) = &mut self.output {
            output.read_line(&mut line)?;
        }
        Ok(line.trim().to_owned())
    }

    fn expect(&mut self, word: &str) -> io::Result<()> {
        if self.line()? == word {
            Ok(())
        } else {
            Err(io::Error::other("the stack did not start"))
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// In a process and a namespace of its own: the stack as a child process, the kernel's end here.
pub(crate) fn inside(trial: &str) -> io::Result<()> {
    let trial: Trial = serde_json::from_str(trial)?;
    sys::die_with_parent();
    let patience = if trial.idle > 0 {
        PATIENCE + IDLE_PATIENCE
    } else {
        PATIENCE
    };
    sys::end_after(patience);
    sys::own_session();
    sys::own_network()?;
    net::ip(&["link", "set", "lo", "up"])?;
    let roles = trial.roles();
    // A client that closes first keeps its port for a minute; with these it does not run out of them in a measurement.
    let ports = format!("{} {}", net::PORTS.start(), net::PORTS.end());
    for (name, value) in [
        ("ip_local_port_range", ports.as_str()),
        ("tcp_tw_reuse", "1"),
    ] {
        // An older kernel may not have it.
        drop(std::fs::write(format!("/proc/sys/net/ipv4/{name}"), value));
    }
    if matches!(trial.wire, Wire::Veth | Wire::AfXdp) {
        net::veth(&roles)?;
    }
    let figures = if let Work::Connect(_) = trial.work {
        // Before there is a thread that serves: it would be bound nowhere, and taken to the stack's processor.
        sys::pin(0);
        // The stack's device may not be there yet.
        let _server = kernel_server::start("0.0.0.0")?;
        let mut node = trial.start(&roles)?;
        vec![node.line()?.parse().map_err(io::Error::other)?]
    } else {
        let _node = trial.start(&roles)?;
        if !trial.is_spread() {
            sys::pin(0);
        }
        let _idle = kernel::idle(trial.idle)?;
        match trial.work {
            Work::Receive => vec![kernel::bulk(kernel::Way::Receives, 1, WARM_UP, WINDOW)?],
            Work::Send => vec![kernel::bulk(kernel::Way::Sends, 1, WARM_UP, WINDOW)?],
            Work::ReceiveMany(count) => {
                vec![kernel::bulk(kernel::Way::Receives, count, WARM_UP, WINDOW)?]
            }
            Work::SendMany(count) => {
                vec![kernel::bulk(kernel::Way::Sends, count, WARM_UP, WINDOW)?]
            }
            Work::PingPong => kernel::ping_pong(ROUND_TRIPS)?,
            Work::Accept(at_once) | Work::AcceptMany(at_once) | Work::Connect(at_once) => {
                vec![kernel::connect(
                    net::STACK,
                    at_once,
                    CONNECT_WARM_UP,
                    CONNECT_WINDOW,
                )?]
            }
        }
    };
    say(&serde_json::to_string(&figures)?);
    Ok(())
}

/// The stack under test, until the parent ends it.
pub(crate) fn node(trial: &str) -> io::Result<()> {
    let trial: Trial = serde_json::from_str(trial)?;
    sys::die_with_parent();
    let roles = trial.roles();
    match trial.stack {
        Stack::Null => match trial.wire {
            Wire::Tun | Wire::TunOffload => null::serve(&roles, false),
            Wire::Veth => {
                let device = PacketSocket::open_pair(net::OURS, net::THEIRS)?;
                null_device::serve(Box::new(device), &roles)
            }
            Wire::AfXdp => {
                let device = XdpSocket::open(&XdpOptions::new(net::OURS))?;
                null_device::serve(Box::new(device), &roles)
            }
        },
        Stack::NullOptions => null::serve(&roles, true),
        Stack::Smoltcp(_) => smol::serve_stock(&trial, &roles),
        Stack::SmoltcpOurDevice(_) | Stack::SmoltcpSpinning(_) => smol::serve_ours(&trial, &roles),
        Stack::Transom | Stack::TransomBusy | Stack::TransomQueues(_) => {
            ours::serve(&trial, &roles)
        }
        Stack::Kernel => {
            sys::own_network()?;
            say("away");
            // The end of the input says that our end of the pair is here.
            io::copy(&mut io::stdin(), &mut io::sink())?;
            roles.configure_as(net::OURS, net::STACK_NETWORK)?;
            if let Work::Connect(at_once) = trial.work {
                net::ready();
                let (before, window) = (CONNECT_WARM_UP, CONNECT_WINDOW);
                let rate = kernel::connect(net::KERNEL_ADDRESS, at_once, before, window)?;
                say(&rate.to_string());
                return Ok(());
            }
            let server = kernel_server::start(net::STACK)?;
            net::ready();
            server.join()
        }
        Stack::Program(_) => Err(io::Error::other("internal: a program is its own process")),
    }
}

/// A line for the parent process.
#[expect(clippy::print_stdout, reason = "the parent reads this line")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
