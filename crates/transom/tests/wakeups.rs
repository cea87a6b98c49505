//! Nothing waits for ever, and nothing is lost when a wait is given up.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends on any surprise"
)]

mod wire;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use transom::device::Device;
use transom::{
    Capabilities, CloseReason, Config, Stack, TcpListener, TcpStream, UdpSocket, memory,
};
use wire::{bounded, check_stream, connection, hosts, hosts_over, kind, offload, write_stream};

#[tokio::test]
async fn a_writer_is_woken_after_it_filled_the_buffer_to_the_last_byte() {
    bounded(async {
        let (server, client) = hosts();
        let (near, mut far) = connection(&server, &client).await;
        // Not a divisor of the send buffer, so that the last write is short: it leaves no room at all.
        let block = vec![7; 96 << 10];
        let mut written = 0;
        loop {
            let count = near.try_write(&block).unwrap();
            written += count;
            if count < block.len() {
                break;
            }
        }
        let reader = tokio::spawn(async move {
            let mut total = 0;
            let mut block = vec![0; 64 << 10];
            loop {
                match far.read(&mut block).await.unwrap() {
                    0 => return total,
                    count => total += count,
                }
            }
        });
        near.writable().await.unwrap();
        written += near.try_write(b"more").unwrap();
        drop(near);
        assert_eq!(reader.await.unwrap(), written);
    })
    .await;
}

