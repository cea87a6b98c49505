//! Our own stack behind a device, through the library.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transom::{StackConfig, TcpListener, TcpStream};
use transom_device::{PacketSocket, Tun, TunOptions, XdpOptions, XdpSocket};

use crate::net::{self, ECHO, KERNEL_ADDRESS, REQUESTS, Roles, SINK, SOURCE, STACK, STACK_NETWORK};
use crate::trial::{CONNECT_WARM_UP, CONNECT_WINDOW, Trial, Wire, Work};

/// Where busy polling is measured.
const BUSY_POLL: Duration = Duration::from_micros(200);

/// Serves all ports, or connects, through tokio sockets on one thread, or as many as there are queues.
pub(crate) fn serve(trial: &Trial, roles: &Roles) -> io::Result<()> {
    let runtime = match trial.stack {
        crate::trial::Stack::TransomQueues(threads) => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()?,
        _ => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?,
    };
    runtime.block_on(async {
        let builder = transom::Stack::builder()
            .config(StackConfig::default().ephemeral_ports(net::PORTS))
            .address(STACK_NETWORK);
        let builder = match (trial.wire, &trial.stack) {
            (Wire::Veth, crate::trial::Stack::TransomQueues(n)) => {
                builder.devices(PacketSocket::open_pair_queues(net::OURS, net::THEIRS, *n)?)
            }
            (Wire::Veth, _) => builder.device(PacketSocket::open_pair(net::OURS, net::THEIRS)?),
            (Wire::AfXdp, _) => builder.device(XdpSocket::open(&XdpOptions::new(net::OURS))?),
            (_, crate::trial::Stack::TransomQueues(n)) => {
                let options = TunOptions::new(roles.device.as_str()).vnet(roles.vnet);
                let queues = Tun::open_queues(&options, *n)?;
                roles.configure()?;
                builder.devices(queues)
            }
            _ => {
                let fd = crate::sys::open_tun(&roles.device, roles.vnet)?;
                roles.configure()?;
                builder.device(Tun::from_fd(fd, roles.mtu, roles.vnet)?)
            }
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
