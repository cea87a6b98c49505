//! Our own stack: behind the TUN device through the library, and two of them in memory.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transom::{TcpListener, TcpStream};
use transom_device::{PacketSocket, Tun};
use transom_stack::tcp::{Config, Instant as StackInstant};
use transom_stack::wire::{Capabilities, RxChecksum, RxFrame, TxFrame};
use transom_stack::{
    ConnId, ConnectOptions, ListenOn, ListenOptions, ListenerId, RouteTarget, Stack, StackConfig,
};

use crate::memory::{Load, Transfer};
use crate::net::{self, ECHO, KERNEL_ADDRESS, REQUESTS, Roles, SINK, SOURCE, STACK, STACK_NETWORK};
use crate::trial::{CONNECT_WARM_UP, CONNECT_WINDOW, Trial, Wire, Work};

/// Where busy polling is measured.
const BUSY_POLL: Duration = Duration::from_micros(200);

/// Serves all ports, or connects, through tokio sockets on one thread.
pub(crate) fn serve(trial: &Trial, roles: &Roles) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let builder = transom::Stack::builder().address(STACK_NETWORK);
        let builder = if trial.wire == Wire::Veth {
            builder.device(PacketSocket::open_pair(net::OURS, net::THEIRS)?)
        } else {
            let fd = crate::sys::open_tun(&roles.device, roles.vnet)?;
            roles.configure()?;
            builder.device(Tun::from_fd(fd, roles.mtu, roles.vnet)?)
        };
        let busy_poll = if trial.stack == crate::trial::Stack::TransomBusy {
            BUSY_POLL
        } else {
            Duration::ZERO
        };
        let stack = builder.busy_poll(busy_poll).spawn()?;
        if let Work::Connect(at_once) = trial.work {
            net::ready();
            let rate = connect(&stack, at_once).await?;
            crate::trial::say(&rate.to_string());
            return Ok(());
        }
        let source = TcpListener::bind(&stack, (STACK, SOURCE)).await?;
        let sink = TcpListener::bind(&stack, (STACK, SINK)).await?;
        let echo = TcpListener::bind(&stack, (STACK, ECHO)).await?;
        let requests = TcpListener::bind(&stack, (STACK, REQUESTS)).await?;
        net::ready();
        let data = Bytes::from(vec![0u8; 1 << 20]);
        loop {
            tokio::select! {
                accepted = source.accept() => {
                    let (stream, _) = accepted?;
                    let data = data.clone();
                    tokio::spawn(async move { while stream.send_bytes(data.clone()).await.is_ok() {} });
                }
                accepted = sink.accept() => {
                    let (mut stream, _) = accepted?;
                    tokio::spawn(async move {
                        while stream.recv_chunk(usize::MAX).await.is_ok_and(|chunk| !chunk.is_empty()) {}
                        // The peer may be gone already.
                        drop(stream.shutdown().await);
                    });
                }
                accepted = echo.accept() => drop(tokio::spawn(send_back(accepted?.0))),
                accepted = requests.accept() => drop(tokio::spawn(send_back(accepted?.0))),
            }
        }
    })
}

/// Until the peer has finished, or is gone.
async fn send_back(mut stream: TcpStream) {
    let mut buffer = [0; 64];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
}

/// Connects to the kernel, so many at a time; gives connections a second.
async fn connect(stack: &transom::Stack, at_once: usize) -> io::Result<f64> {
    let (done, failed) = (Rc::new(Cell::new(0_u64)), Rc::new(RefCell::new(None)));
    let clients = tokio::task::LocalSet::new();
    for _ in 0..at_once {
        let (done, failed, stack) = (Rc::clone(&done), Rc::clone(&failed), stack.clone());
        clients.spawn_local(async move {
            loop {
                match request(&stack).await {
                    Ok(()) => done.set(done.get() + 1),
                    Err(error) => {
                        failed.replace(Some(error));
                        return;
                    }
                }
            }
        });
    }
    clients
        .run_until(async {
            tokio::time::sleep(CONNECT_WARM_UP).await;
            let (before, started) = (done.get(), Instant::now());
            tokio::time::sleep(CONNECT_WINDOW).await;
            match failed.take() {
                Some(error) => Err(error),
                None => Ok((done.get() - before) as f64 / started.elapsed().as_secs_f64()),
            }
        })
        .await
}

async fn request(stack: &transom::Stack) -> io::Result<()> {
    let mut stream = TcpStream::connect(stack, (KERNEL_ADDRESS, REQUESTS)).await?;
    let mut byte = [7];
    stream.write_all(&byte).await?;
    stream.read_exact(&mut byte).await.map(drop)
}

