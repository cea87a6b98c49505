//! Two of our stacks in one thread, joined by a memory link.
//!
//! What the application does costs both stacks of the comparison the same: it copies in and out. The link carries
//! packets of the MTU, complete with checksums where they are asked for, as smoltcp's does.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use transom_device::Device;
use transom_device::memory::{MemoryDevice, cable, pair};
use transom_stack::tcp::{Config, Instant as StackInstant};
use transom_stack::wire::{Capabilities, RxFrame, TxFrame};
use transom_stack::{
    ConnId, ConnectOptions, ListenOn, ListenOptions, ListenerId, RouteTarget, Stack, StackConfig,
};

use crate::memory::{Load, Transfer};

/// Frames handed over at a time. Few stay in the second-level cache.
const BATCH: usize = 2;

/// The application copies in and out, 64 KiB at a time.
pub(crate) fn run(load: Load) -> io::Result<Transfer> {
    let mut ends = Ends::new(load)?;
    let data = vec![1u8; 65_536];
    let mut application = vec![0u8; 65_536];
    let mut received = 0;
    let started = Instant::now();
    while received < load.bytes {
        let now = StackInstant::from_origin(started.elapsed() + Duration::from_secs(1));
        let sender = ends.sender;
        let client = &mut ends.client.stack;
        while client
            .tcp_send_slice(now, sender, &data)
            .map_err(io::Error::other)?
            > 0
        {}
        let moved = ends.exchange(now);
        if let Some(receiver) = ends.receiver() {
            let server = &mut ends.server.stack;
            while let Ok(Some(n @ 1..)) = server.tcp_recv_into(now, receiver, &mut application) {
                received += n;
            }
        }
        if !moved {
            ends.tick(now);
        }
    }
    Ok(Transfer {
        bytes: received,
        elapsed: started.elapsed(),
    })
}

/// A stack and its end of the link.
pub(crate) struct End {
    pub(crate) stack: Stack,
    device: MemoryDevice,
    tx: VecDeque<TxFrame>,
    rx: Vec<RxFrame>,
}

impl End {
    pub(crate) fn new(
        address: &str,
        secret: u8,
        device: MemoryDevice,
        config: StackConfig,
    ) -> io::Result<Self> {
        let now = StackInstant::from_origin(Duration::from_secs(1));
        let mut stack = Stack::new(config, device.capabilities(), [secret; 32], now);
        stack.add_address(address.parse().map_err(io::Error::other)?);
        stack.add_route(
            "0.0.0.0/0".parse().map_err(io::Error::other)?,
            RouteTarget::OnLink,
        );
        Ok(Self {
            stack,
            device,
            tx: VecDeque::new(),
            rx: Vec::new(),
        })
    }

    /// Sends a batch; whether there was anything to send.
    pub(crate) fn send(&mut self, now: StackInstant) -> bool {
        while self.tx.len() < BATCH
            && let Some(frame) = self.stack.poll_transmit(now)
        {
            self.tx.push_back(frame);
        }
        let any = !self.tx.is_empty();
        // What does not fit waits.
        let _ = self.device.send(&mut self.tx);
        any
    }

    pub(crate) fn receive(&mut self, now: StackInstant) {
        // Nothing there is no error.
        let _ = self.device.recv(&mut self.rx, BATCH);
        for frame in self.rx.drain(..) {
            self.stack.handle_frame(now, frame);
        }
    }
}

struct Ends {
    client: End,
    server: End,
    sender: ConnId,
    listener: ListenerId,
    accepted: Option<ConnId>,
}

impl Ends {
    fn new(load: Load) -> io::Result<Self> {
        let (near, far) = if load.checksums {
            cable(load.mtu)
        } else {
            // As in the other stack's run without checksums: nobody computes them.
            pair(Capabilities {
                tx_checksum: true,
                ..Capabilities::ip(load.mtu)
            })
        };
        let tcp = Config::default()
            .send_buffer(load.buffer)
            .recv_buffer(load.buffer)
            .nodelay(true);
        let config = StackConfig::default().tcp(tcp);
        let mut client = End::new("10.0.0.1/24", 1, near, config.clone())?;
        let mut server = End::new("10.0.0.2/24", 2, far, config)?;
        let address = "10.0.0.2:80".parse().map_err(io::Error::other)?;
        let listener = server
            .stack
            .tcp_listen(ListenOptions::new(ListenOn::Address(address)))
            .map_err(io::Error::other)?;
        let now = StackInstant::from_origin(Duration::from_secs(1));
        let sender = client
            .stack
            .tcp_connect(now, ConnectOptions::new(address))
            .map_err(io::Error::other)?;
        let mut ends = Self {
            client,
            server,
            sender,
            listener,
            accepted: None,
        };
        while ends.exchange(now) {}
        Ok(ends)
    }

    fn receiver(&mut self) -> Option<ConnId> {
        let server = &mut self.server.stack;
        self.accepted = self.accepted.or_else(|| server.tcp_accept(self.listener));
        self.accepted
    }

    /// Carries a batch of frames each way; says whether there were any.
    fn exchange(&mut self, now: StackInstant) -> bool {
        let there = self.client.send(now);
        self.server.receive(now);
        let back = self.server.send(now);
        self.client.receive(now);
        there || back
    }

    fn tick(&mut self, now: StackInstant) {
        for End { stack, .. } in [&mut self.client, &mut self.server] {
            stack.handle_timeout(now);
            while stack.poll_event().is_some() {}
        }
    }
}
