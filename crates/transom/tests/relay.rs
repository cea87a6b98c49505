//! What a client and a server see through a relay must be what they see without one.
//!
//! Every case runs with all four pairs of legs: a stack of ours or the kernel's on either side.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends on any surprise"
)]

mod wire;

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::task::JoinHandle;
use transom::{DirectionEnd, RelayEnd, RelayOutcome, RelayQueue, Side, TcpStream, relay};
use wire::{bounded, check_stream, connection, hosts_over, kind, offload, write_stream};

/// Who speaks TCP on a leg.
#[derive(Clone, Copy, Debug)]
enum Leg {
    Ours,
    Kernel,
}

const LEGS: [(Leg, Leg); 4] = [
    (Leg::Ours, Leg::Ours),
    (Leg::Ours, Leg::Kernel),
    (Leg::Kernel, Leg::Ours),
    (Leg::Kernel, Leg::Kernel),
];

/// A client or a server.
#[derive(Debug)]
enum Peer {
    Ours(TcpStream),
    Kernel(tokio::net::TcpStream),
}

impl Peer {
    fn reset(self) {
        match self {
            Self::Ours(stream) => stream.abort(),
            Self::Kernel(stream) => stream.set_zero_linger().unwrap(),
        }
    }

    /// Waits for data. (The readiness that tokio reports may be a mistake; data is none.)
    async fn has_data(&self) {
        let count = match self {
            Self::Ours(stream) => stream.peek(&mut [0]).await,
            Self::Kernel(stream) => stream.peek(&mut [0]).await,
        };
        assert_eq!(count.unwrap(), 1);
    }