/// Two stacks, frames handed from one to the other, the application copying in and out.
pub(crate) fn in_memory(load: Load) -> io::Result<Transfer> {
    let mut ends = Ends::new(load)?;
    let data = vec![1u8; 65_536];
    let mut application = vec![0u8; 65_536];
    let mut received = 0;
    let started = Instant::now();
    while received < load.bytes {
        ends.now = StackInstant::from_origin(started.elapsed() + Duration::from_secs(1));
        let now = ends.now;
        while ends
            .client
            .tcp_send_slice(now, ends.sender, &data)
            .map_err(io::Error::other)?
            > 0
        {}
        let moved = ends.exchange();
        if let Some(receiver) = ends.receiver() {
            while let Ok(Some(n @ 1..)) = ends.server.tcp_recv_into(now, receiver, &mut application)
            {
                received += n;
            }
        }
        if !moved {
            ends.tick();
        }
    }
    Ok(Transfer {
        bytes: received,
        elapsed: started.elapsed(),
    })
}

struct Ends {
    client: Stack,
    server: Stack,
    sender: ConnId,
    listener: ListenerId,
    accepted: Option<ConnId>,
    now: StackInstant,
    buffer: BytesMut,
}

impl Ends {
    fn new(load: Load) -> io::Result<Self> {
        let now = StackInstant::from_origin(Duration::from_secs(1));
        let make = |address: &str, secret: u8| -> io::Result<Stack> {
            let mut capabilities = Capabilities::ip(load.mtu);
            // As in the other stack's run without checksums: somebody else computes them.
            capabilities.tx_checksum = !load.checksums;
            let tcp = Config::default()
                .send_buffer(load.buffer)
                .recv_buffer(load.buffer)
                .nodelay(true);
            let mut stack = Stack::new(
                StackConfig::default().tcp(tcp),
                capabilities,
                [secret; 32],
                now,
            );
            stack.add_address(address.parse().map_err(io::Error::other)?);
            stack.add_route(
                "0.0.0.0/0".parse().map_err(io::Error::other)?,
                RouteTarget::OnLink,
            );
            Ok(stack)
        };
        let (mut client, mut server) = (make("10.0.0.1/24", 1)?, make("10.0.0.2/24", 2)?);
        let address = "10.0.0.2:80".parse().map_err(io::Error::other)?;
        let listener = server
            .tcp_listen(ListenOptions::new(ListenOn::Address(address)))
            .map_err(io::Error::other)?;
        let sender = client
            .tcp_connect(now, ConnectOptions::new(address))
            .map_err(io::Error::other)?;
        let mut ends = Self {
            client,
            server,
            sender,
            listener,
            accepted: None,
            now,
            buffer: BytesMut::new(),
        };
        while ends.exchange() {}
        Ok(ends)
    }

    fn receiver(&mut self) -> Option<ConnId> {
        self.accepted = self
            .accepted
            .or_else(|| self.server.tcp_accept(self.listener));
        self.accepted
    }

    /// Carries a batch of frames each way; says whether there were any.
    fn exchange(&mut self) -> bool {
        let there = carry(
            self.now,
            &mut self.client,
            &mut self.server,
            &mut self.buffer,
        );
        let back = carry(
            self.now,
            &mut self.server,
            &mut self.client,
            &mut self.buffer,
        );
        there + back > 0
    }

    fn tick(&mut self) {
        for stack in [&mut self.client, &mut self.server] {
            stack.handle_timeout(self.now);
            while stack.poll_event().is_some() {}
        }
    }
}

/// Moves at most sixteen frames, each copied into one piece as a device would.
fn carry(now: StackInstant, from: &mut Stack, to: &mut Stack, buffer: &mut BytesMut) -> usize {
    let mut frames: VecDeque<TxFrame> = VecDeque::new();
    while frames.len() < 16 {
        let Some(frame) = from.poll_transmit(now) else {
            break;
        };
        frames.push_back(frame);
    }
    let count = frames.len();
    for frame in frames {
        // A block for many frames, as a device's pool has; it is freed with the last of them.
        if buffer.capacity() < frame.len() {
            *buffer = BytesMut::with_capacity(1 << 20);
        }
        buffer.extend_from_slice(frame.headers.as_slice());
        frame
            .payload
            .chunks()
            .for_each(|chunk| buffer.extend_from_slice(chunk));
        let data = buffer.split().freeze();
        let checksum = match frame.offload {
            transom_stack::wire::TxOffload::None => RxChecksum::Unverified,
            _ => RxChecksum::Valid,
        };
        to.handle_frame(
            now,
            RxFrame {
                data,
                checksum,
                gso_size: 0,
            },
        );
    }
    count
}
