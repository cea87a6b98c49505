//! The program's datagrams: a flow for each pair of its address and a peer's, each with a socket of
//! its own on the host. DNS queries are answered through the host's name servers.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use transom::{Datagram, UdpFlows, Unreachable};

use super::destination::Destinations;
use super::dns;
use super::observe::{Observer, Seen};

/// Flows at once; the datagrams of more are dropped, as by a host without memory.
const MAX_FLOWS: usize = 4096;
/// DNS queries on their way at once.
const MAX_QUERIES: usize = 256;
/// Datagrams of a flow that wait for the host's socket.
const WAITING: usize = 512;
/// A flow ends after this time without a datagram. RFC 4787 REQ-5 asks a NAT for two minutes.
const IDLE: Duration = Duration::from_secs(120);
/// Longest datagram.
const LONGEST: usize = 65_535;

/// What carries datagrams.
pub(crate) struct Datagrams {
    flows: Arc<UdpFlows>,
    destinations: Destinations,
    nameservers: Arc<[SocketAddr]>,
    observer: Observer,
    open: HashMap<(SocketAddr, SocketAddr), mpsc::Sender<Datagram>>,
    running: JoinSet<()>,
    queries: Arc<Semaphore>,
}

/// Datagrams being carried.
pub(crate) struct Carrying {
    /// Dropped: no more come.
    over: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Carrying {
    /// Gives all that the stack has received to the host's sockets, within a time, and ends.
    pub(crate) async fn finish(self, within: Duration) {
        drop(self.over);
        let abort = self.task.abort_handle();
        if timeout(within, self.task).await.is_err() {
            abort.abort();
        }
    }
}

impl Datagrams {
    /// For all datagrams of a stack.
    pub(crate) fn new(
        flows: UdpFlows,
        destinations: Destinations,
        nameservers: Vec<SocketAddr>,
        observer: Observer,
    ) -> Self {
        Self {
            flows: Arc::new(flows),
            destinations,
            nameservers: nameservers.into(),
            observer,
            open: HashMap::new(),
            running: JoinSet::new(),
            queries: Arc::new(Semaphore::new(MAX_QUERIES)),
        }
    }

    /// Begins to carry datagrams.
    pub(crate) fn start(self) -> Carrying {
        let (over, ended) = oneshot::channel();
        let task = tokio::spawn(self.serve(ended));
        Carrying { over, task }
    }

    /// Carries datagrams until the stack ends, or until it is over and none is left.
    async fn serve(mut self, mut over: oneshot::Receiver<()>) {
        loop {
            let datagram = tokio::select! {
                // In this order: the end comes behind the last datagram.
                biased;
                Ok(datagram) = self.flows.recv() => datagram,
                _ = &mut over => break,
            };
            if self.destinations.is_dns(datagram.local) {
                self.query(datagram);
            } else if !datagram.local.ip().is_multicast() {
                self.carry(datagram);
            }
        }
        // A flow whose queue is closed ends when it is empty.
        self.open.clear();
        while self.running.join_next().await.is_some() {}
    }

    /// Answers a DNS query.
    fn query(&self, datagram: Datagram) {
        let inside = self.destinations.inside().iter();
        if let Some(answer) = dns::answer_ourselves(&datagram.payload, inside) {
            // The program asks again if the device had no room.
            let _ = self.flows.send(datagram.local, datagram.peer, answer);
            return;
        }
        let Ok(permit) = Arc::clone(&self.queries).try_acquire_owned() else {
            return;
        };
        let flows = Arc::clone(&self.flows);
        let nameservers = Arc::clone(&self.nameservers);
        let observer = self.observer.clone();
        tokio::spawn(async move {
            match dns::ask(&nameservers, &datagram.payload).await {
                Ok(answer) => {
                    if let Some((name, addresses)) = dns::names(&answer) {
                        observer.note(Seen::Names { name, addresses });
                    }
                    let _ = flows.send(datagram.local, datagram.peer, answer);
                }
                Err(error) => refuse(&flows, &datagram, &error),
            }
            drop(permit);
        });
    }

    /// Hands a datagram to its flow, which may have to begin.
    fn carry(&mut self, datagram: Datagram) {
        let key = (datagram.peer, datagram.local);
        let datagram = match self.open.get(&key) {
            Some(flow) => match flow.try_send(datagram) {
                // A full queue drops it, as a full socket does.
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => return,
                Err(mpsc::error::TrySendError::Closed(datagram)) => datagram,
            },
            None => datagram,
        };
        self.open.retain(|_, flow| !flow.is_closed());
        while self.running.try_join_next().is_some() {}
        if self.open.len() >= MAX_FLOWS {
            return;
        }
        let Some(outside) = self.destinations.outside(datagram.local) else {
            self.flows.unreachable(&datagram, Unreachable::Host);
            return;
        };
        let (sender, waiting) = mpsc::channel(WAITING);
        let flows = Arc::clone(&self.flows);
        self.running.spawn(flow(flows, outside, key, waiting));
        // The new queue has room for its first datagram.
        let _ = sender.try_send(datagram);
        self.open.insert(key, sender);
    }
}

/// Carries one flow until it has been idle for a while.
async fn flow(
    flows: Arc<UdpFlows>,
    outside: SocketAddr,
    (program, peer): (SocketAddr, SocketAddr),
    mut waiting: mpsc::Receiver<Datagram>,
) {
    let mut last = None;
    let socket = match open(outside).await {
        Ok(socket) => socket,
        Err(error) => {
            if let Some(datagram) = waiting.recv().await {
                refuse(&flows, &datagram, &error);
            }
            return;
        }
    };
    let mut buffer = vec![0; LONGEST];
    loop {
        let event = timeout(IDLE, async {
            tokio::select! {
                datagram = waiting.recv() => Event::Sent(datagram),
                received = socket.recv(&mut buffer) => Event::Received(received),
            }
        });
        let failed = match event.await {
            Err(_idle) => return,
            Ok(Event::Sent(None)) => return,
            Ok(Event::Sent(Some(datagram))) => {
                let sent = socket.send(&datagram.payload).await;
                last = Some(datagram);
                sent.err()
            }
            Ok(Event::Received(Ok(length))) => {
                let payload = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                // Without room in the device it is lost, as on any full wire.
                let _ = flows.send(peer, program, payload);
                None
            }
            Ok(Event::Received(Err(error))) => Some(error),
        };
        // An ICMP error on the host's socket becomes one for the program's.
        if let (Some(error), Some(datagram)) = (failed, &last) {
            refuse(&flows, datagram, &error);
        }
    }
}

enum Event {
    Sent(Option<Datagram>),
    Received(io::Result<usize>),
}

async fn open(outside: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if outside.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // A broadcast is the program's business; the kernel asks for this consent.
    let _ = socket.set_broadcast(true);
    socket.connect(outside).await?;
    Ok(socket)
}

/// Tells the program what the host's kernel told us; nothing for what is no network's answer.
fn refuse(flows: &UdpFlows, datagram: &Datagram, error: &io::Error) {
    let code = match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => Unreachable::Port,
        Some(libc::EHOSTUNREACH | libc::EHOSTDOWN) => Unreachable::Host,
        Some(libc::ENETUNREACH | libc::ENETDOWN | libc::EADDRNOTAVAIL) => Unreachable::Network,
        Some(libc::EACCES | libc::EPERM) => Unreachable::Prohibited,
        _ => return,
    };
    flows.unreachable(datagram, code);
}