/// Reads with waits that are given up all the time: each byte arrives once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_reads_and_writes_lose_nothing() {
    const LEN: u64 = 2 << 20;
    bounded(async {
        let (server, client) = hosts_over(offload());
        let (near, far) = connection(&server, &client).await;
        let writer = tokio::spawn(async move {
            let mut at = 0;
            while at < LEN {
                let byte_at = |offset: u64| wire::byte(8, at + offset);
                let block: Vec<u8> = (0..(LEN - at).min(3000)).map(byte_at).collect();
                // `writable` is given up every other time, the write happens at once or not.
                if at % 2 == 0 {
                    drop(wire::poll_once(near.writable()).await);
                } else {
                    near.writable().await.unwrap();
                }
                match near.try_write(&block) {
                    Ok(count) => at += count as u64,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        tokio::task::yield_now().await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let mut at = 0;
        while at < LEN {
            let chunk = tokio::select! {
                biased;
                chunk = far.recv_chunk(777) => chunk.unwrap(),
                () = tokio::task::yield_now() => continue,
            };
            for (offset, found) in chunk.iter().enumerate() {
                assert_eq!(*found, wire::byte(8, at + offset as u64));
            }
            at += chunk.len() as u64;
        }
        writer.await.unwrap();
        assert!(far.recv_chunk(1).await.unwrap().is_empty());
    })
    .await;
}

/// Small messages back and forth: a lost wake-up stops them.
async fn ping_pong(server: &Stack, client: &Stack) {
    let mut players = Vec::new();
    for _ in 0..8 {
        let (mut near, mut far) = connection(server, client).await;
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        players.push(tokio::spawn(async move {
            let mut ball = [0; 5];
            while far.read_exact(&mut ball).await.is_ok() {
                far.write_all(&ball).await.unwrap();
            }
        }));
        players.push(tokio::spawn(async move {
            let mut ball = [0; 5];
            for round in 0..2000_u32 {
                ball[..4].copy_from_slice(&round.to_be_bytes());
                near.write_all(&ball).await.unwrap();
                let mut back = [0; 5];
                near.read_exact(&mut back).await.unwrap();
                assert_eq!(back, ball);
            }
        }));
    }
    for player in players {
        player.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ping_pong_on_two_threads_never_stops() {
    bounded(async {
        let (server, client) = hosts_over(offload());
        ping_pong(&server, &client).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ping_pong_with_busy_polling_never_stops() {
    bounded(async {
        let (server, client) = busy_hosts();
        ping_pong(&server, &client).await;
    })
    .await;
}

#[tokio::test]
async fn ping_pong_with_busy_polling_on_one_thread_never_stops() {
    bounded(async {
        let (server, client) = busy_hosts();
        ping_pong(&server, &client).await;
    })
    .await;
}

/// The drivers are on one thread and the sockets on another: both may look.
#[tokio::test]
async fn ping_pong_with_busy_polling_beside_the_driver_never_stops() {
    bounded(async {
        let (server, client) = busy_hosts();
        let players = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap().block_on(ping_pong(&server, &client));
        });
        players.await.unwrap();
    })
    .await;
}

/// A paused clock moves on only when everything sleeps.
#[tokio::test(start_paused = true)]
async fn busy_polling_ends_when_nothing_comes() {
    let (server, client) = busy_hosts();
    let (mut near, mut far) = connection(&server, &client).await;
    for _ in 0..3 {
        near.write_all(b"?").await.unwrap();
        far.read_exact(&mut [0]).await.unwrap();
        far.write_all(b"!").await.unwrap();
        near.read_exact(&mut [0]).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    near.write_all(b"?").await.unwrap();
    far.read_exact(&mut [0]).await.unwrap();
}

/// Hosts that look for a while before they sleep.
fn busy_hosts() -> (Stack, Stack) {
    let (left, right) = memory::pair(offload());
    let host = |address: &str, device: memory::MemoryDevice| {
        let builder = Stack::builder().address(address).device(device);
        builder.busy_poll(Duration::from_micros(200)).spawn()
    };
    let server = host("10.0.0.1/24", left).unwrap();
    (server, host("10.0.0.2/24", right).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_one_of_many_waiters_is_woken() {
    bounded(async {
        let (server, client) = hosts();
        let (near, far) = connection(&server, &client).await;
        let far = Arc::new(far);
        let waiters: Vec<_> = (0..32)
            .map(|_| {
                let far = Arc::clone(&far);
                tokio::spawn(async move { far.readable().await })
            })
            .collect();
        let closers: Vec<_> = (0..32)
            .map(|_| {
                let far = Arc::clone(&far);
                tokio::spawn(async move { far.closed().await })
            })
            .collect();
        near.send_bytes("x".into()).await.unwrap();
        for waiter in waiters {
            waiter.await.unwrap().unwrap();
        }
        near.abort();
        for closer in closers {
            assert_eq!(closer.await.unwrap(), CloseReason::ResetByPeer);
        }
        let ready = far
            .ready(Interest::READABLE | Interest::ERROR)
            .await
            .unwrap();
        assert!(ready.is_error() && ready.is_readable());
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_connect_gives_the_attempt_up() {
    bounded(async {
        let (_server, client) = hosts();
        let attempt = TcpStream::connect(&client, wire::SERVER);
        assert!(wire::poll_once(attempt).await.is_none());
        client.idle().await;
        assert_eq!(client.connections(), []);
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_accept_takes_no_connection_away() {
    bounded(async {
        let (server, client) = hosts();
        let listener = TcpListener::bind(&server, wire::SERVER).await.unwrap();
        for _ in 0..3 {
            assert!(wire::poll_once(listener.accept()).await.is_none());
        }
        let mut near = TcpStream::connect(&client, wire::SERVER).await.unwrap();
        near.write_all(b"x").await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'x');
    })
    .await;
}

/// A wire on which nobody answers.
fn alone() -> (Stack, memory::MemoryDevice) {
    let (left, right) = memory::pair(Capabilities::ip(1500));
    let stack = Stack::builder()
        .address("10.0.0.2/24")
        .tcp(Config::default().syn_retries(2))
        .device(left)
        .spawn()
        .unwrap();
    (stack, right)
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_nobody_answers_times_out() {
    let (stack, _other_end) = alone();
    let started = tokio::time::Instant::now();
    let result = TcpStream::connect(&stack, wire::SERVER).await;
    assert_eq!(kind(result), ErrorKind::TimedOut);
    // Sent after 0, 1 and 3 s, given up after 7.
    let elapsed = started.elapsed();
    assert!(
        elapsed >= Duration::from_secs(7) && elapsed < Duration::from_secs(8),
        "{elapsed:?}"
    );
}

#[tokio::test]
async fn when_the_device_is_gone_everybody_hears_of_it() {
    bounded(async {
        let (stack, other_end) = alone();
        let listener = TcpListener::bind(&stack, "10.0.0.2:80").await.unwrap();
        let socket = UdpSocket::bind(&stack, "10.0.0.2:53").await.unwrap();
        let mut incoming = stack.incoming().unwrap();
        let connect = tokio::spawn({
            let stack = stack.clone();
            async move { TcpStream::connect(&stack, wire::SERVER).await }
        });
        tokio::task::yield_now().await;
        drop(other_end);
        assert_eq!(kind(listener.accept().await), ErrorKind::NetworkDown);
        assert_eq!(kind(socket.recv(&mut [0]).await), ErrorKind::NetworkDown);
        assert!(incoming.next().await.is_none());
        assert_eq!(kind(connect.await.unwrap()), ErrorKind::NetworkDown);
        assert_eq!(kind(stack.check()), ErrorKind::NetworkDown);
        assert_eq!(
            kind(TcpListener::bind(&stack, "10.0.0.2:81").await),
            ErrorKind::NetworkDown
        );
        stack.idle().await;
    })
    .await;
}

#[test]
fn when_the_runtime_ends_the_sockets_say_so() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (stack, _other_end) = runtime.block_on(async { alone() });
    drop(runtime);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let result = runtime.block_on(TcpStream::connect(&stack, wire::SERVER));
    assert_eq!(kind(result), ErrorKind::NetworkDown);
}

#[tokio::test]
async fn a_stack_that_nobody_holds_delivers_and_gives_its_device_back() {
    bounded(async {
        let (left, right) = memory::pair(offload());
        let server = Stack::builder()
            .address("10.0.0.1/24")
            .device(left)
            .spawn()
            .unwrap();
        let client = Stack::builder()
            .address("10.0.0.2/24")
            .device(right)
            .spawn()
            .unwrap();
        let (mut near, mut far) = connection(&server, &client).await;
        write_stream(&mut near, 4, 1 << 20).await.unwrap();
        drop((near, client));
        assert_eq!(check_stream(&mut far, 4).await.unwrap(), 1 << 20);
        far.shutdown().await.unwrap();
        // The client's stack has nothing left to do but TIME-WAIT, and is dropped with its device.
        while server.check().is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_idle_stack_sends_nothing() {
    let (stack, mut other_end) = alone();
    let _listener = TcpListener::bind(&stack, "10.0.0.2:80").await.unwrap();
    stack.idle().await;
    let error = other_end.recv(&mut Vec::new(), 8).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

/// Connect, a byte there and back, close.
async fn ask(client: &Stack) {
    let mut stream = TcpStream::connect(client, wire::SERVER).await.unwrap();
    stream.write_all(&[7]).await.unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [7]);
}

async fn answer(mut stream: TcpStream) {
    let mut byte = [0];
    while stream.read(&mut byte).await.unwrap() > 0 {
        stream.write_all(&byte).await.unwrap();
    }
}

/// Segments that client and server send for so many connections, made one after the other by each of some clients that run side
/// by side in the test's own future.
async fn segments_of(side_by_side: usize, each: usize) -> (u64, u64) {
    let (server, client) = hosts();
    let listener = TcpListener::bind(&server, wire::SERVER).await.unwrap();
    let clients = tokio::task::LocalSet::new();
    for _ in 0..side_by_side {
        let client = client.clone();
        clients.spawn_local(async move {
            for _ in 0..each {
                ask(&client).await;
            }
        });
    }
    let serve = tokio::spawn(async move {
        for _ in 0..side_by_side * each {
            tokio::spawn(answer(listener.accept().await.unwrap().0));
        }
    });
    clients.await;
    serve.await.unwrap();
    tokio::join!(client.idle(), server.idle());
    // The last acknowledgement may be on its way to the device still.
    tokio::join!(client.caught_up(), server.caught_up());
    let sent = |stack: &Stack| stack.counters().segments_out;
    (sent(&client), sent(&server))
}

/// On one thread, from within `block_on`, which is polled behind all tasks.
#[tokio::test]
async fn answers_take_acknowledgements_along() {
    bounded(async {
        // SYN, the question, FIN, the last acknowledgement; SYN and ACK, the answer, FIN.
        assert_eq!(segments_of(1, 20).await, (4 * 20, 3 * 20));
        // Several are woken by one batch of frames: none of them sends what the others are about to.
        assert_eq!(segments_of(8, 20).await, (4 * 160, 3 * 160));
    })
    .await;
}
