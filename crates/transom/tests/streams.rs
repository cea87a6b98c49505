//! Streams between two stacks: opening, data, closing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends on any surprise"
)]

mod wire;

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transom::stack_engine::tcp::Instant;
use transom::stack_engine::{Direction, FrameRef};
use transom::{CloseReason, State, TcpListener, TcpStream};
use wire::{bounded, check_stream, connection, hosts, hosts_over, kind, offload, write_stream};

#[tokio::test]
async fn a_connection_has_the_addresses_that_it_should() {
    bounded(async {
        let (server, client) = hosts();
        let listener = TcpListener::bind(&server, wire::SERVER).await.unwrap();
        let (connected, accepted) =
            tokio::join!(TcpStream::connect(&client, wire::SERVER), listener.accept());
        let (near, (far, peer)) = (connected.unwrap(), accepted.unwrap());
        assert_eq!(near.peer_addr().unwrap().to_string(), wire::SERVER);
        assert_eq!(far.local_addr().unwrap().to_string(), wire::SERVER);
        assert_eq!(near.local_addr().unwrap(), peer);
        assert_eq!(far.peer_addr().unwrap(), peer);
        assert_eq!(near.state(), State::Established);
        assert_eq!(client.connections().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn ipv6_connects_as_well() {
    bounded(async {
        let (server, client) = hosts();
        let listener = TcpListener::bind(&server, "[fd00::1]:80").await.unwrap();
        let (connected, accepted) = tokio::join!(
            TcpStream::connect(&client, "[fd00::1]:80"),
            listener.accept()
        );
        let (mut near, (mut far, _)) = (connected.unwrap(), accepted.unwrap());
        near.write_all(b"six").await.unwrap();
        let mut three = [0; 3];
        far.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"six");
    })
    .await;
}

async fn both_ways(capabilities: transom::Capabilities, len: u64) {
    let (server, client) = hosts_over(capabilities);
    let (near, far) = connection(&server, &client).await;
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let up = tokio::spawn(async move {
        write_stream(&mut near_write, 1, len).await.unwrap();
        near_write.shutdown().await.unwrap();
    });
    let down = tokio::spawn(async move {
        write_stream(&mut far_write, 2, len).await.unwrap();
        far_write.shutdown().await.unwrap();
    });
    let received_up = tokio::spawn(async move { check_stream(&mut far_read, 1).await.unwrap() });
    let received_down = tokio::spawn(async move { check_stream(&mut near_read, 2).await.unwrap() });
    up.await.unwrap();
    down.await.unwrap();
    assert_eq!(received_up.await.unwrap(), len);
    assert_eq!(received_down.await.unwrap(), len);
}

#[tokio::test]
async fn sixty_four_mebibytes_both_ways_on_one_thread() {
    bounded(both_ways(offload(), 64 << 20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_both_ways_on_two_threads() {
    bounded(both_ways(offload(), 64 << 20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_mebibytes_both_ways_without_offload() {
    bounded(both_ways(transom::Capabilities::ip(1500), 16 << 20)).await;
}

#[tokio::test]
async fn each_side_may_finish_first_and_go_on_reading() {
    bounded(async {
        let (server, client) = hosts();
        let (mut near, mut far) = connection(&server, &client).await;
        for (first, second) in [(&mut near, &mut far)] {
            first.write_all(b"question").await.unwrap();
            first.shutdown().await.unwrap();
            let mut question = Vec::new();
            second.read_to_end(&mut question).await.unwrap();
            assert_eq!(question, b"question");
            // Long after the FIN, the other direction still works.
            assert_eq!(second.state(), State::CloseWait);
            write_stream(second, 9, 1 << 20).await.unwrap();
            second.shutdown().await.unwrap();
            assert_eq!(check_stream(first, 9).await.unwrap(), 1 << 20);
        }
        assert_eq!(near.closed().await, CloseReason::Normal);
        assert_eq!(near.state(), State::TimeWait);
        assert_eq!(far.closed().await, CloseReason::Normal);
        assert_eq!(kind(near.write(b"x").await), ErrorKind::BrokenPipe);
    })
    .await;
}

#[tokio::test]
async fn the_server_may_finish_first() {
    bounded(async {
        let (server, client) = hosts();
        let (mut near, mut far) = connection(&server, &client).await;
        far.shutdown().await.unwrap();
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
        near.write_all(b"still here").await.unwrap();
        drop(near);
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"still here");
        assert_eq!(far.closed().await, CloseReason::Normal);
        assert_eq!(far.state(), State::TimeWait);
    })
    .await;
}

#[tokio::test]
async fn an_abort_is_a_reset_for_reader_and_writer() {
    bounded(async {
        let (server, client) = hosts();
        let (near, mut far) = connection(&server, &client).await;
        near.abort();
        assert_eq!(
            kind(far.read(&mut [0; 8]).await),
            ErrorKind::ConnectionReset
        );
        assert_eq!(kind(far.write(b"x").await), ErrorKind::ConnectionReset);
        assert_eq!(far.closed().await, CloseReason::ResetByPeer);
        assert_eq!(
            far.take_error().unwrap().unwrap().kind(),
            ErrorKind::ConnectionReset
        );
        let near_error = near.try_read(&mut [0; 8]);
        assert_eq!(kind(near_error), ErrorKind::ConnectionAborted);
    })
    .await;
}

#[tokio::test]
async fn a_closed_port_refuses() {
    bounded(async {
        let (_server, client) = hosts();
        let refused = TcpStream::connect(&client, wire::SERVER).await;
        assert_eq!(kind(refused), ErrorKind::ConnectionRefused);
    })
    .await;
}

#[tokio::test]
async fn without_a_route_nothing_is_connected() {
    bounded(async {
        let (_server, client) = hosts();
        let error = TcpStream::connect(&client, wire::nowhere()).await;
        assert_eq!(kind(error), ErrorKind::NetworkUnreachable);
        let error = TcpStream::connect(&client, "example.com:80").await;
        assert_eq!(kind(error), ErrorKind::InvalidInput);
    })
    .await;
}

#[tokio::test]
async fn dropping_with_data_unread_resets_otherwise_finishes() {
    bounded(async {
        let (server, client) = hosts();
        let (near, mut far) = connection(&server, &client).await;
        far.write_all(b"nobody reads this").await.unwrap();
        near.readable().await.unwrap();
        drop(near);
        assert_eq!(far.closed().await, CloseReason::ResetByPeer);
        assert_eq!(
            kind(far.read(&mut [0; 8]).await),
            ErrorKind::ConnectionReset
        );

        let (mut near, mut far) = connection(&server, &client).await;
        near.write_all(b"last words").await.unwrap();
        drop(near);
        let mut words = Vec::new();
        far.read_to_end(&mut words).await.unwrap();
        assert_eq!(words, b"last words");
    })
    .await;
}

#[tokio::test]
async fn a_dropped_stream_delivers_megabytes_in_the_background() {
    bounded(async {
        let (server, client) = hosts();
        let (mut near, mut far) = connection(&server, &client).await;
        write_stream(&mut near, 3, 2 << 20).await.unwrap();
        drop(near);
        drop(client);
        assert_eq!(check_stream(&mut far, 3).await.unwrap(), 2 << 20);
    })
    .await;
}

#[tokio::test]
async fn zero_linger_resets_on_drop() {
    bounded(async {
        let (server, client) = hosts();
        let (near, mut far) = connection(&server, &client).await;
        near.set_zero_linger().unwrap();
        assert_eq!(near.linger().unwrap(), Some(std::time::Duration::ZERO));
        drop(near);
        assert_eq!(
            kind(far.read(&mut [0; 8]).await),
            ErrorKind::ConnectionReset
        );
    })
    .await;
}

#[tokio::test]
async fn dropping_the_write_half_finishes_and_reuniting_does_not() {
    bounded(async {
        let (server, client) = hosts();
        let (near, mut far) = connection(&server, &client).await;
        let (read, write) = near.into_split();
        let near = read.reunite(write).unwrap();
        assert_eq!(near.state(), State::Established);
        let (mut read, write) = near.into_split();
        drop(write);
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
        far.write_all(b"after").await.unwrap();
        drop(far);
        let mut after = Vec::new();
        read.read_to_end(&mut after).await.unwrap();
        assert_eq!(after, b"after");

        let (one, _) = connection(&server, &client).await;
        let (two, _) = connection(&server, &client).await;
        assert!(one.into_split().0.reunite(two.into_split().1).is_err());
    })
    .await;
}

#[tokio::test]
async fn chunks_and_peeks_see_the_same_data() {
    bounded(async {
        let (server, client) = hosts();
        let (near, far) = connection(&server, &client).await;
        near.send_bytes("zero copies".into()).await.unwrap();
        let mut peeked = [0; 4];
        assert_eq!(far.peek(&mut peeked).await.unwrap(), 4);
        assert_eq!(&peeked, b"zero");
        assert_eq!(far.recv_chunk(5).await.unwrap(), &b"zero "[..]);
        let mut rest = [0; 32];
        assert_eq!(far.try_read(&mut rest).unwrap(), 6);
        assert_eq!(&rest[..6], b"copies");
        assert_eq!(kind(far.try_read(&mut rest)), ErrorKind::WouldBlock);
        near.shutdown_write().unwrap();
        assert!(far.recv_chunk(1).await.unwrap().is_empty());
        assert!(far.recv_chunk(1).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn vectored_reads_and_writes_keep_the_order() {
    use std::io::{IoSlice, IoSliceMut};
    bounded(async {
        let (server, client) = hosts();
        let (near, far) = connection(&server, &client).await;
        let sent = near
            .try_write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")])
            .unwrap();
        assert_eq!(sent, 5);
        let mut five = [0; 5];
        while far.peek(&mut five).await.unwrap() < 5 {
            tokio::task::yield_now().await;
        }
        let (mut first, mut second) = ([0; 1], [0; 8]);
        let count = far
            .try_read_vectored(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)])
            .unwrap();
        assert_eq!(count, 5);
        assert_eq!((&first, &second[..4]), (b"a", &b"bcde"[..]));
    })
    .await;
}

#[tokio::test]
async fn options_are_kept() {
    bounded(async {
        let (server, client) = hosts();
        let (near, _far) = connection(&server, &client).await;
        assert!(!near.nodelay().unwrap());
        near.set_nodelay(true).unwrap();
        assert!(near.nodelay().unwrap());
        near.set_keepalive(Some(transom::KeepAlive::default()))
            .unwrap();
        assert_eq!(
            near.keepalive().unwrap(),
            Some(transom::KeepAlive::default())
        );
        let info = near.info().unwrap();
        assert_eq!(info.state, State::Established);
        assert!(info.sack && info.timestamps);
    })
    .await;
}

/// Notes the TTL of each IPv4 packet sent.
#[derive(Clone, Default)]
struct Ttls(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl transom::Recorder for Ttls {
    fn frame(&mut self, _: Instant, direction: Direction, frame: FrameRef<'_>) {
        if direction == Direction::Out {
            self.0.lock().unwrap().push(frame.to_vec()[8]);
        }
    }
}

#[tokio::test]
async fn req_must_49_the_ttl_of_a_connection_can_be_chosen() {
    bounded(async {
        let ttls = Ttls::default();
        let (left, right) = transom::memory::pair(offload());
        let server = transom::Stack::builder()
            .address("10.0.0.1/24")
            .device(left)
            .spawn()
            .unwrap();
        let client = transom::Stack::builder()
            .address("10.0.0.2/24")
            .recorder(ttls.clone())
            .device(right)
            .spawn()
            .unwrap();
        let (near, mut far) = connection(&server, &client).await;
        assert_eq!(near.ttl().unwrap(), 64);
        assert_eq!(kind(near.set_ttl(0)), ErrorKind::InvalidInput);
        assert_eq!(kind(near.set_ttl(256)), ErrorKind::InvalidInput);
        near.set_ttl(7).unwrap();
        assert_eq!(near.ttl().unwrap(), 7);
        near.send_bytes("x".into()).await.unwrap();
        far.read_u8().await.unwrap();
        let ttls = ttls.0.lock().unwrap().clone();
        assert_eq!((ttls.first(), ttls.last()), (Some(&64), Some(&7)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_at_once() {
    bounded(async {
        let (server, client) = hosts_over(offload());
        let listener = TcpListener::bind(&server, wire::SERVER).await.unwrap();
        let serve = tokio::spawn(async move {
            let mut echoes = Vec::new();
            for _ in 0..1000 {
                let (mut stream, _) = listener.accept().await.unwrap();
                echoes.push(tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await.unwrap();
                    write.shutdown().await.unwrap();
                }));
            }
            for echo in echoes {
                echo.await.unwrap();
            }
        });
        let mut clients = Vec::new();
        for number in 0..1000 {
            let client = client.clone();
            clients.push(tokio::spawn(async move {
                let mut stream = TcpStream::connect(&client, wire::SERVER).await.unwrap();
                write_stream(&mut stream, number, 5000).await.unwrap();
                stream.shutdown().await.unwrap();
                check_stream(&mut stream, number).await.unwrap()
            }));
        }
        for client in clients {
            assert_eq!(client.await.unwrap(), 5000);
        }
        serve.await.unwrap();
    })
    .await;
}

#[test]
fn a_handle_is_small() {
    // A million of them stay below a gibibyte with their connections, of which each takes at most 512 bytes.
    assert!(size_of::<TcpStream>() <= 96, "{}", size_of::<TcpStream>());
}