    /// Reads to the end, or to the error that stands in its place.
    async fn read_all(&mut self) -> (Vec<u8>, io::Result<()>) {
        let mut data = Vec::new();
        let end = self.read_to_end(&mut data).await.map(drop);
        (data, end)
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Ours(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Kernel(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Ours(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Kernel(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Ours(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Kernel(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

async fn ours() -> (TcpStream, TcpStream) {
    let (server, client) = hosts_over(offload());
    connection(&server, &client).await
}

async fn kernel() -> (tokio::net::TcpStream, tokio::net::TcpStream) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connected, accepted) =
        tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
    (connected.unwrap(), accepted.unwrap().0)
}

/// A client, a server, and a relay between them.
struct Relayed {
    client: Peer,
    server: Peer,
    outcome: JoinHandle<RelayOutcome>,
    /// How often the relay was polled.
    polls: Arc<AtomicUsize>,
}

impl Relayed {
    async fn new((client_leg, server_leg): (Leg, Leg)) -> Self {
        match client_leg {
            Leg::Ours => {
                let (client, near) = ours().await;
                Self::behind(Peer::Ours(client), near, server_leg).await
            }
            Leg::Kernel => {
                let (client, near) = kernel().await;
                Self::behind(Peer::Kernel(client), near, server_leg).await
            }
        }
    }

    async fn behind(client: Peer, near: impl RelayEnd + 'static, server_leg: Leg) -> Self {
        let polls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&polls);
        let (server, outcome) = match server_leg {
            Leg::Ours => {
                let (far, server) = ours().await;
                let relay = Counted(Box::pin(relay(near, far)), count);
                (Peer::Ours(server), tokio::spawn(relay))
            }
            Leg::Kernel => {
                let (far, server) = kernel().await;
                let relay = Counted(Box::pin(relay(near, far)), count);
                (Peer::Kernel(server), tokio::spawn(relay))
            }
        };
        Self {
            client,
            server,
            outcome,
            polls,
        }
    }
}

/// A future that counts how often it is polled.
struct Counted<F>(Pin<Box<F>>, Arc<AtomicUsize>);

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.as_mut().poll(cx)
    }
}

/// Runs a case with every pair of legs.
async fn for_all_legs<F: Future<Output = ()>>(case: impl Fn(Relayed) -> F) {
    for legs in LEGS {
        println!("legs: {legs:?}");
        bounded(async { case(Relayed::new(legs).await).await }).await;
    }
}

/// A reset is seen by a reader as such; after a FIN Linux calls it a broken pipe.
fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

/// Writes until the peer is seen to be gone.
async fn write_until_error(peer: &mut Peer) -> io::Error {
    let block = [7; 4096];
    loop {
        if let Err(error) = peer.write_all(&block).await {
            return error;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_client_may_finish_first_and_still_be_answered() {
    for_all_legs(|mut it| async move {
        it.client.write_all(b"question").await.unwrap();
        it.client.shutdown().await.unwrap();
        let (question, end) = it.server.read_all().await;
        assert_eq!((&question[..], end.is_ok()), (&b"question"[..], true));
        // The server has seen the end. The client has not, and is answered at length.
        write_stream(&mut it.server, 1, 3 << 20).await.unwrap();
        it.server.shutdown().await.unwrap();
        assert_eq!(check_stream(&mut it.client, 1).await.unwrap(), 3 << 20);
        let outcome = it.outcome.await.unwrap();
        assert!(outcome.is_orderly());
        assert_eq!(outcome.closed_first, Side::Client);
        assert_eq!(outcome.to_server.bytes, 8);
        assert_eq!(outcome.to_client.bytes, 3 << 20);
        assert_eq!(outcome.to_server.end, DirectionEnd::Finished);
        assert_eq!(outcome.to_client.end, DirectionEnd::Finished);
    })
    .await;
}

#[tokio::test]
async fn a_fin_goes_with_the_data_before_it() {
    bounded(async {
        let (near_host, client_host) = hosts_over(offload());
        let (mut client, near) = connection(&near_host, &client_host).await;
        let (far, mut server) = kernel().await;
        server.write_all(b"answer").await.unwrap();
        server.shutdown().await.unwrap();
        let before = near_host.counters().segments_out;
        let outcome = tokio::spawn(relay(near, far));
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
        assert_eq!(near_host.counters().segments_out, before + 1);
        client.shutdown().await.unwrap();
        assert!(outcome.await.unwrap().is_orderly());
    })
    .await;
}

#[tokio::test]
async fn the_server_may_finish_first_and_still_listen() {
    for_all_legs(|mut it| async move {
        it.server.shutdown().await.unwrap();
        let (nothing, end) = it.client.read_all().await;
        assert_eq!((nothing.len(), end.is_ok()), (0, true));
        write_stream(&mut it.client, 2, 3 << 20).await.unwrap();
        it.client.shutdown().await.unwrap();
        assert_eq!(check_stream(&mut it.server, 2).await.unwrap(), 3 << 20);
        let outcome = it.outcome.await.unwrap();
        assert!(outcome.is_orderly());
        assert_eq!(outcome.closed_first, Side::Server);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_seen_to_do_so() {
    for_all_legs(|mut it| async move {
        drop(it.server);
        let (nothing, end) = it.client.read_all().await;
        assert_eq!((nothing.len(), end.is_ok()), (0, true));
        // What is written now finds nobody, as without a relay: a reset comes back.
        assert!(is_reset(&write_until_error(&mut it.client).await));
        let outcome = it.outcome.await.unwrap();
        assert_eq!(outcome.closed_first, Side::Server);
        assert_eq!(outcome.to_client.end, DirectionEnd::Finished);
        let failure = outcome.failure.unwrap();
        assert_eq!(failure.side, Side::Server);
        assert!(failure.is_reset());
    })
    .await;
}

#[tokio::test]
async fn data_arrives_whole_in_both_directions_at_once() {
    for_all_legs(|it| async move {
        let (mut from_client, mut to_client) = tokio::io::split(it.client);
        let (mut from_server, mut to_server) = tokio::io::split(it.server);
        let (sent_up, sent_down, up, down) = tokio::join!(
            async {
                write_stream(&mut to_client, 3, 8 << 20).await?;
                to_client.shutdown().await
            },
            async {
                write_stream(&mut to_server, 4, 8 << 20).await?;
                to_server.shutdown().await
            },
            check_stream(&mut from_server, 3),
            check_stream(&mut from_client, 4),
        );
        sent_up.unwrap();
        sent_down.unwrap();
        assert_eq!((up.unwrap(), down.unwrap()), (8 << 20, 8 << 20));
        assert!(it.outcome.await.unwrap().is_orderly());
    })
    .await;
}

#[tokio::test]
async fn a_reset_by_the_client_is_a_reset_for_the_server() {
    for_all_legs(|mut it| async move {
        it.client.reset();
        let (_, end) = it.server.read_all().await;
        assert_eq!(kind(end), ErrorKind::ConnectionReset);
        let outcome = it.outcome.await.unwrap();
        assert_eq!(outcome.closed_first, Side::Client);
        assert_eq!(outcome.failure.unwrap().side, Side::Client);
        assert_eq!(outcome.to_server.end, DirectionEnd::SenderFailed);
        assert_eq!(outcome.to_client.end, DirectionEnd::ReceiverFailed);
    })
    .await;
}

#[tokio::test]
async fn a_reset_by_the_server_is_a_reset_for_the_client() {
    for_all_legs(|mut it| async move {
        it.server.reset();
        let (_, end) = it.client.read_all().await;
        assert_eq!(kind(end), ErrorKind::ConnectionReset);
        let failure = it.outcome.await.unwrap().failure.unwrap();
        assert_eq!(failure.side, Side::Server);
        assert!(failure.is_reset());
    })
    .await;
}

#[tokio::test]
async fn closing_with_data_unread_is_a_reset_on_the_other_side_too() {
    for_all_legs(|mut it| async move {
        it.client.write_all(b"nobody reads this").await.unwrap();
        it.server.has_data().await;
        drop(it.server);
        let (_, end) = it.client.read_all().await;
        assert_eq!(kind(end), ErrorKind::ConnectionReset);
        it.outcome.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_was_sent_before_a_reset_arrives_before_it() {
    for_all_legs(|mut it| async move {
        // Fits the first flight, so it is on the wire when the reset follows.
        write_stream(&mut it.server, 5, 8 << 10).await.unwrap();
        it.server.reset();
        let (data, end) = it.client.read_all().await;
        assert_eq!(data.len(), 8 << 10);
        assert_eq!(kind(end), ErrorKind::ConnectionReset);
        assert_eq!(it.outcome.await.unwrap().to_client.bytes, 8 << 10);
    })
    .await;
}

#[tokio::test]
async fn a_reset_after_a_half_close_is_passed_on() {
    for_all_legs(|mut it| async move {
        it.client.shutdown().await.unwrap();
        let (_, end) = it.server.read_all().await;
        end.unwrap();
        it.client.reset();
        assert!(is_reset(&write_until_error(&mut it.server).await));
        let outcome = it.outcome.await.unwrap();
        assert_eq!(outcome.closed_first, Side::Client);
        assert_eq!(outcome.to_server.end, DirectionEnd::Finished);
        assert_eq!(outcome.failure.unwrap().side, Side::Client);
    })
    .await;
}

/// More than all buffers between client and server hold together.
const TOO_MUCH: u64 = 64 << 20;

/// Lets the client write until nothing moves: the server does not read.
async fn jam(it: Relayed) -> (JoinHandle<io::Result<Peer>>, Peer, JoinHandle<RelayOutcome>) {
    let mut client = it.client;
    let mut writer = tokio::spawn(async move {
        write_stream(&mut client, 6, TOO_MUCH).await?;
        client.shutdown().await?;
        Ok(client)
    });
    let finished = tokio::time::timeout(Duration::from_millis(300), &mut writer).await;
    assert!(
        finished.is_err(),
        "the client wrote 64 MiB that nobody read: {finished:?}"
    );
    (writer, it.server, it.outcome)
}

#[tokio::test]
async fn a_slow_server_holds_the_client_back_and_loses_nothing() {
    for_all_legs(|it| async move {
        let (writer, mut server, outcome) = jam(it).await;
        assert_eq!(check_stream(&mut server, 6).await.unwrap(), TOO_MUCH);
        drop(writer.await.unwrap().unwrap());
        drop(server);
        assert_eq!(outcome.await.unwrap().to_server.bytes, TOO_MUCH);
    })
    .await;
}

#[tokio::test]
async fn a_reset_by_a_server_that_does_not_read_reaches_the_client() {
    for_all_legs(|it| async move {
        let (writer, server, outcome) = jam(it).await;
        server.reset();
        assert!(is_reset(&writer.await.unwrap().unwrap_err()));
        assert_eq!(outcome.await.unwrap().failure.unwrap().side, Side::Server);
    })
    .await;
}

#[tokio::test]
async fn a_reset_by_a_client_that_is_not_read_reaches_the_server() {
    for_all_legs(|mut it| async move {
        // The client fills all buffers, with answers waiting for it, and is killed.
        it.server.write_all(b"unread").await.unwrap();
        it.client.has_data().await;
        let (writer, mut server, outcome) = jam(it).await;
        writer.abort();
        assert!(writer.await.unwrap_err().is_cancelled());
        let outcome = outcome.await.unwrap();
        assert_eq!(outcome.closed_first, Side::Client);
        assert_eq!(outcome.failure.unwrap().side, Side::Client);
        assert_eq!(outcome.to_server.end, DirectionEnd::SenderFailed);
        // The server reads what had come, and then learns of the reset.
        let (data, end) = server.read_all().await;
        assert!((data.len() as u64) < TOO_MUCH);
        assert_eq!(kind(end), ErrorKind::ConnectionReset);
    })
    .await;
}

#[tokio::test]
async fn an_idle_relay_is_not_polled() {
    for_all_legs(|mut it| async move {
        it.client.write_all(b"x").await.unwrap();
        assert_eq!(it.server.read_u8().await.unwrap(), b'x');
        // Acknowledgements may still be under way; but it comes to rest.
        loop {
            let before = it.polls.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(300)).await;
            if it.polls.load(Ordering::Relaxed) == before {
                break;
            }
        }
        drop(it.client);
        drop(it.server);
        it.outcome.await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_relays_side_by_side() {
    for legs in LEGS {
        let relays: Vec<_> = (0..100)
            .map(|number| {
                tokio::spawn(bounded(async move {
                    let mut it = Relayed::new(legs).await;
                    write_stream(&mut it.client, number, 100_000).await.unwrap();
                    it.client.shutdown().await.unwrap();
                    assert_eq!(check_stream(&mut it.server, number).await.unwrap(), 100_000);
                    drop(it.server);
                    assert_eq!(it.client.read_all().await.0.len(), 0);
                    assert!(it.outcome.await.unwrap().is_orderly());
                }))
            })
            .collect();
        for relay in relays {
            relay.await.unwrap();
        }
    }
}

/// One end that only says what a kernel's socket says after a reset: the error once, to whoever asks
/// first, and then that the peer has finished.
#[derive(Default)]
struct ResetOnce {
    told: AtomicBool,
}

/// The other end: has something to pass on, and notes whether it was told that its peer finished.
#[derive(Default)]
struct Sender {
    sent: AtomicBool,
    finished: AtomicBool,
}

impl RelayEnd for ResetOnce {
    fn poll_recv(&self, _: &mut Context<'_>, _: &mut RelayQueue) -> Poll<io::Result<usize>> {
        if self.told.load(Ordering::Relaxed) {
            Poll::Ready(Ok(0))
        } else {
            Poll::Pending
        }
    }

    fn poll_send(&self, _: &mut Context<'_>, _: &mut RelayQueue) -> Poll<io::Result<usize>> {
        self.told.store(true, Ordering::Relaxed);
        Poll::Ready(Err(ErrorKind::ConnectionReset.into()))
    }

    fn finish(&self) -> io::Result<()> {
        Ok(())
    }

    async fn failed(&self) -> io::Error {
        std::future::pending().await
    }

    fn reset(&self) {}
}

impl RelayEnd for &Sender {
    fn poll_recv(&self, _: &mut Context<'_>, queue: &mut RelayQueue) -> Poll<io::Result<usize>> {
        if self.sent.swap(true, Ordering::Relaxed) {
            return Poll::Pending;
        }
        queue.push("data".into());
        Poll::Ready(Ok(4))
    }

    fn poll_send(&self, _: &mut Context<'_>, _: &mut RelayQueue) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn finish(&self) -> io::Result<()> {
        self.finished.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn failed(&self) -> io::Error {
        std::future::pending().await
    }

    fn reset(&self) {}
}

#[tokio::test]
async fn a_reset_that_a_write_met_is_not_taken_for_a_fin() {
    let client = Sender::default();
    let outcome = bounded(relay(&client, ResetOnce::default())).await;
    assert!(!client.finished.load(Ordering::Relaxed));
    assert_eq!(outcome.failure.unwrap().side, Side::Server);
}
